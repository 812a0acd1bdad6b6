"""Free objects that several families share, and the factors by which they vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Array

from mtbench.task import Factor

from ..rows import Body, Shape, box

PUCK_WIDTH, PUCK_HEIGHT = 0.0368, 0.04
"""A box of the same area as Meta-World's cylinder of radius 0.02."""
CUBE = 0.04


def place(
    name: str, what: str, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float] | None = None
) -> tuple[Factor, ...]:
    """Where something is, as factors `name_x`, `name_y` and, if it varies, `name_z`, metres."""
    axes = (("x", x, "to the side"), ("y", y, "away from the base"), ("z", z, "height"))
    return tuple(Factor(f"{name}_{axis}", *span, "m", f"{what}, {side}") for axis, span, side in axes if span)


def matter(
    what: str,
    mass: tuple[float, float],
    metaworld: float,
    size: tuple[float, float] = (0.95, 1.05),
    name: str = "object",
) -> tuple[Factor, ...]:
    """Size, mass (kilograms; Meta-World's beside it) and friction of a free object, as factors `name_size`, …."""
    return (
        Factor(f"{name}_size", *size, "", f"width of {what}, relative to Meta-World's"),
        Factor(f"{name}_mass", *mass, "kg", f"mass of {what} (Meta-World: {metaworld:g})"),
        Factor(f"{name}_friction", 0.7, 1.1, "", f"sliding friction of {what} (Meta-World: 1)"),
    )


LIGHT = (0.06, 0.12)
"""Masses of what Meta-World makes lighter, kilograms: pads that give would be squeezed through a lighter object."""


def puck(factors: Mapping[str, Array], colour: str = "coral", width: float = PUCK_WIDTH, name: str = "object") -> Shape:
    """The puck: its width varies."""
    half = width / 2 * factors[f"{name}_size"]
    return box((half, half, PUCK_HEIGHT / 2), colour=colour)


def cube(factors: Mapping[str, Array], pos: Sequence[Any] = (0.0, 0.0, 0.0), colour: str = "coral") -> Shape:
    """A cube whose width varies and whose height does not."""
    half = CUBE / 2 * factors["object_size"]
    return box((half, half, CUBE / 2), pos, colour)


def free(factors: Mapping[str, Array], *shapes: Shape) -> dict[str, Any]:
    """The free object as `rows.scene` takes it."""
    return {"free": shapes, "free_mass": factors["object_mass"], "free_friction": factors["object_friction"]}


def further(factors: Mapping[str, Array], *shapes: Shape, name: str = "second") -> Body:
    """A free object beside the first as `rows.scene` takes it."""
    return Body(shapes, factors[f"{name}_mass"], factors[f"{name}_friction"])
