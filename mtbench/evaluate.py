"""Policy × split ─► episodes table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from flax import struct

from .env import Env, EnvState, TimeStep
from .policy import Policy
from .suite import Suite, reset_key, rows
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


def play(env: Env, policy: Policy, key: jax.Array, task: Task, steps: int | None = None) -> tuple[Episode, Any]:
    """Plays one episode in one lane.

    Args:
      env: the environment.
      policy: the policy.
      key: draws the initial state and the policy's randomness; the initial state does not depend on the policy.
      task: the row.
      steps: control steps to play; the environment's horizon by default.

    Returns:
      The episode's figures, and the joint positions after each step [step, nq] for a picture.
    """
    reset, act = jax.random.split(key)
    state, timestep = env.reset(reset, task)
    carry = policy.init_carry(act)
    zero = jnp.zeros(())
    start = Episode(*(jnp.zeros((), bool),) * 2, zero, timestep.progress, jnp.zeros((), jnp.int32), jnp.zeros((), bool))

    def step(loop, index):
        state, timestep, carry, episode, over = loop
        carry, action = policy.act(jax.random.fold_in(act, index), carry, timestep)
        state, timestep = env.step(state, action)
        latest = Episode(
            success=timestep.success_any,
            success_final=timestep.success,
            return_=timestep.episode_return,
            progress=jnp.maximum(episode.progress, timestep.progress),
            length=timestep.episode_length,
            diverged=timestep.diverged,
        )
        # Lanes run to the horizon together; what comes after an episode's end does not count.
        episode = jax.tree.map(partial(jnp.where, over), episode, latest)
        over |= timestep.terminated | timestep.truncated
        return (state, timestep, carry, episode, over), state.physics.qpos

    loop: tuple[EnvState, TimeStep, Any, Episode, jax.Array] = (state, timestep, carry, start, jnp.zeros((), bool))
    (_, _, _, episode, _), path = jax.lax.scan(step, loop, jnp.arange(steps or env.horizon))
    return episode, path


@partial(jax.jit, static_argnums=0)
def _play_all(env: Env, policy: Policy, keys: jax.Array, tasks: Task) -> Episode:
    return jax.vmap(lambda key, task: play(env, policy, key, task)[0])(keys, tasks)


def evaluate(
    env: Env,
    suite: Suite,
    policy: Policy,
    *,
    name: str,
    split: str,
    episodes: int = 1,
    seed: int = 0,
    tasks_per_family: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Plays every task of a split and returns the episodes table (see `mtbench.score.episodes`).

    Args:
      env: the suite's environment.
      suite: where the tasks come from.
      policy: the policy.
      name: what the table calls it.
      split: a split of the suite.
      episodes: episodes per task, each with its own initial state.
      seed: the training seed that the table records.
      tasks_per_family: plays only the first so many tasks of each family.
      on_progress: called with (episodes played, episodes in all).
    """
    ids = suite.task_ids(split)
    if tasks_per_family is not None:
        kept = {tuple(t) for f in suite.families for t in [t for t in ids if t.family == f][:tasks_per_family]}
        ids = [t for t in ids if tuple(t) in kept]
    jobs = [(task_id, episode) for task_id in ids for episode in range(episodes)]
    return play_jobs(env, suite, policy, jobs, name=name, split=split, seed=seed, on_progress=on_progress)


def play_jobs(
    env: Env,
    suite: Suite,
    policy: Policy,
    jobs: Sequence[tuple[TaskId, int]],
    *,
    name: str,
    split: str,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Plays (task, episode) pairs and returns their rows of the episodes table."""
    unique = sorted({task_id for task_id, _ in jobs})
    place = {task_id: i for i, task_id in enumerate(unique)}
    table = rows(unique, suite.families)
    lanes = min(LANES, len(jobs))
    parts = []
    for start in range(0, len(jobs), lanes):
        # The last batch is filled up with repeats, so that all share one program.
        batch = [jobs[min(i, len(jobs) - 1)] for i in range(start, start + lanes)]
        index = np.array([place[task_id] for task_id, _ in batch])
        seeds = np.array([reset_key(task_id, episode) for task_id, episode in batch], np.uint32)
        keys = jax.vmap(jax.random.key)(seeds)
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
