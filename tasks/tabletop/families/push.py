"""push: slide the puck along the table to a mark. After Meta-World v3 `push`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from . import puck


def _build(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(
            free=[puck.shape(factors)], free_mass=factors["object_mass"], free_friction=factors["object_friction"]
        ),
        initial=rows.initial(
            object=(factors["object_x"], factors["object_y"], puck.HALF_HEIGHT), object_spread=(0.01, 0.01, 0.0)
        ),
        goal=rows.goal(
            point=(factors["goal_x"], factors["goal_y"], puck.HALF_HEIGHT),
            stages=rows.stages(
                rows.Stage(rows.TCP, rows.OBJECT, tolerance=0.03, scale=0.15),
                rows.Stage(rows.OBJECT, rows.GOAL, tolerance=0.05, scale=0.3, required=True),
            ),
        ),
        family=0,
    )


FAMILY = Family(
    name="push",
    arena="tabletop",
    version=1,
    description="Push the puck of {object_mass:.2f} kg along the table to x {goal_x:.2f}, y {goal_y:.2f} m.",
    factors=(
        Factor("goal_x", -0.1, 0.1, "m", "the mark, to the side"),
        Factor("goal_y", 0.8, 0.9, "m", "the mark, away from the base"),
        *puck.FACTORS,
    ),
    build=_build,
    accept=puck.apart,
    expert=(*puck.GRASP, Waypoint(rows.GOAL, (0.0, 0.0, 0.04), effort=0.6)),
)
