"""Six families with a puck on the table: reach, push, pick-place, and the same with a wall in the way.

After Meta-World v3 `reach`, `push`, `pick-place`, `reach-wall`, `push-wall`, `pick-place-wall`.
"""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, HAND, OBJECT, ORIGIN, TCP, Stage
from . import objects
from .grasping import grasp, held, lifted

_WALL = rows.box((0.12, 0.01, 0.06), (0.1, 0.75, 0.06), "walnut")
_REST = objects.PUCK_HEIGHT / 2
_SPREAD = (0.01, 0.01, 0.0)
_MATTER = objects.matter("the puck", (0.4, 0.8), 0.75, (0.9, 1.1))
_OPEN_PUCK = (*objects.place("object", "where the puck stands", (-0.1, 0.1), (0.6, 0.7)), *_MATTER)
_WALL_PUCK = (*objects.place("object", "where the puck stands", (-0.05, 0.05), (0.6, 0.65)), *_MATTER)
_GRASP = grasp(objects.PUCK_WIDTH, x=-0.003)
_APPROACH = Stage(TCP, OBJECT, tolerance=0.04, scale=0.15)
_HELD = held(objects.PUCK_WIDTH)
_LIFTED = lifted(0.045)


def _start(factors: Mapping[str, Array]) -> rows.Initial:
    return rows.initial(object=(factors["object_x"], factors["object_y"], _REST), object_spread=_SPREAD)


def _in_the_air(factors: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    return factors["goal_x"], factors["goal_y"], factors["goal_z"]


def _on_the_table(factors: Mapping[str, Array]) -> tuple[Array, Array, float]:
    return factors["goal_x"], factors["goal_y"], _REST


def _reach(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(**objects.free(factors, objects.puck(factors))),
        initial=_start(factors),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=_in_the_air(factors),
            stages=rows.stages(Stage(TCP, GOAL, tolerance=0.05, scale=0.2, required=True)),
        ),
        family=0,
    )


def _reach_wall(factors: Mapping[str, Array]) -> Task:
    half = 0.0266 * factors["object_size"]
    flat = rows.box((half, half, 0.015), colour="coral")
    return Task(
        scene=rows.scene(**objects.free(factors, flat), fixtures=[_WALL]),
        initial=rows.initial(object=(factors["object_x"], factors["object_y"], 0.015), object_spread=_SPREAD),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=_in_the_air(factors),
            stages=rows.stages(
                # High enough, or already behind the wall.
                Stage(TCP, ORIGIN, 0.02, (0, 0.75, 0.14), weights=(0, 1, 1), relation=BEYOND),
                Stage(TCP, GOAL, tolerance=0.05, scale=0.2, required=True),
            ),
        ),
        family=0,
    )


def _push(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(**objects.free(factors, objects.puck(factors))),
        initial=_start(factors),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=_on_the_table(factors),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.03, scale=0.15),
                Stage(OBJECT, GOAL, tolerance=0.05, scale=0.3, required=True),
            ),
        ),
        family=0,
    )


def _push_wall(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(**objects.free(factors, objects.puck(factors)), fixtures=[_WALL]),
        initial=_start(factors),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=_on_the_table(factors),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.03, scale=0.15),
                # Round the end of the wall on the -x side.
                Stage(OBJECT, ORIGIN, 0.01, (-0.05, 0.75, 0), weights=(-1, 1, 0), relation=BEYOND),
                Stage(OBJECT, GOAL, tolerance=0.07, scale=0.3, required=True),
            ),
        ),
        family=0,
    )


def _pick_place(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(**objects.free(factors, objects.puck(factors, "sky"))),
        initial=_start(factors),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=_in_the_air(factors),
            stages=rows.stages(
                _APPROACH,
                _HELD,
                _LIFTED,
                Stage(OBJECT, GOAL, tolerance=0.07, scale=0.3, required=True),
            ),
        ),
        family=0,
    )


def _pick_place_wall(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(**objects.free(factors, objects.puck(factors, "sky")), fixtures=[_WALL]),
        initial=_start(factors),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=_in_the_air(factors),
            stages=rows.stages(
                _APPROACH,
                _HELD,
                _LIFTED,
                Stage(OBJECT, ORIGIN, 0.02, (0, 0.75, 0.15), weights=(0, 1, 1), relation=BEYOND, scale=0.2),
                Stage(OBJECT, GOAL, tolerance=0.07, scale=0.25, required=True),
            ),
        ),
        family=0,
    )


