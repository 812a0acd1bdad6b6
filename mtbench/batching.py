"""Batches of one size, so that all of them share a compiled program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches[T](items: Sequence[T], size: int) -> Iterator[tuple[list[T], int]]:
    """Cuts items into lists of equal length, the last one filled up with repeats of its last item.

    Args:
      items: what to cut.
      size: length of the lists; fewer items make one list of their own length.

    Yields:
      A list, and how many of its items are no repeats.
    """
    size = min(size, len(items))
    for start in range(0, len(items), size or 1):
        part = list(items[start : start + size])
        yield part + [part[-1]] * (size - len(part)), len(part)
