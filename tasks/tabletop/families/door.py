"""A door with a handle, to be opened or closed. After Meta-World v3 `door-open` and `door-close`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, HAND, JOINTS, MECHANISM, MECHANISM_TIP, ORIGIN, Shape, Stage
from .placing import placed

_HEIGHT = 0.15
"""Height of the placement point, the middle of the frame."""
_HANDLE = (0.3757, -0.1071, 0.0)
_ORIENTATION = rows.Orientation("xyzw", turn=(0.151171, 0.690758, -0.150621, 0.690879))
"""That of the handle's mesh in Meta-World."""
_PANEL = (0.2, 0.0, 0.0)
"""Middle of the panel, in the hinge's frame."""
_OPEN, _SWING = -1.5708, 0.27
"""Where the open door starts, radians, and how far it swings by itself: Meta-World's frame pushes it."""
_GYRATION_SQUARED = 0.0665
"""Inertia of the door about its hinge per kilogram, m²."""
_ARMATURE = 0.003

FRAME = (
    rows.box((0.016, 0.106, 0.15), (0.204, 0.0, 0.0), "walnut"),
    rows.box((0.016, 0.106, 0.15), (-0.204, 0.0, 0.0), "walnut"),
    rows.box((0.188, 0.106, 0.012), (0.0, 0.0, 0.138), "walnut"),
    rows.box((0.188, 0.106, 0.012), (0.0, 0.0, -0.138), "walnut"),
    rows.box((0.188, 0.012, 0.126), (0.0, 0.094, 0.0), "walnut"),
)
"""The door's frame about its middle; locks have the same."""


def _door(grip: Array) -> list[Shape]:
    """The door, its hinge at the origin; `grip` is the half length of the handle's bar."""
    return [
        rows.box((0.18, 0.01, 0.123), (0.185, 0.0, 0.0), "sky"),
        rows.box((0.0248, 0.012, 0.0248), (0.325, -0.006, 0.0), "steel"),
        rows.capsule(0.013, 0.034, (0.325, -0.065, 0.0), rows.ALONG_Y, "steel"),
        rows.capsule(0.019, grip, (0.325 + grip, -0.12, 0.0), rows.ALONG_X, "coral"),
        rows.box((0.054, 0.0204, 0.0204), (0.395, -0.12, 0.0), "coral"),
    ]


def _task(factors: Mapping[str, Array], initial: rows.Initial, shift: tuple[float, float], *stages: Stage) -> Task:
    """A task whose goal lies at `shift` from the placement point."""
    x, y = factors["door_x"], factors["door_y"]
    return Task(
        scene=rows.scene(
            mechanism=_door(factors["grip_length"] / 2),
            mechanism_mass=factors["door_mass"],
            mechanism_pos=(x - 0.185, y - 0.1, _HEIGHT),
            hinge=rows.Joint((0.0, 0.0, 1.0), (-2.0, 0.0), damping=factors["door_damping"], armature=_ARMATURE),
            fixtures=placed(FRAME, (x, y, _HEIGHT)),
        ),
        initial=initial,
        goal=rows.goal(
            point=(x + shift[0], y + shift[1], _HEIGHT),
            mechanism_point=_HANDLE,
            mechanism_tip=_PANEL,
            observed=(MECHANISM, rows.ORIGIN),
            orientation=_ORIENTATION,
            stages=rows.stages(*stages),
        ),
        family=0,
    )


def _open(factors: Mapping[str, Array]) -> Task:
    return _task(
        factors,
        # Farther to the side, Meta-World's expert would come down on the wrong side of the handle.
        rows.initial(hand=(-0.01, 0.6, 0.2)),
        (-0.3, -0.45),
        Stage(HAND, MECHANISM, tolerance=0.09, offset=(-0.02, 0.02, 0.0), scale=0.2),
        # Ajar, then by the hinge's angle: seen along x, a closed door does not begin to move.
        Stage(JOINTS, ORIGIN, 0.0, (0, 0, -0.25), weights=(0, 0, -1), relation=BEYOND, scale=0.25),
        Stage(JOINTS, ORIGIN, 0.07, (0, 0, -1.45), weights=(0, 0, 1), scale=1.2),
        Stage(MECHANISM, GOAL, tolerance=0.08, weights=(1, 0, 0), scale=0.3, required=True),
    )


def _close(factors: Mapping[str, Array]) -> Task:
    # The push as a speed, which the damping uses up over that angle.
    inertia = factors["door_mass"] * _GYRATION_SQUARED + _ARMATURE
    speed = _SWING * factors["door_damping"] / inertia
    return _task(
        factors,
        rows.initial(hand=(-0.5, 0.6, 0.2), joints=(0.0, 0.0, _OPEN), joint_speeds=(0.0, 0.0, speed)),
        (0.2, -0.2),
        Stage(HAND, MECHANISM_TIP, tolerance=0.13, weights=(1, 1, 0.5), scale=0.3),
        Stage(MECHANISM, GOAL, tolerance=0.08, scale=0.4, required=True),
    )


_FACTORS = (
    Factor("door_x", 0.0, 0.1, "m", "where the door stands, to the side"),
    Factor("door_y", 0.85, 0.95, "m", "where the door stands, away from the base"),
    Factor("door_mass", 1.8, 2.7, "kg", "mass of the door (Meta-World: 2.23)"),
    Factor("door_damping", 1.6, 2.4, "N m s/rad", "damping of the door's hinge (Meta-World: 2)"),
    Factor("grip_length", 0.104, 0.12, "m", "length of the handle's bar (Meta-World: 0.112)"),
)

FAMILIES = (
    Family(
        name="door-open",
        arena="tabletop",
        version=1,
        description="Pull the door at x {door_x:.2f}, y {door_y:.2f} m open by its handle, {door_mass:.1f} kg in all.",
        factors=_FACTORS,
        build=_open,
        expert=(
            Waypoint(
                MECHANISM,
                (0.01, 0.02, 0.18),
                Stage(HAND, MECHANISM, 0.1, (-0.02, 0.02, 0.0), weights=(1, 1, 0)),
                effort=1.0,
                gain=25.0,
            ),
            Waypoint(
                MECHANISM,
                (0.01, 0.02, 0.0),
                Stage(HAND, MECHANISM, 0.04, weights=(0, 0, 1)),
                effort=1.0,
                gain=25.0,
            ),
            Waypoint(MECHANISM, (-0.05, -0.03, 0.0), effort=1.0, gain=25.0),
        ),
    ),
    Family(
        name="door-close",
        arena="tabletop",
        version=1,
        description="Push the open door at x {door_x:.2f}, y {door_y:.2f} m shut.",
        factors=_FACTORS,
        build=_close,
        expert=(Waypoint(GOAL, (0.0, 0.0, 0.0), effort=1.0, gain=25.0),),
    ),
)
