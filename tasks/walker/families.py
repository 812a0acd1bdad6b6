"""walk: walk forward at a given speed, with a body that differs from task to task.

In the spirit of Walker2d (Gymnasium) and walker-walk (dm_control); body, numbers and reward are its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from . import model as topology
from .arena import Goal, Initial, Scene

DURATION = 10.0
"""Seconds in which the distance is to be walked: 500 control steps."""
SHARE = 0.8
"""The distance is this share of what the target speed covers in `DURATION`: the rest is for setting off."""


def _build(factors: Mapping[str, Array]) -> Task:
    speed = factors["target_speed"]
    lengths = factors["leg_length"] * jnp.array([0.5, 0.5])
    height = topology.height([lengths[0], lengths[1]])
    return Task(
        scene=Scene(
            torso_mass=factors["torso_mass"],
            leg_mass=factors["leg_mass"] * jnp.array(topology.MASSES) / sum(topology.MASSES),
            leg_length=lengths,
            foot_friction=factors["foot_friction"],
            joint_damping=factors["joint_damping"],
        ),
        initial=Initial(height=height, spread=jnp.float32(0.05)),
        goal=Goal(
            speed=speed,
            distance=SHARE * DURATION * speed,
            height=height,
        ),
        family=jnp.int32(0),
    )


WALK = Family(
    name="walk",
    arena="walker",
    version=1,
    description="Walk forward at {target_speed:.2f} m/s.",
    factors=(
        Factor("target_speed", 0.6, 1.4, "m/s", "forward speed that is asked for"),
        Factor("torso_mass", 16.0, 32.0, "kg", "mass of trunk and head"),
        Factor("leg_mass", 6.0, 12.0, "kg", "mass of each leg"),
        Factor("leg_length", 0.76, 0.92, "m", "hip to ankle with the leg straight"),
        Factor("foot_friction", 0.5, 1.2, "1", "sliding friction of soles on the floor"),
        Factor("joint_damping", 2.0, 8.0, "N·m·s/rad", "resistance of hips, knees and ankles to motion"),
    ),
    build=_build,
)

FAMILIES: tuple[Family, ...] = (WALK,)
