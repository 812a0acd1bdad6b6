"""reach: bring the fingertips to a point in the air. After Meta-World v3 `reach`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from . import puck


def _build(factors: Mapping[str, Array]) -> Task:
    point = (factors["goal_x"], factors["goal_y"], factors["goal_z"])
    return Task(
        scene=rows.scene(
            free=[puck.shape(factors)], free_mass=factors["object_mass"], free_friction=factors["object_friction"]
        ),
        initial=rows.initial(
            object=(factors["object_x"], factors["object_y"], puck.HALF_HEIGHT), object_spread=(0.01, 0.01, 0.0)
        ),
        goal=rows.goal(
            point=point,
            stages=rows.stages(rows.Stage(rows.TCP, rows.GOAL, tolerance=0.05, scale=0.2, required=True)),
        ),
        family=0,
    )


FAMILY = Family(
    name="reach",
    arena="tabletop",
    version=1,
    description="Bring the fingertips to the point x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m.",
    factors=(
        Factor("goal_x", -0.1, 0.1, "m", "the point to reach, to the side"),
        Factor("goal_y", 0.8, 0.9, "m", "the point to reach, away from the base"),
        Factor("goal_z", 0.05, 0.3, "m", "the point to reach, height"),
        *puck.FACTORS,
    ),
    build=_build,
    accept=puck.apart,
    expert=(Waypoint(rows.GOAL, (0.0, 0.0, 0.045), effort=-1.0),),
)
