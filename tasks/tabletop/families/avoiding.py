"""Zones that the hand or the object must not enter: a box in the air, seen and not felt, on the straight way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, HAND, OBJECT, ORIGIN, TCP, Stage
from . import objects
from .grasping import grasp, held, lifted

_REST = objects.PUCK_HEIGHT / 2
_SPREAD = (0.01, 0.01, 0.0)
_DEPTH = 0.03
"""Half the zone's extent along y."""


def _build(
    factors: Mapping[str, Array], *stages: Stage, goal_z: Any, half: Any, height: Any, of: tuple[int, int], ends: bool
) -> Task:
    """A task whose zone stands on the table: `half` is half its width, `height` its whole height."""
    zone = ((factors["zone_x"], factors["zone_y"], height / 2), (half, _DEPTH, height / 2))
    return Task(
        scene=rows.scene(**objects.free(factors, objects.puck(factors))),
        initial=rows.initial(object=(factors["object_x"], factors["object_y"], _REST), object_spread=_SPREAD),
        goal=rows.goal(
            point=(factors["goal_x"], factors["goal_y"], goal_z),
            orientation=rows.XYZW,
            **rows.staged(*stages, zone=zone, zone_of=of, zone_ends=ends),
        ),
        family=0,
    )


def _reach(factors: Mapping[str, Array]) -> Task:
    return _build(
        factors,
        # High enough, or already behind the zone.
        Stage(TCP, ORIGIN, 0.0, (0, factors["zone_y"] + 0.05, 0.24), weights=(0, 1, 1), relation=BEYOND),
        Stage(TCP, GOAL, tolerance=0.04, scale=0.2, required=True),
        goal_z=factors["goal_z"],
        half=0.2,
        height=factors["zone_height"],
        of=(HAND, TCP),
        ends=False,
    )


def _push(factors: Mapping[str, Array]) -> Task:
    return _build(
        factors,
        Stage(TCP, OBJECT, tolerance=0.03, scale=0.15),
        # Round the zone on the -x side.
        Stage(
            OBJECT,
            ORIGIN,
            0.01,
            (factors["zone_x"] - factors["zone_width"] / 2, factors["zone_y"], 0),
            weights=(-1, 1, 0),
            relation=BEYOND,
        ),
        Stage(OBJECT, GOAL, tolerance=0.06, scale=0.3, required=True),
        goal_z=_REST,
        half=factors["zone_width"] / 2,
        height=0.3,
        of=(TCP, OBJECT),
        ends=True,
    )


def _pick_place(factors: Mapping[str, Array]) -> Task:
    return _build(
        factors,
        Stage(TCP, OBJECT, tolerance=0.04, scale=0.15),
        held(objects.PUCK_WIDTH),
        lifted(0.045),
        Stage(OBJECT, ORIGIN, 0.0, (0, factors["zone_y"] + 0.05, 0.15), weights=(0, 1, 1), relation=BEYOND, scale=0.2),
        Stage(OBJECT, GOAL, tolerance=0.06, scale=0.3, required=True),
        goal_z=factors["goal_z"],
        half=0.2,
        height=factors["zone_height"],
        of=(TCP, OBJECT),
        ends=False,
    )


def _past(quantity: int) -> Stage:
    return Stage(quantity, ORIGIN, 0.0, (0, 0.8, 0), weights=(0, 1, 0), relation=BEYOND)


_MATTER = objects.matter("the puck", (0.4, 0.8), 0.75)
_GRASP = grasp(objects.PUCK_WIDTH, x=-0.003)


def _zone(x: tuple[float, float], y: tuple[float, float]) -> tuple[Factor, ...]:
    return objects.place("zone", "the middle of the zone", x, y)


FAMILIES = (
    Family(
        name="reach-avoid",
        arena="tabletop",
        version=1,
        description=(
            "Bring the fingertips to the point x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m without entering the "
            "zone at y {zone_y:.2f} m, {zone_height:.2f} m high."
        ),
        factors=(
            *objects.place("goal", "the point to reach", (-0.1, 0.1), (0.84, 0.9), (0.05, 0.25)),
            *_zone((-0.05, 0.05), (0.7, 0.74)),
            Factor("zone_height", 0.14, 0.22, "m", "height of the zone"),
            *objects.place("object", "where the puck stands", (-0.1, 0.1), (0.5, 0.6)),
            *_MATTER,
        ),
        build=_reach,
        expert=(
            Waypoint(
                ORIGIN,
                (0.0, 0.0, 0.36),
                Stage(HAND, ORIGIN, 0.0, (0, 0.64, 0.3), weights=(0, 1, 1), relation=BEYOND),
                blend=(0, 0, 1),
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.0), _past(HAND), blend=(1, 1, 0)),
            Waypoint(GOAL, (0.0, 0.0, 0.045)),
        ),
    ),
    Family(
        name="push-avoid",
        arena="tabletop",
        version=1,
        description=(
            "Push the puck of {object_mass:.2f} kg to x {goal_x:.2f}, y {goal_y:.2f} m round the zone at "
            "x {zone_x:.2f}, y {zone_y:.2f} m, {zone_width:.2f} m wide: to enter it ends the episode."
        ),
        factors=(
            *objects.place("goal", "the mark", (-0.05, 0.08), (0.85, 0.9)),
            *_zone((0.0, 0.06), (0.74, 0.76)),
            Factor("zone_width", 0.12, 0.18, "m", "width of the zone"),
            *objects.place("object", "where the puck stands", (-0.05, 0.08), (0.6, 0.65)),
            *_MATTER,
        ),
        build=_push,
        expert=(
            *_GRASP,
            Waypoint(
                ORIGIN,
                (-0.16, 0.64, 0.05),
                Stage(OBJECT, ORIGIN, 0.0, (-0.13, 0.64, 0), weights=(-1, 1, 0), relation=BEYOND),
                effort=1.0,
            ),
            Waypoint(ORIGIN, (-0.16, 0.87, 0.05), _past(OBJECT), effort=1.0),
            Waypoint(GOAL, (0.0, 0.0, 0.03), effort=1.0),
        ),
    ),
    Family(
        name="pick-place-avoid",
        arena="tabletop",
        version=1,
        description=(
            "Carry the puck of {object_mass:.2f} kg to x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m over the zone "
            "at y {zone_y:.2f} m, {zone_height:.2f} m high, without entering it."
        ),
        factors=(
            *objects.place("goal", "where to hold the puck", (-0.1, 0.1), (0.85, 0.9), (0.05, 0.25)),
            *_zone((-0.05, 0.05), (0.73, 0.75)),
            Factor("zone_height", 0.08, 0.14, "m", "height of the zone"),
            *objects.place("object", "where the puck stands", (-0.1, 0.1), (0.58, 0.64)),
            *_MATTER,
        ),
        build=_pick_place,
        expert=(
            *_GRASP,
            Waypoint(
                ORIGIN,
                (0.0, 0.0, 0.35),
                Stage(OBJECT, ORIGIN, 0.0, (0, 0.64, 0.2), weights=(0, 1, 1), relation=BEYOND),
                effort=1.0,
                blend=(0, 0, 1),
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.0), _past(OBJECT), effort=1.0, blend=(1, 1, 0)),
            Waypoint(GOAL, (0.0, 0.0, 0.03), effort=1.0),
        ),
    ),
)
