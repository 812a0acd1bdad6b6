"""A replay of lanes: what each of them lived through, step after step, so that an observation is kept once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from mtbench.errors import UsageError


@struct.dataclass
class Steps:
    """Steps of lanes. What a step led to is the lane's next observation."""

    observation: Float[Array, "*batch o"]
    action: Float[Array, "*batch a"]
    reward: Float[Array, "*batch"]
    terminated: Bool[Array, "*batch"]
    truncated: Bool[Array, "*batch"]

    @classmethod
    def shapes(cls, observation_size: int, action_size: int) -> Steps:
        """Shapes and types of one step."""
        number, flag = (jax.ShapeDtypeStruct((), kind) for kind in (jnp.float32, jnp.bool_))
        lists = [number.update(shape=(size,)) for size in (observation_size, action_size)]
        shapes: Any = (*lists, number, flag, flag)
        return cls(*shapes)


@struct.dataclass
class Transitions:
    """What critics learn from, [sample, …]."""

    observation: Array
    action: Array
    reward: Array
    """Σ γ^k r_{t+k} over m steps."""
    factor: Array
    """Of the value to come: γ^m, or 0 after a termination."""
    next_observation: Array
    """After m steps."""


@struct.dataclass
class Replay:
    """The newest steps of all lanes, a ring over time."""

    steps: Steps
    """Leaves [slot, lane, …]."""
    added: Int[Array, ""]
    """Steps that each lane has had, those that newer ones took the place of included."""

    @classmethod
    def init(cls, step: Steps, slots: int, lanes: int) -> Replay:
        """An empty ring.

        Args:
          step: shapes and types of a lane's step.
          slots: steps of each lane, a multiple of how many are added at once.
          lanes: how many.
        """
        empty = jax.tree.map(lambda leaf: jnp.zeros((slots, lanes, *leaf.shape), leaf.dtype), step)
        return cls(empty, jnp.zeros((), jnp.int32))

    @property
    def slots(self) -> int:
        """Steps of each lane that there is room for."""
        return self.steps.reward.shape[0]

    @property
    def lanes(self) -> int:
        """How many there are."""
        return self.steps.reward.shape[1]

    def add(self, steps: Steps) -> Replay:
        """Puts steps [time, lane, …] behind what was added before."""
        put = jax.tree.map(
            lambda ring, new: jax.lax.dynamic_update_slice_in_dim(ring, new, self.added % self.slots, 0),
            self.steps,
            steps,
        )
        return Replay(put, self.added + steps.reward.shape[0])

    def sample(
        self, key: jax.Array, lane: Int[Array, " sample"], *, n_step: int, discount: float
    ) -> tuple[Transitions, Bool[Array, " sample"]]:
        """Draws a step of each of these lanes, uniformly.

        A sum of rewards ends where its episode does. A time limit is no end of the task, but what the cut-off step led
        to is not kept, for the lane went on with another episode: sums end before that step, as they do before the
        newest one, and are followed by the value of what it began with.

        Args:
          key: of the draws.
          lane: may name a lane more than once.
          n_step: rewards that are summed at most.
          discount: γ.

        Returns:
          Transitions, and whether there is one: not of a step that was cut off itself, one in a whole episode.
        """
        newest, oldest = self.added - 1, jnp.maximum(self.added - self.slots, 0)
        time = jax.random.randint(key, lane.shape, oldest, jnp.maximum(newest, oldest + 1))

        def at(ring: Array, time: Int[Array, "*step sample"]) -> Array:
            return ring[time % self.slots, lane]

        ahead = time + jnp.arange(n_step)[:, None]
        terminated = at(self.steps.terminated, ahead)
        followed = (ahead < newest) & (terminated | ~at(self.steps.truncated, ahead))
        over_before = jnp.cumsum(terminated, 0) > terminated
        counts = jnp.cumprod(followed & ~over_before, 0)
        length = counts.sum(0)
        powers = discount ** jnp.arange(n_step)[:, None]
        ends = (counts * terminated).any(0)
        transitions = Transitions(
            observation=at(self.steps.observation, time),
            action=at(self.steps.action, time),
            reward=(counts * powers * at(self.steps.reward, ahead)).sum(0),
            factor=jnp.where(ends, 0.0, discount**length),
            next_observation=at(self.steps.observation, time + length),
        )
        return transitions, length > 0


def check_memory(step: Any, rings: int, slots: int, of: str = "lanes") -> None:
    """Makes sure before anything is allocated that a buffer fits.

    Args:
      step: shapes and types of a step.
      rings: one for each lane, of all seeds.
      slots: steps of each.
      of: what there are rings of.

    Raises:
      UsageError: says how large the buffer is and how much memory there is.
    """
    each = sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(step))
    needed, free = each * rings * slots, _free()
    if free is not None and needed > free:
        raise UsageError(
            f"replay of {rings:,} {of} with {slots:,} steps of {each} bytes takes {needed / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are free: choose a smaller replay_steps or fewer seeds"
        )


def _free() -> int | None:
    """Bytes that are free where arrays go; `None` where nobody says."""
    device = jax.devices()[0]
    if stats := device.memory_stats():
        return int(stats["bytes_limit"] - stats["bytes_in_use"])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return 1024 * int(kilobytes)
    except (OSError, StopIteration):
        return None
