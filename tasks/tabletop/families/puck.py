"""What the families with a puck share: the puck, its factors, and how it is grasped."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Bool

from mtbench.task import Factor

from ..expert import Waypoint
from ..rows import GRIPPER, HAND, OBJECT, ORIGIN, Shape, Stage, box

HALF_WIDTH, HALF_HEIGHT = 0.0184, 0.02
"""A box of the same area as Meta-World's cylinder of radius 0.02."""

FACTORS = (
    Factor("object_x", -0.1, 0.1, "m", "where the puck stands, to the side"),
    Factor("object_y", 0.6, 0.7, "m", "where the puck stands, away from the base"),
    Factor("object_size", 0.9, 1.1, "", "width of the puck, relative to Meta-World's"),
    Factor("object_mass", 0.5, 1.0, "kg", "mass of the puck (Meta-World: 0.75)"),
    Factor("object_friction", 0.8, 1.2, "", "sliding friction of the puck (Meta-World: 1)"),
)


def shape(factors: Mapping[str, Array], colour: str = "coral") -> Shape:
    """The puck."""
    half = HALF_WIDTH * factors["object_size"]
    return box((half, half, HALF_HEIGHT), colour=colour)


def apart(factors: Mapping[str, Array]) -> Bool[Array, ""]:
    """Meta-World's rule: goal and object start at least 0.15 m apart, seen from above."""
    dx, dy = factors["object_x"] - factors["goal_x"], factors["object_y"] - factors["goal_y"]
    return jnp.hypot(dx, dy) >= 0.15


GRASPED = Stage(GRIPPER, ORIGIN, tolerance=0.018, offset=(0.052, 0.0, 0.0), scale=0.02)
"""The claws are as far apart as they are when they hold the puck."""

GRASP = (
    Waypoint(OBJECT, (-0.003, 0.0, 0.12), Stage(HAND, OBJECT, 0.02, weights=(1, 1, 0)), effort=-1.0),
    Waypoint(
        OBJECT, (-0.003, 0.0, 0.03), Stage(HAND, OBJECT, 0.012, (0.0, 0.0, 0.034), weights=(0, 0, 1)), effort=-1.0
    ),
    Waypoint(OBJECT, (-0.003, 0.0, 0.03), Stage(GRIPPER, ORIGIN, 0.028, (0.037, 0.0, 0.0)), effort=1.0),
)
"""Above the puck, down to it, close the gripper."""
