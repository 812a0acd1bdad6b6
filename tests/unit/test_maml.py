"""MAML: its inner step, its derivatives through it, and a bandit that only adaptation solves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jax.flatten_util import ravel_pytree

from mtbench.baselines.maml import (
    MAML,
    Batch,
    MAMLConfig,
    MAMLPolicy,
    advantages,
    inner_step,
    linear_baseline,
    surrogate,
)
from mtbench.baselines.parts.actors import GaussianActor
from mtbench.baselines.parts.normalization import LayoutMoments
from mtbench.errors import UsageError
from mtbench.policy import Experience, PolicyInput

EPISODES, TIME, WIDTH = 4, 25, 3


def draw(number, *shape):
    return jax.random.normal(jax.random.key(number), shape)


def test_the_baseline_is_least_squares():
    """In double precision, over the steps that count; entries that never change make no difference."""
    inputs = draw(0, EPISODES, TIME, WIDTH)
    valid = jnp.arange(TIME) < jnp.array([[25], [12], [25], [3]])
    return_ = 5.0 + 2.0 * inputs[..., 0] + jnp.linspace(0.0, 3.0, TIME) + draw(1, EPISODES, TIME)
    found = linear_baseline(jnp.pad(inputs, ((0, 0), (0, 0), (0, 2))), return_, valid)
    x, t = np.asarray(inputs, float), np.broadcast_to(np.arange(TIME, dtype=float), (EPISODES, TIME))[..., None]
    features, used = np.concatenate([x, x**2, t, t**2, t**3, t**0], -1), np.asarray(valid)
    weights = np.linalg.lstsq(features[used], np.asarray(return_, float)[used])[0]
    np.testing.assert_allclose(found[valid], (features @ weights)[used], atol=0.02)
    rest = np.asarray(return_ - found)[used]
    assert abs(rest.mean()) < 1e-4 and rest.std() < 0.95 * np.asarray(return_)[used].std() / 2


def test_advantages_are_of_whole_episodes():
    """What follows an episode's end is worth nothing, whatever the environment went on to pay."""
    config = SimpleNamespace(discount=0.9, gae_lambda=0.7)
    inputs, reward = draw(0, EPISODES, TIME, WIDTH), draw(1, EPISODES, TIME)
    length = np.array([25, 12, 25, 3])
    valid = jnp.arange(TIME) < length[:, None]
    found = np.asarray(advantages(config, inputs, reward, valid))
    played, returns = np.where(valid, reward, 0.0), np.zeros((EPISODES, TIME + 1))
    for t in reversed(range(TIME)):
        returns[:, t] = played[:, t] + 0.9 * returns[:, t + 1]
    value = np.pad(np.where(valid, linear_baseline(inputs, jnp.asarray(returns[:, :-1]), valid), 0.0), ((0, 0), (0, 1)))
    residual = played + 0.9 * value[:, 1:] - value[:, :-1]
    raw = np.zeros((EPISODES, TIME + 1))
    for t in reversed(range(TIME)):
        raw[:, t] = residual[:, t] + 0.63 * raw[:, t + 1]
    raw, used = raw[:, :-1], np.asarray(valid)
    np.testing.assert_allclose(found[used], (raw[used] - raw[used].mean()) / raw[used].std(), atol=0.01)
    assert not found[~used].any()


ACTOR = GaussianActor((5,), 2, 1)


PARAMS = jax.tree.map(lambda x: x + 0.3 * draw(6, *x.shape), ACTOR.init(jax.random.key(5), jnp.zeros(WIDTH)))
STEP = jax.jit(inner_step, static_argnums=(0, 4))


def a_round(number, params):
    """Played with these parameters, the family hidden."""
    inputs = draw(number, EPISODES, TIME, WIDTH).at[..., -1].set(0.0)
    acted = ACTOR.apply(params, inputs)
    action = acted.sample(draw(number + 1, *acted.mean.shape))
    valid = jnp.arange(TIME) < jnp.array([[25], [12], [25], [3]])
    advantage = jnp.where(valid, draw(number + 2, EPISODES, TIME), 0.0)
    return Batch(inputs, action, acted.log_prob(action), advantage, valid)


