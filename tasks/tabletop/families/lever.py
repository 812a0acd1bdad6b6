"""A lever with a ball at its end, lifted by a quarter turn. After Meta-World v3 `lever-pull`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import HAND, JOINTS, MECHANISM, ORIGIN, Stage
from .placing import placed

_HINGE = (0.12, 0.0, 0.25)
"""From the placement point."""
_ORIENTATION = rows.Orientation("xyzw", turn=(0.6625, 0.6625, -0.247171, 0.247171))
"""That of the lever's mesh in Meta-World."""

_STAND = (
    rows.box((0.041, 0.083, 0.125), (0.0, 0.0, 0.125), "walnut"),
    rows.box((0.041, 0.0735, 0.0735), (0.0, 0.0, 0.25), "cream"),
    rows.box((0.05, 0.092, 0.013), (0.0, 0.0, 0.013), "walnut"),
)


def _build(factors: Mapping[str, Array]) -> Task:
    x, y = factors["lever_x"], factors["lever_y"]
    lever = [
        rows.sphere(factors["ball_size"] / 2, (0.0, -0.2, 0.0), "coral"),
        rows.capsule(0.012, 0.088, (0.0, -0.091, 0.0), rows.ALONG_Y, "steel"),
        rows.box((0.016, 0.0337, 0.0337), (0.0, 0.0, 0.0), "steel"),
        rows.capsule(0.016, 0.03, (-0.025, 0.0, 0.0), rows.ALONG_X, "steel"),
    ]
    return Task(
        scene=rows.scene(
            mechanism=lever,
            mechanism_mass=0.004,
            mechanism_pos=(x + _HINGE[0], y, _HINGE[2]),
            hinge=rows.Joint((1.0, 0.0, 0.0), (-1.65, 0.02), damping=factors["lever_damping"], armature=0.003),
            fixtures=placed(_STAND, (x, y, 0.0)),
        ),
        initial=rows.initial(hand=rows.HAND_START_NEAR),
        goal=rows.goal(
            point=(x + _HINGE[0], y, _HINGE[2] + 0.2),
            hand_low=(-0.5, 0.4, -0.15),
            mechanism_point=(0.0, -0.2, 0.0),
            observed=(MECHANISM, ORIGIN),
            orientation=_ORIENTATION,
            stages=rows.stages(
                # The palm lifts the ball from below, the hand in front of it.
                Stage(HAND, MECHANISM, tolerance=0.085, offset=(0.0, -0.06, -0.06), scale=0.2),
                Stage(JOINTS, ORIGIN, 0.1309, (0.0, 0.0, -1.5708), weights=(0, 0, 1), scale=1.0, required=True),
            ),
        ),
        family=0,
    )


FAMILIES = (
    Family(
        name="lever-pull",
        arena="tabletop",
        version=1,
        description="Lift the lever at x {lever_x:.2f}, y {lever_y:.2f} m by its ball until it points up.",
        factors=(
            Factor("lever_x", -0.1, 0.1, "m", "where the lever's stand is, to the side"),
            Factor("lever_y", 0.7, 0.8, "m", "where the lever's stand is, away from the base"),
            Factor("ball_size", 0.054, 0.066, "m", "width of the ball (Meta-World: 0.06)"),
            Factor("lever_damping", 1.5, 2.5, "N m s/rad", "damping of the lever's hinge (Meta-World: 2)"),
        ),
        build=_build,
        expert=(
            Waypoint(
                MECHANISM,
                (0.0, -0.055, -0.12),
                Stage(HAND, MECHANISM, 0.04, (0.0, -0.055, 0.0), weights=(1, 1, 0)),
                effort=1.0,
                gain=25.0,
            ),
            Waypoint(MECHANISM, (0.0, -0.03, 0.05), effort=1.0, gain=25.0),
        ),
    ),
)
