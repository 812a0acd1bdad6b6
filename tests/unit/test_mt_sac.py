"""Multi-task SAC, its replay and its critics, on small problems whose answers are known."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe import Family, Probe, bump
from scipy import stats

from mtbench.baselines.mt_sac import MTSAC, Batch, MTSACConfig, Row, Squashed
from mtbench.baselines.parts.critics import Categorical
from mtbench.baselines.parts.replay import Replay, check_memory, n_step
from mtbench.errors import UsageError

SMALL = MTSACConfig(
    lanes=16,
    rollout_length=4,
    gradient_steps=8,
    batch_size=128,
    replay_rows=8_000,
    random_steps=1_000,
    learning_rate=3e-3,
    discount=0.9,
    n_step=1,
    target_rate=0.05,
    policy_hidden=(32,),
    critic_hidden=(32,),
    scale_rewards=False,
)


def train(config, env, updates):
    algorithm = MTSAC(config)

    @jax.jit
    def run(key):
        state = algorithm.init(key, env)
        return jax.lax.scan(lambda state, _: algorithm.train_step(env, state), state, None, updates)

    state, metrics = run(jax.random.key(0))
    return algorithm, state, jax.tree.map(np.asarray, metrics)


# ── Replay ──


def test_rings_keep_the_newest_rows_of_each_family():
    rng = np.random.default_rng(0)
    replay, expected = Replay.init({"x": jnp.zeros(2)}, families=3, slots=8), {f: [] for f in range(3)}
    add = jax.jit(Replay.add)
    for round_ in range(9):
        family = rng.integers(0, 2, 5)  # the last family never comes
        x = np.stack([np.full(5, round_), np.arange(5)], -1).astype(np.float32)
        replay = add(replay, {"x": jnp.asarray(x)}, jnp.asarray(family))
        for f, row in zip(family, x, strict=True):
            expected[f] = [*expected[f], tuple(row)][-8:]
    for f in (0, 1):
        assert sorted(map(tuple, np.asarray(replay.rows["x"][f]))) == sorted(expected[f])
    rows, family, weight = replay.sample(jax.random.key(0), 64)
    assert (np.asarray(weight) == (np.asarray(family) < 2)).all() and np.bincount(family).tolist() == [64] * 3
    drawn = np.asarray(rows["x"])[np.asarray(family) == 1]
    assert set(map(tuple, drawn)) == set(expected[1])


def test_sums_of_rewards_stop_where_an_episode_does():
    rng = np.random.default_rng(0)
    time, lanes, steps, discount = 12, 40, 3, 0.9
    reward, seen = rng.normal(size=(time, lanes)), rng.normal(size=(time, lanes, 2))
    ends = rng.random((time, lanes))
    terminated, truncated = ends < 0.15, (ends > 0.15) & (ends < 0.3)
    total, factor, after = n_step(
        *map(jnp.asarray, (reward, terminated, truncated, seen)), steps=steps, discount=discount
    )
    for t in range(time):
        for lane in range(lanes):
            sum_, left = 0.0, 1.0
            for k in range(t, min(t + steps, time)):
                sum_, left = sum_ + left * reward[k, lane], left * discount
                if terminated[k, lane]:
                    left = 0.0
                if terminated[k, lane] or truncated[k, lane]:
                    break
            assert total[t, lane] == pytest.approx(sum_, abs=1e-5) and factor[t, lane] == pytest.approx(left, abs=1e-6)
            np.testing.assert_allclose(after[t, lane], seen[k, lane], atol=1e-6)


def test_a_replay_that_does_not_fit_is_refused_with_both_sizes():
    row = {"x": jax.ShapeDtypeStruct((1000,), jnp.float32)}
    with pytest.raises(UsageError, match=r"takes 4000\.0 GB, .* GB are free: choose a smaller replay_rows"):
        check_memory(row, 1_000, 1_000_000)
    check_memory(row, 10, 10)


# ── Distributions ──


def test_squashed_density_is_that_of_its_samples():
    """Against the normal distribution's density and the change of variables, in double precision."""
    mean, log_std = np.array([0.3, -1.2]), np.array([-0.5, 0.4])
    noise = np.random.default_rng(0).normal(size=(100, 2))
    action, log_prob = Squashed(jnp.asarray(mean), jnp.asarray(log_std)).sample(jnp.asarray(noise), jnp.ones(2))
    raw = mean + np.exp(log_std) * noise
    expected = (stats.norm.logpdf(raw, mean, np.exp(log_std)) - np.log(1 - np.tanh(raw) ** 2)).sum(-1)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(action, np.tanh(raw), atol=1e-5)
    _, first = Squashed(jnp.asarray(mean), jnp.asarray(log_std)).sample(jnp.asarray(noise), jnp.array([1.0, 0.0]))
    alone = Squashed(jnp.asarray(mean[:1]), jnp.asarray(log_std[:1])).sample(jnp.asarray(noise[:, :1]), jnp.ones(1))[1]
    np.testing.assert_allclose(first, alone, atol=1e-5)


