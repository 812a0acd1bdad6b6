"""Regions of a family's factor space: what the tasks of a split are drawn from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .errors import UsageError

Intervals = tuple[tuple[float, float], ...]
"""A union of closed intervals, disjoint and rising; equal ends are a single value."""
Box = tuple[tuple[str, Intervals], ...]
"""Intervals by factor, sorted by name; other factors are free."""

_LISTS = ("withheld", "one_of")
"""What a region's table may hold beside factors."""
_EDGE = 1e-6
"""Values are computed in float32: one that is so little outside an interval, relative to its ends, is on its edge."""


@dataclass(frozen=True)
class Region:
    """A part of a family's factor space; hashable, so that it can be a part of a task's name."""

    within: Box = ()
    """Draws are uniform over the union of a factor's intervals; a factor that is not named has its whole range."""
    withheld: tuple[Box, ...] = ()
    """Combinations that are left out: draws for which all factors of a box lie within it, each by itself allowed."""
    one_of: tuple[Box, ...] = ()
    """Alternatives that take turns over task seeds; a factor named there has these intervals, not those of `within`."""

    @classmethod
    def of(
        cls,
        within: Mapping[str, Any] | None = None,
        withheld: Sequence[Mapping[str, Any]] = (),
        one_of: Sequence[Mapping[str, Any]] = (),
    ) -> Region:
        """A region as a person writes it.

        Args:
          within: by factor a value, (low, high), or a list of these pairs.
          withheld: the same for every combination.
          one_of: the same for every alternative.

        Raises:
          UsageError: names the factor and what was expected.
        """
        return cls(_box(within or {}), *(tuple(map(_box, boxes)) for boxes in (withheld, one_of)))

    def table(self) -> dict[str, Any]:
        """The region as plain lists: `Region.of` of its entries, those of `_LISTS` apart, gives it back."""

        def plain(box: Box) -> dict[str, Any]:
            return {name: [list(interval) for interval in intervals] for name, intervals in box}

        lists = {name: [plain(box) for box in getattr(self, name)] for name in _LISTS}
        return plain(self.within) | {name: boxes for name, boxes in lists.items() if boxes}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Region:
        """The inverse of `table`."""
        within = {name: value for name, value in table.items() if name not in _LISTS}
        return cls.of(within, **{name: table.get(name, ()) for name in _LISTS})

    @cached_property
    def alternatives(self) -> tuple[Region, ...]:
        """The regions that take turns: the task with seed s is drawn from number s modulo their count."""
        boxes = (dict(self.within) | dict(box) for box in self.one_of or ((),))
        return tuple(Region(tuple(sorted(box.items())), self.withheld) for box in boxes)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All boxes by which the region is described."""
        return (self.within, *self.withheld, *self.one_of)

    def contains(self, factors: Mapping[str, Any]) -> Any:
        """Whether factor values lie in the region; values may be numbers or arrays of one shape, also traced ones.

        Raises:
          KeyError: a factor of the region has no value.
        """
        inside: Any = False
        for one in self.alternatives:
            inside = inside | _inside(one.within, factors)
        for box in self.withheld:
            inside = inside & ~_inside(box, factors)
        return inside

    @cached_property
    def fingerprint(self) -> str:
        """Names the region in a task's id."""
        return hashlib.sha256(json.dumps(self.table(), sort_keys=True).encode()).hexdigest()[:8]

    def __str__(self) -> str:
        def told(box: Box) -> str:
            return ", ".join(
                f"{name} {' or '.join(f'{a:g}' if a == b else f'{a:g} to {b:g}' for a, b in intervals)}"
                for name, intervals in box
            )

        parts = [told(self.within)] if self.within else []
        parts += [f"or with {told(box)}" for box in self.one_of]
        return "; ".join(parts + [f"not together: {told(box)}" for box in self.withheld]) or "whole"


WHOLE = Region()
"""The whole factor space."""


def _box(table: Mapping[str, Any]) -> Box:
    return tuple(sorted((name, _intervals(name, value)) for name, value in table.items()))


def _intervals(name: str, value: Any) -> Intervals:
    try:
        pairs = [value] if not isinstance(value, int | float) and value and isinstance(value[0], int | float) else value
        pairs = [(value, value)] if isinstance(value, int | float) else pairs
        found = sorted((float(low), float(high)) for low, high in pairs)
    except (TypeError, ValueError, KeyError):
        raise UsageError(f"{name} = {value}: expected a number, low and high, or a list of such pairs") from None
    if not found:
        raise UsageError(f"{name} = {value}: the region is empty, expected at least one interval")
    for low, high in found:
        if not low <= high:
            raise UsageError(f"{name} = [{low}, {high}]: the region is empty, expected low <= high")
    for (_, end), (start, _) in zip(found, found[1:], strict=False):
        if start <= end:
            raise UsageError(f"{name}: intervals overlap at {start}: join them")
    if 0 < sum(low == high for low, high in found) < len(found):
        raise UsageError(f"{name} = {value}: a single value beside an interval would never be drawn; leave it out")
    return tuple(found)


def _inside(box: Box, factors: Mapping[str, Any]) -> Any:
    inside: Any = True
    for name, intervals in box:
        value, any_of = factors[name], False
        for low, high in intervals:
            slack = _EDGE * max(abs(low), abs(high))
            any_of = any_of | ((value >= low - slack) & (value <= high + slack))
        inside = inside & any_of
    return inside
