"""Continuous goals: a mechanism is brought to a place or an angle that varies from task to task, and kept there.

The hardware is that of the fifty families. Success needs the mechanism to have stayed there for a quarter of a second:
to pass by is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from ...arrays import vector
from .. import rows
from ..expert import Waypoint, until
from ..rows import GOAL, GRIPPER, HAND, JOINTS, MECHANISM, ORIGIN, TCP, Stage
from . import dial, door, drawer, faucet, handle, lever

HOLD = 20
"""Control steps."""

_BASES = {
    family.name: family
    for file in (dial, door, drawer, faucet, handle, lever)
    for family in file.FAMILIES  # type: ignore[attr-defined]
}

Goal = tuple[Sequence[Any], Sequence[Stage]]
"""The goal point and the stages."""


def _family(
    base: str,
    name: str,
    description: str,
    wanted: Factor,
    goal: Callable[[Mapping[str, Array]], Goal],
    expert: tuple[Waypoint, ...],
    spring: float = 0.0,
) -> Family:
    """A family on another one's hardware, with one factor more, which says how far; `spring`, N/m, pulls it back."""
    of = _BASES[base]

    def build(factors: Mapping[str, Array]) -> Task:
        row = of.build(factors)
        point, stages = goal(factors)
        return replace(
            row,
            scene=replace(row.scene, stiffness=jnp.asarray(row.scene.stiffness).at[0].set(spring)),
            goal=replace(row.goal, point=vector(point), **rows.staged(*stages, hold=HOLD)),
        )

    return Family(name, "tabletop", 1, description, (*of.factors, wanted), build, of.accept, expert)


def _at(angle: Any, tolerance: float = 0.1) -> Stage:
    """The hinge is at an angle, radians."""
    return Stage(JOINTS, ORIGIN, tolerance, (0.0, 0.0, angle), weights=(0, 0, 1), scale=1.0, required=True)


def _angle(what: str, low: float, high: float) -> Factor:
    return Factor("angle", low, high, "deg", what)


def _drawer(factors: Mapping[str, Array]) -> Goal:
    y = 0.89 - 0.16 - 0.002 * factors["opening"]
    return (factors["drawer_x"], y, 0.09), (
        Stage(HAND, MECHANISM, tolerance=0.03, weights=(1, 1, 0), scale=0.2),
        Stage(HAND, MECHANISM, tolerance=0.03, offset=(0.0, 0.0, -0.005), weights=(0, 0, 1), scale=0.1),
        Stage(MECHANISM, GOAL, tolerance=0.012, scale=0.15, required=True),
    )


def _door(factors: Mapping[str, Array]) -> Goal:
    angle = jnp.deg2rad(factors["angle"])
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = factors["door_x"] - 0.185, factors["door_y"] - 0.1
    point = (x + 0.3757 * cos - 0.1071 * sin, y - 0.3757 * sin - 0.1071 * cos, 0.15)
    return point, (Stage(HAND, MECHANISM, tolerance=0.09, offset=(-0.02, 0.02, 0.0), scale=0.2), _at(-angle))


def _dial(factors: Mapping[str, Array]) -> Goal:
    angle = jnp.deg2rad(factors["angle"])
    point = (factors["dial_x"] - 0.05 * jnp.sin(angle), factors["dial_y"] - 0.05 * jnp.cos(angle), 0.0)
    return point, (Stage(TCP, MECHANISM, tolerance=0.065, offset=(0.0, 0.0, 0.05), scale=0.15), _at(-angle, 0.15))


def _lever(factors: Mapping[str, Array]) -> Goal:
    angle = jnp.deg2rad(factors["angle"])
    point = (factors["lever_x"] + 0.12, factors["lever_y"] - 0.2 * jnp.cos(angle), 0.25 + 0.2 * jnp.sin(angle))
    return point, (Stage(HAND, MECHANISM, tolerance=0.085, offset=(0.0, -0.06, -0.06), scale=0.2), _at(-angle))


def _faucet(factors: Mapping[str, Array]) -> Goal:
    angle = jnp.deg2rad(factors["angle"])
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = factors["faucet_x"], factors["faucet_y"]
    point = (x - 0.015 * cos + 0.175 * sin, y - 0.015 * sin - 0.175 * cos, 0.114)
    return point, (Stage(TCP, MECHANISM, tolerance=0.05, offset=(-0.04, 0.01, -0.01), scale=0.2), _at(angle))


def _handle(factors: Mapping[str, Array]) -> Goal:
    point = (factors["handle_x"], factors["handle_y"] - 0.216, 0.172 - factors["depth"])
    return point, (
        Stage(TCP, MECHANISM, tolerance=0.065, offset=(0.0, -0.02, -0.03), scale=0.2),
        Stage(MECHANISM, GOAL, tolerance=0.008, weights=(0, 0, 1), scale=0.08, required=True),
    )


