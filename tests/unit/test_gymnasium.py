"""The gymnasium adapter: its contract, Meta-World's keys, and that it plays what `mtbench.Env` plays."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import NormalizeObservation, NormalizeReward, RecordEpisodeStatistics

import mtbench.suite as suites
from mtbench import registry
from mtbench.adapters import gymnasium as adapter
from mtbench.adapters.gymnasium.step import joined
from mtbench.errors import UsageError
from mtbench.vector import VectorState

HORIZON, LANES = 80, 5


@pytest.fixture(scope="module")
def own_suites(tmp_path_factory):
    """PAIR, two families of one arena, and MIXED, a family of each arena, found beside the package's own suites."""
    ours = suites.EvaluationProtocol("ours", ("train",), 2, episodes=1, adaptation_episodes=0, horizon=200)
    # In unequal numbers of tasks: the rows of the table do not alternate.
    splits = {"train": {"reach": tuple(range(50)), "push": (3, 1)}}
    pair = suites.Suite("PAIR", 1, "Two families", ("reach", "push"), 200, True, splits, protocols={"ours": ours})
    splits = {"train": {"walker-walk": (0, 1), "reach": (0, 1)}}
    mixed = replace(pair, name="MIXED", families=("walker-walk", "reach"), splits=splits, horizons={"walker": 30})
    folder = tmp_path_factory.mktemp("suites")
    for suite in (pair, mixed):
        path = folder / f"{suite.name}.toml"
        path.write_text(suites.to_toml(suite.frozen()))
        suites.catalogue()[suite.name] = path
    adapter.register()
    yield
    for suite in (pair, mixed):
        del suites.catalogue()[suite.name], gymnasium.registry[f"mtbench/{suite.name}"]


@pytest.fixture(scope="module")
def make_pair(own_suites):
    """Makes five lanes of two families, as a script would; all that are made share their compiled programs."""
    made = []

    def make(**options):
        options = {"num_envs": LANES, "max_episode_steps": HORIZON, "backend": "mujoco"} | options
        made.append(gymnasium.make_vec("mtbench/PAIR", use_one_hot=True, **options))
        return made[-1]

    yield make
    for envs in made:
        envs.close()


@pytest.fixture(scope="module")
def envs(make_pair):
    return make_pair()


@pytest.fixture
def actions():
    return np.random.default_rng(0).uniform(-1, 1, (HORIZON, LANES, 4)).astype(np.float32)


def toward_goal(observation: np.ndarray) -> np.ndarray:
    """A controller that solves `reach` from what is observed."""
    # The fingertips, 4.5 cm below the hand, are to be there.
    aim = np.clip(20.0 * (observation[..., 36:39] + [0, 0, 0.045] - observation[..., :3]), -1, 1)
    return np.concatenate([aim, np.zeros_like(aim[..., :1])], axis=-1).astype(np.float32)


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_ids_are_those_of_the_suites_and_need_no_jax():
    code = "import sys, mtbench.adapters.gymnasium, gymnasium; print('jax' in sys.modules, *gymnasium.registry)"
    jax_imported, *ids = run(code).split()
    expected = {f"mtbench/{name.removeprefix('MT1/').replace('/', '-')}" for name in suites.catalogue()}
    assert jax_imported == "False" and expected == {name for name in ids if name.startswith("mtbench/")}


def test_without_gymnasium_the_extra_is_named():
    code = "import sys; sys.modules['gymnasium'] = None\ntry: import mtbench.adapters.gymnasium\n"
    assert "pip install 'mtbench-mjx[gymnasium]'" in run(code + "except ImportError as error: print(error)")


@pytest.mark.parametrize("family", ["reach", "walker-walk"])
def test_a_family_passes_gymnasiums_own_checks(family, capfd):
    env = gymnasium.make(f"mtbench/{family}", backend="mujoco")
    assert env.spec.max_episode_steps == suites.load(f"MT1/{family}").horizon
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check_env(env.unwrapped)
    assert capfd.readouterr().out == ""


