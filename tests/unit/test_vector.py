"""Auto-reset, trials, and lanes of several arenas: what ends, what begins, and what each time step says of it."""

from __future__ import annotations

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

import mtbench
import mtbench.suite as suites
from mtbench.errors import UsageError
from mtbench.mixed import MixedVectorEnv

HORIZON = 6


def rolled(lanes, steps):
    """Random steps of lanes: the first time step, and of each step its time step, tasks and episodes."""
    state, first = jax.jit(lanes.reset)(jax.random.key(0))

    def step(state, action):
        state, timestep = lanes.step(state, action)
        return state, (timestep, state.task_index, state.episode)

    shape = (steps, lanes.num_lanes, lanes.action_size)
    actions = jax.random.uniform(jax.random.key(1), shape, minval=-1, maxval=1)
    _, out = jax.jit(lambda s, a: jax.lax.scan(step, s, a))(state, actions)
    return first, *out


@pytest.fixture(scope="module")
def starter():
    suite = suites.load("STARTER")
    return suite, dataclasses.replace(suite.envs("mujoco")["tabletop"], horizon=HORIZON), suite.tables("train")


@pytest.fixture(scope="module")
def seen(starter):
    """18 steps of 40 lanes with an episode of 6 steps: three episodes a lane."""
    suite, env, tables = starter
    return rolled(mtbench.VectorEnv(env, tables["tabletop"], 40, suite.families, stagger=False), 18)


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


def test_a_trial_is_so_many_episodes_of_one_task(starter):
    """Staggered over whole trials: each lane turns to another task after its third episode, and says so."""
    suite, env, tables = starter
    short = dataclasses.replace(env, horizon=2)
    lanes = mtbench.VectorEnv(short, tables["tabletop"], 40, suite.families, episodes_per_task=3)
    first, timestep, task, episode = rolled(lanes, 18)
    over, begins = np.asarray(timestep.truncated), np.asarray(timestep.task_begins)
    assert first.episode_begins.all() and first.task_begins.all()
    np.testing.assert_array_equal(timestep.episode_begins, over)
    np.testing.assert_array_equal(begins, over & (np.asarray(episode) % 3 == 0))
    changed = np.diff(np.asarray(task), axis=0) != 0
    assert not changed[~begins[1:]].any() and changed[begins[1:]].mean() > 0.9
    assert begins.sum(0).min() >= 2 and begins.sum(0).max() <= 3
    assert len(np.unique(np.argmax(begins, 0))) > 3, "lanes turn to other tasks at different times"
    # The reward beside a first observation is that of the step that ended the episode before.
    np.testing.assert_array_equal(np.asarray(timestep.episode_length)[over], 2)
    assert (np.asarray(timestep.reward)[over] > 0).any()


def test_without_resampling_lanes_keep_their_task(starter):
    suite, env, tables = starter
    env = dataclasses.replace(env, horizon=2)
    lanes = mtbench.VectorEnv(env, tables["tabletop"], 5, suite.families, resample=False, stagger=False)
    state, _ = jax.jit(lanes.reset)(jax.random.key(0))
    after, _ = jax.jit(lambda s: jax.lax.scan(lanes.step, s, jnp.zeros((4, 5, 4))))(state)
    np.testing.assert_array_equal(after.task_index, state.task_index)
    np.testing.assert_array_equal(after.episode, 2)


def test_lanes_keep_their_family_where_asked(starter):
    """Tasks of it change; also where a family has fewer tasks than others."""
    suite, env, tables = starter
    env, table = dataclasses.replace(env, horizon=2), tables["tabletop"]
    kept = np.flatnonzero((np.asarray(table.family) != 1) | (np.arange(len(table.family)) < 20))
    few = jax.tree.map(lambda rows: np.asarray(rows)[kept], table)
    lanes = mtbench.VectorEnv(env, few, 10, suite.families, stagger=False, fixed_families=True)
    first, timestep, task, _ = rolled(lanes, 8)
    np.testing.assert_array_equal(lanes.lane_families, np.arange(10) % 5)
    np.testing.assert_array_equal(np.asarray(first.context).argmax(-1), np.arange(10) % 5)
    np.testing.assert_array_equal(timestep.family, np.broadcast_to(np.arange(10) % 5, (8, 10)))
    assert (np.asarray(task)[1] != np.asarray(task)[7]).mean() > 0.8
    assert len(set(np.asarray(task)[0])) == 10  # two lanes of a family begin with different tasks


@pytest.fixture(scope="module")
def mixed():
    """Twelve steps of 24 lanes of two arenas with short episodes, on one device and on four."""
    suite = suites.load("STARTER-ALL")
    envs = {arena: dataclasses.replace(env, horizon=HORIZON) for arena, env in suite.envs("mujoco").items()}
    arenas = tuple(suite.family(name).arena for name in suite.families)
    actions = jax.random.uniform(jax.random.key(1), (12, 24, 6), minval=-1, maxval=1)
    played = []
    for mesh in (None, Mesh(np.array(jax.devices()), ("lane",))):
        lanes = MixedVectorEnv.of(envs, suite.tables("train"), 24, suite.families, arenas, mesh=mesh, stagger=False)
        state, first = jax.jit(lanes.reset)(jax.random.key(0))
        _, seen = jax.jit(lambda s, a, lanes=lanes: jax.lax.scan(lanes.step, s, a))(state, actions)
        played.append((first, seen))
    return suite, envs, lanes, actions, played


