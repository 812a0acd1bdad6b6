"""bin-picking: from the left bin into the right one. After Meta-World v3 `bin-picking`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, GRIPPER, HAND, OBJECT, ORIGIN, TCP, Stage
from . import objects
from .grasping import GENTLE, held

_CENTRE_X, _CENTRE_Y = 0.12, 0.7


def bin_at(x: Any, y: Any, colour: str) -> list[rows.Shape]:
    """An open bin of 0.2 x 0.2 m with a rim of 6 cm."""
    return [
        rows.box((0.1, 0.1, 0.005), (x, y, 0.005), colour),
        rows.box((0.1, 0.005, 0.03), (x, y - 0.095, 0.03), colour),
        rows.box((0.1, 0.005, 0.03), (x, y + 0.095, 0.03), colour),
        rows.box((0.005, 0.09, 0.03), (x - 0.095, y, 0.03), colour),
        rows.box((0.005, 0.09, 0.03), (x + 0.095, y, 0.03), colour),
    ]


def _build(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(
            **objects.free(factors, objects.cube(factors, colour="coral")),
            fixtures=[*bin_at(-_CENTRE_X, _CENTRE_Y, "sky"), *bin_at(_CENTRE_X, _CENTRE_Y, "teal")],
        ),
        initial=rows.initial(object=(factors["object_x"], factors["object_y"], 0.03)),
        goal=rows.goal(
            point=(_CENTRE_X, _CENTRE_Y, 0.0),
            hand_low=(-0.5, 0.4, 0.07),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.04, scale=0.15),
                held(objects.CUBE),
                # Lifted, then over the rim between the bins; both hold beyond it too.
                Stage(OBJECT, ORIGIN, 0.0, (0, 0, 0.03), weights=(0.3, 0, 1), relation=BEYOND, scale=0.05),
                Stage(OBJECT, ORIGIN, 0.0, (0, 0, 0.1), weights=(0.6, 0, 1), relation=BEYOND, scale=0.15),
                Stage(OBJECT, GOAL, tolerance=0.05, scale=0.2, required=True),
            ),
        ),
        family=0,
    )


# Near a wall of the bin the fingers would land on its rim: there the hand stays nearer to the middle.
_LOW, _HIGH = (-1.0, _CENTRE_Y - 0.025, 0.0), (1.0, _CENTRE_Y + 0.025, 1.0)

FAMILIES = (
    Family(
        name="bin-picking",
        arena="tabletop",
        version=1,
        description="Move the cube at x {object_x:.2f}, y {object_y:.2f} m into the other bin.",
        factors=(
            *objects.place("object", "where the cube lies", (-0.21, -0.03), (0.65, 0.75)),
            *objects.matter("the cube", objects.LIGHT, 0.1),
        ),
        build=_build,
        expert=(
            Waypoint(
                OBJECT,
                (0.0, 0.0, 0.15),
                Stage(HAND, OBJECT, 0.02, weights=(1, 0.5, 0)),
                low=_LOW,
                high=_HIGH,
            ),
            Waypoint(OBJECT, (0.0, 0.0, 0.03), Stage(HAND, OBJECT, 0.05, weights=(0, 0, 1)), low=_LOW, high=_HIGH),
            Waypoint(
                OBJECT,
                (0.0, 0.0, 0.03),
                Stage(GRIPPER, ORIGIN, objects.CUBE + 0.024),
                effort=GENTLE,
                low=_LOW,
                high=_HIGH,
            ),
            Waypoint(
                ORIGIN,
                (0.0, 0.0, 0.3),
                Stage(OBJECT, ORIGIN, 0.0, (0, 0, 0.11), weights=(0.5, 0, 1), relation=BEYOND),
                effort=GENTLE,
                blend=(0, 0, 1),
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.18), Stage(HAND, GOAL, 0.03, weights=(1, 1, 0)), effort=GENTLE),
            Waypoint(GOAL, (0.0, 0.0, 0.05), effort=GENTLE),
        ),
    ),
)
