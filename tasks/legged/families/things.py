"""A quadruped pushes a ball or a crate to a goal."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import jax.numpy as jnp
from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..oracle import Script
from ..robots import QUADRUPED
from ..terrain import terrain
from .body import BODY, FRICTION

RADIUS = 0.3
"""The object is brought when its middle is so near to the goal, metres."""


def _build(factors: Mapping[str, Array], *, ball: bool) -> Task:
    half, angle = factors["size"], factors["goal_angle"]
    place = jnp.stack([0.9 + half, factors["thing_y"]])
    goal = place + factors["distance"] * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
    thing = rows.Thing(size=half * jnp.ones(3), ball=jnp.array(ball), mass=factors["thing_mass"], used=jnp.array(True))
    return rows.task(
        QUADRUPED,
        rows.scene(QUADRUPED, factors, thing=thing),
        aim=rows.OBJECT,
        points=[(goal[0], goal[1], 0.0)],
        radius=RADIUS,
        speed=0.7,
        ground=terrain(floor_friction=factors["friction"]),
        thing=(place[0], place[1], half + 0.002),
        weights={"track": 0.65, "turn": 0.1, "step": 0.15, "smooth": 0.05, "ease": 0.05},
    )


_WHERE = (
    Factor("distance", 0.8, 2.5, "m", "from the object to its goal"),
    Factor("goal_angle", -1.2, 1.2, "rad", "direction of the goal from the object; 0 is straight ahead"),
    Factor("thing_y", -0.4, 0.4, "m", "where the object is, to the left of the robot"),
)


def _family(thing: str, description: str, *own: Factor) -> Family:
    build = partial(_build, ball=thing == "ball")
    factors = (*_WHERE, *own, FRICTION, *BODY)
    name = f"quadruped-push-{thing}"
    return Family(name, "quadruped", 1, description, factors, build, expert=Script("quadruped", name))


THINGS: tuple[Family, ...] = (
    _family(
        "ball",
        "Bring a ball of radius {size:.2f} m to a goal {distance:.1f} m from it.",
        Factor("size", 0.10, 0.20, "m", "radius of the ball"),
        Factor("thing_mass", 0.3, 1.5, "kg", "mass of the ball"),
    ),
    _family(
        "box",
        "Bring a crate of {thing_mass:.1f} kg to a goal {distance:.1f} m from it.",
        Factor("size", 0.12, 0.20, "m", "half of the crate's side"),
        Factor("thing_mass", 0.8, 3.0, "kg", "mass of the crate"),
    ),
)
