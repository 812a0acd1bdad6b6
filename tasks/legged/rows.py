"""The row of a legged task: what it may say about body, ground, start, and what is to be reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from mtbench.task import Task

from ..arrays import scalar, stacked, vector
from .robots import Robot
from .terrain import Terrain, terrain

TRACK, COURSE, RISE, OBJECT = range(4)
"""Aims: keep a velocity; pass goals one after the other; stand up and stay; bring an object to a goal."""
GOALS = 8
PUSHES = 6
TERMS = ("track", "turn", "step", "smooth", "ease")
"""The named parts of the reward that are traded against each other; see `reward.py`."""
WEIGHTS = {"track": 0.6, "turn": 0.15, "step": 0.15, "smooth": 0.05, "ease": 0.05}


@struct.dataclass
class Thing:
    """The free object: a ball or a box."""

    size: Float[Array, 3]
    """Half sizes, metres; a ball's radius three times."""
    ball: Bool[Array, ""]
    mass: Float[Array, ""]
    used: Bool[Array, ""]


@struct.dataclass
class Scene:
    """Causes of the model, the terrain apart: that is a part of the goal, which is needed in every step."""

    segment_scale: Float[Array, 2]
    """Lengths of upper and lower leg, relative to the robot's own."""
    base_mass: Float[Array, ""]
    """Mass of the trunk, kg."""
    limb_mass: Float[Array, ""]
    """Masses of all limbs, relative to the robot's own."""
    payload: Float[Array, ""]
    """Mass of a load on the trunk, kg."""
    strength: Float[Array, " n"]
    """Stiffness and torque limit of each joint's motor, relative to the robot's own; 0 for a broken one."""
    damping: Float[Array, ""]
    """Of all joints, relative to the robot's own."""
    thing: Thing


@struct.dataclass
class Initial:
    """Distribution of the initial state: the stance, with uniform noise."""

    base: Float[Array, 3]
    """Of the trunk, metres."""
    roll: Float[Array, ""]
    """About the forward axis, radians: beyond 1 the robot lies."""
    pitch: Float[Array, ""]
    spread: Float[Array, ""]
    """Half width of the noise on joint angles (rad) and on all velocities (rad/s, m/s)."""
    yaw_spread: Float[Array, ""]
    """Half width of the noise on the heading, radians."""
    thing: Float[Array, 3]
    """Where the object starts, metres."""


@struct.dataclass
class Pushes:
    """Forces on the trunk in the world's frame: a schedule."""

    start: Float[Array, " k"]
    """Seconds since the start of the episode."""
    duration: Float[Array, " k"]
    """Seconds; 0 where there is none."""
    force: Float[Array, "k 3"]
    """N"""


@struct.dataclass
class Goal:
    """What is to be reached, and on what ground."""

    aim: Int[Array, ""]
    """`TRACK`, `COURSE`, `RISE` or `OBJECT`."""
    command: Float[Array, 3]
    """For `TRACK`: velocity ahead and to the left in the robot's heading (m/s), and turning (rad/s)."""
    height: Float[Array, ""]
    """Of the trunk above the feet that is asked for, metres."""
    points: Float[Array, "g 3"]
    """Goals in the world: the ground under them, metres. `OBJECT` has one."""
    count: Int[Array, ""]
    """How many of them there are."""
    radius: Float[Array, ""]
    """A goal is reached within this distance, seen from above, metres."""
    speed: Float[Array, ""]
    """Towards goals, m/s: more is not paid for."""
    lowest: Float[Array, ""]
    """A trunk below this height has left the course, metres."""
    tolerance: Float[Array, 2]
    """For `TRACK`: errors of velocity (m/s) and turning (rad/s) that count as kept."""
    steps: Float[Array, ""]
    """For `TRACK` and `RISE`: control steps in which the aim must hold."""
    weights: Float[Array, 5]
    """Of the reward's terms, in the order of `TERMS`; they sum to 1."""
    pushes: Pushes
    terrain: Terrain

    @property
    def towards(self) -> Bool[Array, ""]:
        """Whether the aim is to go to goals."""
        return (self.aim == COURSE) | (self.aim == OBJECT)


PARKED_THING = (0.0, -30.0, 3.0)


def scene(robot: Robot, factors: Mapping[str, Array], **more: Any) -> Scene:
    """The causes of a body. Factors that a family does not have stay at the robot's own.

    Args:
      robot: gives what the factors are relative to.
      factors: of the family; `BODY` names those that are read.
      more: fields to set otherwise.
    """

    def factor(name: str, otherwise: Any) -> Array:
        return scalar(factors.get(name, otherwise))

    fields = {
        "segment_scale": stacked([factor("thigh_length", 1.0), factor("shin_length", 1.0)]),
        "base_mass": factor("base_mass", robot.base_mass),
        "limb_mass": factor("limb_mass", 1.0),
        "payload": factor("payload", 0.0),
        "strength": factor("strength", 1.0) * jnp.ones(len(robot.joints)),
        "damping": factor("damping", 1.0),
        "thing": Thing(jnp.full(3, 0.1), jnp.array(True), jnp.ones(()), jnp.array(False)),
    }
    return Scene(**{**fields, **more})


