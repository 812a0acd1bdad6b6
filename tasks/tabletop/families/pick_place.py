"""pick-place: lift the puck to a point in the air. After Meta-World v3 `pick-place`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from . import puck


def _build(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(
            free=[puck.shape(factors, "sky")],
            free_mass=factors["object_mass"],
            free_friction=factors["object_friction"],
        ),
        initial=rows.initial(
            object=(factors["object_x"], factors["object_y"], puck.HALF_HEIGHT), object_spread=(0.01, 0.01, 0.0)
        ),
        goal=rows.goal(
            point=(factors["goal_x"], factors["goal_y"], factors["goal_z"]),
            stages=rows.stages(
                rows.Stage(rows.TCP, rows.OBJECT, tolerance=0.04, scale=0.15),
                puck.GRASPED,
                rows.Stage(
                    rows.OBJECT, rows.ORIGIN, 0.0, (0, 0, 0.045), weights=(0, 0, 1), relation=BEYOND, scale=0.05
                ),
                rows.Stage(rows.OBJECT, rows.GOAL, tolerance=0.07, scale=0.3, required=True),
            ),
        ),
        family=0,
    )


FAMILY = Family(
    name="pick-place",
    arena="tabletop",
    version=1,
    description=(
        "Pick up the puck of {object_mass:.2f} kg and hold it at x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m."
    ),
    factors=(
        Factor("goal_x", -0.1, 0.1, "m", "where to hold the puck, to the side"),
        Factor("goal_y", 0.8, 0.9, "m", "where to hold the puck, away from the base"),
        Factor("goal_z", 0.05, 0.3, "m", "where to hold the puck, height"),
        *puck.FACTORS,
    ),
    build=_build,
    accept=puck.apart,
    expert=(*puck.GRASP, Waypoint(rows.GOAL, (0.0, 0.0, 0.03), effort=1.0)),
)
