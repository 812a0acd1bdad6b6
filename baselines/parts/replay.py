"""A replay buffer with a ring for each family, so that every family has an equal share of what is learnt from."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from mtbench.errors import UsageError


@struct.dataclass
class Replay:
    """Rings of rows, one for each family; a pytree of any structure is a row."""

    rows: Any
    """Leaves [family, slot, …]."""
    count: Int[Array, " family"]
    """Rows that a family has had, those that newer ones took the place of included."""

    @classmethod
    def init(cls, row: Any, families: int, slots: int) -> Replay:
        """Empty rings.

        Args:
          row: a row, or its shapes and types.
          families: how many rings.
          slots: rows of each.
        """
        rows = jax.tree.map(lambda leaf: jnp.zeros((families, slots, *leaf.shape), leaf.dtype), row)
        return cls(rows, jnp.zeros(families, jnp.int32))

    @property
    def slots(self) -> int:
        """Rows of a ring."""
        return int(jax.tree.leaves(self.rows)[0].shape[1])

    def add(self, rows: Any, family: Int[Array, " n"]) -> Replay:
        """Puts rows [n, …] into the rings of their families, in order; n is at most `slots`."""
        member = jax.nn.one_hot(family, self.count.size, dtype=jnp.int32)
        before = (jnp.cumsum(member, axis=0) - member)[jnp.arange(family.size), family]
        slot = (self.count[family] + before) % self.slots
        put = jax.tree.map(lambda ring, new: ring.at[family, slot].set(new), self.rows, rows)
        return Replay(put, self.count + member.sum(0))

    def sample(self, key: jax.Array, each: int) -> tuple[Any, Int[Array, " n"], Float[Array, " n"]]:
        """Draws uniformly from every ring.

        Args:
          key: of the draws.
          each: rows of each family.

        Returns:
          Rows [family * each, …], their families, and their weights: 0 where a ring is still empty.
        """
        filled = jnp.minimum(self.count, self.slots)
        families = self.count.size
        slot = jax.random.randint(key, (families, each), 0, jnp.maximum(filled, 1)[:, None])
        family = jnp.repeat(jnp.arange(families), each)
        rows = jax.tree.map(lambda ring: ring[family, slot.reshape(-1)], self.rows)
        return rows, family, (filled > 0).astype(jnp.float32)[family]


def check_memory(row: Any, rings: int, slots: int) -> None:
    """Makes sure before anything is allocated that a buffer fits.

    Args:
      row: a row's shapes and types.
      rings: of all seeds.
      slots: of each ring.

    Raises:
      UsageError: says how large the buffer is and how much memory there is.
    """
    each = sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(row))
    needed, free = each * rings * slots, _free()
    if free is not None and needed > free:
        raise UsageError(
            f"replay of {rings} rings of {slots:,} rows of {each} bytes takes {needed / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are free: choose a smaller replay_rows or fewer seeds"
        )


def _free() -> int | None:
    """Bytes that are free where arrays go; `None` where nobody says."""
    device = jax.devices()[0]
    if stats := device.memory_stats():
        return int(stats["bytes_limit"] - stats["bytes_in_use"])
    try:
        import os

        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError):
        return None


def n_step(
    reward: Float[Array, "time lane"],
    terminated: Array,
    truncated: Array,
    next_observation: Float[Array, "time lane o"],
    *,
    steps: int,
    discount: float,
) -> tuple[Float[Array, "time lane"], Float[Array, "time lane"], Float[Array, "time lane o"]]:
    """Sums of up to `steps` rewards from every step of a rollout on, and what their bootstrap needs.

    A sum stops at its episode's end and at the rollout's. A time limit is no end of the task: what the cut-off step
    led to is worth its value. A terminated step has no future.

    Args:
      reward: r_t.
      terminated: whether the future after step t is worth nothing.
      truncated: whether step t was the last one played although the future goes on.
      next_observation: what step t really led to.
      steps: n.
      discount: γ.

    Returns:
      Σ γ^k r_{t+k}; the factor of the value to come, γ^m, or 0 after a termination; and the observation it is of.
    """
    total, factor, seen = jnp.zeros_like(reward), jnp.ones_like(reward), next_observation
    going = jnp.ones_like(reward, bool)
    time = reward.shape[0]
    for ahead in range(steps):
        index = jnp.minimum(jnp.arange(time) + ahead, time - 1)
        inside = (jnp.arange(time) + ahead < time)[:, None]
        going = going & inside
        total = total + jnp.where(going, factor * reward[index], 0.0)
        seen = jnp.where(going[..., None], next_observation[index], seen)
        factor = jnp.where(going, factor * discount * ~terminated[index], factor)
        going = going & ~(terminated | truncated)[index]
    return total, factor, seen
