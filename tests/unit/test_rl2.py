"""Memories, and RL² on trials whose best behaviour is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from mtbench.baselines.parts.memory import MEMORIES, S5
from mtbench.baselines.rl2 import RL2, RL2Config
from mtbench.errors import UsageError
from mtbench.policy import PolicyInput, shown

TIME, LANES, WIDTH = 7, 3, 8


def memory(name):
    own = MEMORIES[name](WIDTH)
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (TIME, LANES, 5))
    begins = jnp.zeros((TIME, LANES), bool).at[4, 1].set(True)
    carry = own.initialize((LANES,))
    params = own.init(keys[1], carry, x, begins)
    # What earlier steps left behind, so that the start matters too.
    carry, _ = own.apply(params, carry, jax.random.normal(keys[2], x.shape), begins & False)
    return own, params, carry, x, begins


@pytest.mark.parametrize("name", MEMORIES)
def test_a_memory_runs_over_time_as_step_by_step(name):
    own, params, carry, x, begins = memory(name)
    after, whole = own.apply(params, carry, x, begins)
    single = []
    for now, begin in zip(x, begins, strict=True):
        carry, y = own.apply(params, carry, now[None], begin[None])
        single.append(y[0])
    np.testing.assert_allclose(whole, jnp.stack(single), atol=2e-5)
    assert whole.shape == (TIME, LANES, WIDTH)
    # What is left to see of it is the same, too.
    probe = jnp.ones((1, LANES, 5))
    for kept in (after, carry):
        np.testing.assert_allclose(
            own.apply(params, kept, probe, begins[:1])[1], own.apply(params, after, probe, begins[:1])[1], atol=2e-5
        )


@pytest.mark.parametrize("name", MEMORIES)
def test_a_memory_forgets_where_a_task_begins_and_only_there(name):
    own, params, carry, x, begins = memory(name)
    _, y = own.apply(params, carry, x, begins)
    _, other = own.apply(params, own.initialize((LANES,)), x.at[:4].set(0.0), begins)
    assert (np.asarray(y[4:, 1]) == np.asarray(other[4:, 1])).all()
    assert (np.abs(np.asarray(y - other)[4:, [0, 2]]).max(-1) > 1e-6).all()


def test_s5_is_its_recurrence():
    own = S5(WIDTH, states=4, layers=1)
    x, begins = jax.random.normal(jax.random.key(1), (TIME, 1, WIDTH)), jnp.zeros((TIME, 1), bool)
    params = own.init(jax.random.key(0), own.initialize((1,)), x, begins)
    after, _ = own.apply(params, own.initialize((1,)), x, begins)
    p = jax.tree.map(np.asarray, params["params"])
    factor = np.exp(-np.exp(p["layer_0_nu"]) + 1j * np.exp(p["layer_0_theta"]))
    assert (np.abs(factor) < 1).all()
    h = np.zeros(4, complex)
    inside = np.asarray(x)[:, 0] @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]
    inside = (inside - inside.mean(-1, keepdims=True)) / np.sqrt(inside.var(-1, keepdims=True) + 1e-6)
    for u in inside:
        h = factor * h + np.sqrt(1 - np.abs(factor) ** 2) * (u @ (p["layer_0_in"][0] + 1j * p["layer_0_in"][1]))
    np.testing.assert_allclose(np.asarray(after)[0, 0], [h.real, h.imag], atol=1e-4)


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
class TwoArms:
    """A trial of one-step episodes with a hidden arm: a positive action pulls one, a negative one the other.

    Nothing is known at first, so nobody does better than one half in the first episode and 1 in all others.
    """

    num_lanes: int
    episodes: int = 4
    observation_size = action_size = num_families = context_size = 1
    family_layouts = (0,)
    family_names = ("two-arms",)
    action_mask = np.ones((1, 1), np.float32)

    def _step(self, reward, begins):
        lanes = (self.num_lanes,)
        zero, yes = jnp.zeros(lanes), jnp.ones(lanes, bool)
        return Step(
            observation=zero[:, None],
            context=zero[:, None],
            family=jnp.zeros(lanes, jnp.int32),
            reward=reward,
            success_any=reward > 0.5,
            episode_return=reward,
            terminated=~yes,
            truncated=yes,
            episode_begins=yes,
            task_begins=begins,
        )

    def reset(self, key):
        arm = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.5, (self.num_lanes,))
        yes = jnp.ones(self.num_lanes, bool)
        return (key, arm, jnp.zeros((), jnp.int32)), self._step(jnp.zeros(self.num_lanes), yes)

    def step(self, state, action):
        key, arm, number = state
        reward = ((action[:, 0] > 0) == arm).astype(jnp.float32)
        key, own = jax.random.split(key)
        number = (number + 1) % self.episodes
        arm = jnp.where(number == 0, jax.random.bernoulli(own, 0.5, arm.shape), arm)
        return (key, arm, number), self._step(reward, jnp.broadcast_to(number == 0, arm.shape))


SMALL = RL2Config(
    lanes=64,
    rollout_length=8,
    minibatches=2,
    memory_size=16,
    hidden=16,
    learning_rate=5e-3,
    anneal=False,
    episodes_per_task=4,
)


@pytest.mark.parametrize(("name", "learning_rate"), [("gru", 5e-3), ("s5", 5e-3), ("transformer", 7e-4)])
def test_regret_is_what_the_first_guess_costs(name, learning_rate):
    algorithm, env = RL2(replace(SMALL, memory=name, learning_rate=learning_rate)), TwoArms(64)
    state = jax.jit(lambda key: algorithm.init(key, env))(jax.random.key(0))

    @jax.jit
    def train(state):
        return jax.lax.scan(lambda s, _: algorithm.train_step(env, s), state, None, length=120)

    _, metrics = train(state)
    success = (metrics["successes"].sum((1, 2)) / metrics["episodes"].sum((1, 2)))[-20:].mean()
    best = (0.5 + 3.0) / 4.0
    assert best - 0.06 < success < best + 0.03, "regret 0.5 per trial, no more; no less without a leak"


def test_nothing_of_a_task_reaches_the_next():
    algorithm, env = RL2(replace(SMALL, num_seeds=2)), TwoArms(128)
    state = algorithm.init(jax.random.key(0), env)
    policy = algorithm.policy(state, 1, deterministic=True)
    now = jax.tree.map(lambda leaf: leaf[0], shown(state.timestep))
    fresh = policy.init_carry(jax.random.key(0))
    used, _ = policy.act(jax.random.key(0), fresh, replace(now, reward=jnp.ones(())))
    used = jax.tree.map(lambda leaf: leaf + 1.0, used)
    start: PolicyInput = replace(now, task_begins=jnp.array(True), reward=jnp.ones(()))
    (_, first), (_, again) = (policy.act(jax.random.key(0), carry, start) for carry in (fresh, used))
    assert (first == again).all()
    (_, goes_on), (_, unlike) = (
        policy.act(jax.random.key(0), carry, replace(start, task_begins=jnp.array(False))) for carry in (fresh, used)
    )
    assert (goes_on != unlike).any()


def test_minibatches_are_of_whole_lanes():
    with pytest.raises(UsageError, match="minibatches = 7: must divide lanes = 64"):
        RL2(replace(SMALL, minibatches=7))
