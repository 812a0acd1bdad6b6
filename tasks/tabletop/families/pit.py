"""Three families with a pit in the table: hand-insert, sweep-into, pick-out-of-hole. After Meta-World v3.

The table's plane is the floor of the pit; four boxes raise the surface around it.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, OBJECT, ORIGIN, TCP, Stage
from . import objects
from .grasping import GENTLE, grasp, held, lifted

_HALF = objects.CUBE / 2
_SURFACE = 0.05
_HOLE_PUCK = 0.0354
"""Width of the puck in the hole, which Meta-World's expert holds with a tenth of the gripper's force."""
_UP_OR_OVER = Stage(OBJECT, ORIGIN, 0.0, (0, 0.86, 0), weights=(0, 0.5, 1), relation=BEYOND, scale=0.05)
"""The cube has left the surface, or is already over the pit."""
_TABLE = (
    rows.box((0.235, 0.325, 0.025), (-0.315, 0.675, 0.025), "steel"),
    rows.box((0.235, 0.325, 0.025), (0.315, 0.675, 0.025), "steel"),
    rows.box((0.08, 0.205, 0.025), (0.0, 0.555, 0.025), "steel"),
    rows.box((0.08, 0.04, 0.025), (0.0, 0.96, 0.025), "steel"),
)
_PLATFORM = (
    rows.box((0.2, 0.325, 0.027), (-0.35, 0.675, 0.027), "steel"),
    rows.box((0.2, 0.325, 0.027), (0.35, 0.675, 0.027), "steel"),
    rows.box((0.15, 0.15, 0.027), (0.0, 0.5, 0.027), "steel"),
    rows.box((0.15, 0.025, 0.027), (0.0, 0.975, 0.027), "steel"),
)


def _hand_insert(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(
            **objects.free(factors, objects.cube(factors, colour="teal")), free_turns=False, fixtures=_TABLE
        ),
        initial=rows.initial(
            object=(factors["object_x"], factors["object_y"], _SURFACE + _HALF), object_spread=(0.01, 0.01, 0.0)
        ),
        goal=rows.goal(
            point=(factors["goal_x"], factors["goal_y"], -0.02),
            hand_low=(-0.5, 0.4, -0.15),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.03, scale=0.15),
                held(objects.CUBE),
                _UP_OR_OVER,
                Stage(OBJECT, GOAL, tolerance=0.05, scale=0.25, required=True),
            ),
        ),
        family=0,
    )


def _sweep_into(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(
            **objects.free(factors, objects.cube(factors, colour="amber")), free_turns=False, fixtures=_TABLE
        ),
        initial=rows.initial(
            object=(factors["object_x"], factors["object_y"], _SURFACE + _HALF), object_spread=(0.01, 0.01, 0.0)
        ),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=(0.0, 0.84, 0.02),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.04, offset=(0, 0, -0.01), scale=0.15),
                held(objects.CUBE),
                _UP_OR_OVER,
                Stage(OBJECT, GOAL, tolerance=0.05, weights=(1, 1, 0), scale=0.2, required=True),
            ),
        ),
        family=0,
    )


def _pick_out_of_hole(factors: Mapping[str, Array]) -> Task:
    return Task(
        scene=rows.scene(**objects.free(factors, objects.puck(factors, "coral")), free_turns=False, fixtures=_PLATFORM),
        initial=rows.initial(object=(0.0, 0.75, objects.PUCK_HEIGHT / 2), object_spread=(0.005, 0.005, 0.0)),
        goal=rows.goal(
            point=(factors["goal_x"], factors["goal_y"], factors["goal_z"]),
            hand_low=(-0.5, 0.4, -0.05),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.04, offset=(0, 0, -0.01), scale=0.15),
                held(_HOLE_PUCK),
                lifted(0.03),
                lifted(0.08),
                Stage(OBJECT, GOAL, tolerance=0.07, scale=0.2, required=True),
            ),
        ),
        family=0,
    )


_CUBE = (
    *objects.place("object", "where the cube stands", (-0.1, 0.1), (0.6, 0.7)),
    *objects.matter("the cube", objects.LIGHT, 0.01),
)

FAMILIES = (
    Family(
        name="hand-insert",
        arena="tabletop",
        version=1,
        description="Put the cube into the pit in the table, at x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(*objects.place("goal", "where to put the cube", (-0.04, 0.04), (0.8, 0.88)), *_CUBE),
        build=_hand_insert,
        accept=rows.apart(0.15),
        expert=(
            *grasp(objects.CUBE),
            # Over the pit first: lowered earlier, the cube would stand on its rim.
            Waypoint(
                GOAL,
                (0.0, 0.0, 0.16),
                Stage(OBJECT, GOAL, 0.02, weights=(1, 1, 0)),
                effort=GENTLE,
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.04), effort=GENTLE),
        ),
    ),
    Family(
        name="sweep-into",
        arena="tabletop",
        version=1,
        description="Sweep the cube at x {object_x:.2f}, y {object_y:.2f} m into the pit in the table.",
        factors=_CUBE,
        build=_sweep_into,
        accept=lambda factors: jnp.hypot(factors["object_x"], factors["object_y"] - 0.84) >= 0.15,
        expert=(*grasp(objects.CUBE), Waypoint(GOAL, (0.0, 0.0, 0.09), effort=GENTLE)),
    ),
    Family(
        name="pick-out-of-hole",
        arena="tabletop",
        version=1,
        description="Take the puck out of the pit and hold it at x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m.",
        factors=(
            *objects.place("goal", "where to hold the puck", (-0.1, 0.1), (0.5, 0.6), (0.15, 0.3)),
            *objects.matter("the puck", objects.LIGHT, 0.01, (0.96, 1.04)),
        ),
        build=_pick_out_of_hole,
        expert=(
            *grasp(_HOLE_PUCK, above=0.15),
            Waypoint(
                ORIGIN,
                (0.0, 0.0, 0.3),
                Stage(OBJECT, ORIGIN, 0.0, (0, 0, 0.1), weights=(0, 0, 1), relation=BEYOND),
                effort=GENTLE,
                blend=(0, 0, 1),
            ),
            Waypoint(GOAL, (0.0, 0.0, 0.03), effort=GENTLE),
        ),
    ),
)
