"""Policy × protocol ─► episodes table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from flax import struct

from .batching import batches
from .env import Env, EnvState, TimeStep
from .errors import UsageError
from .policy import Expert, Policy, act
from .suite import EvaluationProtocol, Suite, reset_key
from .task import Task, TaskId

LANES = 512
"""Episodes played at once."""
NO_NUMBER = "an action was not a finite number"
"""Why an episode failed."""


@struct.dataclass
class Episode:
    """What an evaluation keeps of one episode."""

    success: jax.Array
    success_final: jax.Array
    return_: jax.Array
    progress: jax.Array
    length: jax.Array
    diverged: jax.Array
    failed: jax.Array
    """Whether the policy gave an action that is no number; the episode ends there."""


@struct.dataclass
class Memory:
    """With what a policy goes from one episode of a task into the next."""

    carry: Any
    """What it remembers."""
    last: TimeStep
    """The last step it saw: its reward comes with the next first observation."""


def play(
    env: Env,
    policy: Policy | Expert,
    key: jax.Array,
    task: Task,
    steps: int | None = None,
    memory: Memory | None = None,
    record: Callable[[EnvState, TimeStep], Any] = lambda state, timestep: (),
    params: jax.Array | None = None,
) -> tuple[Episode, Memory, Any]:
    """Plays one episode in one lane.

    Args:
      env: the environment.
      policy: the policy.
      key: draws the initial state and the policy's randomness; the initial state does not depend on the policy.
      task: the row.
      steps: control steps to play; the environment's horizon by default.
      memory: of the task's earlier episodes; by default this is the first.
      record: what to keep of the start and of every step.
      params: the task's (`Env.params_of`), if they are known.

    Returns:
      The episode's figures, the memory at its end, and what was recorded, [steps + 1, …].
    """
    reset, own = jax.random.split(key)
    state, timestep = env.begin(reset, task, env.params(task) if params is None else params)
    carry = policy.init_carry(own)
    if memory is not None:
        timestep, carry = memory.last.then(timestep, task_begins=False), memory.carry
    zero = jnp.zeros(())
    no = jnp.zeros((), bool)
    start = Episode(no, no, zero, timestep.progress, jnp.zeros((), jnp.int32), no, no)

    def step(loop, index):
        state, timestep, memory, episode, over = loop
        thought, action = act(env, policy, jax.random.fold_in(own, index), memory.carry, timestep)
        state, timestep = env.step(state, action)
        latest = Episode(
            success=timestep.success_any,
            success_final=timestep.success,
            return_=timestep.episode_return,
            progress=jnp.maximum(episode.progress, timestep.progress),
            length=timestep.episode_length,
            diverged=timestep.diverged,
            failed=episode.failed | ~jnp.isfinite(action).all(),
        )
        # Lanes run to the horizon together; what comes after an episode's end does not count and is not remembered.
        before, after = (memory, episode), (Memory(thought, timestep), latest)
        memory, episode = jax.tree.map(partial(jnp.where, over), before, after)
        over |= timestep.terminated | timestep.truncated
        return (state, timestep, memory, episode, over), record(state, timestep)

    loop = (state, timestep, Memory(carry, timestep), start, jnp.zeros((), bool))
    first = record(state, timestep)
    (_, _, memory, episode, _), later = jax.lax.scan(step, loop, jnp.arange(steps or env.horizon))
    return episode, memory, jax.tree.map(lambda one, many: jnp.concatenate([one[None], many]), first, later)


@partial(jax.jit, static_argnums=0)
def _play_all(env: Env, policy: Policy | Expert, keys: jax.Array, tasks: Task, params: jax.Array) -> Episode:
    """Plays a trial in each lane: all episodes but the last adapt the policy, the last is scored.

    Args:
      env: the environment.
      policy: the policy.
      keys: [lane, episode].
      tasks: rows [lane, …].
      params: theirs [lane, p].
    """

    def trial(keys, task, params):
        if len(keys) == 1:
            return play(env, policy, keys[0], task, params=params)[0]

        def adapt(memory, key):
            return play(env, policy, key, task, memory=memory, params=params)[1], None

        _, memory, _ = play(env, policy, keys[0], task, params=params)
        if len(keys) > 2:  # a loop over no episode would be compiled all the same
            memory, _ = jax.lax.scan(adapt, memory, keys[1:-1])
        return play(env, policy, keys[-1], task, memory=memory, params=params)[0]

    return jax.vmap(trial)(keys, replace(tasks, scene=()), params)


@lru_cache(maxsize=8)
def _with_horizon(env: Env, horizon: int | None) -> Env:
    """The same object for the same horizon: the policies of several seeds share its compiled program."""
    return env if horizon in (None, env.horizon) else replace(env, horizon=horizon)


def evaluate(
    envs: Mapping[str, Env],
    suite: Suite,
    policy: Policy | Expert,
    *,
    name: str,
    protocol: EvaluationProtocol | str = "ours",
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Plays a suite by a protocol and returns the episodes table (see `mtbench.score.episodes`).

    Open tasks are left out. Every scored episode begins with what the policy remembers of the protocol's adaptation
    episodes of that task, and is not remembered itself. A policy without memory is spared them: they would change
    nothing.

    Args:
      envs: the suite's environments by arena; the protocol sets the horizon.
      suite: where the tasks come from.
      policy: the policy.
      name: what the table calls it.
      protocol: one of the suite's, or the name of one.
      seed: the training seed that the table records.
      on_progress: called with (episodes played, episodes in all), split by split.

    Raises:
      UsageError: a split has open tasks only.
    """
    protocol = suite.protocol(protocol) if isinstance(protocol, str) else protocol
    envs = {arena: _with_horizon(env, protocol.horizon) for arena, env in envs.items()}
    tables = []
    for split in protocol.splits:
        places = {
            task_id: (arena, place)
            for arena, ids in suite.arena_ids(split).items()
            for place, task_id in enumerate(ids)
        }
        scored = suite.scored_ids(split, protocol.tasks_per_family)
        if not scored:
            raise UsageError(f"suite {suite.name}, split {split}: all tasks are open, there is none to be scored on")
        # Episodes are numbered from the first adaptation on: a number is an initial state, whoever plays.
        numbers = range(protocol.adaptation_episodes, protocol.adaptation_episodes + protocol.episodes)
        jobs = [(task_id, episode) for task_id in scored for episode in numbers]
        played = _play_jobs(envs, policy, jobs, places, suite.tables(split), protocol.adaptation_episodes, on_progress)
        adapted = protocol.adaptation_episodes if _remembers(policy) else 0
        labels = {"policy": name, "seed": seed, "protocol": protocol.name, "split": split, "adaptation": adapted}
        tables.append(_table(played, jobs, suite, **labels))
    return pl.concat(tables)


