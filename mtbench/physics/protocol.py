"""What every physics backend promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import jax.numpy as jnp
import mujoco
from flax import struct
from jaxtyping import Array, Bool, Float

from .fields import Fields

Causes = Mapping[str, Array]
"""Model fields of one lane that a task sets, each of the whole model's shape, e.g. `geom_size [geom, 3]`."""

Sensors = dict[str, Array]
"""Readings by the name that the model gives its sensor; a function of (params, state) alone."""

MAX_SPEED = 200.0
"""A lane whose fastest joint exceeds this (m/s or rad/s) has diverged: nothing in an arena moves as fast."""


@struct.dataclass
class State:
    """The small integration state of one lane: all that a step needs besides the model's parameters.

    The same on every backend, so that a snapshot taken on one continues on another.
    """

    qpos: Float[Array, " nq"]
    qvel: Float[Array, " nv"]
    act: Float[Array, " na"]
    warmstart: Float[Array, " nv"]
    """Acceleration of the last step, from which the constraint solver starts."""
    time: Float[Array, ""]
    """Seconds since the start of the episode."""


@struct.dataclass
class Command:
    """What acts on the bodies during a control step."""

    ctrl: Float[Array, " nu"]
    """The actuators' inputs."""
    force: Float[Array, " nv"] | None = None
    """A generalised force beside theirs, such as a push (N, N m); `None` where the arena has none."""


class Physics(Protocol):
    """Pure physics of one lane."""

    backend: str
    model: mujoco.MjModel
    substeps: int
    fields: Fields
    """Layout of the parameter vector."""

    def params(self, causes: Causes) -> Float[Array, " p"]:
        """Derives the lane's model parameters, a flat vector, from what a task sets.

        Computes what MuJoCo's compiler would (inertia, bounds, inverse weights, …), see `derive`.
        """
        ...

    def init(self, params: Float[Array, " p"], qpos: Array, qvel: Array) -> tuple[State, Sensors]:
        """The state at a configuration, at rest or moving, and what the sensors read there."""
        ...

    def step(self, params: Float[Array, " p"], state: State, command: Command) -> tuple[State, Sensors]:
        """One control step: `substeps` simulation steps under a constant command."""
        ...


def named_sensors(model: mujoco.MjModel, sensordata: Float[Array, " n"]) -> Sensors:
    """Splits a flat vector of readings by the names that the model gives its sensors."""
    return {
        model.sensor(i).name: sensordata[adr : adr + dim]
        for i, (adr, dim) in enumerate(zip(model.sensor_adr, model.sensor_dim, strict=True))
    }


def diverged(state: State) -> Bool[Array, ""]:
    """Whether the simulation of a lane has broken down: a number that is not finite, or a speed past `MAX_SPEED`."""
    finite = jnp.isfinite(state.qpos).all() & jnp.isfinite(state.qvel).all()
    return ~finite | (jnp.abs(state.qvel).max() > MAX_SPEED)
