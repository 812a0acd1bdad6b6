"""The policy protocol, and the policy that knows nothing."""

from __future__ import annotations

from typing import Protocol, TypeVar

import jax
from flax import struct
from jaxtyping import Array, Float

from .env import TimeStep

Carry = TypeVar("Carry")


class Policy(Protocol[Carry]):
    """Acts in one lane; a pytree, so that it can be passed into `jit`."""

    def init_carry(self, key: jax.Array) -> Carry:
        """The memory at the start of an episode; `()` for a memoryless policy."""
        ...

    def act(self, key: jax.Array, carry: Carry, timestep: TimeStep) -> tuple[Carry, Float[Array, " a"]]:
        """The action in [-1, 1] for what a lane shows now."""
        ...


@struct.dataclass
class RandomPolicy:
    """Uniform actions: the lower control of every scorecard."""

    action_size: int = struct.field(pytree_node=False)

    def init_carry(self, key: jax.Array) -> tuple[()]:
        """Nothing is remembered."""
        return ()

    def act(self, key: jax.Array, carry: tuple[()], timestep: TimeStep) -> tuple[tuple[()], Float[Array, " a"]]:
        """A uniform draw from [-1, 1]."""
        return carry, jax.random.uniform(key, (self.action_size,), minval=-1.0, maxval=1.0)
