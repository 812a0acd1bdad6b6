"""The ladder of splits: parts of a family's factor space that lie ever further from what is trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from .errors import UsageError, unknown_name
from .region import WHOLE, Box, Region
from .suite import Suite
from .suite.rows import draws
from .task import Factor, Family

REACH = 2.0
"""A factor's range over its training range: training has the middle half of it."""
BAND = 0.2
"""Half width of the band around the middle that training leaves out, of the training range's half width."""
SHELLS = {"extrapolation": (1.0, 1.25), "extrapolation-1.5": (1.25, 1.5), "extrapolation-2": (1.5, 2.0)}
"""Split to how far its tasks lie beyond training: distance from the middle over the training range's half width."""
CORNER = 1 / 3
"""A withheld combination has both factors above this share of the training range's half width."""
MOST_PAIRS = 3
"""Pairs of factors of a family whose corner training leaves out."""
SPLITS = ("train", "iid", "interpolation", *SHELLS, "combination", "novelty", "embodiment")
"""The rungs that are regions; held-out families are a rung of their own."""
_GAP = 0.02
"""What lies so near to training, in its half widths, is in no split: a test task must differ from a training task."""
_DECIMALS = 6
_TRIED = 4
"""Tasks of an alternative that are drawn to see whether there are any."""


@dataclass(frozen=True)
class Place:
    """Where a factor's value lies, seen from the values that training has."""

    rung: str
    """`seen`, `interpolation` (between training values), `extrapolation` (beyond them) or `novelty` (a level of a
    choice that training never has)."""
    side: str
    """`low` or `high` of the middle of the range; empty for a choice."""
    distance: float
    """From the middle, in half widths of the training range: above 1 is beyond it; 0 for a choice."""


def ladder(family: Family, *, body: Sequence[str] = (), fixed: Sequence[str] = ()) -> dict[str, Region]:
    """The regions of a family's splits: pure functions of factor values.

    Training has each factor's middle half without a band around its middle, every level of a choice but the last, and
    never the upper thirds (the last of its levels) of two neighbouring factors at once. Each other split leaves that in
    one respect and keeps to it in all others: `interpolation` has one factor in its band, the shells of `extrapolation`
    have one factor beyond its training range, on one side, `combination` has a pair that was withheld, `novelty` has
    the last level of one choice, `embodiment` has all of the body's factors beyond their training ranges at once.
    Within a split, factors and sides take turns over the tasks.

    Args:
      family: whose factors.
      body: factors that make the robot another one; they are seen and left out for `embodiment` alone.
      fixed: factors that are as in the whole family, in every split: numbers that only shuffle a layout, say.

    Returns:
      Region by split of `SPLITS`; what the family accepts no task of is left out, and so are splits without any.

    Raises:
      UsageError: a factor is unknown, or the family has no range to climb on.
    """
    factors = {factor.name: factor for factor in family.factors}
    for name in (*body, *fixed):
        if name not in factors:
            raise unknown_name(f"factor of {family.name}", name, factors)
    free = [f for f in family.factors if f.name not in fixed and f.high > f.low]
    own = [f for f in free if f.name not in body]
    ranges = [f for f in own if not f.levels]
    if not ranges:
        raise UsageError(f"{family.name}: a ladder needs at least one factor that varies and is not fixed")
    choices = [f for f in own if f.levels]
    within = {f.name: [_span(f, -1.0, -BAND), _span(f, BAND, 1.0)] for f in free if not f.levels}
    within |= {f.name: [(k, k) for k in range(len(f.levels) - 1)] for f in choices}
    paired = [f for f in own if not f.levels or len(f.levels) > 2]
    pairs = [(a, b) for a, b in zip(paired[::2], paired[1::2], strict=False)][:MOST_PAIRS]
    corners = [{f.name: f.high - 1 if f.levels else _span(f, CORNER, 1.0) for f in pair} for pair in pairs]
    inner = BAND - _GAP
    variants: dict[str, list[Mapping[str, Any]]] = {
        "interpolation": [{f.name: _span(f, -inner, inner)} for f in ranges],
        **{
            split: [{f.name: _beyond(f, side, low, high)} for f, side in product(ranges, (-1, 1))]
            for split, (low, high) in SHELLS.items()
        },
        "combination": [dict(corner) for corner in corners],
        "novelty": [{f.name: f.high} for f in choices],
        "embodiment": _bodies([f for f in free if f.name in body]),
    }
    train = Region.of(within, corners)
    regions = {"train": train, "iid": train}
    for split, one_of in variants.items():
        withheld = () if split == "combination" else corners
        if one_of and (kept := _possible(family, Region.of(within, withheld, one_of))):
            regions[split] = Region.of(within, withheld, [one_of[turn] for turn in kept])
    return regions


