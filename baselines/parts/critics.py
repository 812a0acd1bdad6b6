"""What the outputs of a critic stand for: a number, or a distribution over bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

ValueName = Literal["scalar", "categorical"]


@dataclass(frozen=True)
class Scalar:
    """A number, learnt by its squared error."""

    outputs: int = 1

    def value(self, out: Float[Array, "*batch out"]) -> Float[Array, "*batch"]:
        """The value that an output stands for."""
        return out[..., 0]

    def loss(self, out: Float[Array, "*batch out"], target: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Half the squared error."""
        return 0.5 * jnp.square(out[..., 0] - target)


@dataclass(frozen=True)
class Categorical:
    """A distribution over bins, learnt by cross-entropy (HL-Gauss: Imani & White 2018, arXiv:1806.04613;
    Farebrother et al. 2024, arXiv:2403.03950). Values are in units of the family's return scale; what has learnt
    nothing stands for 0."""

    outputs: int = 101
    """Bins."""
    low: float = -10.0
    high: float = 10.0
    spread: float = 0.75
    """Standard deviation of a target's distribution, in widths of a bin."""

    @property
    def centers(self) -> Float[np.ndarray, " bin"]:
        """Middles of the bins."""
        edges = np.linspace(self.low, self.high, self.outputs + 1, dtype=np.float32)
        return (edges[:-1] + edges[1:]) / 2

    def project(self, value: Float[Array, "*batch"]) -> Float[Array, "*batch bin"]:
        """The distribution that stands for a value: a normal one around it, over the bins."""
        edges = jnp.linspace(self.low, self.high, self.outputs + 1)
        width = (self.high - self.low) / self.outputs
        value = jnp.clip(value, self.low, self.high)
        below = jax.scipy.stats.norm.cdf((edges - value[..., None]) / (self.spread * width))
        return (below[..., 1:] - below[..., :-1]) / (below[..., -1:] - below[..., :1])

    def value(self, out: Float[Array, "*batch out"]) -> Float[Array, "*batch"]:
        """The mean of the distribution whose logits an output is."""
        return (jax.nn.softmax(out) * self.centers).sum(-1)

    def loss(self, out: Float[Array, "*batch out"], target: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Cross-entropy."""
        return -(self.project(target) * jax.nn.log_softmax(out)).sum(-1)


VALUES: dict[str, Any] = {"scalar": Scalar(), "categorical": Categorical()}
"""By name."""
