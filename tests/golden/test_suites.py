"""Frozen suites stay what they are: published scores refer to them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

import mtbench.suite as suites
from mtbench import registry
from mtbench.errors import MtbenchError, UsageError
from mtbench.evaluate import evaluate, play, play_jobs
from mtbench.policy import RandomPolicy
from mtbench.task import digest

DIGESTS = json.loads((Path(__file__).parent / "digests.json").read_text())
NAMES = sorted(suites.catalogue())
SIZES = {"MT10": (10, 0), "MT25": (25, 0), "MT50": (50, 0), "ML10": (10, 5), "ML25": (24, 5), "ML45": (45, 5)}
"""Families to train on and held out."""


@cache
def digest_of(families, ids):
    """Suites that share families and tasks (MT1/reach, ML1/reach) share rows."""
    return digest(suites.rows(ids, families))


@pytest.mark.parametrize("name", NAMES)
def test_digests(name):
    suite = suites.load(name)
    assert suite.digest == DIGESTS[name], "a frozen suite has changed: give it a new version instead"
    for split, expected in suite.digests.items():
        parts = {arena: digest_of(suite.families, tuple(ids)) for arena, ids in suite.arena_ids(split).items()}
        found = suites.combined(parts)
        assert found == expected, f"rows of {split} have changed: a changed family needs a new version"


def test_the_lists_are_metaworlds():
    manipulation = {name for name, family in registry.families().items() if family.arena == "tabletop"}
    for track in ("MT1", "ML1"):
        assert {name.removeprefix(f"{track}/") for name in NAMES if name.startswith(f"{track}/")} - {
            "walk"
        } == manipulation
    for name, (train, held_out) in SIZES.items():
        suite, meta = suites.load(name), name.startswith("ML")
        assert suite.families == (*suite.splits["train"], *suite.splits.get("family", ()))
        assert (len(suite.splits["train"]), len(suite.splits.get("family", ()))) == (train, held_out)
        assert all(len(seeds) == 50 for table in suite.splits.values() for seeds in table.values())
        assert suite.show_goal is not meta and not suite.uncertified
        theirs = suite.protocol("metaworld-ml" if meta else "metaworld-mt")
        assert theirs.splits == ("family",) if meta else ("train",)
        assert (theirs.adaptation_episodes, theirs.episodes) == ((10, 3) if meta else (0, 1)) and theirs.horizon == 500
    assert set(suites.load("MT50").families) == manipulation
    assert "basketball" in suites.load("ML25").splits["family"], "Meta-World has it in both lists"


def test_certificates_hold():
    """Each certificate names an episode that the expert solves: replayed for some tasks of every family."""
    suite = suites.load("STARTER")
    envs, expert = suite.envs("mujoco"), suite.expert()
    for split in suite.splits:
        jobs = [(task_id, suite.certificate(task_id)) for task_id in suite.task_ids(split)[:50]]
        table = play_jobs(envs, suite, expert, jobs, name="expert", split=split)
        assert table["success"].mean() >= 0.98


def test_a_file_tells_all(tmp_path):
    factors = {"push": {"object_mass": (0.6, 0.7), "goal_x": 0.05}}
    suite = suites.custom(["push", "reach"], name="mine", train=70, iid=3, horizon=9, show_goal=False, factors=factors)
    suite = replace(suite, certificates={"push": {17: 1}}, uncertified=("reach",), description='über "push"')
    path = tmp_path / "mine.toml"
    path.write_text(suite.to_toml())
    again = suites.load(path)
    assert again == suite and again.digest == suite.digest
    ids = again.task_ids("train")
    assert [again.certificate(task_id) for task_id in ids if task_id.seed in (16, 17)] == [0, None, 1, None]
    values = again.family("push").samples(np.arange(70))
    assert values["object_mass"].min() >= 0.6 - 1e-6 and values["object_mass"].max() <= 0.7 + 1e-6
    assert np.ptp(values["object_mass"]) > 0.09 and np.allclose(values["goal_x"], 0.05)
    whole = suites.custom(["push", "reach"], name="mine", train=70, iid=3, horizon=9, show_goal=False)
    assert whole.digest != suite.digest and whole.tables("train")["tabletop"].scene.free_mass.max() > 0.75
    assert digest(suites.rows(ids[:5], again.families, again.factors)) == digest(again.rows(ids[:5]))
    assert digest(jax.tree.map(lambda leaf: leaf[:5], again.tables("train")["tabletop"])) == digest(again.rows(ids[:5]))


@pytest.mark.parametrize(
    ("families", "more", "words"),
    [
        ([], {}, "at least one family"),
        (["reach", "rech"], {}, "unknown family 'rech': did you mean reach"),
        (["reach", "push", "reach"], {}, "family reach is named twice"),
        (["reach"], {"name": "STARTER"}, "'STARTER' is installed and frozen: choose another name"),
        (["reach"], {"train": 0}, "train = 0: expected a whole number from 1 to 1,000,000"),
        (["reach"], {"factors": {"push": {}}}, "unknown family with factors in suite custom 'push'"),
        (["push"], {"factors": {"push": {"object_mas": 1}}}, "unknown factor of push .object_mas.: did you mean"),
        (["push"], {"factors": {"push": {"object_mass": (0.7, 0.6)}}}, r"\[0.7, 0.6\]: expected low <= high"),
        (["push"], {"factors": {"push": {"object_mass": (0.6, 9)}}}, r"within \[0.4, 0.8\] kg"),
        (["push"], {"factors": {"push": {"object_mass": (0.6, 0.7, 0.8)}}}, "expected a number, or low and high"),
        (["push"], {"factors": {"push": {"object_x": 0, "goal_x": 0, "object_y": 0.7, "goal_y": 0.8}}}, "wider range"),
    ],
)  # fmt: skip
def test_bad_requests_name_the_argument(families, more, words):
    with pytest.raises(UsageError, match=words):
        suites.custom(families, **more)


def test_bad_files_name_the_entry(tmp_path):
    with pytest.raises(UsageError, match="unknown suite 'STARTR': did you mean STARTER"):
        suites.load("STARTR")
    with pytest.raises(UsageError, match="unknown split of STARTER 'idd': did you mean iid"):
        suites.load("STARTER").task_ids("idd")
    with pytest.raises(UsageError, match=r"no.toml: No such file or directory; mtbench freeze writes one"):
        suites.load(tmp_path / "no.toml")
    train = {"reach": (0, 1, 2), "push": (0, 1, 2)}
    splits = {"train": train, "family": {"sweep": (5,)}}
    protocol = suites.EvaluationProtocol("ours", ("family",), 1, episodes=1, adaptation_episodes=0, horizon=9)
    draft = suites.Suite("x", 1, "", ("reach", "push", "sweep"), 9, True, splits, protocols={"ours": protocol})
    text = suites.freeze(draft).to_toml()
    path = tmp_path / "x.toml"
    for old, new, words in (
        ('"push", "sweep"]', '"push", "push"]', "family push is named twice"),
        ('push = "0-2"', 'push = "0-2 2"', "task push/2 is in train and in train"),
        ('sweep = "5"', 'reach = "1"\nsweep = "5"', "task reach/1 is in train and in family"),
        ('sweep = "5"', 'reach = "7"\nsweep = "5"', "held-out family reach is in split train too"),
        ('sweep = "5"', "", "no split has tasks of sweep"),
        ('push = "0-2"', 'pull = "0-2"', r"split train has \['pull'\], which families does not list"),
        ('push = "0-2"', 'push = "0-"', "splits.train.push: '0-' is no seed or range of seeds"),
        ('push = "0-2"', 'push = "0-4000000000"', "at most 1,000,000 seeds below"),
        ('push = "0-2"', "push = 3", "unexpected form"),
        ("tasks_per_family = 1", "tasks_per_family = 2", "tasks_per_family = 2: family has 1 of sweep"),
        ("episodes = 1", "episode = 1", "unexpected form .*episode"),
        ("horizon = 9\n", "horizon = \n", "Invalid value"),
        ("horizon = 9\n", "", "lacks horizon"),
        ("horizon = 9\n", 'horizon = "9"\n', "horizon = 9: expected of type int"),
        ("horizon = 9\n", "horizon = 8\n", "was changed by hand or damaged; restore it"),
        ('push = "0-2"', 'push = "0-1 3"', "was changed by hand or damaged; restore it"),
        ("[digests]", "[digest]", "Cannot (declare|overwrite)"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(MtbenchError, match=words) as error:
            suites.load(path)
        assert str(path) in str(error.value)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(MtbenchError, match="x.toml: 'utf-8' codec"):
        suites.load(path)


def test_changed_rows_are_refused():
    """As after an edit of a family: the file is sound, but its rows are other ones now."""
    suite = suites.custom(["reach"], train=2, iid=2)
    changed = replace(suite, digests={**suite.digests, "train": "0" * 16})
    with pytest.raises(MtbenchError, match="split train: rows have digest"):
        changed.vector_env(2)
    changed.tables("iid")


@struct.dataclass
class Learner:
    """Acts on what it has seen: a stand-in for a policy that learns within a trial."""

    def init_carry(self, key):
        return Seen(*jnp.zeros((4,)))

    def act(self, key, carry, seen):
        carry = Seen(
            carry.steps + 1,
            carry.episodes + seen.episode_begins,
            carry.tasks + seen.task_begins,
            carry.sum + seen.reward,
        )
        return carry, jnp.full(4, jnp.sin(carry.steps + 5 * carry.sum))


@struct.dataclass
class Seen:
    steps: jax.Array
    episodes: jax.Array
    tasks: jax.Array
    sum: jax.Array
    """Of rewards."""


def test_protocols_are_played():
    """Adaptation episodes are remembered and not scored, the horizon is the protocol's, goal and family are hidden."""
    suite = suites.custom(["reach", "push"], train=2, iid=3, horizon=9, show_goal=False)
    envs = suite.envs("mujoco")
    env = envs["tabletop"]
    protocol = suites.EvaluationProtocol("k-shot", ("train", "iid"), 2, episodes=2, adaptation_episodes=3, horizon=5)
    table = evaluate(envs, suite, Learner(), name="learner", protocol=protocol)
    assert len(table) == 2 * 2 * 2 * 2 and set(table["episode"]) == {3, 4} and set(table["length"]) == {5}
    assert set(table["protocol"]) == {"k-shot"} and table["split"].unique(maintain_order=True).to_list() == [
        "train",
        "iid",
    ]
    task_id = suite.task_ids("iid")[1]
    row = jax.tree.map(lambda leaf: leaf[1], suite.tables("iid")["tabletop"])
    roll = jax.jit(lambda key, memory: (play(env, Learner(), key, row, 5, memory), env.reset(key, row)[1]))
    memory, returns = None, []
    for episode in (0, 1, 2, 4):
        (played, memory, _), first = roll(jax.random.key(suites.reset_key(task_id, episode)), memory)
        returns.append(float(played.return_))
    carry = memory.carry
    assert (carry.steps, carry.episodes, carry.tasks) == (20, 4, 1), "one task, four episodes"
    # The last reward of an episode is seen with the first observation of the next; that of the trial is never seen.
    assert float(carry.sum + memory.last.reward) == pytest.approx(sum(returns), rel=1e-5)
    scored = table.filter(task=str(task_id), episode=4)
    assert scored["return"][0] == pytest.approx(returns[-1], rel=1e-5)
    assert first.context.shape == (2,) and not first.context.any() and first.family == 1
    assert not first.observation[-3:].any(), "the goal"

    random, whole = RandomPolicy(env.action_size), replace(protocol, horizon=None)
    spared = evaluate(envs, suite, random, name="random", protocol=whole).filter(split="iid")
    jobs = [(t, e) for t in suite.task_ids("iid") if t.seed % 10 < 2 for e in (3, 4)]
    alone = play_jobs(envs, suite, random, jobs, name="random", split="iid")
    assert np.allclose(spared["return"], alone["return"], rtol=1e-5), "without a memory there is nothing to adapt"


@pytest.mark.parametrize("secret", ["quantities", "family", "success", "arena"])
def test_a_policy_is_not_shown_what_experts_know(secret):
    suite = suites.load("MT1/reach")
    env = suite.envs("mujoco")["tabletop"]

    class Peeking(RandomPolicy):
        def act(self, key, carry, seen):
            return carry, getattr(seen, secret) * jnp.zeros(4)

    row = jax.tree.map(lambda leaf: leaf[0], suite.rows(suite.task_ids("iid")[:1]))
    with pytest.raises(AttributeError, match=secret):
        jax.eval_shape(lambda key: play(env, Peeking(4), key, row, 2), jax.random.key(0))
