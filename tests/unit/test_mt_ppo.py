"""Multi-task PPO on small problems whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe import Family, Probe, bump

from mtbench.baselines.mt_ppo import MTPPO, MTPPOConfig
from mtbench.baselines.parts.actors import Gaussian
from mtbench.baselines.parts.gae import gae
from mtbench.baselines.parts.normalization import (
    LayoutMoments,
    Moments,
    ReturnScale,
    discounted_return,
    standardize_by_family,
)
from mtbench.baselines.parts.on_policy import State
from mtbench.errors import UsageError

SMALL = MTPPOConfig(
    lanes=32,
    rollout_length=8,
    minibatches=2,
    total_steps=100_000,
    learning_rate=3e-3,
    anneal=False,
    discount=0.9,
    policy_hidden=(16,),
    critic_hidden=(16,),
)


def train(config: MTPPOConfig, env: Probe, updates: int) -> tuple[MTPPO, State, dict[str, np.ndarray]]:
    """The algorithm, its state after some updates, and the metrics of all of them, [update, …]."""
    algorithm = MTPPO(config)

    @jax.jit
    def run(key):
        state = algorithm.init(key, env)
        return jax.lax.scan(lambda state, _: algorithm.train_step(env, state), state, None, updates)

    state, metrics = run(jax.random.key(0))
    return algorithm, state, jax.tree.map(np.asarray, metrics)


# ── Advantages ──


@pytest.mark.parametrize("discount, gae_lambda", [(0.99, 0.95), (0.9, 0.0), (0.97, 1.0)])
def test_gae_equals_its_definition(discount, gae_lambda):
    """Â_t = Σ_k (γλ)^k δ_{t+k} over the rest of the episode; a terminated step has no future, a truncated one does."""
    rng = np.random.default_rng(0)
    reward, value, next_value = rng.normal(size=(3, 20, 50))
    ends = rng.random((20, 50))
    terminated, truncated = ends < 0.1, (ends > 0.05) & (ends < 0.2)  # some steps are both
    expected = np.zeros_like(reward)
    for lane in range(50):
        for t in range(20):
            for k in range(t, 20):
                future = 0.0 if terminated[k, lane] else next_value[k, lane]
                residual = reward[k, lane] + discount * future - value[k, lane]
                expected[t, lane] += (discount * gae_lambda) ** (k - t) * residual
                if terminated[k, lane] or truncated[k, lane]:
                    break
    got = gae(
        *map(jnp.asarray, (reward, value, next_value)),
        terminated=jnp.asarray(terminated),
        truncated=jnp.asarray(truncated),
        discount=discount,
        gae_lambda=gae_lambda,
    )
    np.testing.assert_allclose(got, expected, atol=1e-5)


# ── Normalisers ──


def test_moments_of_batches_are_those_of_all_data():
    data = np.random.default_rng(0).normal(3.0, [0.1, 5.0], (1000, 2)).astype(np.float32)
    moments = Moments.init(2)
    np.testing.assert_allclose(moments.normalize(data, clip=100.0), data, rtol=1e-5)
    for batch in (data[:10], data[10:400], data[400:].reshape(6, 100, 2)):
        moments = moments.update(jnp.asarray(batch))
    np.testing.assert_allclose(moments.mean, data.mean(0), rtol=1e-4)
    np.testing.assert_allclose(moments.variance, data.var(0), rtol=1e-3)


def test_layouts_have_moments_of_their_own():
    """One layout's padding does not shift another's moments; a hidden context counts for the first layout."""
    rng = np.random.default_rng(0)
    family = rng.integers(0, 3, 600)
    data = rng.normal(3.0, [0.1, 5.0], (600, 2)).astype(np.float32) * (1 + family[:, None])
    moments = LayoutMoments.init(2, (0, 0, 1))
    context = np.eye(3, dtype=np.float32)[family]
    for part in np.split(np.arange(600), 3):
        moments = moments.update(jnp.asarray(data[part]), jnp.asarray(context[part]))
    for layout, mine in enumerate((family < 2, family == 2)):
        np.testing.assert_allclose(moments.moments.mean[layout], data[mine].mean(0), rtol=1e-4)
        np.testing.assert_allclose(moments.moments.variance[layout], data[mine].var(0), rtol=1e-3)
    last = data[family == 2]
    normal = np.asarray(moments.normalize(last, context[family == 2]))
    np.testing.assert_allclose(normal, (last - last.mean(0)) / last.std(0), atol=1e-2)
    hidden = moments.normalize(data[:5], np.zeros((5, 3), np.float32))
    np.testing.assert_array_equal(hidden, moments.normalize(data[:5], np.eye(3, dtype=np.float32)[[0] * 5]))


def test_padding_of_the_action_is_inert():
    some = Gaussian(jnp.array([0.1, -0.2, 0.3]), jnp.array([0.0, -1.0, 0.5]))
    whole = Gaussian(some.mean[:2], some.log_std[:2])
    used, action = jnp.array([1.0, 1.0, 0.0]), jnp.array([0.5, 0.4, 7.0])
    assert some.log_prob(action, used) == pytest.approx(float(whole.log_prob(action[:2])))
    assert some.entropy(used) == pytest.approx(float(whole.entropy()))


def test_discounted_returns_restart_with_the_episode():
    reward = jnp.asarray([[1.0], [1.0], [1.0], [4.0]])
    done = jnp.asarray([[False], [True], [False], [True]])
    last, returns = discounted_return(jnp.asarray([2.0]), reward, done, 0.5)
    np.testing.assert_allclose(returns[:, 0], [2.0, 2.0, 1.0, 4.5])
    assert last[0] == 0.0


def test_families_are_scaled_apart():
    """Each family by its own figures; one never seen keeps scale 1, and one without variance stays finite."""
    rng = np.random.default_rng(0)
    family = jnp.asarray(rng.integers(0, 2, (16, 64)))
    x = jnp.asarray(rng.normal(size=(16, 64))) * jnp.asarray([10.0, 0.1])[family]
    scale = ReturnScale.init(3).update(x[:4], family[:4]).update(x[4:], family[4:]).scale
    for f in (0, 1):
        np.testing.assert_allclose(scale[f], np.sqrt(np.mean(np.square(x[family == f]))), rtol=1e-4)
    assert scale[2] == 1.0
    standard = standardize_by_family(x, family, 3)
    for f in (0, 1):
        assert abs(standard[family == f].mean()) < 1e-4
        np.testing.assert_allclose(standard[family == f].std(), 1.0, rtol=0.02)
    np.testing.assert_array_equal(standardize_by_family(jnp.ones((4,)), jnp.zeros(4, int), 3), np.zeros(4))


# ── Values with known answers ──

VALUES = {
    "over": Family(),
    "cut off": Family(truncated=True),
    "cut off later": Family(truncated=True, horizon=3),
    "ageing": Family(horizon=3, observe=lambda key, elapsed: elapsed / 2.0),
    "arriving": Family(
        reward=lambda observation, action: observation,
        observe=lambda key, elapsed: jnp.minimum(elapsed, 1.0),
        truncated=True,
        horizon=2,
    ),
    "coin": Family(
        reward=lambda observation, action: observation,
        observe=lambda key, elapsed: jax.random.bernoulli(key).astype(jnp.float32),
    ),
}


@pytest.fixture(scope="module")
def values() -> Callable[[str, float], float]:
    """What the critic says of a family and an observation after a training on all families of `VALUES`."""
    config = replace(SMALL, lanes=96, critic_hidden=(32, 32), total_steps=500 * 96 * 8, anneal=True)
    algorithm, state, _ = train(config, Probe(96, tuple(VALUES.values())), 500)

    def value(name: str, observation: float) -> float:
        family = list(VALUES).index(name)
        shown = state.timestep.replace(
            observation=jnp.full((96, 1), observation),
            context=jax.nn.one_hot(jnp.full(96, family), len(VALUES)),
            family=jnp.full(96, family),
        )
        return float(algorithm.value(state, shown)[0])

    return value


@pytest.mark.parametrize(
    "name, observation, expected",
    [
        ("over", 0.0, 1.0),
        ("cut off", 0.0, 10.0),  # 1 / (1 - 0.9): what is cut off would have gone on
        ("cut off later", 0.0, 10.0),
        ("ageing", 0.0, 2.71),  # the steps that are left; nothing leaks from the next episode
        ("ageing", 0.5, 1.9),
        ("ageing", 1.0, 1.0),
        # Episodes begin at 0, pay from 1 on, and are cut off there: the last step led to 1, worth 10, and not to
        # the next episode's 0, worth 9.
        ("arriving", 0.0, 9.0),
        ("arriving", 1.0, 10.0),
        ("coin", 0.0, 0.0),
        ("coin", 1.0, 1.0),
    ],
)
def test_critic_learns_the_value(values, name, observation, expected):
    np.testing.assert_allclose(values(name, observation), expected, rtol=0.05, atol=0.05)


# ── Actions with known optima ──

ACTIONS = {
    "fixed": Family(lambda observation, action: bump(action, 0.4, -0.7)),
    "other": Family(lambda observation, action: bump(action, -0.5, 0.6)),
    "a hundredth": Family(lambda observation, action: 0.01 * bump(action, -0.6, -0.3)),
    "told": Family(
        lambda observation, action: bump(action, 0.6 * observation, 0.0),
        observe=lambda key, elapsed: jax.random.uniform(key, minval=-1.0),
    ),
}


@pytest.fixture(scope="module")
def trained() -> tuple[MTPPO, State, dict[str, np.ndarray]]:
    """A training on all families of `ACTIONS`, which only their context tells apart."""
    config = replace(SMALL, lanes=64, policy_hidden=(32, 32), total_steps=300 * 64 * 8, anneal=True)
    return train(config, Probe(64, tuple(ACTIONS.values()), action_size=2), 300)


@pytest.mark.parametrize(
    "name, observation, expected",
    [
        ("fixed", 0.0, (0.4, -0.7)),
        ("other", 0.0, (-0.5, 0.6)),
        ("a hundredth", 0.0, (-0.6, -0.3)),
        ("told", -0.8, (-0.48, 0.0)),
        ("told", 0.8, (0.48, 0.0)),
    ],
)
def test_policy_finds_the_best_action(trained, name, observation, expected):
    """That of the task at hand, by its context, and whatever the size of its rewards."""
    algorithm, state, _ = trained
    lane = jax.tree.map(lambda x: x[0], state.timestep)
    context = jax.nn.one_hot(list(ACTIONS).index(name), len(ACTIONS))
    _, action = algorithm.policy(state, 0).act(
        jax.random.key(0), (), lane.replace(observation=jnp.array([observation]), context=context)
    )
    np.testing.assert_allclose(action, expected, atol=0.12)


def test_metrics_count_the_episodes_of_each_family(trained):
    algorithm, state, metrics = trained
    chex.assert_shape(metrics["episodes"], (300, 1, len(ACTIONS)))
    assert (metrics["episodes"] == 64 / 4 * 8).all()
    success = metrics["successes"] / metrics["episodes"]
    return_ = metrics["return_sum"] / metrics["episodes"]
    assert (success[-1, 0, [0, 1, 3]] > 0.9).all() and (success[:, 0, 2] == 0.0).all()
    assert (return_[0] < 0.7 * return_[-1]).all()
    value = algorithm.value(state, state.timestep)
    np.testing.assert_allclose(value[:3], return_[-20:, 0, :3].mean(0), rtol=0.1)
    chex.assert_shape(metrics["approx_kl"], (300, 1))
    assert (metrics["approx_kl"] > -1e-4).all()


# ── Updates, interfaces ──


def random_walk(num_lanes: int) -> Probe:
    """Episodes of five steps, random observations, two families: everything in a training takes part."""
    family = Family(
        lambda observation, action: bump(action, 0.5 * observation),
        observe=lambda key, elapsed: jax.random.normal(key),
        truncated=True,
        horizon=5,
    )
    return Probe(num_lanes, (family, replace(family, truncated=False)))


def test_first_gradient_step_finds_the_policy_that_acted():
    """Same inputs, same density: also of actions beyond the range, and after the statistics of inputs have changed."""
    _, _, metrics = train(replace(SMALL, epochs=1, minibatches=1, initial_std=2.0), random_walk(32), 3)
    np.testing.assert_allclose(metrics["approx_kl"], 0.0, atol=1e-6)
    np.testing.assert_allclose(metrics["policy_loss"], 0.0, atol=1e-5)


def test_target_kl_stops_an_update():
    """Without a limit it moves 0.2 nats here."""
    _, _, metrics = train(replace(SMALL, learning_rate=0.03, target_kl=0.01), random_walk(32), 20)
    assert 0.01 < metrics["approx_kl"].max() < 0.1


def test_policy_stays_in_range_and_samples_only_when_asked():
    algorithm, env = MTPPO(replace(SMALL, initial_std=2.0)), random_walk(32)
    state = algorithm.init(jax.random.key(0), env)
    lane = jax.tree.map(lambda x: x[0], state.timestep)
    keys = jax.random.split(jax.random.key(0), 100)
    act = jax.jit(jax.vmap(lambda policy, key, lane: policy.act(key, (), lane)[1], (None, 0, None)))
    mode = act(algorithm.policy(state, 0), keys, lane)
    assert np.ptp(mode) == 0.0
    drawn = act(algorithm.policy(state, 0, deterministic=False), keys, lane)
    chex.assert_shape(drawn, (100, 1))
    assert np.abs(drawn).max() == 1.0 and np.ptp(drawn) > 1.0


def test_a_training_is_as_long_as_asked():
    config = replace(SMALL, total_steps=257)
    assert MTPPO(config).steps_per_update(random_walk(32)) == 256
    assert config.num_updates == 2


def test_a_bad_configuration_says_what_is_wrong():
    for change, message in (
        ({"learning_rate": -0.1}, "learning_rate = -0.1: must be greater than 0"),
        ({"policy_hidden": (64, 0)}, "policy_hidden = (64, 0): must be widths of at least 1"),
        ({"minibatches": 7}, "minibatches = 7: must divide lanes * rollout_length = 256"),
    ):
        with pytest.raises(UsageError) as error:
            MTPPO(replace(SMALL, **change))
        assert str(error.value) == message
