"""Critics of actions: a perceptron with layer norm, or residual blocks with a categorical value."""

from __future__ import annotations

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .networks import head_weights


@dataclass(frozen=True)
class Categorical:
    """A value as a distribution over bins, learnt by cross-entropy (HL-Gauss: Imani & White 2018, arXiv:1806.04613;
    Farebrother et al. 2024, arXiv:2403.03950). Values are in units of the family's return scale."""

    low: float = -5.0
    high: float = 15.0
    bins: int = 101
    spread: float = 0.75
    """Standard deviation of a target's distribution, in widths of a bin."""

    @property
    def centers(self) -> Float[np.ndarray, " bin"]:
        """Middles of the bins."""
        edges = np.linspace(self.low, self.high, self.bins + 1, dtype=np.float32)
        return (edges[:-1] + edges[1:]) / 2

    def project(self, value: Float[Array, "*batch"]) -> Float[Array, "*batch bin"]:
        """The distribution that stands for a value: a normal one around it, over the bins."""
        edges = jnp.linspace(self.low, self.high, self.bins + 1)
        width = (self.high - self.low) / self.bins
        value = jnp.clip(value, self.low, self.high)
        below = jax.scipy.stats.norm.cdf((edges - value[..., None]) / (self.spread * width))
        return (below[..., 1:] - below[..., :-1]) / (below[..., -1:] - below[..., :1])


class Critic(nn.Module):
    """Judges an action. The input ends with the context."""

    hidden: tuple[int, ...]
    families: int
    multi_head: bool = True
    """A last layer for each family."""
    categorical: Categorical | None = None
    """Residual blocks and a categorical value (Nauman et al. 2025, BRC, arXiv:2505.23150, section 4); otherwise a
    perceptron with layer norm and a number."""
    embedding: int = 32
    """Width of the context's embedding, for residual blocks."""

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch out"]:
        """A number, or logits over the bins."""
        context = x[..., x.shape[-1] - self.families :]
        outputs = 1 if self.categorical is None else self.categorical.bins
        weights = head_weights(x, self.families if self.multi_head else 0)
        if self.categorical is None:
            for width in self.hidden:
                x = nn.relu(nn.LayerNorm()(nn.Dense(width)(x)))
        else:
            embedded = nn.Dense(self.embedding, use_bias=False)(context)
            x = jnp.concatenate([x[..., : x.shape[-1] - self.families], embedded], axis=-1)
            x = nn.relu(nn.LayerNorm()(nn.Dense(self.hidden[0])(x)))
            for width in self.hidden:
                y = nn.relu(nn.LayerNorm()(nn.Dense(width)(x)))
                x = x + nn.LayerNorm()(nn.Dense(width)(y))
        x = nn.Dense(weights.shape[-1] * outputs)(x)
        return jnp.einsum("...ho,...h->...o", x.reshape(*x.shape[:-1], weights.shape[-1], outputs), weights)

    def value(self, out: Float[Array, "*batch out"]) -> Float[Array, "*batch"]:
        """The value that an output stands for."""
        if self.categorical is None:
            return out[..., 0]
        return (jax.nn.softmax(out) * self.categorical.centers).sum(-1)

    def loss(self, out: Float[Array, "*batch out"], target: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Half the squared error, or the cross-entropy."""
        if self.categorical is None:
            return 0.5 * jnp.square(out[..., 0] - target)
        return -(self.categorical.project(target) * jax.nn.log_softmax(out)).sum(-1)
