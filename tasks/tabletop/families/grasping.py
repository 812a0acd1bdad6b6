"""How things are grasped: the stage that says so, and the first waypoints of an expert that does it."""

from __future__ import annotations

from typing import Any

from mtbench.stages import BEYOND

from ..expert import Waypoint
from ..rows import GRIPPER, HAND, OBJECT, ORIGIN, Stage

CLAWS = 0.015
"""What the claws' distance exceeds a held object's width by, metres: pads have a thickness, and contacts give."""

GENTLE = 0.7
"""Effort of the gripper with which light objects are held: more squeezes the pads through them."""


OPEN = Stage(GRIPPER, ORIGIN, 0.0, (0.08, 0.0, 0.0), weights=(1, 0, 0), relation=BEYOND)
"""A condition: the gripper has let go."""


def held(width: Any, tolerance: float = 0.018, required: bool = False) -> Stage:
    """The claws are as far apart as they are when they hold an object of this width, metres."""
    return Stage(
        GRIPPER, ORIGIN, tolerance, (width + CLAWS, 0.0, 0.0), weights=(1, 0, 0), scale=0.02, required=required
    )


def lifted(height: float, thing: int = OBJECT) -> Stage:
    """The object's observed point is at least this high, metres: the first centimetres are the hardest to find."""
    return Stage(thing, ORIGIN, 0.0, (0, 0, height), weights=(0, 0, 1), relation=BEYOND, scale=0.05)


def grasp(
    width: float,
    *,
    x: float = 0.0,
    height: float = 0.03,
    above: float = 0.12,
    effort: float = GENTLE,
    gain: float = 10.0,
    aim: float = 0.02,
    thing: int = OBJECT,
) -> tuple[Waypoint, Waypoint, Waypoint]:
    """Above the object, down to it, close the gripper.

    Args:
      width: of the object along y, metres.
      x: where the hand grasps it, from the observed point.
      height: of the hand above the observed point when it closes.
      above: height from which it comes down.
      effort: of the gripper.
      gain: of the waypoints.
      aim: tolerance of the hand's position, seen from above.
      thing: the quantity that is grasped.
    """
    # A little more than it aims for: gravity pulls the hand 5 mm below its command.
    sag = 0.004
    closed = Stage(GRIPPER, ORIGIN, width + CLAWS + 0.012, weights=(1, 0, 0))
    return (
        Waypoint(thing, (x, 0.0, above), Stage(HAND, thing, aim, (x, 0.0, 0.0), weights=(1, 1, 0)), gain=gain),
        Waypoint(
            thing, (x, 0.0, height), Stage(HAND, thing, 0.012, (0, 0, height + sag), weights=(0, 0, 1)), gain=gain
        ),
        Waypoint(thing, (x, 0.0, height), closed, effort=effort, gain=gain),
    )
