"""What the quadruped's courses have in common: factors, goals in a line, layouts, platforms and stairs.

A course either lies on the floor or stands over a pit: then all of it, the start too, is `PIT` high, and a trunk that
drops towards the floor ends the episode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from mtbench.task import Factor, Task

from .. import rows
from ..robots.quadruped import QUADRUPED
from ..terrain import BOXES, Box, Round, box, bump, height, terrain
from .layout import draws

PIT = 0.5
"""Height of a course over a pit, metres: more than a leg is long."""
FLUSH = -0.002
"""A gap between platforms that is none, metres: they overlap, and there is no crack."""
FIRST = 0.9
"""Where the first goal lies, metres ahead of the start; the ground up to there is level."""
_SUNK = 0.05
"""How far blocks reach into the floor: one without height is still a box."""
_FLATTEST = 0.01
"""Domes lower than this keep their curvature and sink, so that no sphere gets endless, metres."""

DIFFICULTY = Factor("difficulty", 0.0, 1.0, "1", "from level ground (0) to about the hardest that Go1 could do (1)")
SPACING = Factor("spacing", 0.9, 1.05, "m", "from one goal to the next")
SPEED = Factor("speed", 0.7, 1.0, "m/s", "towards the goals: more is not paid for")
SIDE = Factor("side", 0.0, 1.0, "1", "the first turn is to the right below 0.5, to the left from there on")
GRIP = Factor("friction", 0.7, 1.2, "1", "sliding friction of the ground, enough for the slopes")


def sway(most: float) -> Factor:
    """Half width of irregular shifts to the side."""
    return Factor("sway", 0.0, most, "m", "half width of irregular shifts to the side")


def grown(factors: Mapping[str, Array], easy: Any, hard: Any) -> Array:
    """A figure that changes evenly with the difficulty."""
    return easy + (hard - easy) * factors["difficulty"]


def jitter(factors: Mapping[str, Array], *shape: int) -> Array:
    """Numbers from -1 to 1 that belong to the arrangement."""
    return draws(factors["layout"], math.prod(shape)).reshape(shape)


def left(factors: Mapping[str, Array]) -> Array:
    """1 where the first turn is to the left, else -1."""
    return jnp.where(factors["side"] < 0.5, -1.0, 1.0)


def line(factors: Mapping[str, Array]) -> Float[Array, " g"]:
    """Places of the goals along x."""
    return FIRST + factors["spacing"] * jnp.arange(rows.GOALS)


def inner(values: Array) -> Float[Array, " g"]:
    """One value per goal, with 0 at the first and the last, of values for those between."""
    return jnp.pad(values, 1)


def block(x: Any, y: Any, length: Any, width: Any, top: Any, yaw: Any = 0.0) -> Box:
    """A level box on the floor, which may be without height."""
    return box(x, y, length, width, top + _SUNK, bottom=-_SUNK, yaw=yaw)


def span(begin: Any, end: Any, y: Any, width: Any, top: Any) -> Box:
    """A block between two places along x."""
    return block((begin + end) / 2, y, end - begin, width, top)


def disc(x: Any, y: Any, length: Any, width: Any, top: Any, corner: Any) -> list[Box]:
    """Two crossed blocks: nearly round where each corner lacks a share `corner` of 0.3 of the half sides.

    One is a little lower, so that a foot touches only the other.
    """
    return [
        block(x, y, length, (1 - corner) * width, top),
        block(x, y, (1 - corner) * length, width, top - 0.002),
    ]


def dome(x: Any, y: Any, top: Any, base: Any) -> Round:
    """A spherical cap with a base of this radius on the floor."""
    rise = jnp.maximum(top, _FLATTEST)
    return bump(x, y, top, (base**2 + rise**2) / (2 * rise))


def banks(begin: Any, end: Any) -> list[Box]:
    """The platforms on both sides of a pit between two places along x."""
    return [span(-0.8, begin, 0.0, 1.6, PIT), span(end, end + 1.2, 0.0, 1.6, PIT)]


def islands(x: Array, y: Array, gaps: Array, width: Any, tops: Array) -> list[Box]:
    """Banks and the platforms between them, one per goal, with a gap half way from each goal to the next."""
    half_way = (x[1:] + x[:-1]) / 2
    begins, ends = half_way + gaps / 2, half_way - gaps / 2
    between = range(1, rows.GOALS - 1)
    return [
        *banks(ends[0], begins[-1]),
        *(span(begins[i - 1], ends[i], y[i], width, tops[i]) for i in between),
    ]


def stairs(risers: Array, end: Any, y: Any, width: Any, tops: Array) -> list[Box]:
    """Steps with risers at these places along x. Each reaches a little under the next: there is no crack.

    Every other one is a little narrower: faces in one plane flicker in pictures.
    """
    ends = [*(risers[1:] + 0.05), end]
    return [span(risers[i], ends[i], y, width - 0.002 * (i % 2), tops[i]) for i in range(len(ends))]


def course(
    factors: Mapping[str, Array],
    boxes: Sequence[Box],
    rounds: Sequence[Round] = (),
    *,
    x: Array,
    y: Any = 0.0,
    pit: bool = False,
    dip: Any = 0.0,
) -> Task:
    """The row of a course.

    Args:
      factors: of the family.
      boxes: of the terrain.
      rounds: of the terrain.
      x: of the goals; their heights are the ground's.
      y: of the goals.
      pit: whether the course stands over a pit.
      dip: how far platforms over the pit may lie below the start.
    """
    ground = terrain(boxes, rounds, floor_friction=factors["friction"])
    ground = replace(ground, box_friction=jnp.full(BOXES, factors["friction"]))
    level = jnp.stack([x, jnp.broadcast_to(y, x.shape)], -1)
    points = jnp.concatenate([level, height(ground, level)[:, None]], -1)
    return rows.task(
        QUADRUPED,
        rows.scene(QUADRUPED, factors),
        aim=rows.COURSE,
        points=list(points),
        speed=factors["speed"],
        radius=0.3,
        start=(0.0, 0.0, PIT if pit else 0.0),
        lowest=PIT - dip + 0.1 if pit else -1.0,
        ground=ground,
    )
