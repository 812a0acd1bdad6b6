"""One gradient out of several: against what the papers' formulas give for small problems."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from probe import Family, Probe, bump

from mtbench.baselines.mt_ppo import MTPPO, MTPPOConfig
from mtbench.baselines.parts import gradients
from mtbench.errors import UsageError

SMALL = MTPPOConfig(
    lanes=64,
    rollout_length=8,
    minibatches=2,
    learning_rate=3e-3,
    anneal=False,
    discount=0.9,
    policy_hidden=(16,),
    critic_hidden=(16,),
    network="mlp",
)


def opposites(num_lanes: int) -> Probe:
    """Two families whose best actions are opposite."""
    return Probe(num_lanes, tuple(Family(lambda seen, action, at=at: bump(action, at)) for at in (0.6, -0.6)))


def train(config: MTPPOConfig, env: Probe, updates: int):
    """The state after some updates, and their metrics."""
    algorithm = MTPPO(config)

    @jax.jit
    def run(key):
        state = algorithm.init(key, env)
        return jax.lax.scan(lambda state, _: algorithm.train_step(env, state), state, None, updates)

    return jax.device_get(run(jax.random.key(0)))


def combined(way: optax.GradientTransformationExtraArgs, tasks, losses=None, state=None, key: int = 0, present=None):
    """What a way makes of gradients [task, n], split over two leaves, and its next state."""
    tasks = jnp.asarray(tasks, jnp.float32)
    count = len(tasks)
    tree = {"a": tasks[:, :1], "b": tasks[:, 1:, None]}
    told = {
        "losses": jnp.ones(count) if losses is None else jnp.asarray(losses, jnp.float32),
        "present": jnp.ones(count, bool) if present is None else jnp.asarray(present),
        "key": jax.random.key(key),
    }
    state = way.init(jax.tree.map(lambda x: x[0], tree)) if state is None else state
    out, state = way.update(tree, state, None, **told)
    return np.concatenate([out["a"], out["b"][:, 0]]), state


CONFLICT = np.array([[1.0, 0.0], [-1.0, 1.0]])


def test_pcgrad_projects_what_conflicts():
    """(1, 0) off (-1, 1) is (1/2, 1/2); (-1, 1) off (1, 0) is (0, 1)."""
    out, _ = combined(gradients.pcgrad(2), CONFLICT)
    np.testing.assert_allclose(out, [0.25, 0.75], atol=1e-6)
    agreeing = np.array([[1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(combined(gradients.pcgrad(2), agreeing)[0], agreeing.mean(0), atol=1e-6)


def test_pcgrad_of_many_is_that_of_the_paper():
    """Algorithm 1 as it is written, on vectors, averaged over its random orders."""
    tasks = np.random.default_rng(0).normal(size=(4, 6))
    way = jax.jit(lambda key: combined_vector(gradients.pcgrad(4), tasks, key))
    got = np.mean([way(jax.random.key(k)) for k in range(300)], axis=0)
    rng, total = np.random.default_rng(1), np.zeros(6)
    for _ in range(300):
        for i in range(4):
            left = tasks[i].copy()
            for j in rng.permutation(4):
                if j != i and left @ tasks[j] < 0:
                    left -= left @ tasks[j] / (tasks[j] @ tasks[j]) * tasks[j]
            total += left / 4 / 300
    np.testing.assert_allclose(got, total, atol=0.03)


def combined_vector(way, tasks, key):
    told = {"losses": jnp.ones(len(tasks)), "present": jnp.ones(len(tasks), bool), "key": key}
    return way.update(jnp.asarray(tasks), way.init(None), None, **told)[0]


def test_cagrad():
    """Without a radius the mean; with one, what the dual's minimum on a fine grid gives."""
    tasks = np.array([[1.0, 0.2], [-0.6, 0.3]])
    mean = tasks.mean(0)
    np.testing.assert_allclose(combined(gradients.cagrad(2, c=0.0), tasks)[0], mean, atol=1e-6)
    for c in (0.4, 0.9):
        w = np.linspace(0, 1, 10_001)
        mixed = w[:, None] * tasks[0] + (1 - w)[:, None] * tasks[1]
        best = mixed[np.argmin(mixed @ mean + c * np.linalg.norm(mean) * np.linalg.norm(mixed, axis=1))]
        expected = mean + c * np.linalg.norm(mean) * best / np.linalg.norm(best)
        out, _ = combined(gradients.cagrad(2, c=c), tasks)
        np.testing.assert_allclose(out, expected, atol=2e-3)
        assert (tasks @ out).min() > (tasks @ mean).min()
    # A task without samples takes no part in the minimum.
    alone, _ = combined(gradients.cagrad(2, c=0.5), [[1.0, 0.0], [0.0, 0.0]], present=[True, False])
    np.testing.assert_allclose(alone, [0.75, 0.0], atol=1e-4)