def test_the_inner_step_is_the_policy_gradient():
    """In closed form for what the output layer and the standard deviation get: (a − μ) / σ² and (a − μ)² / σ² − 1."""
    batch = a_round(0, PARAMS)
    step = jax.tree.map(lambda new, old: np.asarray(new - old) / 0.5, STEP(ACTOR, PARAMS, batch, 0.5), PARAMS)
    acted = ACTOR.apply(PARAMS, batch.inputs)
    gap, std = np.asarray(batch.action - acted.mean), np.exp(np.asarray(acted.log_std))
    weight = (np.asarray(batch.advantage) * np.asarray(batch.valid) / np.asarray(batch.valid).sum())[..., None]
    last = step["params"]["MLP_0"]["Dense_1"]
    np.testing.assert_allclose(last["bias"], (weight * gap / std**2).sum((0, 1)), rtol=1e-3, atol=1e-5)
    spread = (weight * (gap**2 / std**2 - 1.0)).sum((0, 1))
    np.testing.assert_allclose(step["params"]["log_std"].sum(0), spread, rtol=1e-3, atol=1e-5)


def test_derivatives_through_the_inner_steps():
    """The full ones are those of finite differences of the objective; of first order, they lack the curvature."""
    rounds, adapted = [], PARAMS
    for number in range(3):
        rounds.append(a_round(10 * number, adapted))
        before, adapted = adapted, STEP(ACTOR, adapted, rounds[-1], 0.5)
    batches = jax.tree.map(lambda *x: jnp.stack(x)[:, None], *rounds)
    flat, unravel = ravel_pytree(PARAMS)

    def objective(first_order):
        config = MAMLConfig(
            lanes=EPISODES,
            adaptation_episodes=EPISODES,
            minibatches=1,
            inner_steps=2,
            inner_rate=0.5,
            first_order=first_order,
            policy_hidden=ACTOR.hidden,
        )
        return jax.jit(jax.value_and_grad(lambda flat: MAML(config)._loss(unravel(flat), batches)[0]))

    (_, exact), (_, rough) = (objective(first_order)(flat) for first_order in (False, True))
    direction = draw(3, flat.size)
    direction /= jnp.linalg.norm(direction)
    (up, _), (down, _) = (objective(False)(flat + change * direction) for change in (3e-3, -3e-3))
    assert float(direction @ exact) == pytest.approx(float(up - down) / 6e-3, rel=0.02)
    assert jnp.linalg.norm(exact - rough) > 0.1 * jnp.linalg.norm(exact)
    # Of first order it is the gradient at the adapted parameters, handed back as it is.
    plain = ravel_pytree(jax.grad(lambda params: -surrogate(ACTOR, params, rounds[-1]))(before))[0]
    np.testing.assert_allclose(rough, plain, rtol=1e-3, atol=1e-5)


@struct.dataclass
class Step:
    """The fields of a time step that a learner may read."""

    observation: jax.Array
    context: jax.Array
    family: jax.Array
    reward: jax.Array
    success_any: jax.Array
    episode_return: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    episode_begins: jax.Array
    task_begins: jax.Array


@dataclass(frozen=True)
class HiddenTarget:
    """Episodes of four steps in which the action shall be the task's number, of which nothing is seen: -0.6 or 0.6.

    Nobody who does not adapt can expect more than one half.
    """

    num_lanes: int
    observation_size = action_size = num_families = context_size = 1
    family_layouts, horizon = (0,), 4
    family_names = ("hidden-target",)

    @property
    def envs(self):
        return (self,)

    def _step(self, reward, time):
        zero, no = jnp.zeros(self.num_lanes), jnp.zeros(self.num_lanes, bool)
        return Step(
            observation=zero[:, None],
            context=zero[:, None],
            family=jnp.zeros(self.num_lanes, jnp.int32),
            reward=reward,
            success_any=reward > 0.5,
            episode_return=reward,
            terminated=no,
            truncated=no | (time == self.horizon),
            episode_begins=no | (time == 0),
            task_begins=no | (time == 0),
        )

    def reset(self, key, tasks):
        target = jnp.where(tasks % 2 == 0, -0.6, 0.6)
        return (target, jnp.zeros((), jnp.int32)), self._step(jnp.zeros(self.num_lanes), 0)

    def step(self, state, action):
        target, time = state
        reward = jnp.exp(-4.0 * (jnp.clip(action[:, 0], -1.0, 1.0) - target) ** 2)
        return (target, time + 1), self._step(reward, time + 1)


SEEN = PolicyInput(jnp.zeros(1), jnp.zeros(1), jnp.zeros(()), jnp.array(True), jnp.array(False))


