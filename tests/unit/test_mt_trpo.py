"""Multi-task TRPO: its step is the natural gradient's, as long as its bound allows, and finds the best actions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from probe import Family, Probe, bump
from scipy import integrate, stats

from mtbench.baselines.mt_trpo import MTTRPO, MTTRPOConfig
from mtbench.baselines.parts.actors import Gaussian, GaussianActor
from mtbench.baselines.parts.trust_region import damped_curvature, natural_step


def test_divergence_of_normal_distributions():
    """Against the integral that it is; what is padding does not count."""
    mean, std, other_mean, other_std = np.array([[0.3, -0.2], [0.5, 1.2], [-0.4, 0.1], [0.8, 0.9]])

    def integrand(x, i):
        one, other = stats.norm(mean[i], std[i]), stats.norm(other_mean[i], other_std[i])
        return one.pdf(x) * (one.logpdf(x) - other.logpdf(x))

    each = [integrate.quad(integrand, -12, 12, args=(i,))[0] for i in range(2)]
    one, other = (Gaussian(jnp.asarray(m), jnp.log(s)) for m, s in ((mean, std), (other_mean, other_std)))
    assert one.divergence(other) == pytest.approx(sum(each), rel=1e-4)
    assert one.divergence(other, jnp.array([0.0, 1.0])) == pytest.approx(each[1], rel=1e-4)


def test_curvature_is_fisher_information():
    """Jᵀ diag(1/σ², 2) J of means and log-standard-deviations, as a matrix."""
    actor = GaussianActor((5,), 2, 3, network="multi-head")
    inputs = jnp.concatenate([jax.random.normal(jax.random.key(0), (11, 4)), jnp.eye(3)[jnp.arange(11) % 3]], -1)
    params = actor.init(jax.random.key(1), inputs)
    params = jax.tree.map(lambda x: x + 0.2 * jax.random.normal(jax.random.key(2), x.shape), params)
    flat, unravel = ravel_pytree(params)
    old = actor.apply(params, inputs)

    def divergence(params):
        return old.divergence(actor.apply(params, inputs)).mean()

    def outputs(flat):
        now = actor.apply(unravel(flat), inputs)
        return jnp.stack([now.mean, now.log_std])

    slope = jax.jacobian(outputs)(flat)
    metric = jnp.stack([jnp.exp(-2.0 * old.log_std), 2.0 * jnp.ones_like(old.log_std)])
    fisher = jnp.einsum("kbap,kba,kbaq->pq", slope, metric, slope) / len(inputs)
    vector = jax.random.normal(jax.random.key(3), flat.shape)
    found = ravel_pytree(damped_curvature(divergence, params, 0.1)(unravel(vector)))[0]
    np.testing.assert_allclose(found, fisher @ vector + 0.1 * vector, rtol=1e-3, atol=1e-4)


def test_the_step_is_that_of_a_dense_solve():
    root = jax.random.normal(jax.random.key(0), (6, 6))
    matrix, gradient = np.asarray(root @ root.T + jnp.eye(6)), np.asarray(jax.random.normal(jax.random.key(1), (6,)))
    _, unravel = ravel_pytree({"a": jnp.zeros((2, 2)), "b": jnp.zeros(2)})

    def curvature(tree):
        return unravel(matrix @ ravel_pytree(tree)[0])

    step = ravel_pytree(natural_step(curvature, unravel(jnp.asarray(gradient)), bound=0.01, iterations=20))[0]
    direction = np.linalg.solve(matrix, gradient)
    np.testing.assert_allclose(step, direction * np.sqrt(0.02 / (gradient @ direction)), rtol=1e-3)
    assert 0.5 * step @ matrix @ step == pytest.approx(0.01, rel=1e-4)


BEST = (-0.6, 0.1, 0.7)


@pytest.fixture(scope="module")
def trained():
    """Two seeds on three families that want another action each."""
    config = MTTRPOConfig(
        num_seeds=2,
        lanes=48,
        rollout_length=8,
        minibatches=2,
        total_steps=150 * 48 * 8,
        learning_rate=3e-3,
        discount=0.9,
        policy_hidden=(16,),
        critic_hidden=(16,),
    )
    algorithm = MTTRPO(config)
    env = Probe(96, tuple(Family(lambda observation, action, best=best: bump(action, best)) for best in BEST))

    @jax.jit
    def run(key):
        state = algorithm.init(key, env)
        return jax.lax.scan(lambda state, _: algorithm.train_step(env, state), state, None, 150)

    state, metrics = run(jax.random.key(0))
    return algorithm, state, jax.tree.map(np.asarray, metrics)


def test_steps_improve_the_surrogate_and_go_as_far_as_allowed(trained):
    algorithm, _, metrics = trained
    bound, moved = algorithm.config.max_kl, metrics["step_share"] > 0
    assert moved.mean() > 0.95
    assert (metrics["surrogate"][moved] > 0).all()
    assert (metrics["kl"] <= bound).all() and np.median(metrics["kl"]) > 0.6 * bound


def test_each_family_gets_its_best_action(trained):
    algorithm, state, metrics = trained
    for seed in range(2):
        policy = algorithm.policy(state, seed)
        seen = [jax.tree.map(lambda leaf, i=i: leaf[i], state.timestep) for i in range(3)]
        actions = [float(policy.act(jax.random.key(0), (), one)[1][0]) for one in seen]
        np.testing.assert_allclose(actions, BEST, atol=0.1)
    value = algorithm.value(state, state.timestep)
    late = (metrics["return_sum"] / metrics["episodes"])[-20:].mean(0)
    np.testing.assert_allclose(value.reshape(2, -1)[:, :3], late, rtol=0.1)
