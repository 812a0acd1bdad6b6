"""The jitted program of one lane of one family."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
from jaxtyping import Array, Float, Int

from ... import suite as suites
from ...env import Env, EnvState
from ...task import Task
from . import tasks
from .info import INFO_KEYS
from .step import Fixed, bounded, diagnosis, jit, parted, step


class OneLane(NamedTuple):
    """One lane, jitted."""

    env: Env
    keys: tuple[str, ...]
    """The information that the family's arena knows."""
    draw: Callable[..., Int[Array, ""]]
    """(key, episode, number of tasks) to the index of the task to play."""
    reset: Callable[..., tuple[Fixed, EnvState, Float[Array, " o"]]]
    """(key, episode, row) to (what is fixed, what moves, observation)."""
    step: Callable[..., tuple[EnvState, Float[Array, " n"]]]
    """(what is fixed, what moves, action) to (what moves, observation and figures)."""


@cache
def one_lane(suite: str, backend: str | None) -> OneLane:
    """Shared by all environments of a family, so that a second one does not compile again."""
    (env,) = tasks.envs(suite, backend).values()
    # All rows of a family have the same shapes.
    loaded = suites.load(suite)
    some = loaded.task_ids(next(iter(loaded.splits)))[:1]
    row = jax.tree.map(lambda leaf: leaf[0], loaded.rows(some))
    state, timestep = jax.eval_shape(env.reset, jax.random.key(0), row)
    known = jax.eval_shape(diagnosis, state.task, timestep)

    def reset(key: Array, episode: Array, row: Task) -> tuple[Fixed, EnvState, Array]:
        state, timestep = env.reset(jax.random.fold_in(key, episode), row)
        return *parted(state), bounded(timestep.observation)

    keys = tuple(key for key in INFO_KEYS if key in known)
    return OneLane(env, keys, jax.jit(tasks.draw_index), jax.jit(reset), jit(partial(step, env)))