def test_one_lane_plays_what_the_environment_plays():
    made = gymnasium.make("mtbench/reach", backend="mujoco", split="iid").unwrapped
    suite = suites.load("MT1/reach")
    env = suite.envs("mujoco")["tabletop"]
    step = jax.jit(env.step)
    observation, _ = made.reset(seed=5)
    assert made.task_id.seed in suite.splits["iid"]["reach"]
    row = jax.tree.map(lambda leaf: leaf[0], suites.rows([made.task_id], suite.families))
    state, timestep = jax.jit(env.reset)(jax.random.fold_in(jax.random.key(5), 1), row)
    for _ in range(HORIZON):
        np.testing.assert_allclose(observation, timestep.observation, atol=1e-5)
        action = toward_goal(observation)
        observation, reward, terminated, _, info = made.step(action)
        state, timestep = step(state, jnp.asarray(action))
        assert reward == pytest.approx(float(timestep.reward), abs=1e-5) and not terminated
        assert tuple(info) == adapter.INFO_KEYS and info["success"] == float(timestep.success)
        left = np.linalg.norm(observation[:3] - [0, 0, 0.045] - observation[36:39])
        assert info["obj_to_target"] == pytest.approx(left, abs=1e-5)
        assert (info["in_place_reward"] == 1.0) == bool(info["success"]) == bool(info["near_object"])
    assert info["success"] == 1.0 and info["unscaled_reward"] == reward == 1.0


def test_options_pick_the_task():
    env = gymnasium.make("mtbench/reach", backend="mujoco", terminate_on_success=True)
    first = registry.family("reach").factors[0]
    low, high = (
        env.reset(seed=0, options={"task": 7, "factors": {first.name: value}})[0] for value in (first.low, first.high)
    )
    assert env.unwrapped.task_id is None and not np.array_equal(low, high)
    again, _ = env.reset(seed=0, options={"task": 7})
    assert str(env.unwrapped.task_id) == f"reach/{registry.family('reach').version}/7"
    np.testing.assert_array_equal(again, env.reset(seed=0, options={"task": 7})[0])
    with pytest.raises(UsageError, match="unknown option of reset 'tasks': did you mean task"):
        env.reset(options={"tasks": 7})
    with pytest.raises(UsageError, match=f"{first.name} = 99.0: expected within"):
        env.reset(options={"factors": {first.name: 99}})
    with pytest.raises(UsageError, match="factors = 5: expected values by name"):
        env.reset(options={"factors": 5})
    with pytest.raises(UsageError, match="task = -1: expected a seed"):
        env.reset(options={"task": -1})
    terminated = False
    for _ in range(HORIZON):
        again, _, terminated, _, info = env.step(toward_goal(again))
        if terminated:
            break
    assert terminated and info["success"] == 1.0


def test_lanes_end_and_begin_again_in_the_same_step(envs, actions):
    first, info = envs.reset(seed=3)
    assert info == {} and first in envs.observation_space and first.dtype == np.float32
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    returns = np.zeros(LANES)
    for action in actions:
        observation, reward, terminated, truncated, info = envs.step(action)
        assert observation in envs.observation_space
        assert ("final_info" in info) == truncated.any()
        returns += reward
    assert truncated.all() and not terminated.any() and reward.dtype == np.float64
    final = info["final_info"]
    assert [key for key in final if key[0] != "_"] == [*adapter.INFO_KEYS, "episode"]
    np.testing.assert_allclose(final["episode"]["r"], returns, atol=1e-4)
    np.testing.assert_array_equal(final["episode"]["l"], HORIZON)
    np.testing.assert_array_equal(final["unscaled_reward"], reward)
    assert info["_final_obs"].all() and final["_success"].all() and not info["_success"].any()
    final_obs = np.stack(info["final_obs"])
    # A first observation repeats its frame as the previous one; a final one does not.
    np.testing.assert_array_equal(observation[:, :18], observation[:, 18:36])
    assert (final_obs[:, :18] != final_obs[:, 18:36]).any(-1).all()
    np.testing.assert_array_equal(final_obs[:, 39:], observation[:, 39:])


def test_a_lane_plays_what_one_lane_alone_plays(envs, actions):
    """Lane 2 plays `reach` and gets the third seed: the same task and initial state, in another model."""
    alone = gymnasium.make("mtbench/reach", backend="mujoco")
    observation, _ = envs.reset(seed=3)
    single, _ = alone.reset(seed=5)
    for action in actions[:40]:
        np.testing.assert_allclose(observation[2, :39], single, atol=1e-4)
        action[2] = toward_goal(single)
        observation, reward, _, _, info = envs.step(action)
        single, single_reward, _, _, single_info = alone.step(action[2])
        assert reward[2] == pytest.approx(single_reward, abs=1e-3)
        assert {key: info[key][2] for key in single_info} == pytest.approx(single_info, abs=1e-3)
        for key in ("success", "near_object", "grasp_success", "grasp_reward", "in_place_reward"):
            assert ((info[key] >= 0) & (info[key] <= 1)).all() and info[f"_{key}"].all()
        np.testing.assert_array_equal(info["grasp_success"] == 1, info["grasp_reward"] == 1)
        np.testing.assert_array_equal(info["success"] == 1, info["in_place_reward"] == 1)
    assert info["success"][2] == 1.0


