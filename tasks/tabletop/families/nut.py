"""A ring with a handle and a peg: assembly puts it on, disassemble takes it off. After Meta-World v3.

The ring has six capsules instead of eight, the peg a square section: within the ring it has the same play.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, pi, sin
from typing import Any

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, OBJECT, OBJECT_TIP, ORIGIN, TCP, Stage
from . import objects
from .grasping import grasp, held, lifted

_SEGMENTS = 6
_HANDLE = (0.0, -0.13, 0.0)
_HANDLE_WIDTH = 0.038
_TURNED = (0.70710678, 0.0, 0.0, 0.70710678)
"""The handle points along +x."""


def _nut(factors: Mapping[str, Array]) -> dict[str, Any]:
    shapes = [
        rows.box((0.019, 0.038, 0.016), _HANDLE, "ink"),
        rows.box((0.0106, 0.05, 0.0106), (0.0, -0.1, 0.0), "ink"),
    ]
    radius = factors["ring_radius"]
    for k in range(_SEGMENTS):
        angle = 2 * pi * k / _SEGMENTS
        pos = (radius * cos(angle), radius * sin(angle), 0.0)
        along = (sin(pi / 4), -cos(angle) * sin(pi / 4), -sin(angle) * sin(pi / 4), 0.0)
        shapes.append(rows.capsule(0.019, 0.024, pos, along, "teal"))
    return {"free": shapes, "free_mass": factors["nut_mass"], "free_friction": factors["nut_friction"]}


def _peg(x: Any, y: Any, z: Any) -> rows.Shape:
    return rows.box((0.0177, 0.0177, 0.05), (x, y, z), "coral")


def _assembly(factors: Mapping[str, Array]) -> Task:
    x, y, z = factors["goal_x"], factors["goal_y"], 0.1
    return Task(
        scene=rows.scene(**_nut(factors), fixtures=[_peg(x, y, z - 0.05)]),
        initial=rows.initial(object=(0.0, 0.6, 0.02), object_quat=_TURNED),
        goal=rows.goal(
            point=(x, y, z),
            object_point=_HANDLE,
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.03, offset=(-0.015, 0, 0), scale=0.15),
                held(_HANDLE_WIDTH),
                # Above the peg, then around it, then below its top. The first fails when the last holds: that is
                # success, so the reward does not fall.
                Stage(OBJECT_TIP, GOAL, 0.0, weights=(0, 0, 1), relation=BEYOND, scale=0.1),
                Stage(OBJECT_TIP, GOAL, 0.02, weights=(1, 1, 0), scale=0.25, required=True),
                Stage(OBJECT_TIP, GOAL, 0.0, weights=(0, 0, -1), relation=BEYOND, scale=0.05, required=True),
            ),
        ),
        family=0,
    )


def _disassemble(factors: Mapping[str, Array]) -> Task:
    x, y = factors["object_x"], factors["object_y"]
    return Task(
        scene=rows.scene(**_nut(factors), fixtures=[_peg(x, y, 0.03)]),
        initial=rows.initial(hand=rows.HAND_START_NEAR, object=(x, y, 0.025), object_quat=_TURNED),
        goal=rows.goal(
            point=(x, y, 0.175),
            object_point=_HANDLE,
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.035, offset=(-0.015, 0, 0), scale=0.15),
                held(_HANDLE_WIDTH),
                lifted(0.06),
                Stage(OBJECT, GOAL, 0.0, weights=(0, 0, 1), relation=BEYOND, scale=0.15, required=True),
            ),
        ),
        family=0,
    )


_MATTER = (
    Factor("ring_radius", 0.047, 0.051, "m", "radius of the ring (Meta-World: 0.048)"),
    Factor("nut_mass", 0.18, 0.26, "kg", "mass of the nut (Meta-World: 0.22)"),
    Factor("nut_friction", 0.8, 1.2, "", "sliding friction of the nut (Meta-World: 1)"),
)
_GRASP = grasp(_HANDLE_WIDTH, x=-0.02, height=0.03)

FAMILIES = (
    Family(
        name="assembly",
        arena="tabletop",
        version=1,
        description="Put the ring over the peg at x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(*objects.place("goal", "where the peg stands", (-0.1, 0.1), (0.75, 0.85)), *_MATTER),
        build=_assembly,
        expert=(
            *_GRASP,
            # The nearer to the peg, the lower it may be: up first, then across, then down.
            Waypoint(
                GOAL,
                (0.0, -0.14, 0.1),
                Stage(OBJECT_TIP, GOAL, 0.0, (0, -0.15, 0.06), weights=(0, 0.75, 1), relation=BEYOND),
                effort=1.0,
                blend=(0.2, 0.2, 1),
                subject=OBJECT_TIP,
            ),
            Waypoint(
                GOAL,
                (0.0, 0.0, 0.06),
                Stage(OBJECT_TIP, GOAL, 0.012, weights=(1, 1, 0)),
                effort=1.0,
                subject=OBJECT_TIP,
            ),
            Waypoint(GOAL, (0.0, 0.0, -0.1), effort=1.0, subject=OBJECT_TIP),
        ),
    ),
    Family(
        name="disassemble",
        arena="tabletop",
        version=1,
        description="Lift the ring off the peg at x {object_x:.2f}, y {object_y:.2f} m.",
        factors=(*objects.place("object", "where the peg stands", (0.0, 0.1), (0.6, 0.75)), *_MATTER),
        build=_disassemble,
        expert=(*_GRASP, Waypoint(ORIGIN, (0.0, 0.0, 0.5), effort=1.0, blend=(0, 0, 1))),
    ),
)
