"""Rotations as unit quaternions (w, x, y, z)."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def matrix(quat: Float[Array, 4]) -> Float[Array, "3 3"]:
    """The rotation's matrix."""
    w, x, y, z = quat
    return jnp.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def about(axis: int, angle: Array) -> Float[Array, 4]:
    """By an angle about the x (0), y (1) or z axis (2), radians."""
    return jnp.zeros(4).at[0].set(jnp.cos(angle / 2)).at[axis + 1].set(jnp.sin(angle / 2))


def times(a: Float[Array, 4], b: Float[Array, 4]) -> Float[Array, 4]:
    """The rotation b followed by a."""
    w = a[0] * b[0] - a[1:] @ b[1:]
    return jnp.concatenate([w[None], a[0] * b[1:] + b[0] * a[1:] + jnp.cross(a[1:], b[1:])])
