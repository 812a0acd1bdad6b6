"""Networks and the action distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

Activation = Literal["tanh", "relu", "elu", "swish"]
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": nn.tanh,
    "relu": nn.relu,
    "elu": nn.elu,
    "swish": nn.swish,
}


class MLP(nn.Module):
    """A multi-layer perceptron with orthogonal weights and zero biases (Saxe et al. 2013, arXiv:1312.6120)."""

    hidden: tuple[int, ...]
    """Widths of the hidden layers."""
    outputs: int
    final_gain: float = 1.0
    """Gain of the last layer: small for a policy, so that it starts the same everywhere."""
    activation: Activation = "tanh"

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        for width in self.hidden:
            x = nn.Dense(width, kernel_init=nn.initializers.orthogonal(np.sqrt(2.0)))(x)
            x = ACTIVATIONS[self.activation](x)
        return nn.Dense(self.outputs, kernel_init=nn.initializers.orthogonal(self.final_gain))(x)


@struct.dataclass
class Gaussian:
    """A normal distribution over actions with independent entries.

    Samples may leave [-1, 1]: the environment clips what it is given, while the density stays that of the
    sample as drawn, so the policy's gradient is exact.
    """

    mean: Float[Array, "*batch action"]
    log_std: Float[Array, " action"]

    def sample(self, noise: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """A draw, made from standard normal `noise`."""
        return self.mean + jnp.exp(self.log_std) * noise

    def log_prob(self, action: Float[Array, "*batch action"]) -> Float[Array, "*batch"]:
        """Log-density of actions, in nats."""
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return -0.5 * (z**2).sum(-1) - (self.log_std + 0.5 * np.log(2 * np.pi)).sum(-1)

    def entropy(self) -> Float[Array, ""]:
        """Differential entropy, in nats; the same for every observation."""
        return (self.log_std + 0.5 * np.log(2 * np.pi * np.e)).sum(-1)


class GaussianActor(nn.Module):
    """A policy whose mean is an MLP of its input and whose standard deviation is a parameter of its own.

    A standard deviation that follows the observation learnt more slowly when tried, one that follows the context no
    faster.
    """

    hidden: tuple[int, ...]
    action_size: int
    activation: Activation = "tanh"
    initial_std: float = 1.0

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Gaussian:
        """Distribution of the action."""
        mean = MLP(self.hidden, self.action_size, final_gain=0.01, activation=self.activation)(x)
        start = nn.initializers.constant(float(np.log(self.initial_std)))
        log_std = self.param("log_std", start, (self.action_size,))
        return Gaussian(mean, jnp.clip(log_std, -5.0, 1.0))
