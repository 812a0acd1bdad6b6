"""Computes what `info.py` describes, inside the step's program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ...env import TimeStep
from ...stages import Stages
from ...task import Task


def diagnosis(task: Task, timestep: TimeStep) -> dict[str, Array]:
    """One lane's information by key; zeros where the simulation broke down."""
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