@pytest.fixture(scope="module", params=["ppo", "trpo"])
def trained(request):
    config = MAMLConfig(
        num_seeds=2,
        lanes=80,
        adaptation_episodes=10,
        total_steps=60 * 80 * 8,
        outer=request.param,
        learning_rate=1e-2,
        inner_rate=0.3,
        policy_hidden=(16,),
        fisher_stride=1,
        max_kl=0.05,
    )
    algorithm, env = MAML(config), HiddenTarget(160)

    @jax.jit
    def run(key):
        state = algorithm.init(key, env)
        return jax.lax.scan(lambda state, _: algorithm.train_step(env, state), state, None, 60)

    state, metrics = run(jax.random.key(0))
    return algorithm, state, jax.tree.map(np.asarray, metrics)


def learning_curve(policy, episodes, lanes=64):
    """Mean reward of a scored episode after 0, 1, … episodes that adapt, as an evaluation plays them."""
    time = HiddenTarget.horizon

    def lane(number):
        target, start = jnp.where(number % 2 == 0, -0.6, 0.6), policy.init_carry(jax.random.key(0))

        def episode(experience, scored, key):
            def step(carry, key):
                carry, action = policy.act(key, carry, SEEN)
                return carry, (policy.keep(carry), jnp.exp(-4.0 * (action[0] - target) ** 2))

            return jax.lax.scan(step, policy.adapt(start, experience, scored), jax.random.split(key, time))[1]

        def level(experience, place):
            one, other = jax.random.split(jax.random.fold_in(jax.random.key(number), place))
            reward = episode(experience, jnp.array(True), one)[1].mean()
            return experience.put(place, *episode(experience, jnp.array(False), other), time), reward

        room = Experience.room(policy, start, episodes, time)
        return jax.lax.scan(level, room, jnp.arange(episodes + 1))[1]

    return np.asarray(jax.jit(jax.vmap(lane))(jnp.arange(lanes)).mean(0))


def test_adaptation_finds_what_is_hidden(trained):
    """In training, and as stored policies adapt: the more episodes, the better."""
    algorithm, state, metrics = trained
    after = (metrics["return_sum"] / metrics["episodes"])[-10:].mean((0, 2))
    before = metrics["return_unadapted"][-10:].mean(0)
    curve = learning_curve(algorithm.policy(state, 1), 10)
    assert (before < 0.55).all() and (after > 0.65).all()
    assert curve[0] < 0.55 and curve[0] + 0.1 < curve[1] < curve[8:].mean() - 0.1
    np.testing.assert_allclose(curve[[0, 10]], [before[1], after[1]], atol=0.08)


def test_an_incomplete_round_counts_for_what_is_scored_alone():
    """Rounds of two episodes: what is left over waits for the rest, or for the score."""
    batch = a_round(0, PARAMS)
    policy = MAMLPolicy(PARAMS, LayoutMoments.init(WIDTH - 1, (0,)), ACTOR, 2, 0.5, 0.9, 1.0)

    @jax.jit
    def adapted(episodes, scored):
        valid = batch.valid & (jnp.arange(EPISODES)[:, None] < episodes)
        experience = Experience((batch.inputs, batch.action), batch.advantage, valid)
        return policy.adapt(policy.init_carry(jax.random.key(0)), experience, scored).params

    def steps(*rounds):
        params = PARAMS
        for chosen in rounds:
            now = jax.tree.map(lambda x, chosen=chosen: x[chosen], batch)
            log_prob = ACTOR.apply(params, now.inputs).log_prob(now.action)
            advantage = advantages(policy, now.inputs, now.advantage, now.valid)
            params = STEP(ACTOR, params, replace(now, log_prob=log_prob, advantage=advantage), 0.5)
        return params

    first, half, second = slice(0, 2), slice(2, 3), slice(2, 4)
    expected = {(1, False): (), (2, False): (first,), (3, False): (first,), (3, True): (first, half)}
    for (episodes, scored), rounds in (expected | {(0, True): (), (4, False): (first, second)}).items():
        chex.assert_trees_all_close(adapted(episodes, scored), steps(*rounds), atol=2e-4)


def test_rounds_divide_the_lanes():
    with pytest.raises(UsageError, match="adaptation_episodes = 7: must divide lanes = 200"):
        MAMLConfig(adaptation_episodes=7).validate()
    with pytest.raises(UsageError, match="minibatches = 3: must divide lanes / adaptation_episodes = 20 tasks"):
        MAMLConfig(minibatches=3).validate()
