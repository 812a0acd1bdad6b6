"""Memories: maps over time that carry something from step to step, and forget it where a task begins."""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

MemoryName = Literal["gru", "s5", "transformer"]


class GRU(nn.Module):
    """A gated recurrent unit (Cho et al. 2014, arXiv:1406.1078), as in RL² (Duan et al. 2016, arXiv:1611.02779)."""

    size: int

    @nn.nowrap
    def initialize(self, batch: tuple[int, ...]) -> Float[Array, "*batch size"]:
        """What is remembered of nothing."""
        return jnp.zeros((*batch, self.size))

    @nn.compact
    def __call__(
        self,
        carry: Float[Array, "*batch size"],
        x: Float[Array, "time *batch inputs"],
        begins: Bool[Array, time * batch],
    ) -> tuple[Float[Array, "*batch size"], Float[Array, "time *batch size"]]:
        """Runs over time; what is carried is forgotten before a step where a task begins."""

        def step(cell: nn.Module, carry: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            x, begins = now
            return cell(jnp.where(begins[..., None], 0.0, carry), x)

        over_time = nn.scan(step, variable_broadcast="params", split_rngs={"params": False})
        return over_time(nn.GRUCell(self.size), carry, (x, begins))


class S5(nn.Module):
    """Diagonal linear recurrences between gated layers, run over time by an associative scan.

    The recurrence is that of Smith et al. 2023 (S5, arXiv:2208.04933) in the parametrisation of Orvieto et al. 2023
    (arXiv:2303.06349, section 3), with resets inside the scan as in Lu et al. 2023 (arXiv:2303.03982, section 4).
    """

    size: int
    states: int = 64
    """Complex numbers that a layer carries."""
    layers: int = 2

    @nn.nowrap
    def initialize(self, batch: tuple[int, ...]) -> Float[Array, "*batch layer 2 state"]:
        """What is remembered of nothing; real and imaginary parts, which any checkpoint can hold."""
        return jnp.zeros((*batch, self.layers, 2, self.states))

    @nn.compact
    def __call__(
        self,
        carry: Float[Array, "*batch layer 2 state"],
        x: Float[Array, "time *batch inputs"],
        begins: Bool[Array, time * batch],
    ) -> tuple[Float[Array, "*batch layer 2 state"], Float[Array, "time *batch size"]]:
        """Runs over time; what is carried is forgotten before a step where a task begins."""
        x = nn.Dense(self.size)(x)
        kept = []
        for layer in range(self.layers):
            before = jax.lax.complex(carry[..., layer, 0, :], carry[..., layer, 1, :])
            after, y = self._recurrence(f"layer_{layer}", before, nn.LayerNorm()(x), begins)
            x = x + nn.Dense(self.size)(nn.gelu(y)) * nn.sigmoid(nn.Dense(self.size)(y))
            kept.append(jnp.stack([after.real, after.imag], axis=-2))
        return jnp.stack(kept, axis=-3), x

    def _recurrence(
        self, name: str, before: Array, x: Float[Array, "time *batch size"], begins: Bool[Array, time * batch]
    ) -> tuple[Array, Array]:
        """h_t = λ h_{t-1} + γ B x_t, y_t = Re(C h_t) + D x_t."""

        def ring(key: jax.Array, low: float = 0.9, high: float = 0.999) -> Array:
            # Uniform over the ring's area; stored so that any value keeps |λ| below 1.
            radius = jnp.sqrt(jax.random.uniform(key, (self.states,)) * (high**2 - low**2) + low**2)
            return jnp.log(-jnp.log(radius))

        def phase(key: jax.Array) -> Array:
            return jnp.log(jax.random.uniform(key, (self.states,), minval=1e-3, maxval=np.pi / 10))

        glorot = nn.initializers.variance_scaling(0.5, "fan_in", "normal")
        nu, theta = self.param(f"{name}_nu", ring), self.param(f"{name}_theta", phase)
        into = self.param(f"{name}_in", glorot, (2, x.shape[-1], self.states))
        out = self.param(f"{name}_out", glorot, (2, self.states, self.size))
        skip = self.param(f"{name}_skip", nn.initializers.normal(1.0), (self.size,))
        factor = jnp.exp(jax.lax.complex(-jnp.exp(nu), jnp.exp(theta)))
        gain = jnp.sqrt(1.0 - jnp.abs(factor) ** 2)
        driven = jax.lax.complex(gain * (x @ into[0]), gain * (x @ into[1]))
        factors = jnp.where(begins[..., None], 0.0, jnp.broadcast_to(factor, driven.shape))
        # What was carried enters with the first step, unless a task begins there.
        driven = driven.at[0].add(factors[0] * before)

        def then(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
            return first[0] * second[0], first[1] * second[0] + second[1]

        _, h = jax.lax.associative_scan(then, (factors, driven))
        return h[-1], h.real @ out[0] - h.imag @ out[1] + skip * x


class Transformer(nn.Module):
    """Attention over the last `window` steps of the task, with what earlier chunks computed kept as it was.

    As Transformer-XL (Dai et al. 2019, arXiv:1901.02860), layer norm first, with a learnt bias for how long ago a
    step was. Gradients stop at the chunk's start.
    """

    size: int
    window: int = 64
    layers: int = 2
    heads: int = 4

    @nn.nowrap
    def initialize(self, batch: tuple[int, ...]) -> dict[str, Array]:
        """What is remembered of nothing."""
        kept = jnp.zeros((*batch, self.layers, self.window, self.size))
        return {"kept": kept, "valid": jnp.zeros((*batch, self.window), bool)}

    @nn.compact
    def __call__(
        self, carry: dict[str, Array], x: Float[Array, "time *batch inputs"], begins: Bool[Array, time * batch]
    ) -> tuple[dict[str, Array], Float[Array, "time *batch size"]]:
        """Runs over time; what is carried is forgotten before a step where a task begins."""
        time, batch = x.shape[0], x.shape[1:-1]
        x = jnp.moveaxis(nn.Dense(self.size)(x), 0, -2)
        begins = jnp.moveaxis(begins, 0, -1)
        # Steps of the same task have the same number; those of the carry belong to the task before any begins.
        trial = jnp.concatenate([jnp.zeros((*batch, self.window), jnp.int32), jnp.cumsum(begins, -1)], -1)
        valid = jnp.concatenate([carry["valid"], jnp.ones((*batch, time), bool)], -1)
        age = jnp.arange(time)[:, None] + self.window - jnp.arange(self.window + time)
        seen = (age >= 0) & (age < self.window)
        seen = seen & (trial[..., self.window :, None] == trial[..., None, :]) & valid[..., None, :]
        kept = []
        for layer in range(self.layers):
            past = jax.lax.stop_gradient(carry["kept"][..., layer, :, :])
            tokens = jnp.concatenate([past, x], -2)
            kept.append(tokens[..., -self.window :, :])
            bias = self.param(f"age_{layer}", nn.initializers.zeros, (self.heads, self.window))
            x = x + self._attention(x, tokens, seen, bias[:, jnp.clip(age, 0, self.window - 1)])
            x = x + nn.Dense(self.size)(nn.gelu(nn.Dense(2 * self.size)(nn.LayerNorm()(x))))
        last = trial[..., -1:] == trial[..., -self.window :]
        after = {"kept": jnp.stack(kept, -3), "valid": valid[..., -self.window :] & last}
        return after, jnp.moveaxis(nn.LayerNorm()(x), -2, 0)

    def _attention(self, x: Array, tokens: Array, seen: Array, bias: Array) -> Array:
        """Softmax attention of every step over the tokens that it may see."""
        width = self.size // self.heads

        def split(y: Array) -> Array:
            return y.reshape(*y.shape[:-1], self.heads, width)

        norm = nn.LayerNorm()
        query = split(nn.Dense(self.size, use_bias=False)(norm(x)))
        tokens = norm(tokens)
        key, value = (split(nn.Dense(self.size, use_bias=False)(tokens)) for _ in range(2))
        weight = jnp.einsum("...qhd,...khd->...hqk", query, key) / np.sqrt(width) + bias
        weight = jax.nn.softmax(jnp.where(seen[..., None, :, :], weight, -1e9), axis=-1)
        mixed = jnp.einsum("...hqk,...khd->...qhd", weight, value)
        return nn.Dense(self.size)(mixed.reshape(*x.shape[:-1], self.size))


MEMORIES: dict[str, Any] = {"gru": GRU, "s5": S5, "transformer": Transformer}
"""Memories by name; each takes its width."""