def _goal(what: str, x: float, y: tuple[float, float], z: tuple[float, float] | None = None) -> tuple[Factor, ...]:
    return objects.place("goal", what, (-x, x), y, z)


_AIR = (0.05, 0.3)


def _past_the_wall(quantity: int) -> Stage:
    return Stage(quantity, ORIGIN, 0.0, (0, 0.8, 0), weights=(0, 1, 0), relation=BEYOND)


FAMILIES = (
    Family(
        name="reach",
        arena="tabletop",
        version=1,
        description="Bring the fingertips to the point x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m.",
        factors=(*_goal("the point to reach", 0.1, (0.8, 0.9), _AIR), *_OPEN_PUCK),
        build=_reach,
        accept=rows.apart(0.15),
        expert=(Waypoint(GOAL, (0.0, 0.0, 0.045)),),
    ),
    Family(
        name="push",
        arena="tabletop",
        version=1,
        description="Push the puck of {object_mass:.2f} kg along the table to x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(*_goal("the mark", 0.1, (0.8, 0.9)), *_OPEN_PUCK),
        build=_push,
        accept=rows.apart(0.15),
        expert=(*_GRASP, Waypoint(GOAL, (0.0, 0.0, 0.04), effort=0.6)),
    ),
    Family(
        name="pick-place",
        arena="tabletop",
        version=1,
        description=(
            "Pick up the puck of {object_mass:.2f} kg and hold it at x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m."
        ),
        factors=(*_goal("where to hold the puck", 0.1, (0.8, 0.9), _AIR), *_OPEN_PUCK),
        build=_pick_place,
        accept=rows.apart(0.15),
        expert=(*_GRASP, Waypoint(GOAL, (0.0, 0.0, 0.03), effort=1.0)),
    ),
    Family(
        name="reach-wall",
        arena="tabletop",
        version=1,
        description="Bring the fingertips over the wall to the point x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m.",
        factors=(*_goal("the point to reach", 0.05, (0.85, 0.9), _AIR), *_WALL_PUCK),
        build=_reach_wall,
        accept=rows.apart(0.15),
        expert=(
            Waypoint(
                ORIGIN,
                (0.0, 0.0, 0.3),
                Stage(HAND, ORIGIN, 0.0, (0, 0.64, 0.2), weights=(0, 1, 1), relation=BEYOND),
                blend=(0, 0, 1),
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.0), _past_the_wall(HAND), blend=(1, 1, 0)),
            Waypoint(GOAL, (0.0, 0.0, 0.045)),
        ),
    ),
    Family(
        name="push-wall",
        arena="tabletop",
        version=1,
        description=(
            "Push the puck of {object_mass:.2f} kg round the end of the wall to x {goal_x:.2f}, y {goal_y:.2f} m."
        ),
        factors=(*_goal("the mark", 0.05, (0.85, 0.9)), *_WALL_PUCK),
        build=_push_wall,
        accept=rows.apart(0.15),
        expert=(
            *_GRASP,
            Waypoint(
                ORIGIN,
                (-0.13, 0.66, 0.05),
                Stage(OBJECT, ORIGIN, 0.0, (-0.1, 0.65, 0), weights=(-1, 1, 0), relation=BEYOND),
                effort=1.0,
            ),
            Waypoint(ORIGIN, (-0.13, 0.86, 0.05), _past_the_wall(OBJECT), effort=1.0),
            Waypoint(GOAL, (0.0, 0.0, 0.03), effort=1.0),
        ),
    ),
    Family(
        name="pick-place-wall",
        arena="tabletop",
        version=1,
        description=(
            "Lift the puck of {object_mass:.2f} kg over the wall and hold it at "
            "x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m."
        ),
        factors=(*_goal("where to hold the puck", 0.05, (0.85, 0.9), _AIR), *_WALL_PUCK),
        build=_pick_place_wall,
        accept=rows.apart(0.15),
        expert=(
            *_GRASP,
            Waypoint(
                ORIGIN,
                (0.0, 0.0, 0.35),
                Stage(OBJECT, ORIGIN, 0.0, (0, 0.65, 0.2), weights=(0, 1, 1), relation=BEYOND),
                effort=1.0,
                blend=(0, 0, 1),
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.0), _past_the_wall(OBJECT), effort=1.0, blend=(1, 1, 0)),
            Waypoint(GOAL, (0.0, 0.0, 0.03), effort=1.0),
        ),
    ),
)