def test_lanes_keep_their_family_and_draw_new_tasks(envs):
    suite = suites.load("PAIR")
    ids = suite.task_ids("train")
    family = [suite.families.index(task_id.family) for task_id in ids]
    assert envs.call("task_name") == ("reach", "push", "reach", "push", "reach")
    drawn = []
    for seed in range(12):
        observation, _ = envs.reset(seed=seed)
        index = np.array([ids.index(task_id) for task_id in envs.get_attr("task_id")])
        np.testing.assert_array_equal(np.array(family)[index], np.arange(LANES) % 2)
        np.testing.assert_array_equal(observation[:, 39:].argmax(-1), np.arange(LANES) % 2)
        drawn.append(index)
    assert all(len(set(lane)) > 1 for lane in np.transpose(drawn))
    envs.call("toggle_sample_tasks_on_reset", False)
    before, _ = envs.reset()
    np.testing.assert_array_equal([ids.index(task_id) for task_id in envs.get_attr("task_id")], drawn[-1])
    assert (before != observation).any(-1).all()
    envs.call("toggle_sample_tasks_on_reset", True)


def test_seeds_and_masks(envs, actions):
    first, _ = envs.reset(seed=3)
    other, _ = envs.reset(seed=4)
    again, _ = envs.reset(seed=[3, 4, 5, 6, 7])
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(-1).all()
    # Lane 2 has seed 5, and the family of lane 0.
    np.testing.assert_array_equal(first[2], envs.reset(seed=5)[0][0])
    before, *_ = envs.step(actions[0])
    mask = np.array([True, False, False, True, False])
    after, _ = envs.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal((after != before).any(-1), mask)
    with pytest.raises(UsageError, match=r"expected bool\[5\]"):
        envs.reset(options={"reset_mask": np.ones(3, bool)})
    with pytest.raises(UsageError, match="2 seeds: expected one number, or one per lane"):
        envs.reset(seed=[1, 2])
    with pytest.raises(UsageError, match="4 seeds: expected one number, or one per lane"):
        envs.reset(seed=[1, 2, 3, 4, None])
    with pytest.raises(UsageError, match="expected \\(5, 4\\)"):
        envs.step(actions[0, 0])
    with pytest.raises(UsageError, match="no array of numbers: expected \\(5, 4\\)"):
        envs.step([["up"] * 4] * 5)


def test_an_episode_can_end_with_success(envs):
    envs.call("toggle_terminate_on_success", True)
    assert envs.get_attr("terminate_on_success") == (True,) * LANES
    observation, _ = envs.reset(seed=0)
    ended = np.zeros(LANES, bool)
    for _ in range(HORIZON - 1):
        observation, _, terminated, truncated, info = envs.step(toward_goal(observation))
        assert not (terminated & truncated).any()
        if terminated.any():
            np.testing.assert_array_equal(info["final_info"]["success"][terminated], 1.0)
            np.testing.assert_array_equal(info["_final_info"], terminated | truncated)
        ended |= terminated
    assert ended[::2].all()
    envs.call("toggle_terminate_on_success", False)


