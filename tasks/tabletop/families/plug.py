"""peg-unplug-side: pull the plug out of its socket. After Meta-World v3 `peg-unplug-side`.

The plug is held by a sphere that is wider than the hole: how fast it sits is a matter of contact softness.
"""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import GOAL, GRIPPER, HAND, OBJECT, ORIGIN, TCP, Stage
from . import objects
from .placing import placed

_HEIGHT = 0.131
_PLUG = (
    rows.box((0.007, 0.0399, 0.0399), (-0.013, 0.0, 0.0), "ink"),
    rows.box((0.025, 0.038, 0.038), (0.025, 0.0, 0.0), "coral"),
    rows.sphere(0.024, (-0.035, 0.0, 0.0), "steel"),
    rows.sphere(0.04, (0.06, 0.0, 0.0), "coral"),
)
_SOCKET = (
    rows.box((0.025, 0.1, 0.055), (0.0, 0.0, -0.045), "sky"),
    rows.box((0.025, 0.1, 0.023), (0.0, 0.0, 0.077), "sky"),
    rows.box((0.025, 0.039, 0.022), (0.0, -0.061, 0.032), "sky"),
    rows.box((0.025, 0.039, 0.022), (0.0, 0.061, 0.032), "sky"),
    rows.box((0.025, 0.045, 0.011), (0.0, 0.056, -0.016), "sky"),
)


def _build(factors: Mapping[str, Array]) -> Task:
    x, y = factors["socket_x"], factors["socket_y"]
    return Task(
        scene=rows.scene(
            free=_PLUG,
            free_mass=factors["plug_mass"],
            free_friction=factors["plug_friction"],
            fixtures=placed(_SOCKET, (x, y, 0.099)),
        ),
        initial=rows.initial(object=(x + 0.044, y, _HEIGHT)),
        goal=rows.goal(
            point=(x + 0.194, y, _HEIGHT),
            object_point=(0.04, 0.0, 0.0),
            stages=rows.stages(
                Stage(TCP, OBJECT, tolerance=0.05, offset=(-0.01, 0, -0.005), scale=0.15),
                Stage(OBJECT, GOAL, tolerance=0.07, scale=0.1, required=True),
            ),
        ),
        family=0,
    )


FAMILIES = (
    Family(
        name="peg-unplug-side",
        arena="tabletop",
        version=1,
        description="Pull the plug out of the socket at x {socket_x:.2f}, y {socket_y:.2f} m.",
        factors=(
            *objects.place("socket", "where the socket stands", (-0.25, -0.15), (0.6, 0.8)),
            Factor("plug_mass", 0.05, 0.1, "kg", "mass of the plug (Meta-World: 0.08)"),
            Factor("plug_friction", 0.8, 1.1, "", "sliding friction of the plug (Meta-World: 1)"),
        ),
        build=_build,
        expert=(
            Waypoint(OBJECT, (-0.02, 0.0, 0.2), Stage(HAND, OBJECT, 0.02, (-0.02, 0, 0), weights=(1, 1, 0))),
            Waypoint(OBJECT, (-0.02, 0.0, 0.02), Stage(HAND, OBJECT, 0.012, (0, 0, 0.025), weights=(0, 0, 1))),
            Waypoint(OBJECT, (-0.02, 0.0, 0.02), Stage(GRIPPER, ORIGIN, 0.096), effort=1.0),
            Waypoint(GOAL, (0.05, 0.0, 0.02), effort=1.0),
        ),
    ),
)
