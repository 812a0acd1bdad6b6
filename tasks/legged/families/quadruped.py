"""What a quadruped does without a course: keep velocities, on all kinds of ground and under all kinds of trouble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..oracle import Script
from ..robots import QUADRUPED
from ..terrain import Box, Terrain, box, ramp, terrain
from .body import BODY, FRICTION
from .layout import LAYOUT, draws

KEPT = 420.0
"""Control steps of an episode of 600 in which a velocity must be kept: with what setting off takes, nearly all."""
SPEED = Factor("speed", 0.4, 1.2, "m/s", "speed ahead that is asked for")
MASS = 12.4
"""Of the whole robot, kg."""


def _track(factors: Mapping[str, Array], command: Sequence[Any], **more: Any) -> Task:
    """Keeps a velocity; the ground is bare unless told."""
    body = {name: more.pop(name) for name in ("strength",) if name in more}
    more.setdefault("ground", terrain(floor_friction=factors.get("friction", 0.9)))
    more.setdefault("steps", KEPT)
    return rows.task(QUADRUPED, rows.scene(QUADRUPED, factors, **body), aim=rows.TRACK, command=command, **more)


def _flat(factors: Mapping[str, Array]) -> Task:
    return _track(factors, (factors["speed"], factors["sideways"], factors["turning"]))


def _field(factors: Mapping[str, Array]) -> Terrain:
    """Slabs of random heights, ten along the way and four abreast, from a metre ahead on."""
    length, width = 0.8, 0.7
    heights = 0.5 * factors["roughness"] * (1.0 + draws(factors["layout"], 40))
    slabs = [
        box(1.0 + length * (i + 0.5), width * (j - 1.5), length, width, heights[4 * i + j] + 1e-3,
            friction=factors["friction"])
        for i in range(10) for j in range(4)
    ]  # fmt: skip
    return terrain(slabs, floor_friction=factors["friction"])


def _rough(factors: Mapping[str, Array]) -> Task:
    return _track(factors, (factors["speed"], 0.0, 0.0), ground=_field(factors))


def hills(slope: Array, friction: Array, *, first: float, length: float, count: int, width: float) -> list[Box]:
    """Hills one after the other: a board up, a flat top as long as half of it, a board down, half of it between."""
    rise, parts = length * jnp.tan(slope), []
    for number in range(count):
        foot = first + number * 3.0 * length
        parts += [
            ramp(foot + 0.5 * length, 0.0, length, width, 0.0, rise, friction=friction),
            box(foot + 1.25 * length, 0.0, 0.5 * length, width, rise, friction=friction),
            ramp(foot + 2.0 * length, 0.0, length, width, rise, 0.0, friction=friction),
        ]
    return parts


def _slope(factors: Mapping[str, Array]) -> Task:
    slopes = hills(factors["slope"], factors["friction"], first=0.8, length=1.2, count=3, width=4.0)
    ground = terrain(slopes, floor_friction=factors["friction"])
    return _track(factors, (factors["speed"], 0.0, 0.0), ground=ground)


def _turn(factors: Mapping[str, Array]) -> Task:
    return _track(factors, (0.0, 0.0, factors["turning"]), weights={**rows.WEIGHTS, "track": 0.3, "turn": 0.45})


def _backward(factors: Mapping[str, Array]) -> Task:
    return _track(factors, (-factors["speed"], 0.0, 0.0))


def _sideways(factors: Mapping[str, Array]) -> Task:
    return _track(factors, (0.0, factors["sideways"], 0.0))


def _pushed(factors: Mapping[str, Array]) -> Task:
    pushes = rows.pushes(MASS * factors["push"], factors["push_angle"])
    return _track(factors, (factors["speed"], 0.0, 0.0), pushes=pushes)


def _payload(factors: Mapping[str, Array]) -> Task:
    return _track(factors, (factors["speed"], 0.0, 0.0))


def _broken(factors: Mapping[str, Array]) -> Task:
    joints = len(QUADRUPED.joints)
    broken = jnp.arange(joints) == jnp.minimum(factors["joint"].astype(int), joints - 1)
    strength = jnp.where(broken, 0.0, factors["strength"])
    return _track(factors, (factors["speed"], 0.0, 0.0), strength=strength, tolerance=(0.2, 0.4))


def _slippery(factors: Mapping[str, Array]) -> Task:
    """Sheets of ice, 4 mm thick, across the way."""
    places = draws(factors["layout"], 16).reshape(8, 2)
    ice = [
        box(1.2 + 1.1 * k + 0.2 * places[k, 0], 0.0, 0.55 + 0.25 * places[k, 1], 4.0, 0.004, friction=factors["ice"])
        for k in range(8)
    ]
    return _track(factors, (factors["speed"], 0.0, 0.0), ground=terrain(ice, floor_friction=factors["friction"]))


def _stand_up(factors: Mapping[str, Array]) -> Task:
    return rows.task(
        QUADRUPED,
        rows.scene(QUADRUPED, factors),
        aim=rows.RISE,
        steps=50.0,
        roll=factors["roll"],
        pitch=factors["pitch"],
        spread=0.3,
        yaw_spread=3.1,
        clearance=0.05,
        ground=terrain(floor_friction=factors["friction"]),
        weights={"track": 0.9, "turn": 0.0, "step": 0.0, "smooth": 0.05, "ease": 0.05},
    )


def _crouch(factors: Mapping[str, Array]) -> Task:
    """Five bars across the way, so low that a trunk at its usual height (its top is at 0.35 m) hits them."""
    level = factors["bar"]
    shift = draws(factors["layout"], 5)
    bars = [box(1.5 + 1.4 * k + 0.3 * shift[k], 0.0, 0.1, 4.0, 0.12, bottom=level, overhead=True) for k in range(5)]
    nominal = QUADRUPED.height(jnp.stack([factors["thigh_length"], factors["shin_length"]]))
    return rows.task(
        QUADRUPED,
        rows.scene(QUADRUPED, factors),
        aim=rows.COURSE,
        # The trunk's top is 62 mm above its origin; 3 cm are left to it.
        height=jnp.minimum((level - 0.092) / nominal, 1.0),
        points=[(1.0 * (k + 1), 0.0, 0.0) for k in range(8)],
        speed=factors["speed"],
        ground=terrain(bars, floor_friction=factors["friction"]),
    )


def _family(
    name: str, description: str, build: Callable, *factors: Factor, oracle: str = "quadruped", **more: Any
) -> Family:
    name, all_factors = f"quadruped-{name}", (*factors, FRICTION, *BODY)
    expert = Script(oracle, name)
    return Family(name, "quadruped", 1, description, all_factors, build, expert=expert, **more)


def _moves(factors: Mapping[str, Array]) -> Array:
    """To stand still is no task."""
    pace = jnp.hypot(factors["speed"], factors["sideways"])
    return (pace > 0.4) & (jnp.abs(factors["turning"]) < 1.0)


def _turns(factors: Mapping[str, Array]) -> Array:
    return jnp.abs(factors["turning"]) > 0.5


def _sides(factors: Mapping[str, Array]) -> Array:
    return jnp.abs(factors["sideways"]) > 0.3


_ALONG = "Walk ahead at {speed:.2f} m/s"
_SLOW = Factor("speed", 0.3, 0.7, "m/s", "speed that is asked for")
GAITS: tuple[Family, ...] = (
    _family(
        "flat",
        "Walk at {speed:.2f} m/s ahead and {sideways:.2f} m/s to the left, turning at {turning:.2f} rad/s.",
        _flat,
        Factor("speed", -0.8, 1.6, "m/s", "velocity ahead that is asked for"),
        Factor("sideways", -0.5, 0.5, "m/s", "velocity to the left"),
        Factor("turning", -1.0, 1.0, "rad/s", "turning to the left"),
        accept=_moves,
    ),
    _family(
        "rough",
        f"{_ALONG} over slabs up to {{roughness:.2f}} m high.",
        _rough,
        SPEED,
        Factor("roughness", 0.0, 0.16, "m", "height of the highest slab"),
        LAYOUT,
    ),
    _family(
        "slope",
        f"{_ALONG} over hills with slopes of {{slope:.2f}} rad.",
        _slope,
        SPEED,
        Factor("slope", 0.0, 0.5, "rad", "of the hills"),
    ),
    _family(
        "turn",
        "Turn in place at {turning:.2f} rad/s.",
        _turn,
        Factor("turning", -2.5, 2.5, "rad/s", "turning to the left"),
        accept=_turns,
    ),
    _family("backward", "Walk backwards at {speed:.2f} m/s.", _backward, Factor("speed", 0.3, 1.4, "m/s", "backwards")),
    _family(
        "sideways",
        "Walk sideways at {sideways:.2f} m/s.",
        _sideways,
        Factor("sideways", -0.9, 0.9, "m/s", "velocity to the left"),
        accept=_sides,
    ),
    _family(
        "stand-up",
        "Stand up from a fall, rolled by {roll:.2f} rad.",
        _stand_up,
        Factor("roll", 0.8, float(np.pi), "rad", "from leaning over to lying on the back"),
        Factor("pitch", -0.3, 0.3, "rad", "of the trunk at first"),
        oracle="quadruped-stand-up",
    ),
    _family(
        "pushed",
        f"{_ALONG} while pushes change the velocity by {{push:.2f}} m/s.",
        _pushed,
        SPEED,
        Factor("push", 0.5, 2.0, "m/s", "velocity that a push gives a robot of 12.4 kg"),
        Factor("push_angle", -3.14, 3.14, "rad", "direction of the first push"),
    ),
    _family(
        "payload",
        f"{_ALONG} with {{payload:.1f}} kg on the back.",
        _payload,
        SPEED,
        Factor("payload", 3.0, 12.0, "kg", "mass of the load"),
    ),
    _family(
        "broken-joint",
        f"{_ALONG} although motor {{joint:.0f}} is without power.",
        _broken,
        _SLOW,
        Factor("joint", 0.0, 12.0, "1", "which motor is broken: abduction, hip, knee of each leg in turn"),
    ),
    _family(
        "slippery",
        f"{_ALONG} over sheets of ice with friction {{ice:.2f}}.",
        _slippery,
        SPEED,
        Factor("ice", 0.05, 0.4, "1", "sliding friction of the ice"),
        LAYOUT,
    ),
    _family(
        "crouch",
        "Pass under bars {bar:.2f} m above the ground.",
        _crouch,
        Factor("bar", 0.22, 0.34, "m", "height of the bars' undersides"),
        Factor("speed", 0.5, 0.9, "m/s", "towards the goals"),
        LAYOUT,
    ),
)
