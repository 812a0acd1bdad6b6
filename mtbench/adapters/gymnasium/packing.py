"""Many small arrays as one: every array that a jitted call returns costs microseconds, however small it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int


@dataclass(frozen=True)
class Packing:
    """Lays the leaves of a pytree side by side in a row of 32-bit words, and finds them again bit for bit."""

    shapes: Any
    """A `jax.ShapeDtypeStruct` for each leaf; 32-bit numbers and booleans."""

    @property
    def size(self) -> int:
        """Words of a row."""
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.shapes))

    def pack(self, tree: Any) -> Int[Array, " word"]:
        """A row of a tree of these shapes."""

        def words(leaf: Array) -> Array:
            flat = jnp.ravel(leaf)
            return flat.astype(jnp.int32) if flat.dtype == bool else jax.lax.bitcast_convert_type(flat, jnp.int32)

        # Integers, since to move a float may change the bits of a NaN.
        return jnp.concatenate([words(leaf) for leaf in jax.tree.leaves(tree)])

    def unpack(self, row: Int[Array, " word"]) -> Any:
        """The tree of a row."""
        leaves, structure = jax.tree.flatten(self.shapes)
        found, begin = [], 0
        for leaf in leaves:
            end = begin + math.prod(leaf.shape)
            words = row[begin:end].reshape(leaf.shape)
            found.append(words != 0 if leaf.dtype == bool else jax.lax.bitcast_convert_type(words, leaf.dtype))
            begin = end
        return jax.tree.unflatten(structure, found)
