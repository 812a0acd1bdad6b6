"""button-press-topdown: press a button from above. After Meta-World v3 `button-press-topdown`."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import HAND, MECHANISM, Stage

_HEIGHT = 0.115
"""Height of the placement point; Meta-World's box spans it unevenly."""
_TOP, _PRESSED = 0.193, 0.1
"""Height of the button above that point, released and at the goal."""


def _build(factors: Mapping[str, Array]) -> Task:
    x, y = factors["button_x"], factors["button_y"]
    half = factors["button_size"] / 2
    button = [
        rows.box((half, half, 0.011), (0.0, 0.0, 0.183), "coral"),
        rows.capsule(0.019, 0.04, (0.0, 0.0, 0.125), rows.ALONG_Z, "steel"),
    ]
    case = [
        rows.box((0.12, 0.048, 0.102), (x, y + 0.072, 0.103), "amber"),
        rows.box((0.12, 0.048, 0.102), (x, y - 0.072, 0.103), "amber"),
        rows.box((0.047, 0.024, 0.102), (x + 0.073, y, 0.103), "amber"),
        rows.box((0.047, 0.024, 0.102), (x - 0.073, y, 0.103), "amber"),
    ]
    return Task(
        scene=rows.scene(
            mechanism=button,
            mechanism_mass=0.01,
            mechanism_pos=(x, y, _HEIGHT),
            slide=rows.Joint(
                (0.0, 0.0, 1.0), (-0.08, 0.0), damping=factors["button_damping"], stiffness=0.5, spring=0.5
            ),
            fixtures=case,
        ),
        initial=rows.initial(hand=rows.HAND_START_NEAR),
        goal=rows.goal(
            point=(x, y, _HEIGHT + _PRESSED),
            mechanism_point=(0.0, 0.0, _TOP),
            observed=(MECHANISM, rows.ORIGIN),
            stages=rows.stages(
                # Wide enough for fingers that straddle the cap while the palm presses it.
                Stage(rows.TCP, MECHANISM, tolerance=0.07, scale=0.2),
                Stage(MECHANISM, rows.GOAL, tolerance=0.024, weights=(0, 0, 1), scale=0.05, required=True),
            ),
        ),
        family=0,
    )


FAMILY = Family(
    name="button-press-topdown",
    arena="tabletop",
    version=1,
    description="Press the button at x {button_x:.2f}, y {button_y:.2f} m from above.",
    factors=(
        Factor("button_x", -0.1, 0.1, "m", "where the button stands, to the side"),
        Factor("button_y", 0.8, 0.9, "m", "where the button stands, away from the base"),
        Factor("button_size", 0.064, 0.088, "m", "width of the button's cap (Meta-World: 0.076)"),
        Factor("button_damping", 0.5, 2.0, "N s/m", "damping of the button (Meta-World: 1)"),
    ),
    build=_build,
    expert=(
        Waypoint(MECHANISM, (0.0, 0.0, 0.1), Stage(HAND, MECHANISM, 0.03, weights=(1, 1, 0)), effort=1.0, gain=25.0),
        Waypoint(MECHANISM, (0.0, 0.0, -0.1), effort=1.0, gain=25.0),
    ),
)
