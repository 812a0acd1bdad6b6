"""soccer: bring the ball into the goal. After Meta-World v3 `soccer`."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, sin

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, OBJECT, TCP, Stage
from . import objects
from .grasping import GENTLE, grasp, held
from .placing import placed

_RADIUS = 0.026
_LEAN = 0.29
_NET = (
    rows.box((0.0065, 0.057, 0.0825), (-0.0965, -0.007, 0.0825), "cream"),
    rows.box((0.0065, 0.057, 0.0825), (0.0965, -0.007, 0.0825), "cream"),
    rows.Shape(
        rows.BOX, (0.09, 0.007, 0.086), (0.0, 0.032, 0.0825), (cos(_LEAN / 2), sin(_LEAN / 2), 0.0, 0.0), "cream"
    ),
    rows.box((0.1, 0.039, 0.0055), (0.0, -0.025, 0.1595), "sky"),
)


def _build(factors: Mapping[str, Array]) -> Task:
    x, y = factors["goal_x"], factors["goal_y"]
    radius = _RADIUS * factors["object_size"]
    return Task(
        scene=rows.scene(
            **objects.free(factors, rows.sphere(radius, colour="ink")), fixtures=placed(_NET, (x, y, 0.0))
        ),
        initial=rows.initial(object=(factors["object_x"], factors["object_y"], 0.03), object_spread=(0.01, 0.01, 0.0)),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=(x, y, 0.0),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.04, offset=(0, 0, -0.01), scale=0.15),
                # A ball that is pushed rolls away from the hand, and from what the stage before pays.
                held(2 * radius),
                Stage(OBJECT, GOAL, tolerance=0.07, scale=0.2, required=True),
            ),
        ),
        family=0,
    )


FAMILIES = (
    Family(
        name="soccer",
        arena="tabletop",
        version=1,
        description="Bring the ball into the goal at x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(
            *objects.place("goal", "where the goal stands", (-0.1, 0.1), (0.8, 0.9)),
            *objects.place("object", "where the ball lies", (-0.1, 0.1), (0.6, 0.7)),
            Factor("object_size", 0.9, 1.1, "", "radius of the ball, relative to Meta-World's"),
            Factor("object_mass", 0.1, 0.2, "kg", "mass of the ball (Meta-World: 0.04)"),
            Factor("object_friction", 1.2, 1.5, "", "sliding friction of the ball (Meta-World: 1)"),
        ),
        build=_build,
        accept=rows.apart(0.15),
        expert=(
            *grasp(2 * _RADIUS, height=0.03),
            # In front of the goal first, clear of its posts.
            Waypoint(GOAL, (0.0, -0.13, 0.055), Stage(OBJECT, GOAL, 0.025, weights=(1, 0, 0)), effort=GENTLE),
            Waypoint(GOAL, (0.0, 0.0, 0.055), effort=GENTLE),
        ),
    ),
)
