"""One lane's step as a function of few arrays: on the CPU an array more costs as much as what is computed of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...env import Env, EnvState, TimeStep
from ...stages import Stages
from ...task import Task
from .info import FIGURES
from .spaces import BOUND


class Fixed(NamedTuple):
    """What stays as it is from an episode's begin to its end: most arrays of a lane's state, and the largest."""

    task: Task
    params: Float[Array, " p"]


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` for programs of many tiny operations."""
    # XLA would share the operations out to threads, and to hand one over takes longer than most of them.
    on_cpu = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    return jax.jit(function, compiler_options=on_cpu if jax.default_backend() == "cpu" else None)


def parted(state: EnvState) -> tuple[Fixed, EnvState]:
    """A state, and apart from it what is fixed."""
    return Fixed(state.task, state.params), replace(state, task=cast(Any, ()), params=cast(Any, ()))


def joined(fixed: Fixed, moving: EnvState) -> EnvState:
    """The state that `parted` took apart."""
    return replace(moving, task=fixed.task, params=fixed.params)


def step(env: Env, fixed: Fixed, moving: EnvState, action: Float[Array, " a"]) -> tuple[EnvState, Float[Array, " n"]]:
    """One control step.

    Returns:
      The moving part of the new state; the observation with `FIGURES` behind it, zeros for those that the arena does
      not know.
    """
    state, timestep = env.step(joined(fixed, moving), action)
    known = {name: getattr(timestep, name) for name in FIGURES if hasattr(timestep, name)}
    known |= diagnosis(state.task, timestep)
    figures = jnp.stack([jnp.asarray(known.get(name, 0.0), jnp.float32) for name in FIGURES])
    return parted(state)[1], jnp.concatenate([bounded(timestep.observation), figures])


def bounded(observation: Float[Array, " o"]) -> Float[Array, " o"]:
    """An observation inside its space."""
    return jnp.clip(observation, -BOUND, BOUND)


def diagnosis(task: Task, timestep: TimeStep) -> dict[str, Array]:
    """Those of `INFO_KEYS` that the arena knows; zeros where the simulation broke down."""
    told = {"success": timestep.success, "in_place_reward": timestep.progress, "unscaled_reward": timestep.reward}
    stages = getattr(task.goal, "stages", None)
    if isinstance(stages, Stages):
        quantities = timestep.quantities
        errors = stages.conditions.errors(quantities)
        required = stages.active & stages.required
        leading = stages.active & ~stages.required
        none = ~leading.any()
        way, ready, _ = _part(stages, leading).judge(quantities)
        place, _, _ = _part(stages, required).judge(quantities)
        last = jnp.max(jnp.where(required, jnp.arange(required.shape[0]), 0))
        told |= {
            "near_object": errors[0] <= stages.conditions.tolerance[0],
            "grasp_success": ready | none,
            "grasp_reward": jnp.where(none, 1.0, way),
            "in_place_reward": place,
            "obj_to_target": errors[last],
        }
    return {key: jnp.where(timestep.diverged, 0.0, value) for key, value in told.items()}


def _part(stages: Stages, rows: Array) -> Any:
    """Some rows of a table as a table of their own, all of them required."""
    # Padding comes last in a table.
    order = jnp.argsort(~rows, stable=True)
    part = jax.tree.map(lambda leaf: leaf[order], stages)
    return replace(part, active=rows[order], required=rows[order])
