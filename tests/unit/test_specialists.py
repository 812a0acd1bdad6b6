"""Specialists learn apart and act as one policy."""

from __future__ import annotations

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import pytest
from probe import Family, Probe, bump

from mtbench.baselines.specialists import MTPPOSpecialists, MTPPOSpecialistsConfig
from mtbench.errors import UsageError
from mtbench.policy import PolicyInput

CONFIG = MTPPOSpecialistsConfig(
    num_seeds=2,
    lanes=32,
    rollout_length=8,
    minibatches=2,
    total_steps=80 * 32 * 8,
    learning_rate=3e-3,
    discount=0.9,
    policy_hidden=(16,),
    critic_hidden=(16,),
)


def opposites(num_lanes: int, best=(0.6, -0.6), **more) -> Probe:
    families = tuple(Family(lambda seen, action, at=at: bump(action, at)) for at in best)
    return Probe(num_lanes, families, **more)


@pytest.fixture(scope="module")
def trained():
    return learn(opposites(64))


def learn(env):
    algorithm = MTPPOSpecialists(CONFIG)

    @jax.jit
    def run(key):
        state = algorithm.init(key, env)
        return jax.lax.scan(lambda state, _: algorithm.train_step(env, state), state, None, 80)

    return algorithm, *run(jax.random.key(0))


def seen(family: int) -> PolicyInput:
    no = jnp.zeros((), bool)
    return PolicyInput(jnp.zeros(1), jax.nn.one_hot(family, 2), jnp.zeros(()), no, no)


def act(policy, family: int) -> float:
    return float(policy.act(jax.random.key(0), policy.init_carry(jax.random.key(0)), seen(family))[1][0])


def test_each_finds_its_own_optimum(trained):
    algorithm, state, metrics = trained
    for seed in range(2):
        policy = algorithm.policy(state, seed)
        assert act(policy, 0) == pytest.approx(0.6, abs=0.15) and act(policy, 1) == pytest.approx(-0.6, abs=0.15)
    chex.assert_shape(metrics["episodes"], (80, 2, 2))
    chex.assert_shape(metrics["entropy"], (80, 2))
    # A seed has 32 lanes, 16 a family; episodes take one step.
    assert (metrics["episodes"] == 16 * 8).all()
    assert algorithm.steps_per_update(opposites(64)) == 32 * 8


def test_a_specialist_does_not_depend_on_the_others(trained):
    """With another second family, what the first one has learnt stays the same."""
    algorithm, state, _ = trained
    _, other, _ = learn(opposites(64, best=(0.6, 0.1)))
    mine, theirs = (algorithm.policy(s, 1) for s in (state, other))
    assert act(mine, 0) == pytest.approx(act(theirs, 0), abs=1e-4)
    assert abs(act(mine, 1) - act(theirs, 1)) > 0.3


def test_what_it_cannot_be_trained_on():
    key = jax.random.key(0)
    for env, message in (
        (opposites(64, best=(0.1, 0.2, 0.3)), "lanes = 32: must be a multiple of the 3 families, e.g. 33"),
        (opposites(64, show_family=False), "the suite hides the family"),
        (replace(opposites(64), fixed_families=False), "needs lanes that keep their family"),
    ):
        with pytest.raises(UsageError, match=message):
            MTPPOSpecialists(CONFIG).init(key, env)
