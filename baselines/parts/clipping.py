"""The loss of proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .actors import Gaussian


def clipped_surrogate(
    ratio: Float[Array, "*batch"], advantage: Float[Array, "*batch"], clip: float
) -> Float[Array, "*batch"]:
    """What is to grow, of each sample (equation 7 of the paper).

    Args:
      ratio: of the action's probability to that under the policy that acted.
      advantage: of the action.
      clip: how far the ratio may move before nothing more is gained.
    """
    return jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage)


def clipped_loss(
    config: Any, batch: Any, distribution: Gaussian, value: Float[Array, "*batch"]
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Clipped surrogate, the critic's squared error, and the entropy bonus.

    Args:
      config: has `clip`, `value_cost` and `entropy_cost`.
      batch: has `action`, `used`, `log_prob` (under the policy that acted), `advantage` and `target`.
      distribution: of actions, by the policy that learns.
      value: by the critic that learns.

    Returns:
      The loss, and metrics.
    """
    log_ratio = distribution.log_prob(batch.action, batch.used) - batch.log_prob
    ratio = jnp.exp(log_ratio)
    policy_loss = -clipped_surrogate(ratio, batch.advantage, config.clip).mean()
    value_loss = 0.5 * jnp.square(value - batch.target).mean()
    entropy = distribution.entropy(batch.used).mean()
    metrics = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": (ratio - 1.0 - log_ratio).mean(),
        "clip_fraction": (jnp.abs(ratio - 1.0) > config.clip).mean(),
    }
    return policy_loss + config.value_cost * value_loss - config.entropy_cost * entropy, metrics
