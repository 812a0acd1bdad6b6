"""A handle on a vertical slide, pressed or pulled, facing the robot or to the side. After Meta-World v3 `handle-*`.

Meta-World's handle weighs 2 g; here its slide has an armature of 0.3 kg, or it slips out of the grip.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, HAND, MECHANISM, TCP, Stage
from .placing import TURNED, placed

_SLIDE = (0.0, -0.05, 0.15)
"""The handle's frame from the placement point, when it is up."""
_BAR_Y = -0.166
"""Where the bar is in that frame."""

_CASE = (
    rows.box((0.026, 0.11, 0.11), (0.0605, 0.0, 0.11), "walnut"),
    rows.box((0.026, 0.11, 0.11), (-0.0605, 0.0, 0.11), "walnut"),
    rows.box((0.035, 0.0825, 0.11), (0.0, 0.0275, 0.11), "walnut"),
    rows.box((0.035, 0.028, 0.014), (0.0, -0.082, 0.014), "walnut"),
)


def _build(
    factors: Mapping[str, Array],
    *,
    start: float,
    hand_z: float = 0.2,
    point: tuple[float, float, float],
    goal_z: float,
    turned: bool,
    approach: Stage,
    goal: Stage,
) -> Task:
    """A task whose handle starts at `start` on its slide, 0 is up; `point` of its frame is observed."""
    place = (factors["handle_x"], factors["handle_y"], 0.0)

    def at(x: float, y: float, z: float) -> tuple:
        side, depth = (-y, x) if turned else (x, y)
        return place[0] + side, place[1] + depth, place[2] + z

    handle = [
        rows.box((0.032, 0.075, 0.011), (0.0, -0.081, 0.0), "amber"),
        rows.capsule(0.022, factors["bar_length"] / 2, (0.0, _BAR_Y, 0.0), rows.ALONG_X, "coral"),
    ]
    return Task(
        scene=rows.scene(
            mechanism=handle,
            mechanism_mass=0.002,
            mechanism_pos=at(*_SLIDE),
            mechanism_quat=TURNED if turned else (1.0, 0.0, 0.0, 0.0),
            slide=rows.Joint((0.0, 0.0, 1.0), (-0.1, 0.0), damping=factors["handle_damping"]),
            fixtures=placed(_CASE, place, turned),
        ),
        initial=rows.initial(hand=(0.0, 0.6, hand_z), joints=(start, 0.0, 0.0)),
        goal=rows.goal(
            point=at(0.0, _SLIDE[1] + _BAR_Y, goal_z),
            mechanism_point=point,
            observed=(MECHANISM, rows.ORIGIN),
            orientation=rows.ZEROS,
            stages=rows.stages(approach, goal),
        ),
        family=0,
    )


_UP, _DOWN = -0.001, -0.1
_press = partial(
    _build,
    start=_UP,
    # Meta-World's hand starts at 0.2, the lowest here, with its fingers in some of the handles.
    hand_z=0.22,
    point=(0.0, _BAR_Y, 0.022),
    goal_z=0.075,
    goal=Stage(MECHANISM, GOAL, tolerance=0.02, weights=(0, 0, 1), scale=0.1, required=True),
)


def _factors(x: tuple[float, float], y: tuple[float, float]) -> tuple[Factor, ...]:
    return (
        Factor("handle_x", *x, "m", "where the handle's case stands, to the side"),
        Factor("handle_y", *y, "m", "where the handle's case stands, away from the base"),
        Factor(
            "bar_length", 0.088, 0.104, "m", "length of the handle's bar between its round ends (Meta-World: 0.096)"
        ),
        Factor("handle_damping", 24.0, 36.0, "N s/m", "damping of the handle's slide (Meta-World: 30)"),
    )


_FRONT = _factors((-0.1, 0.1), (0.8, 0.9))
_SIDE = _factors((-0.35, -0.25), (0.65, 0.75))

_EXPERT_PRESS = (
    Waypoint(MECHANISM, (0.0, 0.0, 0.08), Stage(HAND, MECHANISM, 0.03, weights=(1, 1, 0)), effort=1.0, gain=25.0),
    Waypoint(MECHANISM, (0.0, 0.0, -0.3), effort=1.0, gain=25.0),
)


def _expert_pull(x: float, width: float) -> tuple[Waypoint, ...]:
    """Above the place to grip, `x` beside the observed point, down to it, close on a thing of `width`, lift."""
    closed = Stage(rows.GRIPPER, rows.ORIGIN, width + 0.025, weights=(1, 0, 0))
    return (
        Waypoint(MECHANISM, (x, 0.0, 0.12), Stage(HAND, MECHANISM, 0.02, (x, 0.0, 0.0), weights=(1, 1, 0)), gain=25.0),
        Waypoint(MECHANISM, (x, 0.0, 0.02), Stage(HAND, MECHANISM, 0.025, (0.0, 0.0, 0.02), weights=(0, 0, 1))),
        Waypoint(MECHANISM, (x, 0.0, 0.02), closed, effort=1.0),
        Waypoint(MECHANISM, (x, 0.0, 0.05), effort=1.0, gain=25.0),
    )


FAMILIES = (
    Family(
        name="handle-press",
        arena="tabletop",
        version=1,
        description="Press the handle at x {handle_x:.2f}, y {handle_y:.2f} m down.",
        factors=_FRONT,
        build=partial(
            _press,
            turned=False,
            approach=Stage(TCP, MECHANISM, tolerance=0.065, offset=(0.0, -0.02, -0.03), scale=0.2),
        ),
        expert=_EXPERT_PRESS,
    ),
    Family(
        name="handle-press-side",
        arena="tabletop",
        version=1,
        description="Press the handle at x {handle_x:.2f}, y {handle_y:.2f} m, which faces to the side, down.",
        factors=_SIDE,
        build=partial(
            _press,
            turned=True,
            approach=Stage(TCP, MECHANISM, tolerance=0.06, offset=(0.02, 0.0, -0.03), scale=0.2),
        ),
        expert=_EXPERT_PRESS,
    ),
    Family(
        name="handle-pull",
        arena="tabletop",
        version=1,
        description="Pull the handle at x {handle_x:.2f}, y {handle_y:.2f} m up.",
        factors=_FRONT,
        build=partial(
            _build,
            start=_DOWN,
            point=(0.05, _BAR_Y, 0.014),
            goal_z=0.172,
            turned=False,
            approach=Stage(TCP, MECHANISM, tolerance=0.05, offset=(0.0, -0.025, -0.03), scale=0.2),
            goal=Stage(MECHANISM, GOAL, tolerance=0.05, weights=(0, 0, 1), scale=0.1, required=True),
        ),
        expert=_expert_pull(0.005, 0.044),
    ),
    Family(
        name="handle-pull-side",
        arena="tabletop",
        version=1,
        description="Pull the handle at x {handle_x:.2f}, y {handle_y:.2f} m, which faces to the side, up.",
        factors=_SIDE,
        build=partial(
            _build,
            start=_DOWN,
            point=(0.0, -0.12, 0.0),
            goal_z=0.172,
            turned=True,
            approach=Stage(TCP, MECHANISM, tolerance=0.035, offset=(0.0, 0.0, -0.015), scale=0.2),
            goal=Stage(MECHANISM, GOAL, tolerance=0.08, scale=0.1, required=True),
        ),
        expert=_expert_pull(0.0, 0.064),
    ),
)
