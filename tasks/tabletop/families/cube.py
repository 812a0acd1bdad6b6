"""push-back: drag a cube towards the robot; sweep: drag it off to the side. After Meta-World v3."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.task import Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, OBJECT, TCP, Stage
from . import objects
from .grasping import GENTLE, grasp, held

_HALF = objects.CUBE / 2
_SPREAD = (0.01, 0.01, 0.0)


def _push_back(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(**objects.free(factors, objects.cube(factors, colour="teal")), free_turns=False),
        initial=rows.initial(object=(factors["object_x"], factors["object_y"], _HALF), object_spread=_SPREAD),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=(factors["goal_x"], factors["goal_y"], _HALF),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.03, scale=0.15),
                Stage(OBJECT, GOAL, tolerance=0.07, scale=0.3, required=True),
            ),
        ),
        family=0,
    )


def _sweep(factors: Mapping[str, Array]) -> Task:
    # The frame is at the bottom of the cube, as Meta-World's is.
    shape = objects.cube(factors, (0.0, 0.0, _HALF), "amber")
    return Task(
        scene=rows.scene(**objects.free(factors, shape)),
        initial=rows.initial(object=(factors["object_x"], factors["object_y"], _HALF), object_spread=_SPREAD),
        goal=rows.goal(
            point=(0.5, factors["object_y"], 0.01),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.045, offset=(0, 0, _HALF), scale=0.15),
                held(objects.CUBE),
                Stage(OBJECT, GOAL, tolerance=0.05, scale=0.35, required=True),
            ),
        ),
        family=0,
    )


FAMILIES = (
    Family(
        name="push-back",
        arena="tabletop",
        version=1,
        description="Push the cube of {object_mass:.2f} kg back to x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(
            *objects.place("goal", "the mark", (-0.1, 0.1), (0.6, 0.7)),
            *objects.place("object", "where the cube stands", (-0.1, 0.1), (0.8, 0.85)),
            *objects.matter("the cube", (0.4, 0.8), 0.75),
        ),
        build=_push_back,
        accept=rows.apart(0.15),
        expert=(*grasp(objects.CUBE), Waypoint(GOAL, (0.0, 0.0, 0.03), effort=GENTLE)),
    ),
    Family(
        name="sweep",
        arena="tabletop",
        version=1,
        description="Sweep the cube at x {object_x:.2f}, y {object_y:.2f} m to the right edge of the table.",
        factors=(
            *objects.place("object", "where the cube stands", (-0.1, 0.1), (0.6, 0.7)),
            *objects.matter("the cube", objects.LIGHT, 0.1),
        ),
        build=_sweep,
        expert=(*grasp(objects.CUBE, height=0.05, above=0.14), Waypoint(GOAL, (0.0, 0.0, 0.045), effort=GENTLE)),
    ),
)
