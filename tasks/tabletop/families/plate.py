"""A flat puck on two slides, in or before a cage that is open on one side. After Meta-World v3 `plate-slide*`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, HAND, MECHANISM, TCP, Stage
from .placing import placed

_PUCK = (0.0, 0.6, 0.015)
"""Where the puck is with both slides at 0."""

_LEAN = (math.cos(0.125), math.sin(0.125), 0.0, 0.0)
_CAGE = (
    rows.capsule(0.008, 0.073, (0.1, 0.004, 0.009), rows.ALONG_Y, "ink"),
    rows.capsule(0.008, 0.073, (-0.1, 0.004, 0.009), rows.ALONG_Y, "ink"),
    rows.capsule(0.008, 0.082, (0.1, -0.0685, 0.091), rows.ALONG_Z, "ink"),
    rows.capsule(0.008, 0.082, (-0.1, -0.0685, 0.091), rows.ALONG_Z, "ink"),
    rows.capsule(0.008, 0.1, (0.0, -0.0685, 0.174), rows.ALONG_X, "ink"),
    rows.capsule(0.008, 0.1, (0.0, 0.077, 0.009), rows.ALONG_X, "ink"),
    rows.Shape(rows.BOX, (0.1, 0.0035, 0.087), (0.0, 0.0585, 0.093), _LEAN, "steel"),
    rows.box((0.0035, 0.07, 0.084), (0.102, -0.001, 0.088), "steel"),
    rows.box((0.0035, 0.07, 0.084), (-0.102, -0.001, 0.088), "steel"),
    rows.box((0.1, 0.0525, 0.0035), (0.0, -0.0175, 0.177), "steel"),
)
"""Its mouth faces -y; turned, it faces +x."""


def _build(
    factors: Mapping[str, Array],
    *,
    goal: Callable[[Mapping[str, Array]], Sequence[Any]],
    cage: Sequence[float] | None = None,
    turned: bool = False,
    start: tuple[float, float] = (0.0, 0.0),
    approach: Stage,
    scale: float,
) -> Task:
    """A task whose cage stands at `cage`, or at the goal; `start` are the slides' positions."""
    point = goal(factors)
    half = factors["puck_size"] / 2
    damping = factors["puck_damping"]
    return Task(
        scene=rows.scene(
            mechanism=[rows.box((half, half, 0.0145), (0.0, 0.0, 0.0005), "coral")],
            mechanism_mass=0.05,
            mechanism_pos=_PUCK,
            slide=rows.Joint((1.0, 0.0, 0.0), (-0.35, 0.35), damping=damping),
            slide2=rows.Joint((0.0, 1.0, 0.0), (0.0, 0.3), damping=damping),
            fixtures=placed(_CAGE, point if cage is None else cage, turned),
        ),
        initial=rows.initial(joints=(*start, 0.0)),
        goal=rows.goal(
            point=point,
            observed=(MECHANISM, rows.ORIGIN),
            orientation=rows.XYZW,
            stages=rows.stages(approach, Stage(MECHANISM, GOAL, tolerance=0.07, scale=scale, required=True)),
        ),
        family=0,
    )


_MATTER = (
    Factor("puck_size", 0.094, 0.106, "m", "width of the puck (Meta-World: 0.1)"),
    Factor("puck_damping", 0.7, 1.3, "N s/m", "damping of the puck's slides (Meta-World: 1)"),
)


def _expert(x: float, y: float, z: float, push: Waypoint) -> tuple[Waypoint, ...]:
    """Down to a point beside or on the puck, then `push`."""
    return (
        Waypoint(
            MECHANISM,
            (x, y, 0.12),
            Stage(HAND, MECHANISM, 0.045, (x, y, 0.0), weights=(1, 1, 0)),
            effort=1.0,
            gain=20.0,
        ),
        Waypoint(MECHANISM, (x, y, z), Stage(HAND, MECHANISM, 0.015, (0.0, 0.0, 0.05), weights=(0, 0, 1)), effort=1.0),
        push,
    )


FAMILIES = (
    Family(
        name="plate-slide",
        arena="tabletop",
        version=1,
        description="Slide the puck into the cage at x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(
            Factor("goal_x", -0.1, 0.1, "m", "where the cage stands, to the side"),
            Factor("goal_y", 0.85, 0.9, "m", "where the cage stands, away from the base"),
            *_MATTER,
        ),
        build=partial(
            _build,
            goal=lambda factors: (factors["goal_x"], factors["goal_y"], 0.0),
            approach=Stage(TCP, MECHANISM, tolerance=0.05, offset=(0.0, -0.05, 0.01), scale=0.2),
            scale=0.25,
        ),
        expert=_expert(0.0, -0.075, 0.05, Waypoint(GOAL, (0.0, -0.075, 0.06), effort=1.0)),
    ),
    Family(
        name="plate-slide-side",
        arena="tabletop",
        version=1,
        description="Slide the puck sideways into the cage, to x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(
            Factor("goal_x", -0.3, -0.25, "m", "the mark in the cage, to the side"),
            Factor("goal_y", 0.54, 0.66, "m", "the mark in the cage, away from the base"),
            *_MATTER,
        ),
        build=partial(
            _build,
            goal=lambda factors: (factors["goal_x"], factors["goal_y"], 0.0),
            cage=(-0.3, 0.6, 0.0),
            turned=True,
            approach=Stage(TCP, MECHANISM, tolerance=0.04, offset=(0.065, 0.0, -0.005), scale=0.2),
            scale=0.25,
        ),
        expert=_expert(0.075, 0.0, 0.05, Waypoint(MECHANISM, (-0.1, 0.0, 0.05), effort=1.0)),
    ),
    Family(
        name="plate-slide-back",
        arena="tabletop",
        version=1,
        description="Drag the puck out of the cage to x {goal_x:.2f} m, towards the robot.",
        factors=(Factor("goal_x", -0.1, 0.1, "m", "the mark, to the side"), *_MATTER),
        build=partial(
            _build,
            goal=lambda factors: (factors["goal_x"], 0.6, 0.015),
            cage=(0.0, 0.85, 0.0),
            start=(0.0, 0.15),
            approach=Stage(TCP, MECHANISM, tolerance=0.05, offset=(0.0, -0.065, 0.02), scale=0.2),
            scale=0.2,
        ),
        expert=_expert(0.0, -0.03, 0.04, Waypoint(GOAL, (0.0, -0.03, 0.02), effort=1.0)),
    ),
    Family(
        name="plate-slide-back-side",
        arena="tabletop",
        version=1,
        description="Drag the puck sideways out of the cage to x {goal_x:.2f} m.",
        factors=(Factor("goal_x", -0.05, 0.15, "m", "the mark, to the side"), *_MATTER),
        build=partial(
            _build,
            goal=lambda factors: (factors["goal_x"], 0.6, 0.015),
            cage=(-0.25, 0.6, 0.0),
            turned=True,
            start=(-0.15, 0.0),
            approach=Stage(TCP, MECHANISM, tolerance=0.04, offset=(0.02, 0.0, 0.015), scale=0.2),
            scale=0.2,
        ),
        expert=_expert(0.025, 0.0, 0.04, Waypoint(GOAL, (0.025, 0.0, 0.02), effort=1.0)),
    ),
)
