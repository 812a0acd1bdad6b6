"""Distractors: other free objects, which are seen like what is to be moved and have to stay where they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint
from ..rows import FOLLOW, GOAL, LEAD, OBJECT, ORIGIN, SECOND, TCP, THIRD, Stage
from . import objects, order
from .grasping import grasp, held, lifted

_REST = objects.PUCK_HEIGHT / 2
_SPREAD = (0.01, 0.01, 0.0)
_BLOCK = 0.025
_BALL = 0.025


def _kept(thing: int, x: Any, y: Any, z: float) -> Stage:
    """What is not to be moved is where it was."""
    return Stage(thing, ORIGIN, 0.04, (x, y, z), scale=0.1, required=True)


def _push(factors: Mapping[str, Array]) -> Task:
    places = [(factors[f"{name}_x"], factors[f"{name}_y"], _BLOCK) for name in rows.FURTHER]
    half = factors["block_width"] / 2
    return Task(
        scene=rows.scene(
            **objects.free(factors, objects.puck(factors)),
            further=[
                rows.Body([rows.box((half, half, _BLOCK), colour="sky")], factors["second_mass"]),
                rows.Body([rows.capsule(0.02, 0.02, (0.0, 0.0, _BLOCK), rows.ALONG_X, "teal")], factors["third_mass"]),
            ],
        ),
        initial=rows.initial(
            object=(factors["object_x"], factors["object_y"], _REST), object_spread=_SPREAD, further=places
        ),
        goal=rows.goal(
            point=(factors["goal_x"], factors["goal_y"], _REST),
            observed=(OBJECT, SECOND),
            orientation=rows.XYZW,
            second_orientation=rows.XYZW,
            **rows.staged(
                Stage(TCP, OBJECT, tolerance=0.03, scale=0.15),
                Stage(OBJECT, GOAL, tolerance=0.05, scale=0.3, required=True),
                _kept(SECOND, *places[0]),
                _kept(THIRD, *places[1]),
                seen=THIRD,
            ),
        ),
        family=0,
    )


def _pick(factors: Mapping[str, Array]) -> Task:
    blue = factors["order"] > 0.5
    x, y = (jnp.where(blue, factors[f"object_{axis}"], factors[f"second_{axis}"]) for axis in "xy")
    return Task(
        **order.two_pucks(factors),
        goal=rows.goal(
            point=(factors["goal_x"], factors["goal_y"], factors["goal_z"]),
            observed=(OBJECT, SECOND),
            orientation=rows.XYZW,
            second_orientation=rows.XYZW,
            **rows.staged(
                Stage(TCP, LEAD, tolerance=0.04, scale=0.15),
                held(objects.PUCK_WIDTH),
                lifted(0.045, LEAD),
                Stage(LEAD, GOAL, tolerance=0.06, scale=0.3, required=True),
                _kept(FOLLOW, x, y, _REST),
                order=factors["order"],
                seen=LEAD,
            ),
        ),
    )


FAMILIES = (
    Family(
        name="push-among",
        arena="tabletop",
        version=1,
        description=(
            "Push the puck of {object_mass:.2f} kg to x {goal_x:.2f}, y {goal_y:.2f} m, and move neither the block at "
            "x {second_x:.2f}, y {second_y:.2f} nor the bar at x {third_x:.2f}, y {third_y:.2f} m."
        ),
        factors=(
            *objects.place("goal", "the mark", (-0.15, 0.15), (0.75, 0.85)),
            *objects.place("object", "where the puck stands", (-0.15, 0.15), (0.58, 0.65)),
            *objects.place("second", "where the block stands", (-0.35, -0.25), (0.58, 0.85)),
            *objects.place("third", "where the bar lies", (0.25, 0.35), (0.58, 0.85)),
            Factor("block_width", 0.04, 0.06, "m", "width of the block"),
            Factor("second_mass", 0.2, 0.5, "kg", "mass of the block"),
            Factor("third_mass", 0.2, 0.5, "kg", "mass of the bar"),
            *objects.matter("the puck", (0.4, 0.8), 0.75),
        ),
        build=_push,
        expert=(*grasp(objects.PUCK_WIDTH, x=-0.003), Waypoint(GOAL, (0.0, 0.0, 0.04), effort=0.6)),
    ),
    Family(
        name="pick-one-of-two",
        arena="tabletop",
        version=1,
        description=(
            "Pick up the {order} puck and hold it at x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m; the other one "
            "has to stay where it is."
        ),
        factors=(
            *objects.place("goal", "where to hold the puck", (-0.15, 0.15), (0.8, 0.9), (0.08, 0.3)),
            *order.places((-0.2, 0.2), (0.58, 0.72)),
            order.ORDER,
            *order.MATTER,
        ),
        build=_pick,
        accept=rows.all_apart(0.16, "object", "second"),
        expert=(*grasp(objects.PUCK_WIDTH, thing=LEAD), Waypoint(GOAL, (0.0, 0.0, 0.03), effort=1.0)),
    ),
)
