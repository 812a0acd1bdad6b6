"""A stick and a thermos: stick-push pushes it, stick-pull pulls it by its loop. After Meta-World v3.

Meta-World asks stick-push for contact of both pads with the stick; here the fingertips are at the stick and the claws
are as far apart as it is wide. Of stick-pull's rectangle about the loop this takes the ellipse inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, MECHANISM, OBJECT, OBJECT_TIP, ORIGIN, TCP, Stage
from . import objects
from .grasping import GENTLE, grasp, held

_WIDTH = 0.04
_END = (0.05, 0.0, 0.0)
_AXIS, _LOOP = (0.0, 0.0, 0.132), (0.0, -0.09, 0.132)


def _scene(factors: Mapping[str, Array]) -> rows.Scene:
    thermos = [
        rows.box((0.0532, 0.0532, 0.1), (0.0, 0.0, 0.14), "teal"),
        rows.box((0.01, 0.005, 0.068), (0.0, -0.135, 0.132), "ink"),
        rows.box((0.01, 0.04, 0.005), (0.0, -0.09, 0.195), "ink"),
        rows.box((0.01, 0.04, 0.005), (0.0, -0.09, 0.069), "ink"),
    ]
    return rows.scene(
        free=[rows.box((0.05, _WIDTH / 2, 0.02), colour="coral")],
        free_mass=factors["stick_mass"],
        free_friction=factors["stick_friction"],
        mechanism=thermos,
        mechanism_mass=factors["thermos_mass"],
        mechanism_pos=(0.2, 0.6, 0.0),
        slide=rows.Joint((1.0, 0.0, 0.0), (-0.3, 0.3), damping=1.0, armature=0.0),
        slide2=rows.Joint((0.0, 1.0, 0.0), (-0.3, 0.3), damping=1.0, armature=0.0),
    )


def _task(factors: Mapping[str, Array], goal: rows.Goal, joints: tuple[float, float, float]) -> Task:
    start = rows.initial(object=(factors["object_x"], factors["object_y"], 0.02), joints=joints)
    return Task(scene=_scene(factors), initial=start, goal=goal, family=0)


def _stick_push(factors: Mapping[str, Array]) -> Task:
    goal = rows.goal(
        orientation=rows.XYZW,
        point=(0.4, factors["goal_y"], _AXIS[2]),
        mechanism_point=_AXIS,
        observed=(OBJECT, MECHANISM),
        stages=rows.stages(
            Stage(TCP, OBJECT, tolerance=0.035, offset=(0.02, 0, 0), scale=0.15, required=True),
            held(0.035, required=True),
            Stage(OBJECT, ORIGIN, 0.0, (0, 0, 0.03), weights=(0, 0, 1), relation=BEYOND, scale=0.03, required=True),
            # Its end is at the thermos.
            Stage(OBJECT, MECHANISM, tolerance=0.05, offset=(-0.103, 0, 0), scale=0.2),
            Stage(MECHANISM, GOAL, tolerance=0.12, scale=0.2, required=True),
        ),
    )
    return _task(factors, goal, (0.0, 0.0, 0.0))


def _stick_pull(factors: Mapping[str, Array]) -> Task:
    goal = rows.goal(
        orientation=rows.XYZW,
        point=(factors["goal_x"], factors["goal_y"], 0.02),
        object_tip=_END,
        mechanism_point=_LOOP,
        observed=(OBJECT, MECHANISM),
        hand_low=(-0.5, 0.35, 0.05),
        stages=rows.stages(
            Stage(TCP, OBJECT, tolerance=0.05, scale=0.15),
            held(_WIDTH),
            Stage(OBJECT_TIP, MECHANISM, 0.04, weights=(0, 1, 0.667), scale=0.25, required=True),
            Stage(OBJECT_TIP, MECHANISM, 0.0, weights=(1, 0, 0), relation=BEYOND, scale=0.2, required=True),
            # The loop's height is fixed: Meta-World's 0.12 in space is this in the plane.
            Stage(MECHANISM, GOAL, 0.043, weights=(1, 1, 0), scale=0.25, required=True),
        ),
    )
    return _task(factors, goal, (0.0, 0.09, 0.0))


_MATTER = (
    Factor("stick_mass", 0.08, 0.16, "kg", "mass of the stick (Meta-World: 0.02)"),
    Factor("stick_friction", 0.8, 1.1, "", "sliding friction of the stick (Meta-World: 1)"),
    Factor("thermos_mass", 2.5, 4.0, "kg", "mass of the thermos (Meta-World: 3.27)"),
)


def _stick(x: tuple[float, float], y: tuple[float, float]) -> tuple[Any, ...]:
    return objects.place("object", "where the stick lies", x, y)


FAMILIES = (
    Family(
        name="stick-push",
        arena="tabletop",
        version=1,
        description="Take the stick and push the thermos of {thermos_mass:.1f} kg with it to the side.",
        factors=(
            Factor("goal_y", 0.55, 0.6, "m", "where the thermos is to stand, away from the base"),
            *_stick((-0.08, -0.03), (0.58, 0.62)),
            *_MATTER,
        ),
        build=_stick_push,
        expert=(
            *grasp(_WIDTH, x=0.01),
            Waypoint(
                MECHANISM,
                (-0.15, 0.0, 0.0),
                Stage(OBJECT, MECHANISM, 0.02, weights=(0, 1, 1)),
                effort=GENTLE,
                subject=OBJECT,
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.0), effort=GENTLE, subject=OBJECT, blend=(1, 0, 0)),
        ),
    ),
    Family(
        name="stick-pull",
        arena="tabletop",
        version=1,
        description="Put the stick through the loop of the thermos and pull it to x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(
            *objects.place("goal", "where the loop is to be", (0.35, 0.45), (0.45, 0.55)),
            *_stick((-0.1, 0.0), (0.55, 0.65)),
            *_MATTER,
        ),
        build=_stick_pull,
        accept=rows.apart(0.1),
        expert=(
            *grasp(_WIDTH, x=-0.035),
            # Slow along x: the stick has the loop's height before it gets there.
            Waypoint(
                MECHANISM,
                (0.1, 0.0, 0.0),
                Stage(OBJECT_TIP, MECHANISM, 0.0, (0.003, 0, 0), weights=(1, 0, 0), relation=BEYOND),
                effort=GENTLE,
                gain=25.0,
                blend=(0.2, 1, 1),
                subject=OBJECT_TIP,
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.0), effort=GENTLE, gain=25.0, subject=MECHANISM, blend=(1, 1, 0)),
        ),
    ),
)
