"""The flat parameter vector of a lane: which model fields it holds, in which order."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

DERIVED = (
    "actuator_acc0",
    "body_inertia",
    "body_invweight0",
    "body_ipos",
    "body_iquat",
    "body_subtreemass",
    "dof_M0",
    "dof_invweight0",
    "geom_aabb",
    "geom_rbound",
)
"""Model fields that follow from the edited ones; `derive` writes them."""

_STAMP = 2
"""Entries of a stamp."""


class Fields:
    """The layout of the flat parameter vector: which model fields it holds, in which order, and a stamp of them.

    The stamp, the vector's last entries, is a hash of the others: whoever keeps a copy of the parameters sees by it
    alone whether they are still the same.
    """

    def __init__(self, model: mujoco.MjModel, edits: tuple[str, ...]):
        self.names = tuple(sorted({*edits, *DERIVED}))
        self.shapes = {name: np.shape(getattr(model, name)) for name in self.names}
        self.sizes = {name: int(np.prod(shape)) for name, shape in self.shapes.items()}
        content = sum(self.sizes.values())
        self.size = content + _STAMP
        # Multiply-shift hashing (Dietzfelbinger et al. 1997): 2 x 24 bits, which float32 holds exactly.
        draw = np.random.default_rng(0)
        self._multipliers = draw.integers(0, 2**32, (_STAMP, content), np.uint32) | 1

    def pack(self, values: dict[str, Array]) -> Float[Array, " p"]:
        """Concatenates the fields, and their stamp, into one vector."""
        content = jnp.concatenate([jnp.ravel(values[name]).astype(jnp.float32) for name in self.names])
        bits = jax.lax.bitcast_convert_type(content, jnp.uint32)
        sums = (self._multipliers * bits).sum(-1, dtype=jnp.uint32)
        return jnp.concatenate([content, (sums >> 8).astype(jnp.float32)])

    def stamp(self, params: Float[np.ndarray, "*lane p"]) -> Float[np.ndarray, "*lane s"]:
        """The stamps of parameter vectors: equal where these are."""
        return params[..., -_STAMP:]

    def unpack(self, params):
        """Splits vectors `[..., p]` into fields `[..., *shape]`; works on JAX and NumPy arrays."""
        values, start = {}, 0
        for name in self.names:
            stop = start + self.sizes[name]
            values[name] = params[..., start:stop].reshape(params.shape[:-1] + self.shapes[name])
            start = stop
        return values
