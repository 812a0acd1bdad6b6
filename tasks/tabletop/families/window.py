"""A sliding window with a handle. After Meta-World v3 `window-open` and `window-close`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, HAND, MECHANISM, Stage
from .placing import placed

_FRAME = (
    rows.box((0.015, 0.03, 0.181), (0.216, 0.0, 0.0), "walnut"),
    rows.box((0.015, 0.03, 0.181), (-0.216, 0.0, 0.0), "walnut"),
    rows.box((0.25, 0.06, 0.01), (0.0, 0.0, -0.192), "walnut"),
    rows.box((0.201, 0.03, 0.015), (0.0, 0.0, 0.166), "walnut"),
    rows.box((0.201, 0.03, 0.015), (0.0, 0.0, -0.166), "walnut"),
    rows.box((0.1, 0.012, 0.15), (0.1, 0.013, 0.0), "cream"),
)

_APPROACH = Stage(HAND, MECHANISM, tolerance=0.06, offset=(0.0, -0.03, 0.0), weights=(1, 1, 0.5), scale=0.2)
_SHUT = Stage(MECHANISM, GOAL, tolerance=0.05, weights=(1, 0, 0), scale=0.15, required=True)


def _build(factors: Mapping[str, Array], *, z: float, start: float, point_x: float, goal_x: float) -> Task:
    """A task whose window stands at height `z` and starts `start` metres open; `point_x` is observed."""
    x: Any = factors.get("window_x", 0.0)
    y = factors["window_y"]
    sash = [
        rows.capsule(0.008, 0.045, (-0.014, -0.095, 0.0), rows.ALONG_Z, "coral"),
        rows.capsule(0.008, 0.035, (-0.014, -0.06, 0.045), rows.ALONG_Y, "coral"),
        rows.capsule(0.008, 0.035, (-0.014, -0.06, -0.045), rows.ALONG_Y, "coral"),
        rows.box((0.014, 0.012, 0.15), (-0.014, -0.013, 0.0), "amber"),
        rows.box((0.01, 0.012, 0.15), (-0.19, -0.013, 0.0), "amber"),
        rows.box((0.076, 0.003, 0.15), (-0.104, -0.013, 0.0), "sky"),
    ]
    return Task(
        scene=rows.scene(
            mechanism=sash,
            mechanism_mass=factors["window_mass"],
            mechanism_pos=(x, y, z),
            slide=rows.Joint((1.0, 0.0, 0.0), (0.0, 0.22), damping=factors["window_damping"]),
            fixtures=placed(_FRAME, (x, y, z)),
        ),
        initial=rows.initial(hand=rows.HAND_START_NEAR, joints=(start, 0.0, 0.0)),
        goal=rows.goal(
            point=(x + goal_x, y, z),
            mechanism_point=(point_x, -0.095, 0.0),
            observed=(MECHANISM, rows.ORIGIN),
            orientation=rows.ZEROS,
            stages=rows.stages(_APPROACH, _SHUT),
        ),
        family=0,
    )


_MATTER = (
    Factor("window_mass", 0.5, 0.8, "kg", "mass of the sash (Meta-World: 0.64)"),
    Factor("window_damping", 1.5, 2.5, "N s/m", "damping of the sash's slide (Meta-World: 2)"),
)


def _expert(side: float) -> tuple[Waypoint, ...]:
    """In front of the bar and beside it, in, then push it to +x (`side` 1) or -x (-1)."""
    x = -side * 0.05
    return (
        Waypoint(
            MECHANISM,
            (x, -0.1, 0.0),
            Stage(HAND, MECHANISM, 0.05, (x * 0.8, 0.0, 0.0), weights=(1, 0, 1)),
            effort=1.0,
            gain=25.0,
        ),
        Waypoint(MECHANISM, (x, -0.005, 0.0), Stage(HAND, MECHANISM, 0.03, weights=(0, 1, 0)), effort=1.0),
        Waypoint(MECHANISM, (side * 0.1, -0.005, 0.0), effort=1.0, gain=25.0),
    )


FAMILIES = (
    Family(
        name="window-open",
        arena="tabletop",
        version=1,
        description="Slide the window at x {window_x:.2f}, y {window_y:.2f} m open by its handle.",
        factors=(
            Factor("window_x", -0.1, 0.1, "m", "where the window stands, to the side"),
            Factor("window_y", 0.7, 0.9, "m", "where the window stands, away from the base"),
            *_MATTER,
        ),
        build=partial(_build, z=0.16, start=0.0, point_x=-0.04, goal_x=0.2),
        expert=_expert(1.0),
    ),
    Family(
        name="window-close",
        arena="tabletop",
        version=1,
        description="Slide the window at y {window_y:.2f} m shut by its handle.",
        factors=(Factor("window_y", 0.75, 0.9, "m", "where the window stands, away from the base"), *_MATTER),
        build=partial(_build, z=0.2, start=0.2, point_x=0.01, goal_x=0.0),
        expert=_expert(-1.0),
    ),
)
