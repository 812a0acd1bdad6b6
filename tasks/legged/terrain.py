"""Terrain as data: boxes, ramps and round things that a task puts on the floor, and how high it is at a point.

A terrain is a part of a task's row. Its geoms fill slots of the arena's model and do not move; what is not used is
parked under the floor. Courses run along x from x = 0; z = 0 is the floor, which has no end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float

from .. import rotations
from ..arrays import scalar, stacked, vector

BOXES, ROUNDS = 40, 8
"""Slots."""
PARKED = (0.0, 0.0, -5.0)
"""Where the middle of a slot is that a task does not use."""
THICKNESS = 0.04
"""Of a ramp's board, metres."""


@struct.dataclass
class Terrain:
    """What stands on the floor; every field has an entry per slot."""

    box_pos: Float[Array, "b 3"]
    box_size: Float[Array, "b 3"]
    """Half sizes, metres."""
    box_quat: Float[Array, "b 4"]
    box_friction: Float[Array, " b"]
    """Sliding friction with whatever touches it."""
    box_overhead: Float[Array, " b"]
    """1 where one passes under the box: the height scan does not see it."""
    round_pos: Float[Array, "r 3"]
    """Of upright capsules: poles, stones with round tops and, sunk into the floor, bumps."""
    round_size: Float[Array, "r 2"]
    """Radius and half length of the straight part, metres."""
    floor_friction: Float[Array, ""]


@struct.dataclass
class Box:
    """One box before it has a slot."""

    pos: Float[Array, 3]
    size: Float[Array, 3]
    quat: Float[Array, 4]
    friction: Float[Array, ""]
    overhead: Float[Array, ""]


@struct.dataclass
class Round:
    """One upright capsule before it has a slot."""

    pos: Float[Array, 3]
    size: Float[Array, 2]


def box(
    x: Any,
    y: Any,
    length: Any,
    width: Any,
    height: Any,
    *,
    bottom: Any = 0.0,
    yaw: Any = 0.0,
    friction: Any = 1.0,
    overhead: bool = False,
) -> Box:
    """A level box.

    Args:
      x: its middle; likewise `y`.
      y: see `x`.
      length: whole, along x before it is turned; likewise `width` along y and `height` along z.
      width: see `length`.
      height: see `length`.
      bottom: height of its underside.
      yaw: by how much it is turned about z, radians.
      friction: of its faces.
      overhead: whether one passes under it.
    """
    pos = vector((x, y, bottom + height / 2))
    quat = vector((jnp.cos(scalar(yaw) / 2), 0.0, 0.0, jnp.sin(scalar(yaw) / 2)))
    return Box(pos, vector((length, width, height)) / 2, quat, scalar(friction), scalar(overhead))


def ramp(
    x: Any, y: Any, length: Any, width: Any, low: Any, high: Any, *, across: bool = False, friction: Any = 1.0
) -> Box:
    """A board whose top rises from `low` to `high` over `length` along x or, `across`, along y.

    Args:
      x: middle of the board seen from above; likewise `y`.
      y: see `x`.
      length: of the slope seen from above, whole.
      width: whole, along the other axis.
      low: height of the top at the lower coordinate.
      high: height at the other end; lower than `low` for a way down.
      across: whether it rises along y.
      friction: of its faces.
    """
    rise = scalar(high) - low
    angle = jnp.arctan2(rise, scalar(length))
    size = vector((jnp.hypot(rise, length), width, THICKNESS)) / 2
    # From the middle of the top half a thickness down along the normal.
    aside, down = jnp.sin(angle) * THICKNESS / 2, jnp.cos(angle) * THICKNESS / 2
    middle = (scalar(low) + high) / 2 - down
    cosine, sine = jnp.cos(angle / 2), jnp.sin(angle / 2)
    if across:
        return Box(
            vector((x, y + aside, middle)), size[np.array([1, 0, 2])], vector((cosine, sine, 0, 0)), scalar(friction),
            scalar(0),
        )  # fmt: skip
    return Box(vector((x + aside, y, middle)), size, vector((cosine, 0, -sine, 0)), scalar(friction), scalar(0))


def pole(x: Any, y: Any, top: Any, radius: Any) -> Round:
    """An upright capsule from the floor to `top`: a pole, or a stone with a round top."""
    half = jnp.maximum(scalar(top) / 2 - radius, 0.0)
    return Round(vector((x, y, top - radius - half)), vector((radius, half)))


def bump(x: Any, y: Any, top: Any, radius: Any) -> Round:
    """A sphere sunk into the floor so far that it stands `top` above it."""
    return Round(vector((x, y, scalar(top) - radius)), vector((radius, 0.0)))


