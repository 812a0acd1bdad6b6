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

from .env import Env, EnvState, TimeStep
from .policy import Policy
from .suite import EvaluationProtocol, Suite, reset_key
from .task import Task, TaskId

LANES = 512
"""Episodes played at once."""


@struct.dataclass
class Episode:
    """What an evaluation keeps of one episode."""

    success: jax.Array
    success_final: jax.Array
    return_: jax.Array
    progress: jax.Array
    length: jax.Array
    diverged: jax.Array


def play(
    env: Env, policy: Policy, key: jax.Array, task: Task, steps: int | None = None, carry: Any = None
) -> tuple[Episode, Any]:
    """Plays one episode in one lane.

    Args:
      env: the environment.
      policy: the policy.
      key: draws the initial state and the policy's randomness; the initial state does not depend on the policy.
      task: the row.
      steps: control steps to play; the environment's horizon by default.
      carry: the policy's memory of earlier episodes; by default it has none.

    Returns:
      The episode's figures, and the policy's memory at its end.
    """
    reset, act = jax.random.split(key)
    state, timestep = env.reset(reset, task)
    carry = policy.init_carry(act) if carry is None else carry
    zero = jnp.zeros(())
    start = Episode(*(jnp.zeros((), bool),) * 2, zero, timestep.progress, jnp.zeros((), jnp.int32), jnp.zeros((), bool))

    def step(loop, index):
        state, timestep, carry, episode, over = loop
        thought, action = policy.act(jax.random.fold_in(act, index), carry, timestep)
        state, timestep = env.step(state, action)
        latest = Episode(
            success=timestep.success_any,
            success_final=timestep.success,
            return_=timestep.episode_return,
            progress=jnp.maximum(episode.progress, timestep.progress),
            length=timestep.episode_length,
            diverged=timestep.diverged,
        )
        # Lanes run to the horizon together; what comes after an episode's end does not count and is not remembered.
        carry, episode = jax.tree.map(partial(jnp.where, over), (carry, episode), (thought, latest))
        over |= timestep.terminated | timestep.truncated
        return (state, timestep, carry, episode, over), None

    loop: tuple[EnvState, TimeStep, Any, Episode, jax.Array] = (state, timestep, carry, start, jnp.zeros((), bool))
    (_, _, carry, episode, _), _ = jax.lax.scan(step, loop, jnp.arange(steps or env.horizon))
    return episode, carry


@partial(jax.jit, static_argnums=0)
def _play_all(env: Env, policy: Policy, keys: jax.Array, tasks: Task) -> Episode:
    """Plays a trial in each lane: all episodes but the last adapt the policy, the last is scored.

    Args:
      env: the environment.
      policy: the policy.
      keys: [lane, episode].
      tasks: rows [lane, …].
    """

    def trial(keys, task):
        def adapt(carry, key):
            return play(env, policy, key, task, carry=carry)[1], None

        carry = policy.init_carry(keys[0])
        if len(keys) > 1:  # a loop over no episode would be compiled all the same
            carry, _ = jax.lax.scan(adapt, carry, keys[:-1])
        return play(env, policy, keys[-1], task, carry=carry)[0]

    return jax.vmap(trial)(keys, tasks)


@lru_cache(maxsize=8)
def _with_horizon(env: Env, horizon: int) -> Env:
    """The same object for the same horizon: the policies of several seeds share its compiled program."""
    return env if env.horizon == horizon else replace(env, horizon=horizon)


