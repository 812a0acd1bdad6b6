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
    heads: int = 0
    """Last layers, one for each of the input's last `heads` entries, which say by how much each counts (a one-hot
    chooses one; what they lack to 1 goes to a layer of its own). 0: one last layer for all."""

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        weights = head_weights(x, self.heads)
        for width in self.hidden:
            x = nn.Dense(width, kernel_init=nn.initializers.orthogonal(np.sqrt(2.0)))(x)
            x = ACTIVATIONS[self.activation](x)
        start = nn.initializers.orthogonal(self.final_gain)
        if not self.heads:
            return nn.Dense(self.outputs, kernel_init=start)(x)
        x = nn.Dense((self.heads + 1) * self.outputs, kernel_init=start)(x)
        return jnp.einsum("...ho,...h->...o", x.reshape(*x.shape[:-1], self.heads + 1, self.outputs), weights)


def head_weights(x: Float[Array, "*batch inputs"], heads: int) -> Float[Array, "*batch heads+1"]:
    """By how much each head counts for an input: its last `heads` entries, and what they lack to 1."""
    if not heads:
        return jnp.ones((*x.shape[:-1], 1))
    context = x[..., x.shape[-1] - heads :]
    return jnp.concatenate([context, 1.0 - context.sum(-1, keepdims=True)], axis=-1)


@struct.dataclass
class Gaussian:
    """A normal distribution over actions with independent entries.

    Samples may leave [-1, 1]: the environment clips what it is given, while the density stays that of the
    sample as drawn, so the policy's gradient is exact.
    """

    mean: Float[Array, "*batch action"]
    log_std: Float[Array, "*batch action"]

    def sample(self, noise: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """A draw, made from standard normal `noise`."""
        return self.mean + jnp.exp(self.log_std) * noise

    def log_prob(
        self, action: Float[Array, "*batch action"], used: Float[Array, "*batch action"] | float = 1.0
    ) -> Float[Array, "*batch"]:
        """Log-density of actions, in nats; entries that are not `used` (0) do not count."""
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return -0.5 * (used * z**2).sum(-1) - (used * (self.log_std + 0.5 * np.log(2 * np.pi))).sum(-1)

    def entropy(self, used: Float[Array, "*batch action"] | float = 1.0) -> Float[Array, "*batch"]:
        """Differential entropy of the entries that are `used`, in nats."""
        return (used * (self.log_std + 0.5 * np.log(2 * np.pi * np.e))).sum(-1)


class GaussianActor(nn.Module):
    """A policy whose mean is an MLP of its input and whose standard deviation is a parameter, one for each family.

    A standard deviation that follows the observation learnt more slowly when tried.
    """

    hidden: tuple[int, ...]
    action_size: int
    families: int
    """Length of the context, with which the input ends: by how much each family's standard deviation counts."""
    activation: Activation = "tanh"
    initial_std: float = 1.0
    multi_head: bool = False
    """Whether each family has a last layer of its own too, see `MLP.heads`."""

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Gaussian:
        """Distribution of the action."""
        heads = self.families if self.multi_head else 0
        mean = MLP(self.hidden, self.action_size, 0.01, self.activation, heads)(x)
        start = nn.initializers.constant(float(np.log(self.initial_std)))
        log_std = self.param("log_std", start, (self.families + 1, self.action_size))
        log_std = head_weights(x, self.families) @ log_std
        return Gaussian(mean, jnp.clip(log_std, -5.0, 1.0))
