"""What two legs do, in the plane (`walker`) and in space (`humanoid`): stand, walk, run, hurdles, stairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..oracle import Script
from ..robots import HUMANOID, WALKER, Robot
from ..terrain import box, terrain
from .layout import LAYOUT, draws

KEPT = 350.0
"""Control steps of an episode of 500 in which a velocity must be kept."""
GOALS_APART = 0.9
WIDE = 3.0
"""Width of what stands in the way, metres."""


def _row(robot: Robot, factors: Mapping[str, Array], **more: Any) -> Task:
    more.setdefault("ground", terrain(floor_friction=factors["friction"]))
    spread = 0.05
    return rows.task(robot, rows.scene(robot, factors), spread=spread, yaw_spread=0.05, **more)


def _track(robot: Robot, factors: Mapping[str, Array], *, tolerance: float) -> Task:
    return _row(
        robot,
        factors,
        aim=rows.TRACK,
        command=(factors["speed"], 0.0, 0.0),
        tolerance=(tolerance, 0.5),
        steps=KEPT,
    )


def _stand(robot: Robot, factors: Mapping[str, Array], *, mass: float) -> Task:
    """Pushes topple whoever does nothing; who steps against them must come back to rest."""
    push, angle = mass * factors["push"], factors["push_angle"]
    pushes = rows.pushes(push, angle, first=0.6, every=1.6, planar=robot.planar)
    return _row(robot, factors, aim=rows.TRACK, tolerance=(0.25, 0.5), steps=KEPT, pushes=pushes)


def _course(robot: Robot, factors: Mapping[str, Array], boxes: list, heights: list) -> Task:
    points = [(GOALS_APART * (k + 1), 0.0, heights[k]) for k in range(rows.GOALS)]
    ground = terrain(boxes, floor_friction=factors["friction"])
    return _row(robot, factors, aim=rows.COURSE, points=points, speed=factors["speed"], radius=0.35, ground=ground)


def _hurdles(robot: Robot, factors: Mapping[str, Array]) -> Task:
    """A hurdle half-way between goals, from the second on."""
    offsets = draws(factors["layout"], 12).reshape(6, 2)
    high = [factors["hurdle"] * (0.75 + 0.25 * offsets[k, 1]) for k in range(6)]
    places = [GOALS_APART * (k + 1.5) + 0.12 * offsets[k, 0] for k in range(6)]
    boxes = [box(x, 0.0, 0.08, WIDE, h, friction=factors["friction"]) for x, h in zip(places, high, strict=True)]
    return _course(robot, factors, boxes, [0.0] * rows.GOALS)


def _stairs(robot: Robot, factors: Mapping[str, Array]) -> Task:
    """Up six steps, along a landing, and down again."""
    rise, run, first, steps = factors["rise"], factors["run"], 0.75, 6
    up = [
        box(first + run * (k + 0.5), 0.0, run, WIDE, rise * (k + 1), friction=factors["friction"]) for k in range(steps)
    ]
    landing = first + steps * run
    top = box(landing + 0.5, 0.0, 1.0, WIDE, rise * steps, friction=factors["friction"])
    down = [
        box(landing + 1.0 + run * (k + 0.5), 0.0, run, WIDE, rise * (steps - 1 - k), friction=factors["friction"])
        for k in range(steps - 1)
    ]

    def level(x: float) -> Array:
        """Height of the stairs at x."""
        climbed = jnp.ceil(jnp.clip((x - first) / run, 0.0, steps))
        descended = jnp.ceil(jnp.clip((x - landing - 1.0) / run, 0.0, steps))
        return rise * (climbed - descended)

    heights = [level(GOALS_APART * (k + 1)) for k in range(rows.GOALS)]
    return _course(robot, factors, [*up, top, *down], heights)


def _families(robot: Robot, mass: float, *, run: tuple[float, float], push: tuple[float, float]) -> tuple[Family, ...]:
    body = (
        Factor("base_mass", 0.8 * robot.base_mass, 1.25 * robot.base_mass, "kg", "mass of the trunk"),
        Factor("limb_mass", 0.85, 1.15, "1", "masses of the limbs, relative to the robot's own"),
        Factor("thigh_length", 0.92, 1.08, "1", "hip to knee, relative to the robot's own"),
        Factor("shin_length", 0.92, 1.08, "1", "knee to ankle, relative to the robot's own"),
        Factor("strength", 0.85, 1.15, "1", "stiffness and torque limits of the motors, relative to the robot's own"),
        Factor("damping", 0.7, 1.5, "1", "resistance of the joints to motion, relative to the robot's own"),
        Factor("friction", 0.5, 1.2, "1", "sliding friction of the ground"),
    )
    pace = Factor("speed", 0.7, 1.2, "m/s", "towards the goals")

    def family(name: str, description: str, build: Callable, *factors: Factor) -> Family:
        name, all_factors = f"{robot.name}-{name}", (*factors, *body)
        expert = Script(robot.name, name)
        return Family(name, robot.name, 1, description, all_factors, partial(build, robot), expert=expert)

    return (
        family(
            "stand",
            "Stay where you are while pushes change the velocity by {push:.2f} m/s.",
            partial(_stand, mass=mass),
            Factor("push", *push, "m/s", f"velocity that a push gives a robot of {mass:.0f} kg"),
            Factor("push_angle", -3.14, 3.14, "rad", "direction of the first push"),
        ),
        family(
            "walk",
            "Walk at {speed:.2f} m/s.",
            partial(_track, tolerance=0.2),
            Factor("speed", 0.5, 1.4, "m/s", "speed that is asked for"),
        ),
        family(
            "run",
            "Run at {speed:.2f} m/s.",
            partial(_track, tolerance=0.35),
            Factor("speed", *run, "m/s", "speed that is asked for"),
        ),
        family(
            "hurdles",
            "Pass six hurdles up to {hurdle:.2f} m high.",
            _hurdles,
            Factor("hurdle", 0.0, 0.3, "m", "height of the highest hurdle"),
            pace,
            LAYOUT,
        ),
        family(
            "stairs",
            "Climb six steps of {rise:.2f} m and go down again.",
            _stairs,
            Factor("rise", 0.0, 0.18, "m", "height of a step"),
            Factor("run", 0.28, 0.4, "m", "depth of a step"),
            pace,
        ),
    )


BIPED: tuple[Family, ...] = (
    # A wide split withstands weaker pushes in the plane, without a step.
    *_families(WALKER, 42.0, run=(1.6, 3.0), push=(1.0, 2.0)),
    *_families(HUMANOID, 40.0, run=(1.5, 2.5), push=(0.4, 1.2)),
)
