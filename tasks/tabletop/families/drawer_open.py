"""drawer-open: pull the drawer out by its handle. After Meta-World v3 `drawer-open`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import HAND, MECHANISM, Stage

_TRAVEL = 0.16
"""How far out Meta-World's drawer is pulled, metres."""
_CENTRE_Z, _HANDLE_Y = 0.09, -0.16


def _build(factors: Mapping[str, Array]) -> Task:
    x, y = factors["drawer_x"], 0.9
    grip = factors["handle_width"] / 2
    drawer = [
        rows.box((0.1, 0.008, 0.052), (0.0, -0.082, 0.008), "amber"),
        rows.box((0.09, 0.09, 0.006), (0.0, 0.0, -0.046), "cream"),
        rows.capsule(0.009, grip, (0.0, -0.15, 0.0), rows.ALONG_X, "steel"),
        rows.capsule(0.009, 0.03, (-grip, -0.12, 0.0), rows.ALONG_Y, "steel"),
        rows.capsule(0.009, 0.03, (grip, -0.12, 0.0), rows.ALONG_Y, "steel"),
    ]
    case = [
        rows.box((0.008, 0.1, 0.084), (x - 0.11, y, 0.084), "walnut"),
        rows.box((0.008, 0.1, 0.084), (x + 0.11, y, 0.084), "walnut"),
        rows.box((0.102, 0.008, 0.076), (x, y + 0.092, 0.076), "walnut"),
        rows.box((0.118, 0.1, 0.008), (x, y, 0.16), "walnut"),
    ]
    return Task(
        scene=rows.scene(
            mechanism=drawer,
            mechanism_mass=factors["drawer_mass"],
            mechanism_pos=(x, y - 0.01, _CENTRE_Z),
            slide=rows.Joint((0.0, 1.0, 0.0), (-0.2, 0.0), damping=factors["drawer_damping"]),
            fixtures=case,
        ),
        initial=rows.initial(),
        goal=rows.goal(
            point=(x, y - 0.01 + _HANDLE_Y - _TRAVEL - 0.03, _CENTRE_Z),
            mechanism_point=(0.0, _HANDLE_Y, 0.0),
            observed=(MECHANISM, rows.ORIGIN),
            stages=rows.stages(
                # Open fingers, first over the bar and then down: from the front one of them stops before the bar,
                # closed or not, and nothing can be pulled from there.
                Stage(rows.GRIPPER, rows.ORIGIN, tolerance=0.02, offset=(0.1, 0.0, 0.0), scale=0.05),
                Stage(HAND, MECHANISM, tolerance=0.03, offset=(0.0, -0.005, 0.0), weights=(1, 1, 0), scale=0.2),
                Stage(HAND, MECHANISM, tolerance=0.03, offset=(0.0, 0.0, -0.005), weights=(0, 0, 1), scale=0.1),
                Stage(MECHANISM, rows.GOAL, tolerance=0.03, scale=0.2, required=True),
            ),
        ),
        family=0,
    )


FAMILY = Family(
    name="drawer-open",
    arena="tabletop",
    version=1,
    description="Pull the drawer at x {drawer_x:.2f} m open by its handle, {handle_width:.2f} m wide.",
    factors=(
        Factor("drawer_x", -0.1, 0.1, "m", "where the drawer stands, to the side"),
        Factor("drawer_damping", 1.0, 4.0, "N s/m", "damping of the drawer's slide (Meta-World: 2)"),
        Factor("drawer_mass", 0.3, 0.6, "kg", "mass of the drawer (Meta-World: 0.38)"),
        Factor("handle_width", 0.09, 0.12, "m", "width of the handle (Meta-World: 0.1)"),
    ),
    build=_build,
    expert=(
        Waypoint(MECHANISM, (0.0, 0.0, 0.18), Stage(HAND, MECHANISM, 0.05, weights=(1, 1, 0))),
        Waypoint(MECHANISM, (0.0, 0.0, -0.02), Stage(HAND, MECHANISM, 0.04, (0.0, 0.0, -0.02), weights=(0, 0, 1))),
        Waypoint(MECHANISM, (0.0, -0.06, -0.02), gain=50.0),
    ),
)
