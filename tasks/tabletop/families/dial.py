"""A dial on the table, turned by its grip. After Meta-World v3 `dial-turn`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import HAND, MECHANISM, Stage


def _build(factors: Mapping[str, Array]) -> Task:
    x, y = factors["dial_x"], factors["dial_y"]
    dial = [
        rows.box((0.0443, 0.0443, 0.0175), (0.0, 0.0, 0.0185), "teal"),
        rows.box((0.015, factors["grip_length"] / 2, 0.015), (0.0, 0.0, 0.051), "coral"),
    ]
    return Task(
        scene=rows.scene(
            mechanism=dial,
            mechanism_mass=0.37,
            mechanism_pos=(x, y, 0.0),
            hinge=rows.Joint((0.0, 0.0, 1.0), (-3.14, 3.14), damping=factors["dial_damping"], armature=0.003),
        ),
        initial=rows.initial(),
        goal=rows.goal(
            point=(x, y + 0.03, 0.03),
            mechanism_point=(0.0, -0.05, 0.0),
            observed=(MECHANISM, rows.ORIGIN),
            orientation=rows.UPRIGHT,
            stages=rows.stages(
                Stage(rows.TCP, MECHANISM, tolerance=0.065, offset=(0.0, 0.0, 0.05), scale=0.15),
                Stage(MECHANISM, rows.GOAL, tolerance=0.07, scale=0.05, required=True),
            ),
        ),
        family=0,
    )


FAMILIES = (
    Family(
        name="dial-turn",
        arena="tabletop",
        version=1,
        description="Turn the dial at x {dial_x:.2f}, y {dial_y:.2f} m by more than a quarter.",
        factors=(
            Factor("dial_x", -0.1, 0.1, "m", "where the dial stands, to the side"),
            Factor("dial_y", 0.7, 0.8, "m", "where the dial stands, away from the base"),
            Factor("grip_length", 0.084, 0.1, "m", "length of the dial's grip (Meta-World: 0.092)"),
            Factor("dial_damping", 0.7, 1.3, "N m s/rad", "damping of the dial's hinge (Meta-World: 1)"),
        ),
        build=_build,
        expert=(
            Waypoint(
                MECHANISM,
                (0.05, 0.01, 0.2),
                Stage(HAND, MECHANISM, 0.03, (0.045, 0.01, 0.0), weights=(1, 1, 0)),
                effort=1.0,
            ),
            Waypoint(
                MECHANISM,
                (0.05, 0.01, 0.085),
                Stage(HAND, MECHANISM, 0.02, (0.0, 0.0, 0.085), weights=(0, 0, 1)),
                effort=1.0,
            ),
            Waypoint(MECHANISM, (-0.05, 0.02, 0.085), effort=1.0),
        ),
    ),
)
