"""Noise of what is seen: a function of a counter, so that no key travels with the state.

By a hash of our own: JAX's random numbers are a loop on a CPU, which took longer than all the rest that is seen.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

_GOLDEN = 0x9E3779B9
"""2^32 over the golden ratio: counters that differ by one are far apart."""
_GRID = 1e-5
"""Metres, to which a start is rounded: another machine's last bit gives the same noise."""


def clock(start: Float[Array, 3]) -> UInt32[Array, ""]:
    """The counter with which an episode begins, from where its hand starts."""
    places = jnp.rint(start / _GRID).astype(jnp.int32).astype(jnp.uint32)
    return _mixed(places * jnp.array([1, _GOLDEN, 0x85EBCA6B], jnp.uint32)).sum(dtype=jnp.uint32)


def noise(clock: UInt32[Array, ""], size: int) -> Float[Array, " n"]:
    """Nearly normal numbers of mean 0 and variance 1: the sum of the four bytes of a hash."""
    bits = _mixed(_mixed(clock * jnp.uint32(_GOLDEN)) + jnp.arange(size, dtype=jnp.uint32) * jnp.uint32(_GOLDEN))
    total = ((bits[:, None] >> jnp.arange(0, 32, 8, dtype=jnp.uint32)) & 0xFF).sum(-1).astype(jnp.float32)
    return (total - 4 * 127.5) / jnp.sqrt(4 * (256.0**2 - 1) / 12)


def _mixed(bits: UInt32[Array, "*n"]) -> UInt32[Array, "*n"]:
    """A bijection in which every bit in changes half of the bits out (the finalizer of MurmurHash3)."""
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> 13)) * jnp.uint32(0xC2B2AE35)
    return bits ^ (bits >> 16)
