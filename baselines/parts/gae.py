"""Generalised advantage estimation (Schulman et al. 2015, arXiv:1506.02438)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def gae(
    reward: Float[Array, "time ..."],
    value: Float[Array, "time ..."],
    next_value: Float[Array, "time ..."],
    *,
    terminated: Bool[Array, "time ..."],
    truncated: Bool[Array, "time ..."],
    discount: float,
    gae_lambda: float,
) -> Float[Array, "time ..."]:
    """Advantage of every step of a rollout; add `value` for the critic's target, the λ-return.

    A terminated step has no future. A truncated one has a future that was not played, so it is worth
    `next_value`. Neither hands an advantage of the next episode back to the one that ended.

    Args:
      reward: r_t.
      value: V(o_t).
      next_value: V of the observation that step t really led to: at an episode's end the final one,
        never the first of the next episode.
      terminated: whether the future after step t is worth nothing.
      truncated: whether step t was the last one played although the future goes on.
      discount: γ.
      gae_lambda: λ, from 0 (one-step temporal difference) to 1 (the return as played).
    """
    residual = reward + discount * jnp.where(terminated, 0.0, next_value) - value
    carry_on = discount * gae_lambda * jnp.where(terminated | truncated, 0.0, 1.0)

    def step(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        residual, carry_on = now
        advantage = residual + carry_on * later
        return advantage, advantage

    return jax.lax.scan(step, jnp.zeros_like(residual[0]), (residual, carry_on), reverse=True)[1]
