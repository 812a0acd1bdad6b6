"""What legged arenas tell policies and experts: how the observation is laid out, and how goals are told."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from .robots import Robot

QUANTITIES = ("base", "up", "velocity", "turning", "wanted", "target", "next_target", "height", "thing", "terms")
"""Trunk (m, world); its upward direction; velocity ahead, left, up in its heading (m/s); turning (rad/s, world);
velocity ahead and left and turning that are asked for; the way to the next goal and to the one after it, in its heading
(m; zeros where no goal is to be gone to); height of the trunk above the feet, that which is asked for (m) and the share
of the aim done; the object (m, world); the terms track, turn and step of the reward."""
WANTED, TARGET, NEXT_TARGET, HEIGHT = map(QUANTITIES.index, ("wanted", "target", "next_target", "height"))
GOAL_PARTS = ("command", "targets")
"""Parts that tell the goal: the last ones."""
SIGHT = 2.0
"""Metres up to which a goal's distance is told; beyond, its direction only."""


def layout(robot: Robot) -> dict[str, int]:
    """Lengths of the observation's parts, in their order; see `Legged.parts`."""
    flat, joints = robot.planar, len(robot.joints)
    return {
        "height": 1,
        "gravity": 2 if flat else 3,
        "turning": 1 if flat else 3,
        "velocity": 2 if flat else 3,
        "angles": joints,
        "speeds": joints,
        "action": joints,
        "feet": len(robot.feet),
        "scan": len(robot.scan),
        **({} if robot.biped else {"thing": 4}),
        "command": 2 if flat else 4,
        "targets": 2 if flat else 4,
    }


def size(robot: Robot) -> int:
    """Length of the observation."""
    return sum(layout(robot).values())


def goal_parts(
    robot: Robot, wanted: Float[Array, 3], height: Float[Array, ""], ways: Sequence[Float[Array, 3]]
) -> dict[str, Float[Array, " k"]]:
    """Those parts, from the quantities of these names.

    Args:
      robot: to whom.
      wanted: velocity and turning.
      height: of the trunk above the feet that is asked for, metres.
      ways: to the next goals, in the robot's heading, metres.
    """
    command, axes = (wanted[:1], 1) if robot.planar else (wanted, 2)
    level = height / robot.height(jnp.ones(2)) - 1.0
    return {
        "command": jnp.concatenate([command, level[None]]),
        "targets": jnp.concatenate([near(way[:axes]) for way in ways]),
    }


def near(way: Float[Array, " k"]) -> Float[Array, " k"]:
    """A way, its length in units of `SIGHT` and at most 1."""
    return way / jnp.maximum(jnp.linalg.norm(way), SIGHT)