def test_famo_turns_to_the_task_that_falls_behind():
    way, state = gradients.famo(2), None
    losses = np.array([1.0, 1.0])
    for _ in range(20):
        out, state = combined(way, np.eye(2), losses, state)
        losses = losses * [0.9, 0.99]
    assert state[0][1] > 0.1 > -0.1 > state[0][0]
    # Weights are shares over losses: of two gradients of logarithms of losses, brought to sum 1.
    shares = np.exp(state[0]) / np.exp(state[0]).sum()
    losses = losses / [0.9, 0.99]
    np.testing.assert_allclose(out, shares / losses / (shares / losses).sum(), rtol=1e-4)
    _, again = combined(way, np.eye(2), losses, state)  # as much of both: pulled back together
    assert np.isfinite(again[0]).all()


def test_gradnorm_makes_gradients_equally_long():
    tasks, state = np.array([[4.0, 0.0], [0.0, 1.0]]), None
    way = gradients.gradnorm(2, restoring=0.0)
    for _ in range(200):
        out, state = combined(way, tasks, state=state)
    np.testing.assert_allclose(out[0], out[1], rtol=0.1)
    np.testing.assert_allclose(out / [4.0, 1.0] * 2, [0.4, 1.6], rtol=0.1)  # weights, whose mean is 1
    # With α, a task whose loss has fallen less gets the longer gradient.
    way, state = gradients.gradnorm(2, restoring=1.0), None
    for step in range(200):
        out, state = combined(way, tasks, [1.0, 1.0 if step == 0 else 0.5], state)
    np.testing.assert_allclose(out[0] / out[1], 2.0, rtol=0.15)


def test_gradient_steps_have_as_many_samples_of_each_task():
    task = jnp.asarray(np.random.default_rng(0).choice(3, 64, p=[0.6, 0.3, 0.1]))
    chosen = gradients.task_batches(jax.random.key(0), task, 3, 4)
    assert chosen.shape == (4, 3, 5)
    for own in range(3):
        got = np.asarray(chosen[:, own]).ravel()
        assert (np.asarray(task)[got] == own).all()
        count = int((task == own).sum())
        assert len(set(got)) == min(count, 20)  # none twice while there are others
    again = gradients.task_batches(jax.random.key(1), task, 3, 4)
    assert (np.asarray(again) != np.asarray(chosen)).any()


@pytest.mark.parametrize("name", ["pcgrad", "cagrad", "famo", "gradnorm"])
def test_mt_ppo_learns_with_each(name):
    """Two families of opposite actions, in one network: both returns rise."""
    state, metrics = train(replace(SMALL, gradients=name), opposites(64), 80)
    returns = metrics["return_sum"][:, 0] / metrics["episodes"][:, 0]
    assert (returns[-10:].mean(0) > 0.8).all() and (returns[0] < 0.6).all()
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.learner.params))


def test_groups_of_families():
    _, metrics = train(replace(SMALL, gradients="pcgrad", gradient_groups=1), opposites(64), 2)
    assert np.isfinite(metrics["grad_norm"]).all()
    assert gradients.Gradients("pcgrad", 50, 16).num_tasks == 16
    assert gradients.Gradients("mean", 50, 16).num_tasks == 0
    few, env = MTPPO(replace(SMALL, gradients="famo", minibatches=512)), opposites(64)
    with pytest.raises(UsageError, match="minibatches of 1 samples are too few for 2 gradients: give gradient_groups"):
        jax.eval_shape(lambda: few.train_step(env, few.init(jax.random.key(0), env)))