def test_lanes_play_what_the_vector_env_plays_bit_for_bit(envs, actions):
    """Beyond an episode's end, where `VectorEnv` begins the next one inside its step."""
    envs.call("toggle_sample_tasks_on_reset", False)
    envs.reset(seed=3)
    (state,), (part,) = envs.unwrapped._state, envs.unwrapped._lanes._parts
    step = jax.jit(part.vector.step)
    pure = VectorState(part.table, joined(state.fixed, state.moving), state.task_index, state.keys, state.episode)
    for action in [*actions, *actions[:5]]:
        observation, reward, terminated, truncated, info = envs.step(action)
        pure, timestep = step(pure, action)
        np.testing.assert_array_equal(observation[:, :39], timestep.observation)
        np.testing.assert_array_equal(observation[:, 39:], timestep.context)
        np.testing.assert_array_equal(reward, timestep.reward)
        np.testing.assert_array_equal(truncated, timestep.truncated)
        if truncated.any():
            np.testing.assert_array_equal(np.stack(info["final_obs"])[:, :39], timestep.final_observation)
            np.testing.assert_array_equal(info["final_info"]["episode"]["r"], timestep.episode_return.astype(float))
    envs.call("toggle_sample_tasks_on_reset", True)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_lanes_end_and_begin_as_gymnasiums_own_vector_does(make_pair, mode):
    """Lanes 0, 2 and 4 play `reach`, end at steps of their own, and do what three environments do in gymnasium's."""
    one = {"backend": "mujoco", "max_episode_steps": HORIZON, "terminate_on_success": True}
    theirs = SyncVectorEnv([lambda: gymnasium.make("mtbench/reach", **one)] * 3, autoreset_mode=mode)
    ours = make_pair(autoreset_mode=mode, terminate_on_success=True)
    assert ours.metadata["autoreset_mode"] is mode
    expected, _ = theirs.reset(seed=[3, 5, 7])
    observation, _ = ours.reset(seed=3)
    action, ends, waiting = np.zeros((LANES, 4), np.float32), 0, np.zeros(3, bool)
    for _ in range(HORIZON):
        np.testing.assert_allclose(observation[::2, :39], expected, atol=1e-4)
        action[::2] = toward_goal(expected)
        if mode is AutoresetMode.NEXT_STEP and waiting[0]:
            # The action of a step that begins an episode is ignored, whatever it is.
            action[0] = np.nan
        expected, *told = theirs.step(action[::2])
        observation, *outcome = ours.step(action)
        for found, wanted in zip(outcome[:3], told[:3], strict=True):
            np.testing.assert_allclose(found[::2], wanted, atol=1e-3)
        info, wanted = outcome[3], told[3]
        assert ("final_info" in info) == (mode is AutoresetMode.SAME_STEP and bool((outcome[1] | outcome[2]).any()))
        np.testing.assert_array_equal(info["_success"][::2], wanted.get("_success", np.zeros(3, bool)))
        waiting = outcome[1][::2] | outcome[2][::2]
        ends += waiting.sum()
        if mode is AutoresetMode.DISABLED and (over := outcome[1] | outcome[2]).any():
            with pytest.raises(gymnasium.error.ResetNeeded, match="have ended: reset them"):
                ours.step(action)
            observation, _ = ours.reset(options={"reset_mask": over})
            if waiting.any():
                expected, _ = theirs.reset(options={"reset_mask": waiting})
    assert ends >= 3


def test_gymnasiums_wrappers_normalise_and_record(make_pair, actions):
    with pytest.raises(ValueError, match="NEXT_STEP"):
        NormalizeObservation(make_pair())
    recorded = RecordEpisodeStatistics(make_pair(autoreset_mode="NextStep"))
    envs = NormalizeObservation(NormalizeReward(recorded))
    observation, _ = envs.reset(seed=3)
    plain = make_pair()
    plain.reset(seed=3)
    for action in actions:
        observation, reward, _, truncated, info = envs.step(action)
        *_, final = plain.step(action)
    assert truncated.all() and recorded.episode_count == LANES
    assert list(recorded.length_queue) == [HORIZON] * LANES
    np.testing.assert_allclose(info["episode"]["r"], final["final_info"]["episode"]["r"], rtol=1e-5)
    assert observation.dtype == np.float32 and 0.1 < np.abs(observation).mean() < 3.0
    np.testing.assert_allclose(reward * np.sqrt(envs.env.return_rms.var + 1e-8), final["final_info"]["unscaled_reward"])
    for action in [*actions, actions[0]]:
        _, reward, _, truncated, info = envs.step(action)
    # One step more than the horizon: the first of them began the episode.
    assert truncated.all() and list(recorded.length_queue) == [HORIZON] * 2 * LANES


