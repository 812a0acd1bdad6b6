"""The jitted program of one lane of one family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ... import suite as suites
from ...env import Env, EnvState
from ...task import Task, TaskId
from . import tasks
from .diagnosis import diagnosis
from .info import INFO_KEYS
from .packing import Packing
from .spaces import BOUND


class OneLane(NamedTuple):
    """One lane, jitted. A state is a row of words and the model's parameters."""

    env: Env
    keys: tuple[str, ...]
    """The information that a step tells."""
    draw: Callable[..., Int[Array, ""]]
    """(key, episode, number of tasks) to the index of the task to play."""
    reset: Callable[..., tuple[Any, Float[Array, " o"]]]
    """(key, episode, row) to (state, observation)."""
    step: Callable[..., tuple[Any, Float[Array, " n"]]]
    """(state, action) to (state, observation, reward, whether it terminated and the information side by side)."""
    unpack: Callable[[Any], EnvState]
    """The environment's state in a state."""


@cache
def one_lane(suite: str, backend: str | None) -> OneLane:
    """Shared by all environments of a family, so that a second one does not compile again."""
    (env,) = tasks.envs(suite, backend).values()
    loaded = suites.load(suite)
    # All rows of a family have the same shapes.
    family = loaded.family(loaded.families[0])
    row = jax.tree.map(lambda leaf: leaf[0], loaded.rows([TaskId(family.name, family.version, 0)]))
    shapes, timestep = jax.eval_shape(env.reset, jax.random.key(0), row)
    told = jax.eval_shape(diagnosis, shapes.task, timestep)
    keys = tuple(key for key in INFO_KEYS if key in told)
    packing = Packing(replace(shapes, params=()))

    def packed(state: EnvState) -> Any:
        # Parameters are large and stay as they are: apart, they need no copy.
        return packing.pack(replace(state, params=())), state.params

    def unpacked(state: Any) -> EnvState:
        words, params = state
        return replace(packing.unpack(words), params=params)

    @jax.jit
    def reset(key: Array, episode: Array, row: Task) -> Any:
        state, timestep = env.reset(jax.random.fold_in(key, episode), row)
        return packed(state), jnp.clip(timestep.observation, -BOUND, BOUND)

    @jax.jit
    def step(state: Any, action: Array) -> Any:
        new, timestep = env.step(unpacked(state), action)
        told = diagnosis(new.task, timestep)
        figures = jnp.stack([timestep.reward, timestep.terminated, *(told[key] for key in keys)])
        return packed(new), jnp.concatenate([jnp.clip(timestep.observation, -BOUND, BOUND), figures])

    return OneLane(env, keys, jax.jit(tasks.draw_index), reset, step, unpacked)
