"""basketball: hold the ball in the hoop. After Meta-World v3, which does not ask for a drop either."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, pi, sin

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, OBJECT, ORIGIN, TCP, Stage
from . import objects
from .grasping import GENTLE, grasp, held, lifted

_RADIUS = 0.03
_RING = (0.0, -0.083, 0.25)
_RING_RADIUS = 0.0445
_SEGMENTS = 8


def _hoop(x: Array, y: Array) -> list[rows.Shape]:
    shapes = [
        rows.box((0.1, 0.01, 0.07), (x, y, 0.29), "cream"),
        rows.box((0.0062, 0.0062, 0.108), (x, y, 0.118), "ink"),
        rows.box((0.01, 0.014, 0.004), (x, y - 0.023, 0.25), "ink"),
    ]
    for k in range(_SEGMENTS):
        angle = 2 * pi * k / _SEGMENTS
        pos = (x + _RING_RADIUS * cos(angle), y + _RING[1] + _RING_RADIUS * sin(angle), _RING[2])
        along = (sin(pi / 4), -cos(angle) * sin(pi / 4), -sin(angle) * sin(pi / 4), 0.0)
        shapes.append(rows.capsule(0.01, 0.016, pos, along, "coral"))
    return shapes


def _build(factors: Mapping[str, Array]) -> Task:
    x, y = factors["hoop_x"], factors["hoop_y"]
    ball = rows.sphere(_RADIUS * factors["object_size"], colour="amber")
    return Task(
        scene=rows.scene(**objects.free(factors, ball), fixtures=_hoop(x, y)),
        initial=rows.initial(
            object=(factors["object_x"], factors["object_y"], _RADIUS * factors["object_size"]),
            object_spread=(0.01, 0.01, 0.0),
        ),
        goal=rows.goal(
            point=(x + _RING[0], y + _RING[1], _RING[2]),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.04, offset=(0, 0, -0.01), scale=0.15),
                held(0.053),
                lifted(0.06),
                Stage(OBJECT, GOAL, 0.08, (0, 0, 0.05), weights=(1, 1, 2), scale=0.3, required=True),
            ),
        ),
        family=0,
    )


FAMILIES = (
    Family(
        name="basketball",
        arena="tabletop",
        version=1,
        description="Carry the ball into the hoop that stands at x {hoop_x:.2f}, y {hoop_y:.2f} m.",
        factors=(
            *objects.place("hoop", "where the hoop stands", (-0.1, 0.1), (0.85, 0.9)),
            *objects.place("object", "where the ball lies", (-0.1, 0.1), (0.6, 0.7)),
            Factor("object_size", 0.95, 1.05, "", "radius of the ball, relative to Meta-World's"),
            Factor("object_mass", 0.1, 0.2, "kg", "mass of the ball (Meta-World: 0.1)"),
            Factor("object_friction", 0.8, 1.2, "", "sliding friction of the ball (Meta-World: 1)"),
        ),
        build=_build,
        accept=rows.apart(0.15, "object", "hoop"),
        expert=(
            *grasp(0.053, height=0.025),
            Waypoint(
                ORIGIN,
                (0.0, 0.0, 0.42),
                Stage(OBJECT, ORIGIN, 0.0, (0, 0, 0.29), weights=(0, 0, 1), relation=BEYOND),
                effort=GENTLE,
                blend=(0, 0, 1),
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.07), effort=GENTLE, subject=OBJECT),
        ),
    ),
)
