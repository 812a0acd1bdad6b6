"""Two things to do, in the order that the task gives, or in any: the second one earns nothing before the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint, until
from ..rows import FOLLOW, GOAL, HAND, LEAD, NEXT_GOAL, OBJECT, SECOND, TCP, Stage
from . import objects
from .grasping import OPEN, grasp

_REST = objects.PUCK_HEIGHT / 2
_SPREAD = (0.01, 0.01, 0.0)


def two_pucks(factors: Mapping[str, Array]) -> dict:
    """A red and a blue puck as `Task` takes them: scene and initial state."""
    return {
        "scene": rows.scene(
            **objects.free(factors, objects.puck(factors)),
            further=[objects.further(factors, objects.puck(factors, "sky", name="second"))],
        ),
        "initial": rows.initial(
            object=(factors["object_x"], factors["object_y"], _REST),
            object_spread=_SPREAD,
            further=[(factors["second_x"], factors["second_y"], _REST)],
            further_spread=[_SPREAD],
        ),
        "family": 0,
    }


def places(x: tuple[float, float], y: tuple[float, float]) -> tuple[Factor, ...]:
    """The places of both pucks."""
    return (
        *objects.place("object", "where the red puck stands", x, y),
        *objects.place("second", "where the blue puck stands", x, y),
    )


MATTER = (
    *objects.matter("the red puck", (0.3, 0.6), 0.75),
    *objects.matter("the blue puck", (0.3, 0.6), 0.75, name="second"),
)
ORDER = Factor("order", 0.0, 1.0, "", "which puck comes first", levels=("red", "blue"))

_BOTH: dict[str, Any] = {"observed": (OBJECT, SECOND), "orientation": rows.XYZW, "second_orientation": rows.XYZW}


def _reach(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(**objects.free(factors, objects.puck(factors))),
        initial=rows.initial(object=(factors["object_x"], factors["object_y"], _REST), object_spread=_SPREAD),
        goal=rows.goal(
            point=(factors["goal_x"], factors["goal_y"], factors["goal_z"]),
            orientation=rows.XYZW,
            **rows.staged(
                Stage(TCP, GOAL, tolerance=0.04, scale=0.2, in_turn=True),
                Stage(TCP, NEXT_GOAL, tolerance=0.04, scale=0.2, required=True),
                next=(factors["next_x"], factors["next_y"], factors["next_z"]),
                seen=NEXT_GOAL,
            ),
        ),
        family=0,
    )


def _touch(factors: Mapping[str, Array]) -> Task:
    return Task(
        **two_pucks(factors),
        goal=rows.goal(
            point=(0.0, 0.0, 0.0),
            **_BOTH,
            **rows.staged(
                Stage(TCP, LEAD, tolerance=0.03, scale=0.2, in_turn=True),
                Stage(TCP, FOLLOW, tolerance=0.03, scale=0.2, required=True),
                order=factors["order"],
                seen=LEAD,
            ),
        ),
    )


def _push(factors: Mapping[str, Array]) -> Task:
    return Task(
        **two_pucks(factors),
        goal=rows.goal(
            point=(factors["goal_x"], factors["goal_y"], _REST),
            **_BOTH,
            **rows.staged(
                Stage(TCP, LEAD, tolerance=0.03, scale=0.15),
                Stage(LEAD, GOAL, tolerance=0.05, scale=0.3, required=True, in_turn=True),
                Stage(TCP, FOLLOW, tolerance=0.03, scale=0.15),
                Stage(FOLLOW, NEXT_GOAL, tolerance=0.05, scale=0.3, required=True),
                order=factors["order"],
                next=(factors["next_x"], factors["next_y"], _REST),
                seen=NEXT_GOAL,
            ),
        ),
    )


def _sort(factors: Mapping[str, Array]) -> Task:
    return Task(
        **two_pucks(factors),
        goal=rows.goal(
            point=(-0.15, factors["goal_y"], _REST),
            **_BOTH,
            **rows.staged(
                Stage(OBJECT, GOAL, tolerance=0.06, scale=0.3, required=True),
                Stage(SECOND, NEXT_GOAL, tolerance=0.06, scale=0.3, required=True),
                next=(0.15, factors["next_y"], _REST),
                seen=NEXT_GOAL,
            ),
        ),
    )


def _pushed(thing: int, goal: int) -> tuple[Waypoint, ...]:
    """Grasps a puck and slides it to its goal."""
    return (*grasp(objects.PUCK_WIDTH, thing=thing, gain=25.0), Waypoint(goal, (0.0, 0.0, 0.04), effort=0.6))


def _let_go(before: int) -> Waypoint:
    """Opens the gripper where it is, if it is not already at what comes next."""
    near = Stage(HAND, before, 0.1, weights=(1, 1, 0))
    return Waypoint(HAND, (0.0, 0.0, 0.0), OPEN, done=near)


def _touched(thing: int) -> Waypoint:
    return Waypoint(thing, (0.0, 0.0, 0.055), effort=1.0)


_AIR = (0.05, 0.3)

FAMILIES = (
    Family(
        name="reach-in-order",
        arena="tabletop",
        version=1,
        description=(
            "Bring the fingertips to the point x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m, and after that to "
            "x {next_x:.2f}, y {next_y:.2f}, z {next_z:.2f} m."
        ),
        factors=(
            *objects.place("goal", "the point to reach first", (-0.2, 0.2), (0.7, 0.9), _AIR),
            *objects.place("next", "the point to reach after it", (-0.2, 0.2), (0.7, 0.9), _AIR),
            *objects.place("object", "where the puck stands", (-0.1, 0.1), (0.5, 0.6)),
            *objects.matter("the puck", (0.4, 0.8), 0.75),
        ),
        build=_reach,
        accept=rows.all_apart(0.12, "goal", "next"),
        expert=(
            *until(rows.passed(1), Waypoint(GOAL, (0.0, 0.0, 0.045))),
            Waypoint(NEXT_GOAL, (0.0, 0.0, 0.045)),
        ),
    ),
    Family(
        name="touch-in-order",
        arena="tabletop",
        version=1,
        description=(
            "Touch the red puck at x {object_x:.2f}, y {object_y:.2f} m and the blue one at x {second_x:.2f}, "
            "y {second_y:.2f} m with the fingertips, the {order} one first."
        ),
        factors=(*places((-0.25, 0.25), (0.55, 0.85)), ORDER, *MATTER),
        build=_touch,
        accept=rows.all_apart(0.16, "object", "second"),
        expert=(
            *until(
                rows.passed(1),
                Waypoint(LEAD, (0.0, 0.0, 0.12), Stage(HAND, LEAD, 0.03, weights=(1, 1, 0)), effort=1.0),
                _touched(LEAD),
            ),
            Waypoint(FOLLOW, (0.0, 0.0, 0.12), Stage(HAND, FOLLOW, 0.03, weights=(1, 1, 0)), effort=1.0),
            _touched(FOLLOW),
        ),
    ),
    Family(
        name="push-in-order",
        arena="tabletop",
        version=1,
        description=(
            "Push the {order} puck to x {goal_x:.2f}, y {goal_y:.2f} m, and after that the other one to "
            "x {next_x:.2f}, y {next_y:.2f} m."
        ),
        factors=(
            *objects.place("goal", "the mark of the first puck", (-0.2, 0.2), (0.8, 0.9)),
            *objects.place("next", "the mark of the other one", (-0.2, 0.2), (0.8, 0.9)),
            *places((-0.2, 0.2), (0.6, 0.68)),
            ORDER,
            *MATTER,
        ),
        build=_push,
        accept=rows.all_apart(0.16, "goal", "next", "object", "second"),
        expert=(
            *until(Stage(LEAD, GOAL, 0.03), *_pushed(LEAD, GOAL)),
            _let_go(FOLLOW),
            *_pushed(FOLLOW, NEXT_GOAL),
        ),
    ),
    Family(
        name="sort-two",
        arena="tabletop",
        version=1,
        description=(
            "Push the red puck to the mark on the left, y {goal_y:.2f} m, and the blue one to that on the right, "
            "y {next_y:.2f} m, in any order."
        ),
        factors=(
            Factor("goal_y", 0.78, 0.88, "m", "the red puck's mark, away from the base"),
            Factor("next_y", 0.78, 0.88, "m", "the blue puck's mark, away from the base"),
            *places((-0.18, 0.18), (0.58, 0.68)),
            *MATTER,
        ),
        build=_sort,
        accept=rows.all_apart(0.16, "object", "second"),
        expert=(
            *until(Stage(OBJECT, GOAL, 0.035), *_pushed(OBJECT, GOAL)),
            _let_go(SECOND),
            *_pushed(SECOND, NEXT_GOAL),
        ),
    ),
)
