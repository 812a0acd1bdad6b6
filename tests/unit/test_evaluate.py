"""Evaluations: policies that fail, plain functions, adaptation, and going on where one was interrupted."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from flax import struct

import mtbench.suite as suites
from mtbench import evaluate as evaluation
from mtbench import registry
from mtbench.certificates import recertify
from mtbench.cli.parts import Parts
from mtbench.errors import UsageError
from mtbench.evaluate import episodes_of, evaluate
from mtbench.function_policy import FunctionPolicy
from mtbench.policy import RandomPolicy, Sizes, check, constant_actions, constants
from mtbench.score import read_episodes, validate, write_episodes

TASKS, LANES = 6, 4


@pytest.fixture(scope="module")
def suite():
    """Six tasks of reach, played in batches of four."""
    protocol = suites.EvaluationProtocol("ours", ("train",), TASKS, episodes=1, adaptation_episodes=0, horizon=6)
    draft = suites.Suite("x", 1, "", ("reach",), 6, True, {"train": {"reach": tuple(range(TASKS))}}, {}, {})
    return replace(draft, protocols={"ours": protocol})


@pytest.fixture(scope="module")
def envs(suite):
    return suite.envs("mujoco")


@pytest.fixture(autouse=True)
def lanes(monkeypatch):
    monkeypatch.setattr(evaluation, "LANES", LANES)


@struct.dataclass
class Breaking:
    """Goes on for three steps and then acts with NaN, where the goal is on the left."""

    def init_carry(self, key):
        return jnp.zeros(())

    def act(self, key, carry, seen):
        action = jnp.full(4, 0.5)
        return carry + 1, jnp.where((seen.observation[-3] < 0) & (carry >= 3), jnp.nan, action)


def goals_on_the_left(suite) -> np.ndarray:
    rows = suite.rows(suite.task_ids("train"))
    env = suite.envs("mujoco")["tabletop"]
    first = [suites.reset_key(task_id, 0) for task_id in suite.task_ids("train")]
    keys = jax.vmap(jax.random.key)(np.array(first, np.uint32))
    _, timestep = jax.vmap(env.reset)(keys, jax.tree.map(jnp.asarray, rows))
    return np.asarray(timestep.observation[:, -3] < 0)


def test_what_is_not_finite_is_told_of_its_task_alone(suite, envs):
    table = validate(evaluate(envs, suite, Breaking(), name="breaking"))
    left = goals_on_the_left(suite)
    assert 0 < left.sum() < TASKS
    assert (table["failure"] != "").to_list() == left.tolist()
    assert set(table["failure"]) == {"", "the action is not finite"}
    assert table["length"].to_list() == np.where(left, 4, 6).tolist()
    assert not table["diverged"].any(), "it is the policy that broke down"


def test_the_step_of_the_first_success_is_told(suite):
    def played(horizon):
        protocol = replace(suite.protocols["ours"], horizon=horizon)
        own = replace(suite, horizon=horizon, protocols={"ours": protocol})
        return evaluate(own.envs("mujoco"), own, own.expert(), name="expert")

    long = played(60)
    assert long["success"].all() and long["solved_at"].min() > 1
    cut = int(long["solved_at"].median())
    short = played(cut)
    assert short["success"].to_list() == (long["solved_at"] <= cut).to_list()
    assert short["solved_at"].is_null().to_list() == (~short["success"]).to_list() and not short["success"].all()


def toward(seen):
    """NumPy, and fails where the goal is on the left."""
    if (seen.observation[:, -3] < 0).any():
        raise ValueError("goals on the left are not for me\nand more")
    return np.full((len(seen.reward), 4), 0.5)


def test_a_function_that_raises_loses_those_tasks_alone(suite, envs):
    table = evaluate(envs, suite, FunctionPolicy(toward, 4), name="toward")
    left = goals_on_the_left(suite)
    assert (table["failure"] != "").to_list() == left.tolist()
    assert set(table["failure"]) == {"", "ValueError: goals on the left are not for me"}
    same = evaluate(envs, suite, FunctionPolicy(lambda seen: np.full((len(seen.reward), 4), 0.5), 4), name="toward")
    sound = table["failure"] == ""
    assert table.filter(sound).equals(same.filter(sound)) and (same["failure"] == "").all()


def counting(seen, memory):
    """As `Counting`."""
    steps = memory["steps"] + 1
    return np.sin(steps + 5 * seen.reward)[:, None] * np.ones(4), {"steps": steps}


@struct.dataclass
class Counting:
    def init_carry(self, key):
        return jnp.zeros(())

    def act(self, key, carry, seen):
        return carry + 1, jnp.full(4, jnp.sin(carry + 1 + 5 * seen.reward))


def test_adaptation_is_played_in_one_program(suite, envs):
    """After each number of episodes as alone, and a function remembers what a policy of JAX does."""
    protocol = replace(suite.protocol("ours"), episodes=2, adaptation_episodes=3, tasks_per_family=2)
    levels = (0, 1, 3)
    table = validate(evaluate(envs, suite, Counting(), name="counting", protocol=protocol, adaptation=levels))
    assert len(table) == 2 * 2 * 3 == episodes_of(suite, Counting(), protocol, levels)
    assert set(table["episode"]) == {3, 4} and table["adaptation"].unique().to_list() == [0, 1, 3]
    alone = evaluate(envs, suite, Counting(), name="counting", protocol=protocol)
    longest = table.filter(adaptation=3)
    assert longest.drop("return", "progress").equals(alone.drop("return", "progress"))
    np.testing.assert_allclose(longest["return"], alone["return"], rtol=1e-4)
    assert (longest["return"] - table.filter(adaptation=0)["return"]).abs().min() > 1e-4
    function = FunctionPolicy(counting, 4, {"steps": np.zeros((), np.float32)})
    played = evaluate(envs, suite, function, name="counting", protocol=protocol, adaptation=levels)
    np.testing.assert_allclose(played["return"], table["return"], rtol=1e-4)
    once = evaluate(envs, suite, RandomPolicy(4), name="random", protocol=protocol, adaptation=levels)
    assert len(once) == 4 and set(once["adaptation"]) == {0} and set(once["episode"]) == {3, 4}


@struct.dataclass
class Auditing:
    """Learns from whole episodes, and acts with NaN unless it is told exactly those that it was to remember."""

    def init_carry(self, key):
        return dict.fromkeys(("steps", "episodes", "rewards", "gain"), jnp.zeros(()))

    def act(self, key, carry, seen):
        more = {"steps": 1, "episodes": seen.episode_begins, "rewards": seen.reward, "gain": 0}
        carry = {name: value + more[name] for name, value in carry.items()}
        return carry, jnp.full(4, jnp.sin(carry["gain"] + carry["steps"]))

    def keep(self, carry):
        return carry["steps"], carry["episodes"]

    def adapt(self, carry, experience, scored):
        (steps, episodes), valid = experience.kept, experience.valid
        place, time = jnp.arange(valid.shape[0])[:, None], jnp.arange(valid.shape[1])
        sound = (steps == place * len(time) + time + 1) & (episodes == place + 1) | ~valid
        count, reward = carry["episodes"].astype(int), jnp.where(valid, experience.reward, 0.0)
        # The last reward is seen with the first observation of the next episode.
        sound &= (valid == (place < count)) & jnp.isclose(reward.sum() - reward[count - 1, -1], carry["rewards"])
        return carry | {"gain": jnp.where(sound.all(), count + 0.5 * scored, jnp.nan)}


def test_a_policy_that_learns_between_episodes_is_told_them(suite, envs):
    protocol = replace(suite.protocol("ours"), episodes=2, adaptation_episodes=3, tasks_per_family=2)
    table = evaluate(envs, suite, Auditing(), name="auditing", protocol=protocol, adaptation=(0, 1, 3))
    assert set(table["failure"]) == {""} and set(table["adaptation"]) == {0, 1, 3}
    alone = evaluate(envs, suite, Auditing(), name="auditing", protocol=protocol)
    longest = table.filter(adaptation=3)
    np.testing.assert_allclose(longest["return"], alone["return"], rtol=1e-4)
    assert (longest["return"] - table.filter(adaptation=1)["return"]).abs().min() > 1e-4

    class Forgetful(Auditing):
        def adapt(self, carry, experience, scored):
            return ()

    check(Auditing(), Sizes(39, 1, 4), "mine:make")
    with pytest.raises(UsageError, match="mine:make: adapt returns a carry of another structure"):
        check(struct.dataclass(Forgetful)(), Sizes(39, 1, 4), "mine:make")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda seen: np.zeros((len(seen.reward), 3)), r"returns actions float64\[1, 3\], expected .* \[1, 4\]"),
        (lambda seen: np.zeros((len(seen.reward), 4), int), r"returns actions int64\[1, 4\], expected floating-point"),
    ],
)
def test_wrong_shapes_are_refused_at_the_start(function, message):
    with pytest.raises(UsageError, match=message):
        check(FunctionPolicy(function, 4), Sizes(39, 1, 4), "mine:act")
    check(FunctionPolicy(toward, 4), Sizes(39, 1, 4), "mine:act")


def test_an_interrupted_evaluation_goes_on(suite, envs, tmp_path):
    """Byte by byte as one that was not, and parts of another evaluation are never used."""
    played = []

    def run(folder, fingerprint="a", parts=9, policy=None):
        keep = Parts(folder / "parts", fingerprint).of(0)

        def counted(name, play):
            def now():
                if len(played) == parts:
                    raise KeyboardInterrupt
                played.append(name)
                return play()

            return keep(name, now)

        table = evaluate(envs, suite, policy or RandomPolicy(4), name="random", keep=counted)
        write_episodes(table, folder / "episodes.parquet", {"evaluation": fingerprint})
        return (folder / "episodes.parquet").read_bytes()

    whole = run(tmp_path / "whole")
    assert played == ["train-tabletop-00000", "train-tabletop-00001"]
    played.clear()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part", parts=1)
    played.clear()
    assert run(tmp_path / "part") == whole and played == ["train-tabletop-00001"]
    played.clear()
    assert run(tmp_path / "part", "b", policy=Breaking()) != whole and len(played) == 2
    assert run(tmp_path / "again") == whole, "the same machine and backend play the same"


def test_older_tables_are_read(suite, envs, tmp_path):
    table = evaluate(envs, suite, RandomPolicy(4), name="random")
    table.drop("adaptation", "failure").write_parquet(tmp_path / "old.parquet")
    read = read_episodes(tmp_path / "old.parquet")
    assert read.equals(table) and set(read["adaptation"]) == {0} and set(read["failure"]) == {""}
    assert read["failure"].dtype == pl.String


def test_certificates_are_played_again():
    """Those of reach hold; in three steps nobody gets there; what is open is listed, not played."""
    suite = suites.load("MT1/reach")
    found = recertify(suite, ("iid",), tasks_per_family=3)
    assert len(found.held) == 3 and not found.moved and not found.lost and found.share_lost == 0
    first = suite.task_ids("iid")[0]
    short = replace(suite, horizon=3, open={"reach": (first.seed,)})
    found = recertify(short, ("iid",), tasks_per_family=3)
    assert found.open == (first,) and len(found.lost) == 2 and found.share_lost == 1


@pytest.mark.parametrize("name", ["drawer-close", "button-press"])
def test_a_constant_action_does_what_is_recorded(name):
    """As the control of an evaluation, with other slots in the model than in the search."""
    entry = constant_actions("tabletop")[name]
    seeds = tuple(range(entry["tasks"]))
    protocol = suites.EvaluationProtocol("ours", ("train",), len(seeds), episodes=1, adaptation_episodes=0)
    suite = suites.Suite("x", 1, "", (name,), 200, True, {"train": {name: seeds}}, protocols={"ours": protocol})
    table = evaluate(suite.envs("mujoco"), suite, constants(suite), name="constant")
    assert table["success"].mean() == pytest.approx(entry["success"], abs=1.5 / len(seeds)) and entry["success"] > 0.3


ARENAS = sorted({family.arena for family in registry.families().values()})


@pytest.mark.parametrize("arena", ARENAS)
def test_constants_are_of_families_that_exist(arena):
    for name, entry in constant_actions(arena).items():
        assert registry.family(name).version == entry["version"], f"{name}: search its constants again"
        assert max(map(abs, entry["action"])) <= 1 and 0 <= entry["success"] <= 1
