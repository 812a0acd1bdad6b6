"""Scripted experts as tables of waypoints, so that a batch of mixed families runs one program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from mtbench.env import TimeStep
from mtbench.stages import Conditions

from ..arrays import vector
from .rows import COMMAND, HAND, LAYOUT, ORIGIN, PENDING, POINTS, QUANTITIES, Stage, conditions

MAX_WAYPOINTS = 16
_FAR = 10.0


@dataclass(frozen=True)
class Waypoint:
    """Bring `subject` to `target + offset` until `arrived` holds; the last waypoint never ends."""

    target: int
    offset: Sequence[Any]
    arrived: Stage | None = None
    effort: float = -1.0
    """The gripper's action on the way: positive closes."""
    gain: float = 10.0
    """Action per metre of distance to the waypoint, for a hand of the arena's own speed."""
    blend: Sequence[float] = (1.0, 1.0, 1.0)
    """Axes along which the hand moves; the others keep still. A number below 1 slows an axis down."""
    subject: int = HAND
    """What is brought there: the hand, or what it holds."""
    low: Sequence[float] = (-_FAR, -_FAR, -_FAR)
    """Bounds of the point that is headed for; `high` likewise."""
    high: Sequence[float] = (_FAR, _FAR, _FAR)
    done: Stage | None = None
    """Passed over where this holds, `arrived` or not: what came after it may undo its arrival."""


def until(done: Stage, *script: Waypoint) -> tuple[Waypoint, ...]:
    """Waypoints that are passed over, all of them, where a condition holds.

    Where the last of them has no `arrived`, the condition is what it leads to.
    """
    return tuple(replace(row, arrived=row.arrived or done, done=done) for row in script)


@struct.dataclass
class Waypoints:
    """A table of waypoints [w]."""

    arrived: Conditions
    done: Conditions
    target: Int[Array, " w"]
    offset: Float[Array, "w 3"]
    effort: Float[Array, " w"]
    gain: Float[Array, " w"]
    blend: Float[Array, "w 3"]
    subject: Int[Array, " w"]
    low: Float[Array, "w 3"]
    high: Float[Array, "w 3"]


def table(rows: Sequence[Waypoint]) -> Waypoints:
    """Rows as a table, padded by repeating the last.

    Raises:
      ValueError: too many rows, or one but the last without an arrival condition.
    """
    if len(rows) > MAX_WAYPOINTS or any(r.arrived is None for r in rows[:-1]):
        raise ValueError(f"an expert has at most {MAX_WAYPOINTS} waypoints, all but the last with `arrived`")
    never = Stage(HAND, ORIGIN, -1.0)
    padded = [*rows, *[rows[-1]] * (MAX_WAYPOINTS - len(rows))]
    return Waypoints(
        arrived=conditions([r.arrived or never for r in padded]),
        done=conditions([r.done or never for r in padded]),
        target=jnp.array([r.target for r in padded], jnp.int32),
        offset=jnp.stack([vector(r.offset) for r in padded]),
        effort=jnp.array([r.effort for r in padded], jnp.float32),
        gain=jnp.array([r.gain for r in padded], jnp.float32),
        blend=jnp.stack([vector(r.blend) for r in padded]),
        subject=jnp.array([r.subject for r in padded], jnp.int32),
        low=jnp.stack([vector(r.low) for r in padded]),
        high=jnp.stack([vector(r.high) for r in padded]),
    )


@struct.dataclass
class Expert:
    """A memoryless policy that reads the arena's quantities. See `mtbench.policy.Policy`."""

    tables: Waypoints
    """[family, w]"""

    @staticmethod
    def of(scripts: Sequence[Sequence[Waypoint]]) -> Expert:
        """Stacks one script per family, in the suite's order."""
        return Expert(jax.tree.map(lambda *leaves: jnp.stack(leaves), *(table(script) for script in scripts)))

    def init_carry(self, key: jax.Array) -> tuple[()]:
        """Nothing is remembered."""
        return ()

    def act(self, key: jax.Array, carry: tuple[()], timestep: TimeStep) -> tuple[tuple[()], Float[Array, 4]]:
        """Heads for the first waypoint that is not reached."""
        script = jax.tree.map(lambda leaf: leaf[timestep.family], self.tables)
        quantities = _as_built(timestep.quantities)
        (side, _, _), (speed, _, _) = timestep.quantities[LAYOUT], timestep.quantities[COMMAND]
        reached = script.arrived.errors(quantities) <= script.arrived.tolerance
        reached |= script.done.errors(quantities) <= script.done.tolerance
        now = jnp.minimum(jnp.cumprod(reached).sum(), MAX_WAYPOINTS - 1)
        target = jnp.clip(quantities[script.target[now]] + script.offset[now], script.low[now], script.high[now])
        # Where delayed actions will have brought it: a gain that is stable without delay is so with it.
        place = quantities[script.subject[now]] + quantities[PENDING]
        move = script.gain[now] / speed * script.blend[now] * (target - place)
        return carry, jnp.clip(jnp.append(move.at[0].multiply(side), script.effort[now]), -1.0, 1.0)


def _as_built(quantities: Float[Array, "q 3"]) -> Float[Array, "q 3"]:
    """The quantities as they are in the task that the family wrote: not mirrored, the table at 0, its own fingers."""
    side, height, longer = quantities[LAYOUT]
    lower = jnp.zeros((len(QUANTITIES), 3)).at[_PLACES, 2].set(height).at[HAND, 2].add(longer)
    turn = jnp.ones((len(QUANTITIES), 3)).at[_TURNED, 0].set(side)
    return (quantities[: len(QUANTITIES)] - lower) * turn


_PLACES = np.array(POINTS)
_TURNED = np.array([*POINTS, PENDING])