def place(value: float, factor: Factor, train: Region) -> Place:
    """Where a value lies, seen from a training region of `ladder`.

    Args:
      value: of the factor.
      factor: which.
      train: the region that training tasks are drawn from; a factor that it does not name has its whole range there.
    """
    intervals = dict(train.within).get(factor.name, factor.intervals)
    (low, _), (_, high) = intervals[0], intervals[-1]
    middle, half = (low + high) / 2, (high - low) / 2
    distance = abs(value - middle) / half if half else 0.0
    side = "low" if value < middle else "high"
    one = Region((((factor.name, intervals)),))
    seen = bool(one.contains({factor.name: value}))
    if factor.levels:
        return Place("seen" if seen else "novelty", "", 0.0)
    if seen:
        return Place("seen", side, distance)
    return Place("interpolation" if distance < 1.0 else "extrapolation", side, distance)


def left_out(factors: Mapping[str, float], train: Region) -> list[Box]:
    """The combinations withheld from training that factor values fall into."""
    return [box for box in train.withheld if bool(Region(box).contains(factors))]


def labels(suite: Suite, split: str) -> list[dict[str, Any]]:
    """What sets each task of a split apart from the training tasks of its family.

    Returns:
      A row for each task and factor that has left training, or one with no factor for a task of which none has:
      `split`, `family`, `task`, `factor` (empty for none), `side` and `distance` (see `Place`), and `nearest`, the
      distance to the nearest training task, factors in half widths of their training ranges, root mean square;
      `nan` for a family without training tasks.
    """
    trained: dict[str, list[dict[str, float]]] = {}
    for task_id, values in suite.factors("train").items():
        trained.setdefault(task_id.family, []).append(values)
    found = []
    for task_id, values in suite.factors(split).items():
        family = suite.family(task_id.family)
        train = suite.regions.get("train", {}).get(family.name, WHOLE)
        known = family.name in trained
        places = {f.name: place(values[f.name], f, train) for f in family.factors} if known else {}
        row: dict[str, Any] = {"split": split, "family": family.name, "task": str(task_id)}
        row |= {"nearest": _nearest(values, trained[family.name], family, train) if known else math.nan}
        left = {name: where for name, where in places.items() if where.rung != "seen"}
        for name, where in (left or {"": Place("seen", "", 0.0)}).items():
            found.append({**row, "factor": name, "side": where.side, "distance": where.distance})
    return found


def _nearest(
    values: Mapping[str, float], others: Sequence[Mapping[str, float]], family: Family, train: Region
) -> float:
    """Least distance to other tasks of a family."""
    free = [f for f in family.factors if f.high > f.low]
    halves = {}
    for factor in free:
        intervals = dict(train.within).get(factor.name, factor.intervals)
        halves[factor.name] = (intervals[-1][1] - intervals[0][0]) / 2 or 1.0
    squares = (sum(((values[n] - other[n]) / half) ** 2 for n, half in halves.items()) for other in others)
    return math.sqrt(min(squares) / max(len(halves), 1))


def _span(factor: Factor, low: float, high: float) -> tuple[float, float]:
    """An interval, its ends given from the middle in half widths of the training range."""
    middle, half = (factor.low + factor.high) / 2, (factor.high - factor.low) / 2 / REACH
    ends = (round(middle + share * half, _DECIMALS) for share in (low, high))
    lower, upper = (min(max(end, factor.low), factor.high) for end in ends)
    return lower, upper


def _beyond(factor: Factor, side: int, low: float, high: float) -> tuple[float, float]:
    """An interval beyond the training range, on one side of the middle."""
    near, far = side * (low + _GAP), side * high
    return _span(factor, min(near, far), max(near, far))


def _possible(family: Family, region: Region) -> list[int]:
    """Which alternatives the family accepts tasks of: one may leave an object no room beside its goal."""
    count = len(region.alternatives)
    if family.accept is None:
        return list(range(count))
    _, accepted = draws(family, tuple(range(_TRIED * count)), region)
    accepted = accepted.reshape(_TRIED, count)
    return np.flatnonzero(accepted.all(0)).tolist()


def _bodies(factors: Sequence[Factor]) -> list[Mapping[str, Any]]:
    """Robots that differ from all of training in every respect: all high, all low, and every other one high."""
    if not factors:
        return []
    sides = {(1,) * len(factors), (-1,) * len(factors)}
    sides |= {tuple((-1) ** (number + first) for number in range(len(factors))) for first in (0, 1)}
    return [{f.name: _beyond(f, s, 1.0, REACH) for f, s in zip(factors, row, strict=True)} for row in sorted(sides)]