def test_a_categorical_value_has_the_mean_that_it_stands_for():
    kind = Categorical()
    value = jnp.linspace(-4.5, 14.5, 77)
    probability = kind.project(value)
    np.testing.assert_allclose(probability.sum(-1), 1.0, atol=1e-5)
    np.testing.assert_allclose(probability @ kind.centers, value, atol=2e-2)
    assert (kind.project(jnp.array(99.0)) @ kind.centers) > 14.5


# ── Learning ──

VALUES = (Family(), Family(truncated=True), Family(truncated=True, horizon=3))
"""A reward of 1 at every step: worth 1 where it is over, 1 / (1 - 0.9) where it is only cut off."""


@pytest.mark.parametrize("critic", ["mlp", "brc"])
def test_critics_learn_the_value(critic):
    # A temperature of next to nothing: the value is the reward's alone.
    config = replace(SMALL, lanes=24, critic=critic, initial_temperature=1e-6, n_step=3)
    algorithm, state, _ = train(config, Probe(24, VALUES), 150)
    learner = jax.tree.map(lambda leaf: leaf[0], state.learner)
    family = jnp.arange(3)
    context, one = jax.nn.one_hot(family, 3), jnp.ones((3, 1))
    row = Row(one * 0, one * 0, family * 0.0, family * 0.0, one * 0)
    batch = Batch(row, context, one, family, one[:, 0])
    values = algorithm._values(learner.params["critics"], one * 0, one * 0, batch)
    np.testing.assert_allclose(values.min(0), [1.0, 10.0, 10.0], rtol=0.08)


def test_each_family_has_its_action_and_its_temperature():
    families = tuple(Family(lambda observation, action, best=best: bump(action, best)) for best in (-0.6, 0.1, 0.7))
    config = replace(SMALL, lanes=24, num_seeds=2)
    algorithm, state, metrics = train(config, Probe(48, families), 200)
    for seed in range(2):
        policy = algorithm.policy(state, seed)
        seen = [jax.tree.map(lambda leaf, i=i: leaf[i], state.timestep) for i in range(3)]
        actions = [float(policy.act(jax.random.key(0), (), one)[1][0]) for one in seen]
        np.testing.assert_allclose(actions, [-0.6, 0.1, 0.7], atol=0.12)
    # Each temperature settles where the entropy is what it is to be: minus the number of actions.
    assert metrics["entropy"][-30:].mean() == pytest.approx(-1.0, abs=0.25)
    learnt = state.learner.params
    assert (np.asarray(learnt["actor"]["params"]["MLP_0"]["Dense_0"]["kernel"][0]) != 0).any()
    assert not np.allclose(*[np.asarray(leaf) for leaf in learnt["log_temperature"]]), "seeds differ"


def test_bad_configurations():
    for change in ({"n_step": 0}, {"critic": "deep"}, {"target_rate": 0.0}, {"batch_size": 0}):
        with pytest.raises(UsageError, match=next(iter(change))):
            MTSAC(replace(SMALL, **change))
    with pytest.raises(UsageError, match="n_step = 9: sums end with a rollout, so rollout_length = 4"):
        MTSAC(replace(SMALL, n_step=9))
    with pytest.raises(UsageError, match="residual blocks must all have the same width"):
        MTSAC(replace(SMALL, critic="brc", critic_hidden=(8, 16)))
    with pytest.raises(UsageError, match="at least 64 rows are needed"):
        MTSAC(replace(SMALL, replay_rows=10)).init(jax.random.key(0), Probe(16, (Family(),)))
    with pytest.raises(UsageError, match="must have 16 lanes, it has 32"):
        MTSAC(SMALL).init(jax.random.key(0), Probe(32, (Family(),)))
