"""A step along the natural gradient, as far as a bound on the divergence allows.

Trust region policy optimisation (Schulman et al. 2015, arXiv:1502.05477), for any pytree of parameters:

    g = ∇ surrogate,  F x = g by conjugate gradients,  θ ← θ + α √(2 δ / xᵀ F x) x,  α = 1, ⅘, ⅘², …

with the first α at which the surrogate has grown and the divergence is at most δ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


def trust_region_step[P](
    config: Any,
    surrogate: Callable[[P], Float[Array, ""]],
    divergence: Callable[[P], Float[Array, ""]],
    params: P,
    *,
    sampled_divergence: Callable[[P], Float[Array, ""]],
) -> tuple[P, dict[str, Array]]:
    """The parameters after a step.

    Args:
      config: has `max_kl`, `damping`, `cg_iterations` and `backtracks`.
      surrogate: what is to grow.
      divergence: from the distributions of `params`; bounded.
      params: to start from.
      sampled_divergence: the same of some samples, for the curvature.

    Returns:
      The parameters, and metrics: `surrogate` (how much it has grown), `kl` (how far the policy has moved),
      `step_share` (α; 0 where none would do), `grad_norm`.
    """
    start, gradient = jax.value_and_grad(surrogate)(params)
    curvature = damped_curvature(sampled_divergence, params, config.damping)
    step = natural_step(curvature, gradient, config.max_kl, config.cg_iterations)

    def tried(number: Array) -> tuple[Any, Array, Array, Array]:
        share = 0.8 ** number.astype(jnp.float32)
        after = optax.tree.add_scale(params, share, step)
        return after, share, surrogate(after) - start, divergence(after)

    def fails(tries: tuple[Array, Any]) -> Array:
        number, (_, _, gain, moved) = tries
        return (number < config.backtracks) & ~((gain > 0.0) & (moved <= config.max_kl))

    def shorten(tries: tuple[Array, Any]) -> tuple[Array, Any]:
        number = tries[0] + 1
        return number, tried(number)

    zero = jnp.zeros((), jnp.int32)
    number, (after, *told) = jax.lax.while_loop(fails, shorten, (zero, tried(zero)))
    moves = number < config.backtracks
    after = jax.tree.map(lambda new, old: jnp.where(moves, new, old), after, params)
    share, gain, moved = (jnp.where(moves, x, 0.0) for x in told)
    metrics = {"surrogate": gain, "kl": moved, "step_share": share}
    return after, metrics | {"grad_norm": optax.global_norm(gradient)}


def damped_curvature[P](divergence: Callable[[P], Array], params: P, damping: float) -> Callable[[P], P]:
    """Products with the Hessian of a divergence from these parameters, which there is Fisher's information matrix, and
    with so much of the identity."""

    def product(vector: P) -> P:
        curved = jax.jvp(jax.grad(divergence), (params,), (vector,))[1]
        return optax.tree.add_scale(curved, damping, vector)

    return product


def natural_step[P](curvature: Callable[[P], P], gradient: P, bound: float, iterations: int) -> P:
    """The step along the natural gradient whose divergence is the bound, by the second-order model (appendix C)."""
    direction: P = jax.scipy.sparse.linalg.cg(curvature, gradient, maxiter=iterations)[0]
    length = optax.tree.vdot(direction, curvature(direction))
    return optax.tree.scale(jnp.sqrt(2.0 * bound / jnp.maximum(length, 1e-12)), direction)
