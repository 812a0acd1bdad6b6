"""Goals relative to another object, which may itself be moved: beside it, behind it, on top of it, in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint, until
from ..rows import GOAL, GRIPPER, HAND, OBJECT, ORIGIN, SECOND, TCP, Shape, Stage
from . import objects
from .grasping import grasp, held, lifted

_REST = objects.PUCK_HEIGHT / 2
_SPREAD = (0.01, 0.01, 0.0)
_BLOCK = (0.03, 0.03, 0.025)
"""Half sizes of the block that things are placed beside."""
_BASE = 0.0225
"""Half height of the block that things are stacked on."""
_ROOM, _WALL = 0.06, 0.005
"""Half width of the inside of the box that things are put in, and half the thickness of its walls."""
_OVER = 3
"""Stages passed once the object has been over its place."""

_RELEASED = Stage(GRIPPER, ORIGIN, 0.0, (0.07, 0.0, 0.0), (1, 0, 0), BEYOND, scale=0.03, required=True)


def _build(
    factors: Mapping[str, Array],
    *,
    shapes: list[Shape],
    height: float,
    offset: tuple[float, float, float],
    along: tuple[float, float] = (0.0, 0.0),
    over: Stage,
    place: Stage,
    hold: int = 10,
) -> Task:
    """A task in which the puck is to be put down at `offset` from the second object, whose origin is at `height`.

    Args:
      factors: its values.
      shapes: of the second object.
      height: at which its origin rests.
      offset: of the puck, from that origin.
      along: direction in which the factor `distance` is added, seen from above.
      over: the puck is over its place.
      place: the puck is there.
      hold: control steps for which it must stay.
    """
    distance: Any = factors.get("distance", 0.0)
    x, y, z = offset
    return Task(
        scene=rows.scene(
            **objects.free(factors, objects.puck(factors)),
            further=[rows.Body(shapes, factors["second_mass"], 0.9)],
        ),
        initial=rows.initial(
            object=(factors["object_x"], factors["object_y"], _REST),
            object_spread=_SPREAD,
            further=[(factors["second_x"], factors["second_y"], height)],
        ),
        goal=rows.goal(
            point=(x + distance * along[0], y + distance * along[1], z),
            observed=(OBJECT, SECOND),
            orientation=rows.XYZW,
            second_orientation=rows.XYZW,
            **rows.staged(
                Stage(TCP, OBJECT, tolerance=0.04, scale=0.15),
                held(objects.PUCK_WIDTH),
                over,
                place,
                _RELEASED,
                relative=True,
                hold=hold,
            ),
        ),
        family=0,
    )


def _over(tolerance: float) -> Stage:
    """Seen from above, the puck is at its place."""
    return Stage(OBJECT, GOAL, tolerance, weights=(1, 1, 0), scale=0.3, in_turn=True)


def _there(tolerance: float) -> Stage:
    return Stage(OBJECT, GOAL, tolerance, scale=0.15, required=True)


_BESIDE: dict[str, Any] = {
    "shapes": [rows.box(_BLOCK, colour="sky")],
    "height": _BLOCK[2],
    "offset": (0.0, 0.0, _REST - _BLOCK[2]),
    "over": _over(0.04),
    "place": _there(0.03),
}


def _box() -> list[Shape]:
    """An open box, its origin under its floor."""
    outer = _ROOM + 2 * _WALL
    return [
        rows.box((outer, outer, _WALL), (0.0, 0.0, _WALL), "teal"),
        *[rows.box((outer, _WALL, 0.02), (0.0, side * (_ROOM + _WALL), 0.03), "teal") for side in (-1, 1)],
        *[rows.box((_WALL, _ROOM, 0.02), (side * (_ROOM + _WALL), 0.0, 0.03), "teal") for side in (-1, 1)],
    ]


def _factors(what: str, mass: tuple[float, float], *more: Factor) -> tuple[Factor, ...]:
    return (
        *objects.place("object", "where the puck stands", (-0.2, 0.2), (0.55, 0.75)),
        *objects.place("second", f"where the {what} stands", (-0.2, 0.2), (0.6, 0.75)),
        Factor("second_mass", *mass, "kg", f"mass of the {what}"),
        *more,
        *objects.matter("the puck", (0.2, 0.5), 0.75),
    )


_APART = rows.apart(0.16, second="second")


def _carried(above: float, *lower: Waypoint) -> tuple[Waypoint, ...]:
    """Grasps the puck, brings it over its place, lowers it and lets go."""
    return (
        *until(
            rows.passed(_OVER),
            *grasp(objects.PUCK_WIDTH),
            Waypoint(ORIGIN, (0.0, 0.0, 0.3), lifted(above), effort=1.0, blend=(0, 0, 1)),
            Waypoint(GOAL, (0.0, 0.0, above), subject=OBJECT, effort=1.0),
        ),
        *lower,
        Waypoint(HAND, (0.0, 0.0, 0.0), effort=-1.0),
    )


_LOWER = Waypoint(GOAL, (0.0, 0.0, 0.0), Stage(OBJECT, GOAL, 0.012), effort=1.0, subject=OBJECT, gain=5.0)


def _beside(name: str, word: str, along: tuple[float, float], low: float, high: float) -> Family:
    return Family(
        name=name,
        arena="tabletop",
        version=1,
        description=(
            f"Put the puck down {{distance:.2f}} m {word} the block at x {{second_x:.2f}}, y {{second_y:.2f}} m."
        ),
        factors=_factors("block", (0.3, 0.8), Factor("distance", low, high, "m", "from the block to the puck")),
        build=partial(_build, along=along, **_BESIDE),
        accept=_APART,
        expert=_carried(0.1, _LOWER),
    )


FAMILIES = (
    _beside("place-left-of", "to the left of", (-1.0, 0.0), 0.09, 0.15),
    _beside("place-behind", "behind", (0.0, 1.0), 0.12, 0.18),
    Family(
        name="stack",
        arena="tabletop",
        version=1,
        description="Stack the puck of {object_mass:.2f} kg on the block at x {second_x:.2f}, y {second_y:.2f} m.",
        factors=_factors("block", (0.3, 0.8), Factor("block_width", 0.05, 0.06, "m", "width of the block")),
        build=lambda factors: _build(
            factors,
            shapes=[rows.box((factors["block_width"] / 2, factors["block_width"] / 2, _BASE), colour="sky")],
            height=_BASE,
            offset=(0.0, 0.0, _BASE + _REST),
            over=_over(0.02),
            place=_there(0.018),
        ),
        accept=_APART,
        expert=_carried(0.1, _LOWER),
    ),
    Family(
        name="put-in-box",
        arena="tabletop",
        version=1,
        description="Put the puck of {object_mass:.2f} kg in the box at x {second_x:.2f}, y {second_y:.2f} m.",
        factors=_factors("box", (0.5, 1.0)),
        build=partial(
            _build,
            shapes=_box(),
            height=0.001,
            offset=(0.0, 0.0, 2 * _WALL + _REST),
            over=_over(0.03),
            place=_there(0.055),
        ),
        accept=rows.apart(0.18, second="second"),
        expert=_carried(0.1, Waypoint(GOAL, (0.0, 0.0, 0.03), Stage(OBJECT, GOAL, 0.04), effort=1.0, subject=OBJECT)),
    ),
)