def test_the_example_with_wrappers_runs(own_suites, capsys):
    page = (Path(__file__).parents[2] / "docs" / "gymnasium.md").read_text()
    (example,) = [block.split("```")[0] for block in page.split("```python")[1:] if "NormalizeReward" in block]
    made = '"mtbench/STARTER", num_envs=10'
    assert made in example
    options = f'num_envs={LANES}, max_episode_steps={HORIZON}, use_one_hot=True, backend="mujoco"'
    exec(example.replace(made, f'"mtbench/PAIR", {options}'), names := {})
    names["envs"].close()
    # 500 steps, and each episode takes one more than its horizon.
    assert len(capsys.readouterr().out.splitlines()) == LANES * (500 // (HORIZON + 1))


def test_lanes_of_several_arenas(own_suites):
    envs = gymnasium.make_vec("mtbench/MIXED", num_envs=3, backend="mujoco")
    assert envs.get_attr("task_name") == ("walker-walk", "reach", "walker-walk")
    assert envs.unwrapped.max_path_length == (30, 200, 30)
    observation, _ = envs.reset(seed=2)
    assert observation in envs.observation_space
    alone = [gymnasium.make(f"mtbench/{name}", backend="mujoco").unwrapped for name in ("walker-walk", "reach")]
    for lane, env in enumerate(alone):
        task = {"task": envs.get_attr("task_id")[lane].seed}
        first, _ = env.reset(seed=2 + lane, options=task)
        np.testing.assert_allclose(observation[lane, : first.size], first, atol=1e-5)
        assert not observation[lane, first.size :].any()
    actions = np.random.default_rng(0).uniform(-1, 1, (30, *envs.action_space.shape)).astype(np.float32)
    for action in actions:
        observation, reward, terminated, truncated, info = envs.step(action)
        if (terminated | truncated).any():
            break
        for lane, env in enumerate(alone):
            seen, single, *_ = env.step(action[lane, : env.action_space.shape[0]])
            np.testing.assert_allclose(observation[lane, : seen.size], seen, atol=1e-3)
            assert reward[lane] == pytest.approx(single, abs=1e-3)
    over = terminated | truncated
    # What an arena without stages does not know is masked out.
    np.testing.assert_array_equal(info["_success"], ~over)
    np.testing.assert_array_equal(info["_obj_to_target"], [False, True, False])
    np.testing.assert_array_equal(info["final_info"]["_success"], over)
    assert over[::2].any() and not over[1] and not info["final_info"]["_obj_to_target"].any()
    envs.close()


def test_a_script_for_meta_world_runs_after_its_make_line_is_changed(envs):
    """As Meta-World's own evaluation reads them: masks, `final_info`, the episode's return and success."""
    seed = 42
    envs = gymnasium.make_vec(
        "mtbench.adapters.gymnasium:mtbench/PAIR",
        vector_strategy="sync",
        seed=seed,
        use_one_hot=True,
        num_envs=LANES,
        max_episode_steps=HORIZON,
        backend="mujoco",
    )
    envs = RecordEpisodeStatistics(envs)
    envs.reset(seed=seed)
    returns, successes = [[] for _ in range(envs.num_envs)], np.zeros(envs.num_envs)
    replay = np.zeros((2 * HORIZON, envs.num_envs, *envs.single_observation_space.shape))
    for step in range(2 * HORIZON):
        action = envs.action_space.sample()
        next_obs, reward, terminated, truncated, infos = envs.step(action)
        real_next_obs = next_obs.copy()
        for i, done in enumerate(np.logical_or(terminated, truncated)):
            if done:
                real_next_obs[i] = infos["final_obs"][i]
                returns[i].append(float(infos["final_info"]["episode"]["r"][i]))
                successes[i] += int(infos["final_info"]["success"][i])
        replay[step] = real_next_obs
    assert [len(lane) for lane in returns] == [2] * LANES
    assert list(envs.return_queue)[-LANES:] == pytest.approx([lane[-1] for lane in returns], rel=1e-4)
    assert np.isfinite(replay).all()
    envs.close()


def test_bad_use():
    make, make_vec = gymnasium.make, gymnasium.make_vec
    with pytest.raises(gymnasium.error.NameNotFound, match="reach"):
        make("mtbench/reech")
    with pytest.raises(UsageError, match="unknown option of gymnasium.make for MT1/reach 'spilt': did you mean split"):
        make("mtbench/reach", spilt="iid")
    with pytest.raises(UsageError, match="unknown split of MT1/reach 'idd': did you mean iid"):
        make("mtbench/reach", split="idd")
    with pytest.raises(UsageError, match="render_mode = 'human'"):
        adapter.FamilyEnv("MT1/reach", render_mode="human")
    with pytest.raises(UsageError, match="num_envs = 3: STARTER needs at least 5, one per family"):
        make_vec("mtbench/STARTER", num_envs=3)
    with pytest.raises(UsageError, match="autoreset_mode = 'Never': expected a .* NextStep, SameStep, Disabled"):
        make_vec("mtbench/STARTER", autoreset_mode="Never")
    with pytest.raises(UsageError, match="num_envs = 7.5: STARTER needs at least 5"):
        make_vec("mtbench/STARTER", num_envs=7.5)
    with pytest.raises(UsageError, match="max_episode_steps = 0"):
        make_vec("mtbench/STARTER", max_episode_steps=0)
