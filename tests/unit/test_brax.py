"""Suites in brax: the same steps as without it, and its agents train on them."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.wrappers.training import EvalWrapper

from mtbench.adapters import brax
from mtbench.errors import UsageError

HORIZON = 10


@pytest.fixture(scope="module")
def env():
    return brax.SuiteEnv("MT1/reach", backend="mujoco")


def test_lanes_step_as_in_a_vector_env(env):
    """Through two episodes: observations, rewards and ends are the same numbers."""
    lanes = brax.wrap(env, episode_length=HORIZON)
    keys = jax.random.split(jax.random.PRNGKey(0), 6)
    one = replace(env.vector.env, horizon=HORIZON)
    ours = replace(env.vector, env=one, num_lanes=6, stagger=False)
    actions = jax.random.uniform(jax.random.key(1), (2 * HORIZON + 2, 6, env.action_size), minval=-1, maxval=1)

    @jax.jit
    def both(keys, actions):
        state, expected = lanes.reset(keys), ours.begin(jax.random.wrap_key_data(keys))

        def step(carry, action):
            state, (own, _) = carry
            state, (own, timestep) = lanes.step(state, action), ours.step(own, action)
            return (state, (own, timestep)), (state.replace(pipeline_state=None), timestep)

        return state.obs, jax.lax.scan(step, (state, expected), actions)[1], expected[1]

    first, (got, timestep), begun = both(keys, actions)
    np.testing.assert_array_equal(first[:, :-1], begun.observation)
    np.testing.assert_array_equal(got.obs[..., :-1], timestep.observation)
    np.testing.assert_array_equal(got.obs[..., -1], 1.0)  # the one family's one-hot
    np.testing.assert_array_equal(got.reward, timestep.reward)
    ends = np.asarray(got.done)
    assert (ends[HORIZON - 1 :: HORIZON] == 1).all() and ends.sum() == 2 * 6
    np.testing.assert_array_equal(got.info["truncation"], ends)
    np.testing.assert_allclose(
        got.info["episode_metrics"]["sum_reward"][HORIZON - 1], got.reward[:HORIZON].sum(0), rtol=1e-5
    )
    # Fresh tasks: no lane begins its second episode where it began its first. Goals are at the observation's end.
    goals = [np.asarray(x)[:, -4:-1] for x in (first, got.obs[HORIZON - 1])]
    assert (goals[0] != goals[1]).any(-1).sum() >= 5


def test_one_lane_is_an_environment_too(env):
    state = jax.jit(env.reset)(jax.random.PRNGKey(0))
    then = jax.jit(env.step)(state, jnp.ones(env.action_size))
    assert then.obs.shape == (env.observation_size,) and (then.obs != state.obs).any()
    assert then.done == 0 and 0 <= then.reward <= 1 and jax.tree.structure(then) == jax.tree.structure(state)


def test_an_episodes_success_adds_up(env):
    """Brax sums metrics over an episode: at most 1, though the goal may be held for many steps."""
    lanes = EvalWrapper(brax.wrap(env, episode_length=60))
    actions = jnp.zeros((60, 16, env.action_size))

    @jax.jit
    def play(keys, actions):
        state = lanes.reset(keys)

        def towards(state, _):
            seen = state.obs[:, :-1]
            action = jnp.clip(10.0 * (seen[:, -3:] - seen[:, :3]), -1, 1)
            return lanes.step(state, jnp.concatenate([action, jnp.zeros((16, 1))], -1)), None

        return jax.lax.scan(towards, state, actions)[0]

    success = play(jax.random.split(jax.random.PRNGKey(0), 16), actions).info["eval_metrics"].episode_metrics["success"]
    assert set(np.asarray(success)) <= {0.0, 1.0} and success.mean() > 0.8


def test_ppo_of_brax_trains(env):
    from brax.training.agents.ppo import networks, train

    told = []

    def factory(*sizes, **more):
        return networks.make_ppo_networks(*sizes, **more, policy_hidden_layer_sizes=(8,), value_hidden_layer_sizes=(8,))

    act_of, params, metrics = train.train(
        env,
        num_timesteps=4000,
        episode_length=HORIZON,
        wrap_env_fn=brax.wrap,
        num_envs=20,
        unroll_length=10,
        batch_size=20,
        num_minibatches=1,
        num_updates_per_batch=1,
        num_evals=2,
        num_eval_envs=8,
        normalize_observations=True,
        network_factory=factory,
        max_devices_per_host=1,
        progress_fn=lambda steps, metrics: told.append(steps),
    )
    assert told[0] == 0 and told[-1] >= 4000
    assert 0 < metrics["eval/episode_reward"] <= HORIZON and 0 <= metrics["eval/episode_success"] <= 1
    action, _ = act_of(params)(jnp.zeros((3, env.observation_size)), jax.random.PRNGKey(0))
    assert action.shape == (3, env.action_size) and np.isfinite(action).all()


def test_bad_use(env):
    with pytest.raises(UsageError, match="brax trains on one arena, STARTER-ALL has"):
        brax.SuiteEnv("STARTER-ALL")
    with pytest.raises(UsageError, match="action_repeat must be 1"):
        brax.wrap(env, 10, action_repeat=2)
