"""Multi-task SAC, its replay and its critics, on small problems whose answers are known."""

from __future__ import annotations

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.training.agents.sac import networks as sac_networks
from brax.training.agents.sac.losses import make_losses
from brax.training.distribution import NormalTanhDistribution
from brax.training.networks import FeedForwardNetwork
from brax.training.types import Transition
from probe import Family, Probe, bump
from scipy import stats

from mtbench.baselines.mt_sac import MTSAC, Batch, MTSACConfig
from mtbench.baselines.parts.actors import Squashed
from mtbench.baselines.parts.critics import Categorical
from mtbench.baselines.parts.replay import Replay, Steps, Transitions, check_memory
from mtbench.errors import UsageError

SMALL = MTSACConfig(
    lanes=16,
    rollout_length=4,
    gradient_steps=8,
    batch_size=128,
    replay_steps=8_000,
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


def test_what_is_drawn_is_what_happened():
    """Against the definition, from a log of all steps: sums end with their episode, before a step that was cut off and
    before the newest step, whatever rollout they began in; what the ring has lost is not drawn."""
    rng = np.random.default_rng(0)
    slots, lanes, rollout, steps, discount = 24, 5, 4, 3, 0.9
    time = 11 * rollout
    ends = rng.random((time, lanes))
    place = np.stack(np.meshgrid(np.arange(time), np.arange(lanes), indexing="ij"), -1).astype(np.float32)
    log = Steps(place, place[..., :1], rng.normal(size=(time, lanes)), ends < 0.1, (ends > 0.05) & (ends < 0.25))
    log = jax.tree.map(lambda x: np.asarray(x, x.dtype if x.dtype == bool else np.float32), log)
    replay, add = Replay.init(Steps.shapes(2, 1), slots, lanes), jax.jit(Replay.add)
    for start in range(0, time, rollout):
        replay = add(replay, jax.tree.map(lambda x, start=start: jnp.asarray(x[start : start + rollout]), log))
    lane = jnp.arange(4000) % lanes
    drawn, there = replay.sample(jax.random.key(0), lane, n_step=steps, discount=discount)
    seen = np.asarray(drawn.observation).astype(int)
    assert (seen[:, 1] == lane).all() and set(seen[:, 0]) == set(range(time - slots, time - 1))
    for index, (t, own) in enumerate(seen):
        sum_, factor, k = 0.0, 1.0, t
        while k < min(t + steps, time - 1) and (log.terminated[k, own] or not log.truncated[k, own]):
            sum_, factor, k = sum_ + factor * log.reward[k, own], factor * discount, k + 1
            if log.terminated[k - 1, own]:
                factor = 0.0
                break
        assert there[index] == (k > t)
        assert drawn.reward[index] == pytest.approx(sum_, abs=1e-5)
        assert drawn.factor[index] == pytest.approx(factor, abs=1e-6)
        assert drawn.action[index] == t and drawn.next_observation[index, 0] == k


def test_a_replay_that_does_not_fit_is_refused_with_both_sizes():
    step = Steps.shapes(observation_size=990, action_size=7)
    with pytest.raises(UsageError, match=r"takes 3994\.0 GB, .* GB are free: choose a smaller replay_steps"):
        check_memory(step, 1_000, 1_000_000)
    check_memory(step, 10, 10)


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
    value = jnp.linspace(-9.5, 9.5, 77)
    probability = kind.project(value)
    np.testing.assert_allclose(probability.sum(-1), 1.0, atol=1e-5)
    np.testing.assert_allclose(probability @ kind.centers, value, atol=2e-2)
    assert (kind.project(jnp.array(99.0)) @ kind.centers) > 9.5


# ── Losses ──


def test_losses_are_those_of_brax():
    """Gradients of critics, policy and temperature, on random numbers; brax takes the mean over its two critics."""
    algorithm = MTSAC(replace(SMALL, target_entropy=0.5, initial_temperature=0.3))
    env = Probe(16, (Family(),), action_size=2, observation_size=3)
    keys = iter(jax.random.split(jax.random.key(0), 100))
    learner = jax.tree.map(lambda x: x[0], jax.jit(lambda key: algorithm.init(key, env))(next(keys)).learner)

    def moved(tree):
        return jax.tree.map(lambda x: x + 0.3 * jax.random.normal(next(keys), x.shape), tree)

    learner = replace(learner, params=moved(learner.params), target=moved(learner.target))
    observation, after = jax.random.normal(next(keys), (2, 64, 3))
    action = jax.random.uniform(next(keys), (64, 2), minval=-1.0)
    reward, factor = jax.random.normal(next(keys), (64,)), jax.random.uniform(next(keys), (64,))
    zeros = jnp.zeros(64, int)
    batch = Batch(
        Transitions(observation, action, reward, factor, after),
        jnp.ones((64, 1)),
        jnp.ones((64, 2)),
        zeros,
        zeros + 1.0,
    )
    now_key, next_key = next(keys), next(keys)
    noise, next_noise = (jax.random.normal(key, (64, 2)) for key in (now_key, next_key))
    target = algorithm._target(learner, batch, next_noise)
    slope = jax.jit(jax.grad(algorithm._loss, has_aux=True))(learner.params, learner, batch, target, noise)[0]

    def policy(_, actor, seen):
        inputs = jnp.concatenate([learner.observations.normalize(seen, batch.context), batch.context], -1)
        made = algorithm._distribution(learner.params | {"actor": actor}, inputs, 2)
        std = jnp.exp(made.log_std) - 0.001  # brax adds it to a softplus
        return jnp.concatenate([made.mean, jnp.log(jnp.expm1(std))], -1)

    def values(_, critics, seen, action):
        seen = learner.observations.normalize(seen, batch.context)
        return algorithm._critics(critics, seen, action, batch)[..., 0].T

    networks = sac_networks.SACNetworks(
        FeedForwardNetwork(None, policy), FeedForwardNetwork(None, values), NormalTanhDistribution(2)
    )
    alpha_loss, critic_loss, actor_loss = make_losses(networks, reward_scaling=1.0, discounting=1.0, action_size=2)
    told = Transition(observation, action, reward, factor, after, {"state_extras": {"truncation": zeros}})
    actor, critics, log_alpha = (learner.params[name] for name in ("actor", "critics", "log_temperature"))
    alpha = jnp.exp(log_alpha[0])
    expected = {
        "actor": jax.jit(jax.grad(actor_loss))(actor, None, critics, alpha, told, now_key),
        "critics": jax.tree.map(
            lambda x: 2 * x, jax.jit(jax.grad(critic_loss))(critics, actor, None, learner.target, alpha, told, next_key)
        ),
        # Of the temperature in place of its logarithm: another length, the same sign and zero.
        "log_temperature": jax.grad(alpha_loss)(log_alpha, actor, None, told, now_key) / alpha,
    }
    chex.assert_trees_all_close(slope, expected, rtol=1e-3, atol=1e-4)


# ── Learning ──

VALUES = (Family(), Family(truncated=True, horizon=2), Family(truncated=True, horizon=3))
"""A reward of 1 at every step: worth 1 where it is over, 1 / (1 - 0.9) where it is only cut off."""


REWARD_ALONE = replace(SMALL, batch_size=48, initial_temperature=1e-6)
"""Of entropies next to nothing is added to a value."""


def values_at_zero(algorithm, state, context):
    """What the first seed's critics say, in each context, of observation and action 0."""
    critics, zero = jax.tree.map(lambda x: x[0], state.learner.params["critics"]), jnp.zeros((len(context), 1))
    batch = Batch(None, context, zero + 1.0, None, None)
    return algorithm._value(critics, zero, zero, batch)


@pytest.mark.parametrize("how", [{}, {"network": "bro", "critic": "categorical", "pessimistic": False}])
def test_critics_learn_the_value(how):
    algorithm, state, _ = train(replace(REWARD_ALONE, lanes=24, n_step=3, **how), Probe(24, VALUES), 150)
    np.testing.assert_allclose(values_at_zero(algorithm, state, jnp.eye(3)), [1.0, 10.0, 10.0], rtol=0.08)


def test_families_weigh_the_same_whatever_their_lanes():
    """Two lanes pay nothing and one pays 1; what cannot tell them apart sees a half."""

    class Hidden(Probe):
        def reset(self, key):
            state, timestep = super().reset(key)
            return state, timestep.replace(context=0.0 * timestep.context)

        def step(self, state, action):
            state, timestep = super().step(state, action)
            return state, timestep.replace(context=0.0 * timestep.context)

    env = Hidden(3, (Family(lambda observation, action: 0.0 * action[0]), Family()))
    algorithm, state, _ = train(replace(REWARD_ALONE, lanes=3), env, 150)
    np.testing.assert_allclose(values_at_zero(algorithm, state, jnp.zeros((1, 2))), [0.5], atol=0.08)


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


def test_what_it_cannot_be_trained_on():
    with pytest.raises(UsageError, match="replay_steps = 10: a rollout and n_step need at least 64"):
        MTSAC(replace(SMALL, replay_steps=10))
    with pytest.raises(UsageError, match="needs lanes that keep their family"):
        MTSAC(SMALL).init(jax.random.key(0), Probe(16, (Family(),), fixed_families=False))
