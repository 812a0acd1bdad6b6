"""Auto-reset: new initial states and tasks, the final observation kept, termination apart from truncation."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtbench
import mtbench.suite as suites

HORIZON = 6


@pytest.fixture(scope="module")
def seen():
    """18 steps of 40 lanes with an episode of 6 steps: three episodes a lane."""
    suite = suites.load("STARTER")
    env = dataclasses.replace(suite.env("train", "mujoco"), horizon=HORIZON)
    lanes = mtbench.VectorEnv(env, suite.tasks("train"), 40, suite.families, stagger=False)
    state, first = jax.jit(lanes.reset)(jax.random.key(0))

    def step(state, action):
        state, timestep = lanes.step(state, action)
        return state, (timestep, state.task_index, state.episode)

    actions = jax.random.uniform(jax.random.key(1), (18, 40, 4), minval=-1, maxval=1)
    _, out = jax.jit(lambda s, a: jax.lax.scan(step, s, a))(state, actions)
    return first, *out


def test_all_lanes_end_at_the_horizon_and_begin_again(seen):
    """All 40 end at once: more than one chunk of resets."""
    _, timestep, _, episode = seen
    ends = np.asarray(timestep.truncated)
    assert ends[HORIZON - 1 :: HORIZON].all() and ends.sum() == 3 * 40
    assert not timestep.terminated.any()
    np.testing.assert_array_equal(np.asarray(timestep.episode_length)[:, 0], np.tile(np.arange(1, HORIZON + 1), 3))
    np.testing.assert_array_equal(np.asarray(episode)[[5, 11, 17], 0], [1, 2, 3])


def test_the_final_observation_is_kept(seen):
    _, timestep, _, _ = seen
    over = np.asarray(timestep.truncated)
    same = (np.asarray(timestep.observation) == np.asarray(timestep.final_observation)).all(-1)
    assert same[~over].all() and not same[over].any()
    # A first observation repeats its frame as the previous one; a final one does not.
    observation, final = np.asarray(timestep.observation)[over], np.asarray(timestep.final_observation)[over]
    np.testing.assert_array_equal(observation[:, :18], observation[:, 18:36])
    assert (final[:, :18] != final[:, 18:36]).any(-1).all()


def test_new_initial_states_and_new_tasks(seen):
    first, timestep, task, _ = seen
    starts = [np.asarray(first.observation), *np.asarray(timestep.observation)[[5, 11]]]
    assert all((a[:, :3] != b[:, :3]).any(-1).all() for a, b in zip(starts[:-1], starts[1:], strict=True))
    assert (np.asarray(task)[0] != np.asarray(task)[5]).mean() > 0.9
    # The context of a step's observation is that of the task it shows, its family that of the step's reward.
    shown = np.asarray(timestep.context).argmax(-1)
    np.testing.assert_array_equal(shown[0], np.asarray(timestep.family)[0])


def test_without_resampling_lanes_keep_their_task():
    suite = suites.load("STARTER")
    env = dataclasses.replace(suite.env("train", "mujoco"), horizon=2)
    lanes = mtbench.VectorEnv(env, suite.tasks("train"), 5, suite.families, resample=False, stagger=False)
    state, _ = jax.jit(lanes.reset)(jax.random.key(0))
    after, _ = jax.jit(lambda s: jax.lax.scan(lanes.step, s, jnp.zeros((4, 5, 4))))(state)
    np.testing.assert_array_equal(after.task_index, state.task_index)
    np.testing.assert_array_equal(after.episode, 2)


def test_bad_use():
    suite = suites.load("MT1/reach")
    env = suite.env("train", "mujoco")
    with pytest.raises(mtbench.suite.UsageError, match="at least 1"):
        mtbench.VectorEnv(env, suite.tasks("train"), 0, suite.families)
    with pytest.raises(mtbench.suite.UsageError, match="unknown backend 'mujocu': did you mean mujoco"):
        suite.env("train", "mujocu")