def terrain(boxes: Sequence[Box] = (), rounds: Sequence[Round] = (), *, floor_friction: Any = 1.0) -> Terrain:
    """A terrain of some boxes and rounds.

    Raises:
      ValueError: there are more than slots.
    """
    for kind, given, slots in (("boxes", boxes, BOXES), ("poles and bumps", rounds, ROUNDS)):
        if len(given) > slots:
            raise ValueError(f"a terrain with {len(given)} {kind}: the arena has slots for {slots}")
    nothing = Box(vector(PARKED), vector((0.05, 0.05, 0.05)), vector((1, 0, 0, 0)), scalar(1), scalar(0))
    filled = [*boxes, *[nothing] * (BOXES - len(boxes))]
    capsules = [*rounds, *[Round(vector(PARKED), vector((0.05, 0.0)))] * (ROUNDS - len(rounds))]
    return Terrain(
        box_pos=stacked([b.pos for b in filled]),
        box_size=stacked([b.size for b in filled]),
        box_quat=stacked([b.quat for b in filled]),
        box_friction=stacked([b.friction for b in filled]),
        box_overhead=stacked([b.overhead for b in filled]),
        round_pos=stacked([r.pos for r in capsules]),
        round_size=stacked([r.size for r in capsules]),
        floor_friction=scalar(floor_friction),
    )


def slots_used(ground: Terrain) -> tuple[int, int]:
    """How many boxes and rounds stacked terrains [task, …] use at most."""
    counts = []
    for pos in (ground.box_pos, ground.round_pos):
        used = (np.asarray(pos)[..., 2] > PARKED[2]).any(axis=0)
        counts.append(int(np.flatnonzero(used)[-1]) + 1 if used.any() else 0)
    return counts[0], counts[1]


def cut(ground: Terrain, boxes: int, rounds: int) -> Terrain:
    """A terrain without the slots that no task of a suite uses."""
    slots = {"box": slice(boxes), "round": slice(rounds), "floor": ...}
    names = [field.name for field in fields(ground)]
    return Terrain(**{name: getattr(ground, name)[slots[name.split("_")[0]]] for name in names})


def height(ground: Terrain, points: Float[Array, "p 2"]) -> Float[Array, " p"]:
    """Height of the ground at points, metres: the highest of the floor, the boxes' upper faces, the rounds' domes.

    In closed form: a box's upper face is a plane, seen where the point on it lies within the face.
    """
    tops = [jnp.zeros((points.shape[0], 1))]
    if ground.box_pos.shape[0]:
        at, inside = _faces(ground, points)
        tops.append(jnp.where(inside & (ground.box_overhead < 0.5), ground.box_pos[:, 2] + at[..., 2], 0.0))
    if ground.round_pos.shape[0]:
        radius, half = ground.round_size.T
        apart = ((points[:, None] - ground.round_pos[:, :2]) ** 2).sum(-1)
        dome = ground.round_pos[:, 2] + half + jnp.sqrt(jnp.maximum(radius**2 - apart, 0.0))
        tops.append(jnp.where(apart <= radius**2, dome, 0.0))
    return jnp.concatenate(tops, -1).max(-1)


def underside(ground: Terrain, points: Float[Array, "p 2"]) -> Float[Array, " p"]:
    """How high the lowest box that one passes under hangs at points, metres; infinite where there is none."""
    if not ground.box_pos.shape[0]:
        return jnp.full(points.shape[0], jnp.inf)
    _, inside = _faces(ground, points)
    bottoms = ground.box_pos[:, 2] - ground.box_size[:, 2]
    return jnp.where(inside & (ground.box_overhead > 0.5), bottoms, jnp.inf).min(-1)


def _faces(ground: Terrain, points: Float[Array, "p 2"]) -> tuple[Float[Array, "p b 3"], Bool[Array, "p b"]]:
    """Where the vertical through a point meets the plane of each box's upper face, from the box's middle, and
    whether that is within the face."""
    along, aside, normal = jnp.moveaxis(jax.vmap(rotations.matrix)(ground.box_quat), -1, 0)
    level = points[:, None] - ground.box_pos[:, :2]
    rise = (ground.box_size[:, 2] - (level * normal[:, :2]).sum(-1)) / jnp.maximum(normal[:, 2], 0.1)
    at = jnp.concatenate([level, rise[..., None]], -1)
    within_length = jnp.abs((at * along).sum(-1)) <= ground.box_size[:, 0]
    return at, within_length & (jnp.abs((at * aside).sum(-1)) <= ground.box_size[:, 1])