def play_jobs(
    envs: Mapping[str, Env],
    suite: Suite,
    policy: Policy | Expert,
    jobs: Sequence[tuple[TaskId, int]],
    *,
    name: str,
    split: str,
    on_progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Plays (task, episode) pairs of any tasks and returns their rows of the episodes table."""
    places: dict[TaskId, tuple[str, int]] = {}
    tables: dict[str, Task] = {}
    for arena in suite.arenas:
        if ids := list(dict.fromkeys(t for t, _ in jobs if suite.family(t.family).arena == arena)):
            places |= {task_id: (arena, place) for place, task_id in enumerate(ids)}
            tables[arena] = suite.rows(ids)
    played = _play_jobs(envs, policy, jobs, places, tables, 0, on_progress)
    return _table(played, jobs, suite, policy=name, protocol="none", split=split, seed=0, adaptation=0)


def _play_jobs(
    envs: Mapping[str, Env],
    policy: Policy | Expert,
    jobs: Sequence[tuple[TaskId, int]],
    places: Mapping[TaskId, tuple[str, int]],
    tables: Mapping[str, Task],
    adaptation_episodes: int,
    on_progress: Callable[[int, int], None] | None,
) -> Episode:
    """Plays (task, episode) pairs, arena by arena; `places` says in which table, and where in it, a task's row is."""
    earlier = range(adaptation_episodes if _remembers(policy) else 0)
    parts, order = [], []
    for arena, table in tables.items():
        params = envs[arena].params_of(table)
        mine = [number for number, (task_id, _) in enumerate(jobs) if places[task_id][0] == arena]
        for chosen, fresh in batches(mine, LANES):
            index = np.array([places[jobs[number][0]][1] for number in chosen])
            seeds = [[reset_key(jobs[number][0], e) for e in (*earlier, jobs[number][1])] for number in chosen]
            keys = jax.vmap(jax.vmap(jax.random.key))(np.array(seeds, np.uint32))
            tasks = jax.tree.map(lambda leaf, index=index: jnp.asarray(leaf[index]), table)
            played = _play_all(envs[arena], policy, keys, tasks, params[index])
            parts.append(jax.tree.map(lambda leaf, fresh=fresh: np.asarray(leaf)[:fresh], played))
            order += chosen[:fresh]
            if on_progress:
                on_progress(len(order), len(jobs))
    inverse = np.argsort(order)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[inverse], *parts)


def _remembers(policy: Policy | Expert) -> bool:
    """Whether a policy has a memory that earlier episodes can leave something in."""
    return bool(jax.tree.leaves(jax.eval_shape(policy.init_carry, jax.random.key(0))))


def _table(played: Episode, jobs: Sequence[tuple[TaskId, int]], suite: Suite, **labels: Any) -> pl.DataFrame:
    """The rows of the episodes table."""
    same = {name: [labels[name]] * len(jobs) for name in ("policy", "seed")}
    same |= {"suite": [suite.name] * len(jobs)} | {name: [labels[name]] * len(jobs) for name in ("protocol", "split")}
    return pl.DataFrame(
        {
            **same,
            "family": [task_id.family for task_id, _ in jobs],
            "task": [str(task_id) for task_id, _ in jobs],
            "adaptation": [labels["adaptation"]] * len(jobs),
            "episode": [episode for _, episode in jobs],
            "success": played.success,
            "success_final": played.success_final,
            "return": played.return_.astype(np.float64),
            "progress": played.progress.astype(np.float64),
            "length": played.length.astype(np.int64),
            "diverged": played.diverged,
            "failure": [NO_NUMBER if failed else "" for failed in played.failed],
        }
    )
