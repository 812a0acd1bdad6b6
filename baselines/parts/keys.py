"""Random keys that are named by numbers."""

from __future__ import annotations

import jax


def fold(key: jax.Array, *numbers: int | jax.Array) -> jax.Array:
    """The key of a thing that is named by numbers, independent of how many such things there are."""
    for number in numbers:
        key = jax.random.fold_in(key, number)
    return key