def task(
    robot: Robot,
    body: Scene,
    *,
    aim: int,
    command: Sequence[Any] = (0.0, 0.0, 0.0),
    height: Any = 1.0,
    points: Sequence[Sequence[Any]] = (),
    radius: Any = 0.3,
    start: Sequence[Any] = (0.0, 0.0, 0.0),
    speed: Any = 1.0,
    lowest: Any = -1.0,
    tolerance: Sequence[Any] = (0.25, 0.4),
    steps: Any = 1.0,
    weights: Mapping[str, float] = WEIGHTS,
    pushes: Pushes | None = None,
    ground: Terrain | None = None,
    roll: Any = 0.0,
    pitch: Any = 0.0,
    spread: Any = 0.1,
    yaw_spread: Any = 0.1,
    clearance: Any = 0.01,
    thing: Sequence[Any] = PARKED_THING,
) -> Task:
    """A row.

    Args:
      robot: whose row it is.
      body: its causes.
      aim: see `Goal.aim`; likewise `command`, `radius`, `speed`, `lowest`, `tolerance`, `steps`, `pushes`.
      command: see `aim`.
      height: of the trunk that is asked for, relative to that of the stance.
      points: goals, each x, y and the ground's height; at most `GOALS`.
      radius: see `aim`.
      start: x, y and the ground's height where the robot stands at first.
      speed: see `aim`.
      lowest: see `aim`.
      tolerance: see `aim`.
      steps: see `aim`.
      weights: of the reward's terms, by name.
      pushes: see `aim`.
      ground: the terrain; by default the bare floor.
      roll: see `Initial`; likewise `pitch`, `spread`, `yaw_spread`.
      pitch: see `roll`.
      spread: see `roll`.
      yaw_spread: see `roll`.
      clearance: of the soles above the ground at the start, metres.
      thing: where the object starts.

    Raises:
      ValueError: there are more goals than `GOALS`.
    """
    if len(points) > GOALS:
        raise ValueError(f"{len(points)} goals: a row has room for {GOALS}")
    nominal = robot.height(body.segment_scale)
    given = [vector(point) for point in points] or [vector((0, 0, 0))]
    # Beyond the last goal it is repeated: there is always one to look at.
    places = stacked([*given, *[given[-1]] * (GOALS - len(given))])
    return Task(
        scene=body,
        initial=Initial(
            base=vector((start[0], start[1], start[2] + nominal + clearance)),
            roll=scalar(roll),
            pitch=scalar(pitch),
            spread=scalar(spread),
            yaw_spread=scalar(yaw_spread),
            thing=vector(thing),
        ),
        goal=Goal(
            aim=jnp.int32(aim),
            command=vector(command),
            height=scalar(height) * nominal,
            points=places,
            count=jnp.int32(len(points)),
            radius=scalar(radius),
            speed=scalar(speed),
            lowest=scalar(lowest),
            tolerance=vector(tolerance),
            steps=scalar(steps),
            weights=vector([weights[name] for name in TERMS]),
            pushes=Pushes(jnp.zeros(PUSHES), jnp.zeros(PUSHES), jnp.zeros(PUSHES)[:, None] * jnp.ones(3))
            if pushes is None
            else pushes,
            terrain=terrain() if ground is None else ground,
        ),
        family=jnp.int32(0),
    )


def pushes(
    impulse: Any, angle: Any, *, first: float = 1.0, every: float = 1.5, duration: float = 0.1, planar: bool = False
) -> Pushes:
    """Pushes from all around, one after the other.

    Args:
      impulse: of each, N s.
      angle: direction of the first, radians; the golden angle lies between one and the next.
      planar: whether they come straight from ahead or behind, whichever is nearer to their direction.
      first: when it comes, seconds.
      every: seconds from one to the next.
      duration: of each, seconds.
    """
    number = jnp.arange(PUSHES)
    directions = angle + number * np.pi * (3.0 - np.sqrt(5.0))
    if planar:
        directions = jnp.where(jnp.cos(directions) > 0.0, 0.0, np.pi)
    flat = jnp.stack([jnp.cos(directions), jnp.sin(directions), jnp.zeros(PUSHES)], -1)
    return Pushes(first + every * number, jnp.full(PUSHES, duration), scalar(impulse) / duration * flat)
