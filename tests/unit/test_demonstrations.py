"""Training episodes that begin along an expert's."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtbench.suite as suites
from mtbench.demonstrations import KEPT, demonstrated
from mtbench.errors import UsageError


@pytest.fixture(scope="module")
def reach():
    suite = suites.load("MT1/reach")
    env = suite.vector_env(200, backend="mujoco", stagger=False)
    env = replace(env, env=replace(env.env, horizon=100))
    return suite, env, demonstrated(env, suite.expert(), 1.0)


def distance(timestep) -> np.ndarray:
    """From the hand to the goal, metres."""
    observation = np.asarray(timestep.observation)
    return np.linalg.norm(observation[:, :3] - observation[:, -3:], axis=-1)


def test_episodes_begin_on_the_way_to_the_goal(reach):
    _, env, all_along = reach
    start, along = (jax.jit(lanes.reset)(jax.random.key(7))[1] for lanes in (env, all_along))
    solved = np.asarray(all_along.starts.count)[np.arange(200) % env.num_tasks] == KEPT
    assert solved.mean() > 0.9
    np.testing.assert_array_equal(start.observation[:, -3:], along.observation[:, -3:])  # the same tasks
    assert distance(along).mean() < 0.75 * distance(start).mean()
    moved = (np.asarray(along.observation) != np.asarray(start.observation)).any(-1)
    np.testing.assert_array_equal(moved, solved)
    assert not along.success_any.any() and (along.episode_length == 0).all()


def test_a_share_begins_there_and_what_is_shown_is_where_the_lane_is(reach):
    _, env, all_along = reach
    half = replace(all_along, start_share=0.5)
    start, _ = jax.jit(env.reset)(jax.random.key(7))
    state, along = jax.jit(half.reset)(jax.random.key(7))
    moved = (np.asarray(state.env.physics.qpos) != np.asarray(start.env.physics.qpos)).any(-1)
    assert 0.35 < moved.mean() < 0.65
    _, then = jax.jit(half.step)(state, jnp.zeros((200, env.action_size)))
    # After one step at rest the hand is about where it was shown to be.
    assert np.abs(np.asarray(then.observation) - np.asarray(along.observation))[:, :3].max() < 0.05


def test_the_share_must_be_one(reach):
    suite, env, _ = reach
    with pytest.raises(UsageError, match="demonstrations = 1.5: must be from 0 to 1"):
        demonstrated(env, suite.expert(), 1.5)
