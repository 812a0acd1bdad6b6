"""A drawer in its case, to be opened by its handle or closed. After Meta-World v3 `drawer-open` and `drawer-close`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, GRIPPER, HAND, MECHANISM, ORIGIN, TCP, Stage
from .placing import placed

_CENTRE_Y, _CENTRE_Z, _HANDLE_Y = 0.89, 0.09, -0.16

_CASE = (
    rows.box((0.008, 0.1, 0.084), (-0.11, 0.0, 0.084), "walnut"),
    rows.box((0.008, 0.1, 0.084), (0.11, 0.0, 0.084), "walnut"),
    rows.box((0.102, 0.008, 0.076), (0.0, 0.092, 0.076), "walnut"),
    rows.box((0.118, 0.1, 0.008), (0.0, 0.0, 0.16), "walnut"),
)


def _task(
    factors: Mapping[str, Array],
    hand_z: float,
    out: float,
    goal_y: float,
    point: tuple[float, float, float],
    orientation: rows.Orientation,
    *stages: Stage,
) -> Task:
    """A task that starts with the hand at height `hand_z` and the drawer `out` metres open."""
    x = factors["drawer_x"]
    grip = factors["handle_width"] / 2
    drawer = [
        rows.box((0.1, 0.008, 0.052), (0.0, -0.082, 0.008), "amber"),
        rows.box((0.09, 0.09, 0.006), (0.0, 0.0, -0.046), "cream"),
        rows.capsule(0.009, grip, (0.0, -0.15, 0.0), rows.ALONG_X, "steel"),
        rows.capsule(0.009, 0.03, (-grip, -0.12, 0.0), rows.ALONG_Y, "steel"),
        rows.capsule(0.009, 0.03, (grip, -0.12, 0.0), rows.ALONG_Y, "steel"),
    ]
    return Task(
        scene=rows.scene(
            mechanism=drawer,
            mechanism_mass=factors["drawer_mass"],
            mechanism_pos=(x, _CENTRE_Y, _CENTRE_Z),
            slide=rows.Joint((0.0, 1.0, 0.0), (-0.2, 0.0), damping=factors["drawer_damping"]),
            fixtures=placed(_CASE, (x, _CENTRE_Y + 0.01, 0.0)),
        ),
        initial=rows.initial(hand=(0.0, 0.6, hand_z), joints=(-out, 0.0, 0.0)),
        goal=rows.goal(
            point=(x, goal_y, _CENTRE_Z),
            mechanism_point=point,
            observed=(MECHANISM, ORIGIN),
            orientation=orientation,
            stages=rows.stages(*stages),
        ),
        family=0,
    )


def _open(factors: Mapping[str, Array]) -> Task:
    return _task(
        factors,
        0.2,
        0.0,
        # Meta-World aims 3 cm farther than the drawer need be pulled.
        _CENTRE_Y + _HANDLE_Y - 0.16 - 0.03,
        (0.0, _HANDLE_Y, 0.0),
        rows.WXYZ,
        # Open fingers, first over the bar and then down: from the front one of them stops before the bar, closed or
        # not, and nothing can be pulled from there.
        Stage(GRIPPER, ORIGIN, tolerance=0.02, offset=(0.1, 0.0, 0.0), scale=0.05),
        Stage(HAND, MECHANISM, tolerance=0.03, offset=(0.0, -0.005, 0.0), weights=(1, 1, 0), scale=0.2),
        Stage(HAND, MECHANISM, tolerance=0.03, offset=(0.0, 0.0, -0.005), weights=(0, 0, 1), scale=0.1),
        Stage(MECHANISM, GOAL, tolerance=0.03, scale=0.2, required=True),
    )


def _close(factors: Mapping[str, Array]) -> Task:
    return _task(
        factors,
        # Not lower than Meta-World's 0.2, or a finger would be in the drawer's front.
        0.22,
        0.15,
        _CENTRE_Y + 0.01 + _HANDLE_Y,
        (0.0, _HANDLE_Y, 0.05),
        rows.ZEROS,
        Stage(TCP, MECHANISM, tolerance=0.04, offset=(0.0, -0.03, -0.06), scale=0.2),
        Stage(MECHANISM, GOAL, tolerance=0.065, scale=0.15, required=True),
    )


_FACTORS = (
    Factor("drawer_x", -0.1, 0.1, "m", "where the drawer stands, to the side"),
    Factor("drawer_damping", 1.0, 4.0, "N s/m", "damping of the drawer's slide (Meta-World: 2)"),
    Factor("drawer_mass", 0.3, 0.6, "kg", "mass of the drawer (Meta-World: 0.38)"),
    Factor("handle_width", 0.09, 0.12, "m", "width of the handle (Meta-World: 0.1)"),
)

FAMILIES = (
    Family(
        name="drawer-open",
        arena="tabletop",
        version=1,
        description="Pull the drawer at x {drawer_x:.2f} m open by its handle, {handle_width:.2f} m wide.",
        factors=_FACTORS,
        build=_open,
        expert=(
            Waypoint(MECHANISM, (0.0, 0.0, 0.18), Stage(HAND, MECHANISM, 0.05, weights=(1, 1, 0))),
            Waypoint(MECHANISM, (0.0, 0.0, -0.02), Stage(HAND, MECHANISM, 0.04, (0.0, 0.0, -0.02), weights=(0, 0, 1))),
            Waypoint(MECHANISM, (0.0, -0.06, -0.02), gain=50.0),
        ),
    ),
    Family(
        name="drawer-close",
        arena="tabletop",
        version=1,
        description="Push the drawer at x {drawer_x:.2f} m shut, {drawer_mass:.2f} kg in all.",
        factors=_FACTORS,
        build=_close,
        expert=(
            Waypoint(
                MECHANISM,
                (0.0, -0.1, 0.1),
                Stage(HAND, MECHANISM, 0.06, (0.0, -0.06, 0.0), weights=(1, 1, 0)),
                effort=1.0,
                gain=25.0,
            ),
            Waypoint(
                MECHANISM,
                (0.0, -0.1, -0.015),
                Stage(HAND, MECHANISM, 0.025, (0.0, 0.0, -0.015), weights=(0, 0, 1)),
                effort=1.0,
                gain=25.0,
            ),
            Waypoint(MECHANISM, (0.0, 0.1, -0.015), effort=1.0, gain=25.0),
        ),
    ),
)
