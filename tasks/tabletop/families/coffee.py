"""A coffee machine and a mug: coffee-button, coffee-pull, coffee-push. After Meta-World v3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, HAND, MECHANISM, OBJECT, TCP, Stage
from . import objects
from .grasping import GENTLE, grasp, held

_UNDER_THE_SPOUT = 0.22
"""How far before the machine's middle the mug stands when it is filled, metres."""
_ASKEW = (0.99955, 0.0, 0.0, -0.03)
"""Meta-World's mug, which begins in the air, comes to rest 3.4 degrees askew."""
_BUTTON = (0.0, -0.22, 0.3)
_WIDTH = 0.05
"""Width of the mug."""


def _scene(factors: Mapping[str, Array], x: Any, y: Any) -> rows.Scene:
    """A machine that stands at (x, y), and a mug."""
    half = 0.0248 * factors["mug_size"]
    mug = [
        rows.box((half, half, 0.033), (0.0, 0.0, 0.035), "sky"),
        rows.box((0.0177, 0.005, 0.0177), (half + 0.009, 0.0, 0.042), "sky"),
    ]
    return rows.scene(
        free=mug,
        free_mass=factors["mug_mass"],
        free_friction=factors["mug_friction"],
        mechanism=[rows.box((0.0284, 0.03, 0.0284), (0.0, -0.19, 0.3), "coral")],
        mechanism_mass=0.1,
        mechanism_pos=(x, y, 0.0),
        slide=rows.Joint((0.0, 1.0, 0.0), (0.0, 0.03), damping=1.0),
        fixtures=[
            rows.box((0.1, 0.098, 0.115), (x, y, 0.115), "ink"),
            rows.box((0.1, 0.098, 0.07), (x, y, 0.3), "walnut"),
            rows.box((0.031, 0.05, 0.035), (x - 0.069, y - 0.133, 0.3), "walnut"),
            rows.box((0.031, 0.05, 0.035), (x + 0.069, y - 0.133, 0.3), "walnut"),
            rows.box((0.1, 0.05, 0.018), (x, y - 0.133, 0.352), "walnut"),
            rows.box((0.1, 0.05, 0.018), (x, y - 0.133, 0.248), "walnut"),
            rows.box((0.008, 0.018, 0.008), (x, y - 0.109, 0.135), "steel"),
            rows.capsule(0.016, 0.025, (x, y - 0.141, 0.152), rows.ALONG_Z, "steel"),
        ],
    )


def _coffee_button(factors: Mapping[str, Array]) -> Task:
    x, y = factors["machine_x"], factors["machine_y"]
    return Task(
        scene=_scene(factors, x, y),
        initial=rows.initial(hand=rows.HAND_START_NEAR, object=(x, y - _UNDER_THE_SPOUT, 0.0)),
        goal=rows.goal(
            point=(x, y - 0.19, 0.3),
            mechanism_point=_BUTTON,
            observed=(MECHANISM, rows.ORIGIN),
            stages=rows.stages(
                Stage(HAND, MECHANISM, 0.05, (0, -0.045, 0), weights=(1, 1, 0.5), scale=0.2),
                Stage(MECHANISM, GOAL, 0.02, weights=(0, 1, 0), scale=0.03, required=True),
            ),
        ),
        family=0,
    )


def _coffee_pull(factors: Mapping[str, Array]) -> Task:
    x, y = factors["object_x"], factors["object_y"]
    return Task(
        scene=_scene(factors, x, y + _UNDER_THE_SPOUT),
        initial=rows.initial(hand=rows.HAND_START_NEAR, object=(x, y, 0.0), object_quat=_ASKEW),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=(factors["goal_x"], factors["goal_y"], 0.0),
            stages=rows.stages(
                Stage(TCP, OBJECT, 0.035, (0, 0, 0.02), scale=0.15),
                held(_WIDTH),
                Stage(OBJECT, GOAL, tolerance=0.07, scale=0.25, required=True),
            ),
        ),
        family=0,
    )


def _coffee_push(factors: Mapping[str, Array]) -> Task:
    x, y = factors["goal_x"], factors["goal_y"]
    return Task(
        scene=_scene(factors, x, y + _UNDER_THE_SPOUT),
        initial=rows.initial(
            hand=rows.HAND_START_NEAR,
            object=(factors["object_x"], factors["object_y"], 0.0),
            object_quat=_ASKEW,
            object_spread=(0.01, 0.01, 0.0),
        ),
        goal=rows.goal(
            orientation=rows.XYZW,
            point=(x, y, 0.0),
            stages=rows.stages(
                Stage(TCP, OBJECT, 0.035, (0, 0, 0.02), scale=0.15),
                Stage(OBJECT, GOAL, tolerance=0.07, scale=0.25, required=True),
            ),
        ),
        family=0,
    )


_MUG = (
    Factor("mug_size", 0.9, 1.1, "", "width of the mug, relative to Meta-World's"),
    Factor("mug_mass", 0.1, 0.2, "kg", "mass of the mug (Meta-World: 0.11)"),
    Factor("mug_friction", 0.8, 1.2, "", "sliding friction of the mug (Meta-World: 1)"),
)
_GRASP = grasp(_WIDTH, height=0.06)

FAMILIES = (
    Family(
        name="coffee-button",
        arena="tabletop",
        version=1,
        description="Press the button of the coffee machine at x {machine_x:.2f}, y {machine_y:.2f} m.",
        factors=(*objects.place("machine", "where the machine stands", (-0.1, 0.1), (0.8, 0.9)), *_MUG),
        build=_coffee_button,
        expert=(
            Waypoint(MECHANISM, (0.0, -0.12, -0.04), Stage(HAND, MECHANISM, 0.02, (0, 0, -0.04), weights=(1, 0, 1))),
            Waypoint(MECHANISM, (0.0, 0.1, -0.04)),
        ),
    ),
    Family(
        name="coffee-pull",
        arena="tabletop",
        version=1,
        description="Pull the mug from under the spout to x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(
            *objects.place("goal", "where to bring the mug", (-0.1, 0.1), (0.55, 0.65)),
            *objects.place("object", "where the mug stands, under the spout", (-0.05, 0.05), (0.7, 0.75)),
            *_MUG,
        ),
        build=_coffee_pull,
        accept=rows.apart(0.15),
        expert=(*_GRASP, Waypoint(GOAL, (0.0, 0.0, 0.06), effort=GENTLE)),
    ),
    Family(
        name="coffee-push",
        arena="tabletop",
        version=1,
        description="Bring the mug under the spout of the machine, to x {goal_x:.2f}, y {goal_y:.2f} m.",
        factors=(
            *objects.place("goal", "where the mug belongs, under the spout", (-0.05, 0.05), (0.7, 0.75)),
            *objects.place("object", "where the mug stands", (-0.1, 0.1), (0.55, 0.65)),
            *_MUG,
        ),
        build=_coffee_push,
        accept=rows.apart(0.15),
        expert=(*_GRASP, Waypoint(GOAL, (0.0, 0.0, 0.06), effort=GENTLE)),
    ),
)
