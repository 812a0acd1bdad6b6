"""Networks."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float

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
    activation: str = "tanh"
    """A key of `ACTIVATIONS`."""

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        for width in self.hidden:
            x = nn.Dense(width, kernel_init=nn.initializers.orthogonal(np.sqrt(2.0)))(x)
            x = ACTIVATIONS[self.activation](x)
        return nn.Dense(self.outputs, kernel_init=nn.initializers.orthogonal(self.final_gain))(x)
