"""hammer: drive the nail in. After Meta-World v3 `hammer`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.stages import BEYOND
from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import JOINTS, MECHANISM, OBJECT, OBJECT_TIP, ORIGIN, TCP, Stage
from . import objects
from .grasping import grasp, held

_NAIL = (0.24, 0.64, 0.11)
_HANDLE_WIDTH = 0.04
_FACE = (0.16, 0.072, 0.0)
_DRIVEN = 0.09
_REST = (0.99955, 0.0, -0.03, 0.0)
"""It lies tilted: its head is thicker than its handle."""


def _build(factors: Mapping[str, Array]) -> Task:
    hammer = [
        rows.capsule(0.02, 0.14, (0.0, 0.0, 0.0), rows.ALONG_X, "walnut"),
        rows.box((0.0217, 0.041, 0.0204), (0.16, 0.0, 0.0), "ink"),
        rows.box((0.0337, 0.016, 0.0337), (0.16, -0.056, 0.0), "ink"),
        rows.box((0.0337, 0.016, 0.0337), (0.16, 0.056, 0.0), "ink"),
    ]
    nail = [
        rows.box((0.0266, 0.009, 0.0266), colour="coral"),
        rows.capsule(0.01, 0.05, (0.0, 0.057, 0.0), rows.ALONG_Y, "coral"),
    ]
    block = [
        rows.box((0.1, 0.1, 0.048), (_NAIL[0], 0.85, 0.172), "amber"),
        rows.box((0.1, 0.1, 0.048), (_NAIL[0], 0.85, 0.048), "amber"),
        rows.box((0.042, 0.1, 0.014), (_NAIL[0] - 0.058, 0.85, 0.11), "amber"),
        rows.box((0.042, 0.1, 0.014), (_NAIL[0] + 0.058, 0.85, 0.11), "amber"),
    ]
    return Task(
        scene=rows.scene(
            free=hammer,
            free_mass=factors["hammer_mass"],
            free_friction=factors["hammer_friction"],
            mechanism=nail,
            mechanism_mass=0.089,
            mechanism_pos=_NAIL,
            slide=rows.Joint((0.0, 1.0, 0.0), (0.0, 0.1), damping=factors["nail_damping"]),
            fixtures=block,
        ),
        initial=rows.initial(
            hand=rows.HAND_START_NEAR,
            object=(factors["object_x"], factors["object_y"], 0.028),
            object_quat=_REST,
        ),
        goal=rows.goal(
            point=(_NAIL[0], 0.74, _NAIL[2]),
            object_tip=_FACE,
            observed=(OBJECT, MECHANISM),
            second_orientation=rows.WXYZ,
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.05, offset=(-0.03, 0, 0), scale=0.15),
                held(0.037),
                Stage(OBJECT_TIP, MECHANISM, tolerance=0.04, scale=0.25),
                Stage(
                    JOINTS,
                    ORIGIN,
                    0.0,
                    (_DRIVEN, 0, 0),
                    weights=(1, 0, 0),
                    relation=BEYOND,
                    scale=_DRIVEN,
                    required=True,
                ),
            ),
        ),
        family=0,
    )


FAMILIES = (
    Family(
        name="hammer",
        arena="tabletop",
        version=1,
        description="Take the hammer of {hammer_mass:.1f} kg and drive the nail into the block.",
        factors=(
            *objects.place("object", "where the hammer's handle lies", (-0.1, 0.1), (0.4, 0.5)),
            Factor("hammer_mass", 0.9, 1.2, "kg", "mass of the hammer (Meta-World: 1.1)"),
            Factor("hammer_friction", 0.8, 1.2, "", "sliding friction of the hammer (Meta-World: 1)"),
            Factor("nail_damping", 1.0, 3.0, "N s/m", "damping of the nail (Meta-World: 2)"),
        ),
        build=_build,
        expert=(
            *grasp(_HANDLE_WIDTH, x=-0.03, height=0.02, above=0.1),
            Waypoint(
                MECHANISM,
                (0.0, -0.06, 0.0),
                Stage(OBJECT_TIP, MECHANISM, 0.02, weights=(1, 0, 1)),
                effort=1.0,
                subject=OBJECT_TIP,
            ),
            Waypoint(MECHANISM, (0.0, 0.1, 0.0), effort=1.0, subject=OBJECT_TIP),
        ),
    ),
)
