"""A lock on a closed door, a lever to be turned by a quarter. After Meta-World v3 `door-lock` and `door-unlock`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, HAND, MECHANISM, TCP, Stage
from .door import FRAME
from .placing import placed

_HEIGHT = 0.15
"""Height of the placement point, the middle of the door."""
_AXIS = (0.0, -0.118, 0.061)
"""Where the lock's hinge is, from that point."""
_HAND = (0.0, 0.58, 0.2)
"""Where the hand starts: Meta-World's is 2 cm nearer to the door, and has a finger in some of the levers."""

_DOOR = (
    *FRAME,
    rows.box((0.184, 0.01, 0.124), (0.0, -0.1, 0.0), "sky"),
    rows.box((0.047, 0.013, 0.047), (0.0, -0.109, 0.061), "cream"),
    rows.box((0.028, 0.012, 0.028), (0.14, -0.106, -0.05), "steel"),
    rows.box((0.013, 0.047, 0.013), (0.14, -0.165, -0.05), "steel"),
    rows.box((0.075, 0.021, 0.021), (0.196, -0.22, -0.05), "steel"),
)


def _task(
    factors: Mapping[str, Array], start: float, point_z: float, shift: tuple[float, float, float], *stages: Stage
) -> Task:
    """A task whose goal lies at `shift` from the hinge."""
    place: tuple[Any, ...] = (factors["door_x"], factors["door_y"], _HEIGHT)
    axis = [p + a for p, a in zip(place, _AXIS, strict=True)]
    half = factors["lever_length"] / 2
    return Task(
        scene=rows.scene(
            mechanism=[rows.box((half, 0.019, 0.01), (half - 0.008, -0.024, 0.0), "coral")],
            mechanism_mass=0.001,
            mechanism_pos=axis,
            hinge=rows.Joint((0.0, 1.0, 0.0), (0.0, 1.57), damping=factors["lock_damping"], armature=0.003),
            fixtures=placed(_DOOR, place),
        ),
        initial=rows.initial(hand=_HAND, joints=(0.0, 0.0, start)),
        goal=rows.goal(
            point=[a + s for a, s in zip(axis, shift, strict=True)],
            hand_low=(-0.5, 0.4, -0.15),
            mechanism_point=(0.09, -0.04, point_z),
            observed=(MECHANISM, rows.ORIGIN),
            orientation=rows.UPRIGHT,
            stages=rows.stages(*stages),
        ),
        family=0,
    )


def _lock(factors: Mapping[str, Array]) -> Task:
    return _task(
        factors,
        0.0,
        0.01,
        (0.0, -0.04, -0.1),
        Stage(TCP, MECHANISM, tolerance=0.06, offset=(0.0, -0.02, 0.01), weights=(1, 1, 0.5), scale=0.2),
        Stage(MECHANISM, GOAL, tolerance=0.02, weights=(0, 0, 1), scale=0.08, required=True),
    )


def _unlock(factors: Mapping[str, Array]) -> Task:
    return _task(
        factors,
        1.57,
        -0.01,
        (0.1, -0.04, 0.0),
        Stage(HAND, MECHANISM, tolerance=0.09, offset=(-0.05, -0.02, -0.04), scale=0.2),
        Stage(MECHANISM, GOAL, tolerance=0.02, weights=(1, 0, 0), scale=0.08, required=True),
    )


_FACTORS = (
    Factor("door_x", -0.1, 0.1, "m", "where the door stands, to the side"),
    Factor("door_y", 0.8, 0.85, "m", "where the door stands, away from the base"),
    Factor("lever_length", 0.095, 0.105, "m", "length of the lock's lever (Meta-World: 0.1)"),
    Factor("lock_damping", 1.6, 2.4, "N m s/rad", "damping of the lock's hinge (Meta-World: 2)"),
)

FAMILIES = (
    Family(
        name="door-lock",
        arena="tabletop",
        version=1,
        description="Lock the door at x {door_x:.2f}, y {door_y:.2f} m: turn the lever on it down.",
        factors=_FACTORS,
        build=_lock,
        expert=(
            Waypoint(
                MECHANISM,
                (-0.01, -0.02, 0.12),
                Stage(HAND, MECHANISM, 0.05, (-0.01, -0.02, 0.0), weights=(1, 1, 0)),
                effort=1.0,
            ),
            Waypoint(MECHANISM, (-0.03, -0.02, -0.1), effort=1.0, gain=25.0),
        ),
    ),
    Family(
        name="door-unlock",
        arena="tabletop",
        version=1,
        description="Unlock the door at x {door_x:.2f}, y {door_y:.2f} m: turn the lever on it up.",
        factors=_FACTORS,
        build=_unlock,
        expert=(
            # Down in front of the lever, then in below it.
            Waypoint(
                MECHANISM,
                (-0.05, -0.15, -0.03),
                Stage(HAND, MECHANISM, 0.05, (-0.04, 0.0, -0.03), weights=(1, 0, 1)),
                effort=1.0,
                gain=25.0,
            ),
            Waypoint(
                MECHANISM,
                (-0.05, -0.02, -0.03),
                Stage(HAND, MECHANISM, 0.03, (0.0, -0.02, 0.0), weights=(0, 1, 0)),
                effort=1.0,
            ),
            Waypoint(MECHANISM, (0.06, -0.02, -0.02), effort=1.0, gain=25.0),
        ),
    ),
)
