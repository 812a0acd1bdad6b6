"""A faucet whose grip turns to either side. After Meta-World v3 `faucet-open` and `faucet-close`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, HAND, MECHANISM, TCP, Stage
from .placing import placed

_AXIS_Z = 0.124

_BASE = (
    rows.box((0.0408, 0.0408, 0.009), (0.0, 0.0, 0.009), "steel"),
    rows.capsule(0.017, 0.027, (0.0, 0.0, 0.061), rows.ALONG_Z, "steel"),
)


def _build(factors: Mapping[str, Array], *, side: float, goal: Stage) -> Task:
    """A task whose grip is pushed to +x (`side` 1) or to -x (-1)."""
    x, y = factors["faucet_x"], factors["faucet_y"]
    half = factors["grip_length"] / 2
    faucet = [
        rows.box((0.0284, 0.0284, 0.02), (0.0, 0.0, 0.0), "amber"),
        rows.box((0.0106, 0.021, 0.0106), (0.0, -0.05, 0.0), "amber"),
        rows.capsule(0.017, half, (0.0, -0.065 - half, 0.0), rows.ALONG_Y, "coral"),
    ]
    return Task(
        scene=rows.scene(
            mechanism=faucet,
            mechanism_mass=0.27,
            mechanism_pos=(x, y, _AXIS_Z),
            hinge=rows.Joint((0.0, 0.0, 1.0), (-1.57, 1.57), damping=factors["faucet_damping"], armature=0.003),
            fixtures=placed(_BASE, (x, y, 0.0)),
        ),
        initial=rows.initial(hand=rows.HAND_START_NEAR),
        goal=rows.goal(
            point=(x + side * 0.175, y, 0.125),
            hand_low=(-0.5, 0.4, -0.15),
            mechanism_point=(-side * 0.015, -0.175, -0.01),
            observed=(MECHANISM, rows.ORIGIN),
            orientation=rows.UPRIGHT,
            stages=rows.stages(
                Stage(TCP, MECHANISM, tolerance=0.05, offset=(-side * 0.04, 0.01, -0.01), scale=0.2), goal
            ),
        ),
        family=0,
    )


def _factors(width: float) -> tuple[Factor, ...]:
    return (
        Factor("faucet_x", -width, width, "m", "where the faucet stands, to the side"),
        Factor("faucet_y", 0.8, 0.85, "m", "where the faucet stands, away from the base"),
        Factor("grip_length", 0.1, 0.12, "m", "length of the grip (Meta-World: 0.11)"),
        Factor("faucet_damping", 1.5, 2.5, "N m s/rad", "damping of the faucet's hinge (Meta-World: 2)"),
    )


def _expert(side: float) -> tuple[Waypoint, ...]:
    """Down beside the grip, then push it round."""
    x = -side * 0.045
    return (
        Waypoint(
            MECHANISM, (x, 0.0, 0.12), Stage(HAND, MECHANISM, 0.04, (x, 0.01, 0.0), weights=(1, 1, 0)), 1.0, gain=25.0
        ),
        Waypoint(MECHANISM, (x, 0.0, 0.025), Stage(HAND, MECHANISM, 0.03, (0.0, 0.0, 0.025), weights=(0, 0, 1)), 1.0),
        Waypoint(MECHANISM, (side * 0.06, 0.06, 0.025), effort=1.0, gain=25.0),
    )


FAMILIES = (
    Family(
        name="faucet-open",
        arena="tabletop",
        version=1,
        description="Open the faucet at x {faucet_x:.2f}, y {faucet_y:.2f} m: push its grip to the right.",
        factors=_factors(0.05),
        build=partial(
            _build,
            side=1.0,
            goal=Stage(MECHANISM, GOAL, tolerance=0.07, offset=(0.04, 0.0, -0.03), scale=0.2, required=True),
        ),
        expert=_expert(1.0),
    ),
    Family(
        name="faucet-close",
        arena="tabletop",
        version=1,
        description="Close the faucet at x {faucet_x:.2f}, y {faucet_y:.2f} m: push its grip to the left.",
        factors=_factors(0.1),
        build=partial(_build, side=-1.0, goal=Stage(MECHANISM, GOAL, tolerance=0.07, scale=0.2, required=True)),
        expert=_expert(-1.0),
    ),
)