def test_arenas_alternate_and_their_padding_is_inert(mixed):
    suite, envs, lanes, _, ((first, seen), (_, sharded)) = mixed
    chex.assert_trees_all_close(seen, sharded, atol=1e-5)
    walks = np.arange(24) % 6 == 5
    for timestep in (first, seen):
        np.testing.assert_array_equal(timestep.arena == 1, np.broadcast_to(walks, timestep.arena.shape))
    assert (lanes.observation_size, lanes.action_size, lanes.context_size) == (43, 6, 6)
    np.testing.assert_array_equal(np.asarray(first.context).argmax(-1), np.arange(24) % 6)
    size = envs["tabletop"].arena.observation_size
    assert not seen.observation[:, ~walks, size:].any() and seen.observation[:, walks, size:].any()
    assert lanes.family_layouts == (0, 0, 0, 0, 0, 1)
    np.testing.assert_array_equal(lanes.action_mask.sum(1), [4, 4, 4, 4, 4, 6])
    assert {name: env.horizon for name, env in suite.envs("mujoco").items()} == {"tabletop": 200, "walker": 500}


def test_lanes_of_several_arenas_keep_their_family_too(mixed):
    for shares in (None, {"walker": 1, "tabletop": 2}):
        lanes = mixed[0].vector_env(24, "train", "mujoco", shares, stagger=False, fixed_families=True)
        state, first = jax.jit(lanes.reset)(jax.random.key(0))
        tasks = np.asarray(lanes.lane_tasks(state))
        np.testing.assert_array_equal(lanes.task_families[tasks], first.family)
        assert len(set(tasks)) == 24 and lanes.task_families.size == lanes.num_tasks
        np.testing.assert_array_equal(np.asarray(first.context).argmax(-1), lanes.lane_families)
        if shares is None:
            np.testing.assert_array_equal(lanes.lane_families, np.arange(24) % 6)


def test_arenas_share_lanes_as_asked(mixed):
    shares = {"walker": 2, "tabletop": 3}
    lanes = mixed[0].vector_env(20, backend="mujoco", arena_shares=shares, stagger=False)
    _, first = jax.jit(lanes.reset)(jax.random.key(0))
    np.testing.assert_array_equal(first.arena, [0, 1, 0, 1, 0] * 4)
    families = np.asarray(first.context).argmax(-1)
    assert np.bincount(families).tolist() == [3, 3, 2, 2, 2, 8]


def test_a_lane_among_other_arenas_plays_what_it_plays_alone(mixed):
    """The tabletop's lanes of the mixture and a `VectorEnv` of theirs alone, with other numbers in the padding."""
    suite, envs, lanes, actions, ((_, seen), _) = mixed
    mine = np.flatnonzero(np.arange(24) % 6 != 5)
    alone = mtbench.VectorEnv(
        envs["tabletop"], suite.tables("train")["tabletop"], 20, suite.families, stagger=False, numbers=tuple(mine)
    )
    state, _ = jax.jit(alone.reset)(jax.random.key(0))
    other = actions[:, mine].at[..., 4:].set(0.7)
    _, expected = jax.jit(lambda s, a: jax.lax.scan(alone.step, s, a))(state, other)
    chex.assert_trees_all_close(expected, jax.tree.map(lambda leaf: leaf[:, mine], seen), atol=1e-5)


def test_bad_use(starter, mixed):
    suite, env, tables = starter
    with pytest.raises(UsageError, match="at least 1"):
        mtbench.VectorEnv(env, tables["tabletop"], 0, suite.families)
    with pytest.raises(UsageError, match="episodes_per_task = 0: at least 1"):
        mtbench.VectorEnv(env, tables["tabletop"], 5, suite.families, episodes_per_task=0)
    with pytest.raises(UsageError, match="unknown backend 'mujocu': did you mean mujoco"):
        suite.envs("mujocu")
    with pytest.raises(UsageError, match="lanes = 5: a block of all arenas has 6"):
        mixed[0].vector_env(5, backend="mujoco")
    with pytest.raises(UsageError, match="4 devices in blocks of 6: expected a multiple of 24"):
        mixed[0].vector_env(36, backend="mujoco", mesh=Mesh(np.array(jax.devices()), ("lane",)))
    for shares in ({}, {"tabletop": 1}, {"tabletop": 1, "walker": 0}, {"tabletop": 1, "walker": 1, "boat": 1}):
        with pytest.raises(
            UsageError, match="arena shares: expected a number of at least 1 for each of tabletop, walk"
        ):
            mixed[0].vector_env(24, backend="mujoco", arena_shares=shares)
    with pytest.raises(UsageError, match="'STARTER' has one arena, tabletop; leave them out"):
        suite.vector_env(24, backend="mujoco", arena_shares={"tabletop": 1})
