"""The parkour courses for the quadruped: the twenty terrains of MTBench (Joshi et al., RLC 2025) with our own figures.

Each has eight goals, about 1 m apart; the first lies before the first obstacle. At difficulty 0 a course is as good as
level ground. What one must get onto has a goal on top, and the pits have no way round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from mtbench.task import Factor, Family, Task

from .. import rows
from ..oracle import Script
from ..terrain import Box, pole, ramp
from .body import BODY, FRICTION
from .courses import (
    DIFFICULTY,
    FIRST,
    FLUSH,
    GRIP,
    PIT,
    SIDE,
    SPACING,
    SPEED,
    banks,
    block,
    course,
    disc,
    dome,
    grown,
    inner,
    islands,
    jitter,
    left,
    line,
    span,
    stairs,
    sway,
)
from .layout import LAYOUT

_OBSTACLES = (1, 3, 5, 7)
"""Goals on obstacles, where these have level ground between them."""
_BUMPS = range(1, rows.GOALS)
_BETWEEN = range(1, rows.GOALS - 1)
"""Goals over a pit: the first and the last are on its banks."""


def _swayed(factors: Mapping[str, Array], offsets: Array) -> Float[Array, " g"]:
    """Where the goals on obstacles and these lie to the side; those on level ground are on the line."""
    return jnp.zeros(rows.GOALS).at[jnp.array(_OBSTACLES)].set(factors["sway"] * offsets)


# Climbing


def _jump_on_and_off_box(factors: Mapping[str, Array]) -> Task:
    """Four boxes, each higher than the one before, with level ground between them.

    The difficulty makes them 0 to 0.35 m high.
    """
    x, (high, aside) = line(factors), jitter(factors, 2, 4)
    y = _swayed(factors, aside)
    tops = factors["difficulty"] * (0.23 + 0.03 * jnp.arange(4) + 0.03 * high)
    boxes = [block(x[i], y[i], factors["length"], factors["width"], tops[k]) for k, i in enumerate(_OBSTACLES)]
    return course(factors, boxes, x=x, y=y)


def _forward_ramps(
    factors: Mapping[str, Array], slopes: Float[Array, " k"], lips: Float[Array, " k"] | None, y: Array
) -> Task:
    """Four boards that rise ahead and end in a drop; with lips each lies on a block."""
    x, length, width = line(factors), factors["length"], factors["width"]
    boxes: list[Box] = []
    for k, i in enumerate(_OBSTACLES):
        low = 0.0 if lips is None else lips[k]
        boxes.append(ramp(x[i], y[i], length, width, low, low + length * jnp.tan(slopes[k])))
        if lips is not None:
            boxes.append(block(x[i], y[i], length, width, lips[k]))
    return course(factors, boxes, x=x, y=y)


def _forward_ramp_lips(factors: Mapping[str, Array]) -> Task:
    """Four ramps that begin with a step and end in a drop.

    The difficulty raises the steps from 0 to 0.15 m and the slope from 0 to 22 degrees: drops of up to 0.45 m.
    """
    high, steep, aside = jitter(factors, 3, 4)
    slopes = grown(factors, 0.0, 0.35 + 0.04 * steep)
    lips = grown(factors, 0.0, 0.13 + 0.02 * high)
    return _forward_ramps(factors, slopes, lips, _swayed(factors, aside))


def _sphere_bump_lips(factors: Mapping[str, Array]) -> Task:
    """Seven spherical bumps, each higher than the one before, on square plinths whose edge is a step.

    The difficulty raises the tops from 0 to 0.26 m; the plinth's share of that is a factor.
    """
    x, (high, aside) = line(factors), jitter(factors, 2, rows.GOALS)
    y = factors["sway"] * aside.at[0].set(0.0)
    tops = factors["difficulty"] * (0.18 + 0.008 * jnp.arange(rows.GOALS) + 0.02 * high)
    base = factors["base"]
    plinths = [block(x[i], y[i], 2 * base, 2 * base, factors["lip"] * tops[i]) for i in _BUMPS]
    return course(factors, plinths, [dome(x[i], y[i], tops[i], base) for i in _BUMPS], x=x, y=y)


# Slopes


def _forward_ramp_no_lips(factors: Mapping[str, Array]) -> Task:
    """Four ramps that rise from the floor and end in a drop.

    The difficulty raises the slope from 0 to 32 degrees: drops of up to 0.4 m.
    """
    steep, aside = jitter(factors, 2, 4)
    return _forward_ramps(factors, grown(factors, 0.0, 0.52 + 0.04 * steep), None, _swayed(factors, aside))


def _flush_a_frame(factors: Mapping[str, Array]) -> Task:
    """Four pairs of ramps that lead onto a narrow ridge and down again without a step.

    The difficulty raises the slopes from 0 to 34 degrees: ridges of up to 0.4 m.
    """
    x, (steep, aside) = line(factors), jitter(factors, 2, 4)
    y = _swayed(factors, aside)
    length, width, ridge = factors["length"], factors["width"], 0.12
    boxes: list[Box] = []
    for k, i in enumerate(_OBSTACLES):
        top = length * jnp.tan(grown(factors, 0.0, 0.56 + 0.035 * steep[k]))
        away = (ridge + length) / 2
        boxes += [
            ramp(x[i] - away, y[i], length, width, 0.0, top),
            block(x[i], y[i], ridge, width, top),
            ramp(x[i] + away, y[i], length, width, top, 0.0),
        ]
    return course(factors, boxes, x=x, y=y)


def _sphere_bump(factors: Mapping[str, Array]) -> Task:
    """Seven spherical bumps that rise from the floor.

    The difficulty raises them from 0 to 0.24 m; at their foot they then are steeper than 45 degrees.
    """
    x, (high, aside) = line(factors), jitter(factors, 2, rows.GOALS)
    y = factors["sway"] * aside.at[0].set(0.0)
    tops = grown(factors, 0.0, 0.21 + 0.03 * high)
    return course(factors, [], [dome(x[i], y[i], tops[i], factors["base"]) for i in _BUMPS], x=x, y=y)


# Jumps


def _box_jump_even(factors: Mapping[str, Array]) -> Task:
    """Platforms of one height over a pit.

    The difficulty widens the gaps between them from 0 to 0.48 m.
    """
    x, (wide, aside) = line(factors), jitter(factors, 2, rows.GOALS - 1)
    y = inner(factors["sway"] * aside[1:])
    gaps = grown(factors, FLUSH, 0.44 + 0.04 * wide)
    return course(factors, islands(x, y, gaps, factors["width"], jnp.full(rows.GOALS, PIT)), x=x, y=y, pit=True)


def _box_jump_uneven(factors: Mapping[str, Array]) -> Task:
    """Platforms over a pit, high and low in turn.

    The difficulty widens the gaps between them from 0 to 0.38 m and raises what is up or down from 0 to 0.2 m.
    """
    x, (wide, high, aside) = line(factors), jitter(factors, 3, rows.GOALS - 1)
    y = inner(factors["sway"] * aside[1:])
    gaps = grown(factors, FLUSH, 0.35 + 0.03 * wide)
    turns = left(factors) * (-1.0) ** jnp.arange(rows.GOALS - 2)
    tops = PIT + inner(turns * grown(factors, 0.0, 0.08 + 0.02 * high[1:]))
    dip = grown(factors, 0.0, 0.1)
    return course(factors, islands(x, y, gaps, factors["width"], tops), x=x, y=y, pit=True, dip=dip)


def _flat_circle_jump(factors: Mapping[str, Array]) -> Task:
    """Flat pillars over a pit.

    The difficulty widens the gaps between them from 0 to 0.45 m, rounds them and shifts their tops by up to 0.04 m.
    """
    x, (high, aside) = line(factors), jitter(factors, 2, rows.GOALS - 2)
    y, spacing, gap = inner(factors["sway"] * aside), factors["spacing"], grown(factors, FLUSH, 0.45)
    size, corner = spacing - gap, grown(factors, 0.0, 0.3)
    tops = PIT + inner(grown(factors, 0.0, 0.04 * high))
    boxes = banks(x[0] + size / 2, x[-1] - size / 2)
    for i in _BETWEEN:
        boxes += disc(x[i], y[i], size, size + grown(factors, 0.3, 0.0), tops[i], corner)
    return course(factors, boxes, x=x, y=y, pit=True, dip=0.04)


def _bump_jump(factors: Mapping[str, Array]) -> Task:
    """Pillars with round tops over a pit.

    The difficulty lowers what fills the space between them, from flush to 0.3 m below, and makes them up to 0.1 m
    slimmer: then what is less steep than 35 degrees is half a metre apart.
    """
    x, (high, aside) = line(factors), jitter(factors, 2, rows.GOALS - 2)
    y, radius = inner(factors["sway"] * aside), factors["radius"] + grown(factors, 0.1, 0.0)
    tops = PIT + inner(grown(factors, 0.0, 0.02 * (1 + high)))
    edge = factors["spacing"] * grown(factors, 0.5, 0.35)
    begin, end = x[0] + edge, x[-1] - edge
    fill = span(begin - 0.02, end + 0.02, 0.0, 1.2, PIT - grown(factors, 0.0, 0.3))
    return course(
        factors,
        [*banks(begin, end), fill],
        [pole(x[i], y[i], tops[i], radius) for i in _BETWEEN],
        x=x,
        y=y,
        pit=True,
    )


def _sideways_ramp(factors: Mapping[str, Array]) -> Task:
    """Boards over a pit that are tilted to the left or to the right.

    The difficulty tilts them from 0 to 28 degrees and widens the gaps between them from 0 to 0.3 m.
    """
    x, (steep, sign) = line(factors), jitter(factors, 2, rows.GOALS - 2)
    tilt = grown(factors, 0.0, 0.45 + 0.04 * steep) * jnp.where(sign < 0, -1.0, 1.0)
    gap, width = grown(factors, FLUSH, 0.3), factors["width"]
    length, rise = factors["spacing"] - gap, width / 2 * jnp.tan(tilt)
    boxes = banks(x[0] + length / 2, x[-1] - length / 2)
    for k, i in enumerate(_BETWEEN):
        boxes.append(ramp(x[i], 0.0, width, length, PIT - rise[k], PIT + rise[k], across=True))
    return course(factors, boxes, x=x, pit=True)


# Stepping stones


def _stones(x: Array, step: Array, gap: Array) -> tuple[Array, list[Box]]:
    """Where twelve stones lie along x, on each goal between the banks and half way to the next, and the banks."""
    places = x[1] + step * jnp.arange(2 * len(_BETWEEN))
    away = (step + gap) / 2
    return places, banks(places[0] - away, places[-1] + away)


def _stepping_stones_cylinder(factors: Mapping[str, Array]) -> Task:
    """Twelve round stones over a pit, left and right in turn.

    The difficulty shrinks them from slabs without gaps to 0.3 m across with gaps of 0.18 m, shifts them by up to
    0.15 m to the side and their tops by up to 0.04 m.
    """
    x, step, gap = line(factors), factors["spacing"] / 2, grown(factors, FLUSH, 0.18)
    places, boxes = _stones(x, step, gap)
    high, aside = jitter(factors, 2, len(places))
    turns = left(factors) * (-1.0) ** jnp.arange(len(places))
    y = turns * grown(factors, 0.0, factors["zigzag"] + 0.02 * aside)
    tops = PIT + grown(factors, 0.0, 0.04 * high)
    size, corner = step - gap, grown(factors, 0.0, 0.3)
    for j in range(len(places)):
        boxes += disc(places[j], y[j], size, grown(factors, 1.2, size), tops[j], corner)
    return course(factors, boxes, x=x, y=inner(y[::2]), pit=True, dip=0.04)


def _stepping_stones_randomly_arranged(factors: Mapping[str, Array]) -> Task:
    """Two irregular rows of twelve stones each over a pit.

    The difficulty shrinks them from slabs without gaps to 0.22 m width with gaps of 0.17 m, and shifts each by up to
    0.04 m ahead and as far to the side as `sway` says.
    """
    x, step, gap = line(factors), factors["spacing"] / 2, grown(factors, FLUSH, 0.17)
    places, boxes = _stones(x, step, gap)
    ahead, aside = jitter(factors, 2, 2, len(places))
    ahead = places + grown(factors, 0.0, 0.04) * ahead
    aside = grown(factors, 0.0, factors["sway"]) * aside + grown(factors, 0.3, 0.16) * jnp.array([[-1.0], [1.0]])
    for row in range(2):
        for j in range(len(places)):
            boxes.append(block(ahead[row, j], aside[row, j], step - gap, grown(factors, 0.6, 0.22), PIT))
    # Goals are on stones of both rows in turn.
    rows_of_goals = jnp.arange(len(_BETWEEN)) % 2
    goals = 2 * jnp.arange(len(_BETWEEN))
    x = x.at[1:-1].set(ahead[rows_of_goals, goals])
    return course(factors, boxes, x=x, y=inner(aside[rows_of_goals, goals]), pit=True)


# Stairs


def _staircase_walking_full_width(factors: Mapping[str, Array]) -> Task:
    """Five steps up, five down and five up again, as wide as the course.

    The difficulty raises the steps from 0 to 0.18 m.
    """
    run, landing, valley = factors["run"], factors["landing"], 0.7
    up, again = jnp.cumsum(grown(factors, 0.0, 0.16 + 0.02 * jitter(factors, 2, 5)), axis=1)
    begin = FIRST + 0.1
    end = begin + 8 * run + landing
    # Both flights of the first hill are one stack of boxes.
    hill = [span(begin + k * run, end - k * run, 0.0, 3.0, up[k]) for k in range(5)]
    risers = end + valley + run * jnp.arange(5)
    boxes = [*hill, *stairs(risers, risers[-1] + 2.0, 0.0, 3.0, again)]
    goals = [
        *(begin + 1.5 * run, (begin + end) / 2, end - 1.5 * run, end + valley / 2),
        *(risers[0] + 1.5 * run, risers[0] + 3.5 * run, risers[-1] + 0.5, risers[-1] + 1.3),
    ]
    return course(factors, boxes, x=jnp.stack(goals))


def _staircase_walking(factors: Mapping[str, Array]) -> Task:
    """Fourteen steps up, two from one goal to the next, without rails.

    The difficulty raises the steps from 0 to 0.17 m and narrows them from 1.4 m to 0.6 m.
    """
    x = line(factors)
    high, ahead = jitter(factors, 2, 14)
    risers = x[0] + factors["spacing"] * (0.25 + 0.5 * jnp.arange(14)) + grown(factors, 0.0, 0.05) * ahead
    tops = jnp.cumsum(grown(factors, 0.0, 0.145 + 0.025 * high))
    return course(factors, stairs(risers, x[-1] + 0.8, 0.0, grown(factors, 1.4, factors["width"]), tops), x=x)


def _staircase_climbing(factors: Mapping[str, Array]) -> Task:
    """Seven high steps up, one from one goal to the next.

    The difficulty raises the steps from 0 to 0.25 m.
    """
    x = line(factors)
    high, ahead = jitter(factors, 2, 7)
    risers = (x[1:] + x[:-1]) / 2 + 0.08 * ahead
    tops = jnp.cumsum(grown(factors, 0.0, 0.225 + 0.025 * high))
    return course(factors, stairs(risers, x[-1] + 0.8, 0.0, factors["width"], tops), x=x)


def _staircase_spiral(factors: Mapping[str, Array]) -> Task:
    """Sixteen steps up around three quarters of a circle.

    The difficulty raises the steps from 0 to 0.15 m and narrows them from 1.3 m to 0.8 m.
    """
    number, begin = 16, FIRST - 0.1
    turn, radius, width = 1.5 * jnp.pi / number, factors["radius"], grown(factors, 1.3, 0.8)
    tops = jnp.cumsum(grown(factors, 0.0, 0.13 + 0.02 * jitter(factors, number)))

    def place(angle: Array) -> tuple[Array, Array]:
        return begin + radius * jnp.sin(angle), left(factors) * radius * (1 - jnp.cos(angle))

    # Risers lie along the radius. Each step reaches as far as the next one's riser at the outer edge; what of it is
    # too long further in lies under the steps that follow.
    risers, length = turn * jnp.arange(number), (radius + width / 2) * jnp.sin(turn) + 0.02
    x, y = place(risers)
    x, y = x + length / 2 * jnp.cos(risers), y + left(factors) * length / 2 * jnp.sin(risers)
    boxes = [block(x[k], y[k], length, width, tops[k], left(factors) * risers[k]) for k in range(number)]
    x, y = place(turn * (2 * jnp.arange(rows.GOALS) + 1.5))
    return course(factors, boxes, x=x, y=y)


# Walls, poles, beams


def _squeeze(factors: Mapping[str, Array]) -> Task:
    """Six passages between walls.

    The difficulty narrows them from 0.65 m to 0.35 m, lengthens them from 0.3 m to 0.6 m and shifts them to the side.
    """
    x, (wide, aside) = line(factors), jitter(factors, 2, rows.GOALS - 2)
    y = inner(grown(factors, 0.0, factors["sway"]) * aside)
    widths, length, wall = grown(factors, 0.65, 0.37 + 0.02 * wide), grown(factors, 0.3, 0.6), factors["wall"]
    boxes: list[Box] = []
    for k, i in enumerate(_BETWEEN):
        away = (widths[k] + wall) / 2
        boxes += [block(x[i], y[i] + away, length, wall, 0.5), block(x[i], y[i] - away, length, wall, 0.5)]
    return course(factors, boxes, x=x, y=y)


def _agility_poles(factors: Mapping[str, Array]) -> Task:
    """A slalom between seven poles, each between the line and the one goal beside it.

    The difficulty moves the goals from the middle line to 0.4 m left and right of it in turn, and the poles from 0.7 m
    beside the goals to 0.4 m: then they stand in a line.
    """
    x, (ahead, aside) = line(factors), jitter(factors, 2, rows.GOALS)
    turns = left(factors) * (-1.0) ** jnp.arange(rows.GOALS)
    y = turns * grown(factors, 0.0, 0.4) * jnp.minimum(jnp.arange(rows.GOALS), 1.0)
    beside = y - turns * (grown(factors, 0.7, 0.4) + 0.02 * aside)
    poles = [pole(x[i] + 0.08 * ahead[i], beside[i], 0.8, factors["thickness"] / 2) for i in _BUMPS]
    return course(factors, [], poles, x=x, y=y)


def _balance_beam(factors: Mapping[str, Array]) -> Task:
    """A beam over a pit, which bends at every goal.

    The difficulty narrows it from 1.2 m to 0.15 m and shifts its bends to the side.
    """
    x, width = line(factors), grown(factors, 1.2, 0.15)
    y = inner(grown(factors, 0.0, factors["sway"]) * jitter(factors, rows.GOALS - 2))
    boxes = banks(x[0] + 0.2, x[-1] - 0.2)
    for i in range(rows.GOALS - 1):
        dx, dy = x[i + 1] - x[i], y[i + 1] - y[i]
        length = jnp.hypot(dx, dy) + width / 2
        # Where two overlap, a foot touches only one.
        boxes.append(block(x[i] + dx / 2, y[i] + dy / 2, length, width, PIT - 0.002 * (1 + i % 2), jnp.arctan2(dy, dx)))
    return course(factors, boxes, x=x, y=y, pit=True)


def _family(name: str, build: Callable[[Mapping[str, Array]], Task], description: str, *own: Factor) -> Family:
    return Family(
        name=name,
        arena="quadruped",
        version=1,
        description=f"{description} (difficulty {{difficulty:.2f}}).",
        factors=(DIFFICULTY, *own, LAYOUT, SPEED, *BODY),
        build=build,
        expert=Script("quadruped", name),
    )


_WIDTH = Factor("width", 1.2, 2.4, "m", "of the obstacles")
_PLATFORM = Factor("width", 1.0, 1.4, "m", "of the platforms")
_BASE = Factor("base", 0.38, 0.45, "m", "radius of the bumps where they leave the floor")


def _length(low: float, high: float, meaning: str) -> Factor:
    return Factor("length", low, high, "m", meaning)


PARKOUR: tuple[Family, ...] = (
    _family(
        "jump_on_and_off_box",
        _jump_on_and_off_box,
        "Jump on and off four boxes {length:.2f} m long",
        *(SPACING, _length(0.7, 1.0, "of the boxes"), _WIDTH, sway(0.1), FRICTION),
    ),
    _family(
        "forward_ramp_lips",
        _forward_ramp_lips,
        "Climb four ramps {length:.2f} m long that begin with a step and end in a drop",
        *(SPACING, _length(0.55, 0.75, "of the ramps seen from above"), _WIDTH, sway(0.1), GRIP),
    ),
    _family(
        "sphere_bump_lips",
        _sphere_bump_lips,
        "Climb seven round bumps on plinths that make up {lip:.2f} of their height",
        *(SPACING, _BASE, Factor("lip", 0.3, 0.55, "1", "the plinth's share of the height"), sway(0.2), GRIP),
    ),
    _family(
        "forward_ramp_no_lips",
        _forward_ramp_no_lips,
        "Climb four ramps {length:.2f} m long that end in a drop",
        *(SPACING, _length(0.5, 0.62, "of the ramps seen from above"), _WIDTH, sway(0.1), GRIP),
    ),
    _family(
        "flush_a_frame",
        _flush_a_frame,
        "Cross four ridges over ramps {length:.2f} m long",
        *(SPACING, _length(0.48, 0.6, "of each ramp seen from above"), _WIDTH, sway(0.1), GRIP),
    ),
    _family(
        "sphere_bump",
        _sphere_bump,
        "Cross seven round bumps with a radius of {base:.2f} m",
        *(SPACING, _BASE, sway(0.25), GRIP),
    ),
    _family(
        "box_jump_even",
        _box_jump_even,
        "Jump from platform to platform {spacing:.2f} m ahead",
        *(SPACING, _PLATFORM, sway(0.15), FRICTION),
    ),
    _family(
        "box_jump_uneven",
        _box_jump_uneven,
        "Jump up and down from platform to platform {spacing:.2f} m ahead",
        *(SPACING, _PLATFORM, SIDE, sway(0.15), FRICTION),
    ),
    _family(
        "flat_circle_jump",
        _flat_circle_jump,
        "Jump from one flat pillar to the next {spacing:.2f} m ahead",
        *(SPACING, sway(0.1), FRICTION),
    ),
    _family(
        "bump_jump",
        _bump_jump,
        "Jump from one pillar with a round top to the next {spacing:.2f} m ahead",
        *(SPACING, Factor("radius", 0.38, 0.44, "m", "of the tops at the highest difficulty"), sway(0.1), GRIP),
    ),
    _family(
        "sideways_ramp",
        _sideways_ramp,
        "Walk along boards tilted to the side, {spacing:.2f} m from one to the next",
        *(SPACING, Factor("width", 0.9, 1.2, "m", "of the boards seen from above"), GRIP),
    ),
    _family(
        "stepping_stones_cylinder",
        _stepping_stones_cylinder,
        "Walk on round stones up to {zigzag:.2f} m left and right of the line",
        *(SPACING, Factor("zigzag", 0.07, 0.13, "m", "of the stones at the highest difficulty"), SIDE, FRICTION),
    ),
    _family(
        "stepping_stones_randomly_arranged",
        _stepping_stones_randomly_arranged,
        "Walk on two irregular rows of stones up to {sway:.2f} m off their line",
        *(SPACING, sway(0.06), FRICTION),
    ),
    _family(
        "staircase_walking_full_width",
        _staircase_walking_full_width,
        "Walk stairs up, down and up again on steps {run:.2f} m deep",
        Factor("run", 0.27, 0.34, "m", "depth of a step"),
        Factor("landing", 0.6, 0.9, "m", "length of the way on top"),
        FRICTION,
    ),
    _family(
        "staircase_walking",
        _staircase_walking,
        "Walk up long stairs that narrow to as little as {width:.2f} m",
        *(SPACING, Factor("width", 0.6, 0.8, "m", "of the stairs at the highest difficulty"), FRICTION),
    ),
    _family(
        "staircase_climbing",
        _staircase_climbing,
        "Climb seven high steps {spacing:.2f} m deep and {width:.2f} m wide",
        *(SPACING, Factor("width", 1.1, 1.6, "m", "of the steps"), FRICTION),
    ),
    _family(
        "staircase_spiral",
        _staircase_spiral,
        "Walk up a spiral staircase with a radius of {radius:.2f} m",
        *(Factor("radius", 1.2, 1.45, "m", "of the middle of the stairs"), SIDE, FRICTION),
    ),
    _family(
        "squeeze",
        _squeeze,
        "Squeeze through six passages up to {sway:.2f} m off the line",
        *(SPACING, Factor("wall", 0.8, 1.2, "m", "width of the wall on each side"), sway(0.12), FRICTION),
    ),
    _family(
        "agility_poles",
        _agility_poles,
        "Weave between seven poles {spacing:.2f} m apart",
        *(SPACING, Factor("thickness", 0.08, 0.16, "m", "of the poles"), SIDE, FRICTION),
    ),
    _family(
        "balance_beam",
        _balance_beam,
        "Walk along a beam that bends by up to {sway:.2f} m",
        *(SPACING, sway(0.15), FRICTION),
    ),
)
