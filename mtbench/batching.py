"""Batches of one size, so that all of them share a compiled program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches[T](items: Sequence[T], size: int, *, fill: bool = False) -> Iterator[tuple[list[T], int]]:
    """Cuts items into lists of equal length, the last one filled up with repeats of its last item.

    Args:
      items: what to cut.
      size: length of the lists; fewer items make one list of their own length, unless
      fill: they are filled up too, for a program that is shared with other callers.

    Yields:
      A list, and how many of its items are no repeats.
    """
    size = size if fill else min(size, len(items))
    for start in range(0, len(items), size or 1):
        part = list(items[start : start + size])
        yield part + [part[-1]] * (size - len(part)), len(part)
