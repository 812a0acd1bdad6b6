"""What the builders of terrains share."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mtbench.task import LATTICE, Factor

LAYOUT = Factor("layout", 0.0, float(LATTICE), "1", "which of so many arrangements it is")
"""A factor whose values have no order: each is a draw of its own."""


def draws(layout: Array, count: int) -> Float[Array, " count"]:
    """So many numbers from -1 to 1 that belong to an arrangement."""
    return jax.random.uniform(jax.random.key(jnp.int32(layout)), (count,), minval=-1.0, maxval=1.0)
