"""box-close: put the lid on the box. After Meta-World v3 `box-close`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, GRIPPER, HAND, OBJECT, ORIGIN, TCP, Stage
from . import objects
from .bins import bin_at

_TURNED = (0.70710678, 0.0, 0.0, 0.70710678)
_START = 0.095
"""Height from which the lid falls, as Meta-World's does."""


def _build(factors: Mapping[str, Array]) -> Task:
    x, y = factors["goal_x"], factors["goal_y"]
    lid = [
        rows.box((0.115, 0.115, 0.0117), (0.0, 0.0, -0.004), "amber"),
        rows.box((0.008, 0.058, 0.0425), (0.0, 0.0, 0.047), "ink"),
        rows.capsule(0.008, 0.05, (0.0, 0.0, 0.082), rows.ALONG_Y, "ink"),
        rows.capsule(0.008, 0.035, (0.0, -0.05, 0.043), rows.ALONG_Z, "ink"),
        rows.capsule(0.008, 0.035, (0.0, 0.05, 0.043), rows.ALONG_Z, "ink"),
    ]
    return Task(
        scene=rows.scene(
            free=lid,
            free_mass=factors["lid_mass"],
            free_friction=factors["lid_friction"],
            fixtures=bin_at(x, y, "walnut"),
        ),
        initial=rows.initial(object=(factors["object_x"], factors["object_y"], _START), object_quat=_TURNED),
        goal=rows.goal(
            point=(x, y, 0.133),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.045, offset=(0, 0, 0.04), scale=0.15),
                Stage(OBJECT, ORIGIN, 0.0, (0, 0, 0.07), weights=(0, 0, 1), relation=BEYOND, scale=0.06),
                Stage(OBJECT, GOAL, tolerance=0.08, scale=0.25, required=True),
            ),
        ),
        family=0,
    )


FAMILIES = (
    Family(
        name="box-close",
        arena="tabletop",
        version=1,
        description="Put the lid of {lid_mass:.2f} kg on the box at x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(
            *objects.place("goal", "where the box stands", (-0.1, 0.1), (0.7, 0.8)),
            *objects.place("object", "where the lid lies", (-0.05, 0.05), (0.5, 0.55)),
            Factor("lid_mass", 0.2, 0.3, "kg", "mass of the lid (Meta-World: 0.25)"),
            Factor("lid_friction", 0.8, 1.2, "", "sliding friction of the lid (Meta-World: 1)"),
        ),
        build=_build,
        accept=rows.apart(0.25),
        expert=(
            Waypoint(OBJECT, (0.0, 0.0, 0.2), Stage(HAND, OBJECT, 0.01, weights=(1, 1, 0))),
            Waypoint(OBJECT, (0.0, 0.0, 0.075), Stage(HAND, OBJECT, 0.012, (0, 0, 0.08), weights=(0, 0, 1))),
            # The bar is hardly wider than the closed fingers' gap.
            Waypoint(OBJECT, (0.0, 0.0, 0.075), Stage(GRIPPER, ORIGIN, 0.042), effort=1.0),
            Waypoint(
                ORIGIN,
                (0.0, 0.0, 0.4),
                Stage(OBJECT, ORIGIN, 0.0, (0, 0, 0.12), weights=(0, 0, 1), relation=BEYOND),
                effort=1.0,
                blend=(0, 0, 1),
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.02), effort=1.0, subject=OBJECT),
        ),
    ),
)
