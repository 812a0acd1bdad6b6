"""shelf-place: put the cube on the upper board. After Meta-World v3 `shelf-place`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, OBJECT, TCP, Stage
from . import objects
from .grasping import GENTLE, grasp, held, lifted
from .placing import placed

_SHELF = (
    rows.box((0.01, 0.1, 0.32), (-0.11, 0.0, 0.32), "walnut"),
    rows.box((0.01, 0.1, 0.32), (0.11, 0.0, 0.32), "walnut"),
    rows.box((0.1, 0.01, 0.32), (0.0, 0.09, 0.32), "cream"),
    rows.box((0.12, 0.1, 0.01), (0.0, 0.0, 0.65), "walnut"),
    rows.box((0.1, 0.095, 0.01), (0.0, -0.015, 0.24), "amber"),
    rows.box((0.1, 0.095, 0.01), (0.0, -0.015, 0.05), "amber"),
    rows.box((0.1, 0.088, 0.021), (0.0, -0.008, 0.021), "walnut"),
)


def _build(factors: Mapping[str, Array]) -> Task:
    x, y = factors["goal_x"], factors["goal_y"]
    return Task(
        scene=rows.scene(
            **objects.free(factors, objects.cube(factors, colour="teal")),
            free_turns=False,
            fixtures=placed(_SHELF, (x, y, 0.0)),
        ),
        initial=rows.initial(
            object=(factors["object_x"], factors["object_y"], objects.CUBE / 2), object_spread=(0.01, 0.01, 0.0)
        ),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=(x, y, 0.3),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.04, offset=(0, 0, 0.005), scale=0.15),
                held(objects.CUBE),
                lifted(0.045),
                Stage(OBJECT, GOAL, 0.03, weights=(0, 0, 1), relation=BEYOND, scale=0.2),
                Stage(OBJECT, GOAL, tolerance=0.07, scale=0.25, required=True),
            ),
        ),
        family=0,
    )


FAMILIES = (
    Family(
        name="shelf-place",
        arena="tabletop",
        version=1,
        description="Put the cube of {object_mass:.2f} kg on the shelf at x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(
            *objects.place("goal", "where the shelf stands", (-0.1, 0.1), (0.8, 0.9)),
            *objects.place("object", "where the cube stands", (-0.1, 0.1), (0.5, 0.6)),
            *objects.matter("the cube", objects.LIGHT, 0.01),
        ),
        build=_build,
        accept=rows.apart(0.1),
        expert=(
            *grasp(objects.CUBE),
            Waypoint(
                GOAL, (0.0, 0.0, 0.05), Stage(OBJECT, GOAL, 0.03, weights=(1, 0, 1)), effort=GENTLE, blend=(1, 0, 1)
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.045), effort=GENTLE),
        ),
    ),
)