def evaluate(
    env: Env,
    suite: Suite,
    policy: Policy,
    *,
    name: str,
    protocol: EvaluationProtocol | str = "ours",
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Plays a suite by a protocol and returns the episodes table (see `mtbench.score.episodes`).

    Every scored episode begins with what the policy remembers of the protocol's adaptation episodes of that task, and
    is not remembered itself. A policy without memory is spared them: they would change nothing.

    Args:
      env: the suite's environment; the protocol sets the horizon.
      suite: where the tasks come from.
      policy: the policy.
      name: what the table calls it.
      protocol: one of the suite's, or the name of one.
      seed: the training seed that the table records.
      on_progress: called with (episodes played, episodes in all), split by split.
    """
    protocol = suite.protocol(protocol) if isinstance(protocol, str) else protocol
    env = _with_horizon(env, protocol.horizon)
    tables = []
    for split in protocol.splits:
        table, ids = suite.tasks(split), suite.task_ids(split)
        first = {(f, seed) for f, seeds in suite.splits[split].items() for seed in seeds[: protocol.tasks_per_family]}
        # Episodes are numbered from the first adaptation on: a number is an initial state, whoever plays.
        numbers = range(protocol.adaptation_episodes, protocol.adaptation_episodes + protocol.episodes)
        jobs = [(t, episode) for t in ids if (t.family, t.seed) in first for episode in numbers]
        tables.append(
            _play_jobs(
                env,
                suite,
                policy,
                jobs,
                dict(zip(ids, range(len(ids)), strict=True)),
                table,
                name=name,
                protocol=protocol.name,
                split=split,
                seed=seed,
                adaptation_episodes=protocol.adaptation_episodes,
                on_progress=on_progress,
            )
        )
    return pl.concat(tables)


def play_jobs(
    env: Env, suite: Suite, policy: Policy, jobs: Sequence[tuple[TaskId, int]], *, name: str, split: str
) -> pl.DataFrame:
    """Plays (task, episode) pairs of any tasks and returns their rows of the episodes table."""
    unique = sorted({task_id for task_id, _ in jobs})
    place = {task_id: i for i, task_id in enumerate(unique)}
    return _play_jobs(env, suite, policy, jobs, place, suite.rows(unique), name=name, protocol="none", split=split)


def _play_jobs(
    env: Env,
    suite: Suite,
    policy: Policy,
    jobs: Sequence[tuple[TaskId, int]],
    place: Mapping[TaskId, int],
    table: Task,
    *,
    name: str,
    protocol: str,
    split: str,
    seed: int = 0,
    adaptation_episodes: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Plays (task, episode) pairs; `place` says where a task's row is in `table`."""
    lanes = min(LANES, len(jobs))
    has_memory = bool(jax.tree.leaves(jax.eval_shape(policy.init_carry, jax.random.key(0))))
    earlier = range(adaptation_episodes if has_memory else 0)
    parts = []
    for start in range(0, len(jobs), lanes):
        # The last batch is filled up with repeats, so that all share one program.
        batch = [jobs[min(i, len(jobs) - 1)] for i in range(start, start + lanes)]
        index = np.array([place[task_id] for task_id, _ in batch])
        seeds = [[reset_key(task_id, e) for e in (*earlier, episode)] for task_id, episode in batch]
        keys = jax.vmap(jax.vmap(jax.random.key))(np.array(seeds, np.uint32))
        tasks = jax.tree.map(lambda leaf, index=index: jnp.asarray(leaf[index]), table)
        parts.append(jax.tree.map(np.asarray, _play_all(env, policy, keys, tasks)))
        if on_progress:
            on_progress(min(start + lanes, len(jobs)), len(jobs))
    played = jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(jobs)], *parts)
    return pl.DataFrame(
        {
            "policy": [name] * len(jobs),
            "seed": [seed] * len(jobs),
            "suite": [suite.name] * len(jobs),
            "protocol": [protocol] * len(jobs),
            "split": [split] * len(jobs),
            "family": [task_id.family for task_id, _ in jobs],
            "task": [str(task_id) for task_id, _ in jobs],
            "episode": [episode for _, episode in jobs],
            "success": played.success,
            "success_final": played.success_final,
            "return": played.return_.astype(np.float64),
            "progress": played.progress.astype(np.float64),
            "length": played.length.astype(np.int64),
            "diverged": played.diverged,
        }
    )
