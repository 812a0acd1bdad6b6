"""Tasks of several stages, each of which counts for good once it is done: open, put in, close; press, then push."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint, until
from ..rows import GOAL, HAND, JOINTS, MECHANISM, MECHANISM_TIP, NEXT_GOAL, OBJECT, ORIGIN, TCP, Shape, Stage
from . import button, drawer, objects
from .grasping import GENTLE, OPEN, grasp, held, lifted

_REST = objects.PUCK_HEIGHT / 2
_SPREAD = (0.01, 0.01, 0.0)
_DRAWER = next(family for family in drawer.FAMILIES if family.name == "drawer-open")
_BUTTON = next(family for family in button.FAMILIES if family.name == "button-press-topdown")


def _with_free(row: Task, factors: Mapping[str, Array], shape: Shape) -> rows.Scene:
    """The scene of a row with a free object in it."""
    alone = rows.scene(**objects.free(factors, shape))
    names = ("free", "free_mass", "free_friction", "free_drag", "free_armature")
    return replace(row.scene, **{name: getattr(alone, name) for name in names})


_CLEAR = Stage(HAND, MECHANISM, 0.0, (0.0, 0.0, 0.12), weights=(3, 0, 1), relation=BEYOND)
"""The hand is above the handle, or beside it on the side where the cube is."""
_STIFFER = 5.0
_AJAR = 0.05
"""Metres by which the drawer is open at the start."""
_OPENED, _FILLED = 2, 6
"""Stages passed once the drawer is open, the cube over it."""


def _put_in_drawer(factors: Mapping[str, Array]) -> Task:
    row = _DRAWER.build(factors)
    scene = _with_free(row, factors, objects.cube(factors, colour="coral"))
    return Task(
        # Less smoothly than in drawer-open, so that the drawer stays where the hand leaves it.
        scene=replace(scene, damping=_STIFFER * scene.damping),
        initial=rows.initial(
            object=(factors["drawer_x"] + factors["aside"], factors["object_y"], objects.CUBE / 2),
            object_spread=_SPREAD,
            joints=(-_AJAR, 0.0, 0.0),
        ),
        goal=rows.goal(
            point=(factors["drawer_x"], 0.73, 0.09),
            mechanism_point=(0.0, -0.16, 0.0),
            mechanism_tip=(0.0, -0.02, 0.0),
            observed=(OBJECT, MECHANISM),
            orientation=rows.XYZW,
            **rows.staged(
                Stage(HAND, MECHANISM, tolerance=0.04, offset=(0.0, -0.005, -0.005), scale=0.2),
                Stage(JOINTS, ORIGIN, 0.0, (-0.13, 0.0, 0.0), (-1, 0, 0), BEYOND, in_turn=True),
                Stage(TCP, OBJECT, tolerance=0.04, scale=0.2),
                held(objects.CUBE),
                lifted(0.06),
                Stage(OBJECT, MECHANISM_TIP, tolerance=0.035, weights=(1, 1, 0), scale=0.3, in_turn=True),
                Stage(OBJECT, MECHANISM_TIP, 0.085, (0, 0, -0.02), (1, 1, 2), scale=0.15, required=True, in_turn=True),
                Stage(JOINTS, ORIGIN, 0.0, (-0.03, 0.0, 0.0), (1, 0, 0), BEYOND, required=True),
            ),
        ),
        family=0,
    )


def _press_then_push(factors: Mapping[str, Array]) -> Task:
    row = _BUTTON.build(factors)
    return Task(
        scene=_with_free(row, factors, objects.puck(factors)),
        initial=rows.initial(
            hand=rows.HAND_START_NEAR,
            object=(factors["object_x"], factors["object_y"], _REST),
            object_spread=_SPREAD,
        ),
        goal=rows.goal(
            point=(factors["goal_x"], factors["goal_y"], _REST),
            mechanism_point=row.goal.mechanism_point,
            observed=(OBJECT, MECHANISM),
            orientation=rows.XYZW,
            **rows.staged(
                Stage(TCP, MECHANISM, tolerance=0.07, scale=0.2),
                Stage(JOINTS, ORIGIN, 0.0, (-0.069, 0.0, 0.0), (-1, 0, 0), BEYOND, scale=0.05, in_turn=True),
                Stage(TCP, OBJECT, tolerance=0.03, scale=0.2),
                Stage(OBJECT, GOAL, tolerance=0.05, scale=0.3, required=True),
            ),
        ),
        family=0,
    )


def _push_and_return(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(**objects.free(factors, objects.puck(factors))),
        initial=rows.initial(object=(factors["object_x"], factors["object_y"], _REST), object_spread=_SPREAD),
        goal=rows.goal(
            point=(factors["goal_x"], factors["goal_y"], _REST),
            orientation=rows.XYZW,
            **rows.staged(
                Stage(TCP, OBJECT, tolerance=0.03, scale=0.15),
                Stage(OBJECT, GOAL, tolerance=0.05, scale=0.3, required=True, in_turn=True),
                Stage(TCP, NEXT_GOAL, tolerance=0.05, scale=0.2, required=True),
                next=(factors["home_x"], factors["home_y"], factors["home_z"]),
                seen=NEXT_GOAL,
            ),
        ),
        family=0,
    )


FAMILIES = (
    Family(
        name="put-in-drawer",
        arena="tabletop",
        version=1,
        description=(
            "Open the drawer at x {drawer_x:.2f} m, which is ajar, put the cube that stands {aside:.2f} m to the right "
            "of it in it, and close it."
        ),
        factors=(
            *_DRAWER.factors,
            Factor("aside", 0.15, 0.19, "m", "where the cube stands, to the side, from the drawer's middle"),
            Factor("object_y", 0.54, 0.62, "m", "where the cube stands, away from the base"),
            *objects.matter("the cube", objects.LIGHT, 0.1),
        ),
        build=_put_in_drawer,
        expert=(
            *until(
                rows.passed(_OPENED),
                replace(_DRAWER.expert[0], offset=(0.0, 0.005, 0.12)),
                _DRAWER.expert[1],
                Waypoint(MECHANISM, (0.0, -0.06, -0.02), gain=50.0),
            ),
            *until(
                rows.passed(_FILLED),
                # Straight up first: aslant, the hand would push the drawer to.
                Waypoint(MECHANISM, (0.0, 0.0, 0.2), _CLEAR, gain=25.0, blend=(0, 0, 1)),
                Waypoint(OBJECT, (0.0, 0.0, 0.2), Stage(HAND, OBJECT, 0.05, weights=(1, 1, 0)), gain=15.0),
                *grasp(objects.CUBE, gain=15.0),
                Waypoint(ORIGIN, (0.0, 0.0, 0.25), lifted(0.13), effort=GENTLE, gain=25.0, blend=(0, 0, 1)),
                Waypoint(MECHANISM_TIP, (0.0, 0.0, 0.09), subject=OBJECT, effort=GENTLE, gain=12.0),
            ),
            Waypoint(MECHANISM_TIP, (0.0, 0.0, 0.14), OPEN),
            Waypoint(MECHANISM, (0.0, 0.005, 0.11), Stage(HAND, MECHANISM, 0.03, (0, 0.005, 0), (1, 1, 0)), gain=25.0),
            Waypoint(MECHANISM, (0.0, 0.005, -0.01), Stage(HAND, MECHANISM, 0.03, weights=(0, 0, 1)), gain=25.0),
            Waypoint(MECHANISM, (0.0, 0.15, -0.01), gain=25.0),
        ),
    ),
    Family(
        name="press-then-push",
        arena="tabletop",
        version=1,
        description=(
            "Press the button at x {button_x:.2f}, y {button_y:.2f} m from above, then push the puck of "
            "{object_mass:.2f} kg to x {goal_x:.2f}, y {goal_y:.2f} m."
        ),
        factors=(
            *_BUTTON.factors,
            *objects.place("goal", "the mark", (0.28, 0.36), (0.62, 0.72)),
            *objects.place("object", "where the puck stands", (0.24, 0.34), (0.47, 0.55)),
            *objects.matter("the puck", (0.4, 0.8), 0.75),
        ),
        build=_press_then_push,
        expert=(
            *until(rows.passed(2), *_BUTTON.expert),
            Waypoint(OBJECT, (0.0, 0.0, 0.32), Stage(HAND, OBJECT, 0.06, weights=(1, 1, 0)), gain=25.0),
            *grasp(objects.PUCK_WIDTH, gain=25.0),
            Waypoint(GOAL, (0.0, 0.0, 0.04), effort=0.6),
        ),
    ),
    Family(
        name="push-and-return",
        arena="tabletop",
        version=1,
        description=(
            "Push the puck of {object_mass:.2f} kg to x {goal_x:.2f}, y {goal_y:.2f} m, then bring the fingertips to "
            "x {home_x:.2f}, y {home_y:.2f}, z {home_z:.2f} m."
        ),
        factors=(
            *objects.place("goal", "the mark", (-0.1, 0.1), (0.8, 0.9)),
            *objects.place("object", "where the puck stands", (-0.1, 0.1), (0.6, 0.7)),
            *objects.place("home", "where the hand is to be in the end", (-0.2, 0.2), (0.5, 0.6), (0.1, 0.25)),
            *objects.matter("the puck", (0.4, 0.8), 0.75),
        ),
        build=_push_and_return,
        accept=rows.apart(0.15),
        expert=(
            *until(rows.passed(2), *grasp(objects.PUCK_WIDTH, x=-0.003), Waypoint(GOAL, (0.0, 0.0, 0.04), effort=0.6)),
            Waypoint(HAND, (0.0, 0.0, 0.0), OPEN),
            Waypoint(NEXT_GOAL, (0.0, 0.0, 0.045)),
        ),
    ),
)
