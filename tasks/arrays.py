"""Numbers of a row as arrays: what no factor touches stays NumPy's.

Most of a row is constant, and JAX would compile and run an operation for each part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def vector(values: Sequence[Any]) -> Float[Array, " n"]:
    """Numbers and traced scalars as one float32 vector."""
    return stacked([scalar(value) for value in values])


def scalar(value: Any) -> Float[Array, ""]:
    """A number or a traced scalar as float32."""
    return jnp.asarray(value, jnp.float32) if isinstance(value, jax.Array) else constant(value, np.float32)


def stacked(parts: Sequence[Any]) -> Any:
    """Arrays as one with a new first axis."""
    return jnp.stack(parts) if any(isinstance(part, jax.Array) for part in parts) else np.stack(parts)


def constant(values: Any, dtype: Any) -> Any:
    """What no factor touches, as an array of NumPy's; typed as if it were one of JAX's, which it becomes in use."""
    return np.asarray(values, dtype)
