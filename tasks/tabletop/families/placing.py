"""Puts shapes that are written about a placement point where a task wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..rows import Shape

_HALF = 0.70710678
TURNED = (_HALF, 0.0, 0.0, _HALF)
"""+90 degrees about z: what faced -y faces +x."""


def placed(shapes: Sequence[Shape], place: Sequence[Any], turned: bool = False) -> list[Shape]:
    """The shapes moved to `place`, and turned about it if asked for."""
    moved = []
    for shape in shapes:
        (x, y, z), (w, i, j, k) = shape.pos, shape.quat
        if turned:
            x, y = -y, x
            w, i, j, k = _HALF * (w - k), _HALF * (i - j), _HALF * (i + j), _HALF * (w + k)
        moved.append(replace(shape, pos=(place[0] + x, place[1] + y, place[2] + z), quat=(w, i, j, k)))
    return moved