def _pushed(
    near: float, approach: tuple[Waypoint, ...], way: Sequence[float], back: Sequence[float], gain: float
) -> tuple[Waypoint, ...]:
    """Pushes along `way` until the mechanism's observed point is as near to the goal, then takes the hand back.

    To stop is not enough: the commanded hand runs ahead of one that pushes.
    """
    push = Waypoint(MECHANISM, way, effort=1.0, gain=gain)
    return (*until(Stage(MECHANISM, GOAL, near), *approach, push), Waypoint(MECHANISM, back, effort=1.0, gain=50.0))


def _bring(blend: Sequence[float] = (1.0, 1.0, 1.0), gain: float = 10.0) -> Waypoint:
    """Moves the hand as the mechanism's observed point is to move."""
    return Waypoint(GOAL, (0.0, 0.0, 0.0), effort=1.0, gain=gain, blend=blend, subject=MECHANISM)


_BELOW = Waypoint(
    MECHANISM,
    (0.0, -0.055, -0.12),
    Stage(HAND, MECHANISM, 0.03, (0.0, -0.055, -0.12)),
    effort=1.0,
    gain=25.0,
    done=Stage(JOINTS, ORIGIN, 0.0, (0.0, 0.0, -0.05), weights=(0, 0, -1), relation=BEYOND),
)
"""Under the lever's ball, unless it is already being lifted."""

FAMILIES = (
    _family(
        "drawer-open",
        "drawer-open-to",
        "Pull the drawer at x {drawer_x:.2f} m open to {opening:.0f} % and leave it there.",
        Factor("opening", 30.0, 85.0, "%", "how far the drawer is to be open"),
        _drawer,
        (
            # With the bar between the fingers, closed on it: pulled from behind only, the drawer would coast on.
            Waypoint(MECHANISM, (0.0, 0.005, 0.18), Stage(HAND, MECHANISM, 0.02, (0.0, 0.005, 0.0), weights=(1, 1, 0))),
            Waypoint(MECHANISM, (0.0, 0.005, -0.01), Stage(HAND, MECHANISM, 0.03, (0, 0, -0.01), weights=(0, 0, 1))),
            Waypoint(MECHANISM, (0.0, 0.005, -0.01), Stage(GRIPPER, ORIGIN, 0.05, weights=(1, 0, 0)), effort=1.0),
            _bring((0.0, 1.0, 0.0)),
        ),
    ),
    _family(
        "door-open",
        "door-open-to",
        "Pull the door at x {door_x:.2f}, y {door_y:.2f} m open by {angle:.0f} degrees and leave it there.",
        _angle("by how much the door is to be open", 25.0, 75.0),
        _door,
        (*_BASES["door-open"].expert[:2], _bring(gain=20.0)),
    ),
    _family(
        "dial-turn",
        "dial-turn-to",
        "Turn the dial at x {dial_x:.2f}, y {dial_y:.2f} m by {angle:.0f} degrees and leave it there.",
        _angle("by how much the dial is to be turned", 30.0, 110.0),
        _dial,
        _pushed(0.009, _BASES["dial-turn"].expert[:2], (-0.05, 0.02, 0.085), (0.04, -0.04, 0.25), gain=2.5),
    ),
    _family(
        "lever-pull",
        "lever-lift-to",
        "Lift the lever at x {lever_x:.2f}, y {lever_y:.2f} m by {angle:.0f} degrees and leave it there.",
        _angle("by how much the lever is to be lifted", 25.0, 80.0),
        _lever,
        _pushed(0.02, (_BELOW,), (0.0, -0.03, 0.05), (0.0, -0.055, -0.15), gain=6.0),
    ),
    _family(
        "faucet-open",
        "faucet-turn-to",
        "Turn the faucet at x {faucet_x:.2f}, y {faucet_y:.2f} m by {angle:.0f} degrees and leave it there.",
        _angle("by how much the faucet is to be turned", 25.0, 75.0),
        _faucet,
        _pushed(0.015, _BASES["faucet-open"].expert[:2], (0.06, 0.06, 0.025), (-0.1, -0.05, 0.025), gain=4.0),
    ),
    _family(
        "handle-press",
        "handle-press-to",
        (
            "Press the handle at x {handle_x:.2f}, y {handle_y:.2f} m down by {depth:.3f} m against its spring, and "
            "hold it there."
        ),
        Factor("depth", 0.025, 0.08, "m", "how deep the handle is to be pressed"),
        _handle,
        (*_BASES["handle-press"].expert[:1], _bring((0.0, 0.0, 1.0))),
        spring=100.0,
    ),
)
