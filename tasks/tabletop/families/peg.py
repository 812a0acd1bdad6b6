"""peg-insert-side: push the peg into the hole of a box. After Meta-World v3 `peg-insert-side`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, OBJECT, OBJECT_TIP, TCP, Stage
from . import objects
from .grasping import GENTLE, grasp, held, lifted
from .placing import placed

_WIDTH = 0.03
_HEAD = (-0.1, 0.0, 0.0)
_BOX = (
    rows.box((0.096, 0.09, 0.05), (0.0, 0.0, 0.05), "walnut"),
    rows.box((0.096, 0.03, 0.03), (0.0, -0.06, 0.13), "walnut"),
    rows.box((0.096, 0.03, 0.03), (0.0, 0.06, 0.13), "walnut"),
    rows.box((0.096, 0.09, 0.015), (0.0, 0.0, 0.175), "walnut"),
    rows.box((0.1, 0.09, 0.005), (0.0, 0.0, 0.195), "amber"),
    rows.box((0.1, 0.005, 0.1), (0.0, -0.095, 0.1), "amber"),
    rows.box((0.1, 0.005, 0.1), (0.0, 0.095, 0.1), "amber"),
)


def _build(factors: Mapping[str, Array]) -> Task:
    x, y = factors["box_x"], factors["box_y"]
    return Task(
        scene=rows.scene(
            free=[rows.box((0.12, _WIDTH / 2, _WIDTH / 2), colour="coral")],
            free_mass=factors["peg_mass"],
            free_friction=factors["peg_friction"],
            free_turns=False,
            fixtures=placed(_BOX, (x, y, 0.0)),
        ),
        initial=rows.initial(object=(factors["object_x"], factors["object_y"], 0.02)),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=(x + 0.03, y, 0.13),
            object_point=(0.03, 0.0, 0.01),
            object_tip=_HEAD,
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.035, offset=(0, 0, -0.02), scale=0.15),
                held(_WIDTH, 0.013),
                lifted(0.06),
                Stage(OBJECT_TIP, GOAL, 0.03, weights=(0, 1, 1), scale=0.15),
                Stage(OBJECT_TIP, GOAL, 0.07, weights=(1, 2, 2), scale=0.3, required=True),
            ),
        ),
        family=0,
    )


FAMILIES = (
    Family(
        name="peg-insert-side",
        arena="tabletop",
        version=1,
        description="Push the peg of {peg_mass:.2f} kg into the box at x {box_x:.2f}, y {box_y:.2f} m.",
        factors=(
            *objects.place("box", "where the box stands", (-0.35, -0.25), (0.4, 0.7)),
            *objects.place("object", "where the middle of the peg lies", (0.0, 0.2), (0.5, 0.7)),
            Factor("peg_mass", 0.05, 0.11, "kg", "mass of the peg (Meta-World: 0.1)"),
            Factor("peg_friction", 0.7, 1.1, "", "sliding friction of the peg (Meta-World: 1)"),
        ),
        build=_build,
        accept=rows.apart(0.1, "object", "box"),
        expert=(
            *grasp(_WIDTH, height=0.025),
            Waypoint(
                GOAL,
                (0.2, 0.0, 0.0),
                Stage(OBJECT_TIP, GOAL, 0.015, weights=(0, 1, 1)),
                effort=GENTLE,
                subject=OBJECT_TIP,
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.0), effort=GENTLE, subject=OBJECT_TIP),
        ),
    ),
)
