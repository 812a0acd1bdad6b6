"""Frozen suites stay what they are: published scores refer to them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from scipy import stats

import mtbench.suite as suites
from mtbench import plan, registry
from mtbench.errors import MtbenchError, UsageError
from mtbench.evaluate import evaluate, play, play_jobs
from mtbench.policy import RandomPolicy
from mtbench.region import Region
from mtbench.suite.folds import fold
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
    tabletop = {name for name, family in registry.families().items() if family.arena == "tabletop" and not family.base}
    manipulation = tabletop - set(suites.load("GOALS26").families)
    for track, expected in (("MT1", tabletop), ("ML1", manipulation)):
        single = {name.removeprefix(f"{track}/") for name in NAMES if name.startswith(f"{track}/")}
        assert {name for name in single if registry.family(name).arena == "tabletop"} == expected
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


LIGHT = {"push": Region.of({"object_mass": (0.4, 0.5)})}
HEAVY = Region.of({"object_mass": (0.7, 0.8)})


def custom(*families, **more):
    return plan.freeze(plan.custom(families, **more))


def test_a_file_tells_all(tmp_path):
    own = Region.of({"object_mass": [(0.6, 0.65), (0.7, 0.75)], "goal_x": 0.05}, [{"object_mass": (0.7, 0.8)}])
    more = {"name": "mine", "tasks": {"train": 70, "iid": 3, "heavy-1.5": 4}, "horizon": 9, "show_goal": False}
    suite = custom("push", "reach", regions={"*": {"push": own}, "heavy-1.5": {"push": HEAVY}}, **more)
    suite = replace(suite, certificates={"push": {17: 1}}, uncertified=("reach",), description='über "push"')
    path = tmp_path / "mine.toml"
    path.write_text(suites.to_toml(suite))
    again = suites.load(path)
    assert again == suite and again.digest == suite.digest
    ids = again.task_ids("train")
    assert [again.certificate(task_id) for task_id in ids if task_id.seed in (16, 17)] == [0, None, 1, None]
    whole = custom("push", "reach", **more)
    assert whole.digest != suite.digest and whole.tables("train")["tabletop"].scene.free_mass.max() > 0.77
    assert str(whole.task_ids("train")[0]) == "push/1/0" and str(ids[0]) == f"push/1/0/{own.fingerprint}"
    assert digest(suites.rows(ids[:5], again.families)) == digest(again.rows(ids[:5]))
    assert digest(jax.tree.map(lambda leaf: leaf[:5], again.tables("train")["tabletop"])) == digest(again.rows(ids[:5]))


def test_episodes_are_as_long_as_their_arena_says():
    few = {"train": 1, "iid": 1}
    mixed, legs = custom("reach", "walker-walk", tasks=few), custom("walker-walk", tasks=few)
    assert (mixed.horizon, mixed.horizon_of("walker"), legs.horizon, legs.horizons) == (200, 500, 500, {})
    assert custom("reach", "walker-walk", tasks=few, horizon=300).horizon_of("walker") == 300


def test_tasks_are_drawn_from_their_region():
    """Uniform over a union of intervals, never from a withheld combination, whose levels are each seen alone."""
    family = registry.family("push")
    union = {"object_mass": [(0.4, 0.5), (0.7, 0.75)], "goal_x": [(-0.1, 0.0), (0.05, 0.1)]}
    corner = {"object_mass": (0.7, 0.8), "goal_x": (0.0, 0.1)}
    region = Region.of(union, [corner])
    values = {name: np.asarray(column) for name, column in family.samples(np.arange(4000), region).items()}
    mass, goal = values["object_mass"], values["goal_x"]
    heavy, right = mass > 0.6, goal > 0.02
    assert np.all((mass <= 0.5 + 1e-6) | (mass >= 0.7 - 1e-6)) and not (heavy & right).any()
    assert heavy.any() and right.any() and region.contains(values).all()
    # A third of the mass's measure and of the goal's; the ninth part that is withheld is redrawn.
    assert heavy.mean() == pytest.approx(1 / 4, abs=0.03) and right.mean() == pytest.approx(1 / 4, abs=0.03)
    assert stats.kstest(mass[heavy], stats.uniform(0.7, 0.05).cdf).pvalue > 1e-3
    points = Region.of({"object_mass": [(0.4, 0.4), (0.6, 0.6), (0.8, 0.8)]})
    found, counts = np.unique(np.asarray(family.samples(np.arange(3000), points)["object_mass"]), return_counts=True)
    np.testing.assert_allclose(found, [0.4, 0.6, 0.8])
    assert counts.min() > 900
    assert Region.from_table(region.table()) == region and hash(region) != hash(points)
    assert all(np.asarray(family.accepts(family.sample(seed, region), region)) for seed in range(3))


def test_a_suite_is_divided_by_factor_values():
    suite = custom("push", "reach", name="mine", tasks={"train": 3, "iid": 60})
    # No task of reach lies in a sliver that thin.
    far = Region.of({"goal_y": 0.80001})
    parts = suite.divided("halves", "iid", {"light": LIGHT, "heavy": {"push": HEAVY, "reach": far}})
    assert parts.splits.keys() == {"train", "light", "heavy"} and parts.protocols["ours"].splits == ("light", "heavy")
    for split, low, high in (("light", 0.4, 0.5), ("heavy", 0.7, 0.8)):
        ids = parts.task_ids(split)
        mass = [values["object_mass"] for task, values in parts.factors(split).items() if task.family == "push"]
        assert 5 < len(mass) < 30 and low - 1e-6 <= min(mass) <= max(mass) <= high + 1e-6
        assert set(ids) < set(suite.task_ids("iid")), "tasks keep their names"
    filtered = suite.filtered("light", "iid", LIGHT)
    assert filtered.splits["iid"]["push"] == parts.splits["light"]["push"]
    assert filtered.splits["iid"]["reach"] == suite.splits["iid"]["reach"], "a family that is not named stays whole"
    envs = filtered.envs("mujoco")
    assert len(evaluate(envs, filtered, RandomPolicy(4), name="random", protocol="ours")) == len(
        filtered.task_ids("iid")
    )
    with pytest.raises(MtbenchError, match="task reach/1000000 is in light and in heavy"):
        suite.divided("both", "iid", {"light": LIGHT, "heavy": {"push": HEAVY}})
    with pytest.raises(UsageError, match="no task of iid lies in part none"):
        suite.divided("none", "iid", {"none": {name: Region.of({"goal_x": 0.0333}) for name in suite.families}})
    with pytest.raises(UsageError, match="unknown factor of push 'mass': did you mean"):
        suite.filtered("x", "iid", {"push": Region.of({"mass": 1})})


def test_each_family_is_held_out_in_one_fold():
    suite = suites.load("ML10")
    folds = [fold(suite, number, 3) for number in (1, 2, 3)]
    held_out = [name for one in folds for name in one.splits["family"]]
    assert sorted(held_out) == sorted(suite.splits["train"])
    for one in folds:
        assert set(one.splits["train"]) == set(suite.splits["train"]) - set(one.splits["family"])
        assert one.protocol("ours").headlines == ("family",)
        assert set(one.task_ids("family")) < set(suite.task_ids("iid")), "tasks keep their names"
    with pytest.raises(UsageError, match="fold 1 of 11: ML10 trains on 10 families"):
        fold(suite, 1, 11)


def test_experts_certify_a_plan():
    regions = {"train": {"reach": Region.of({"goal_x": (0.0, 0.1)})}, "far": {"reach": Region.of({"goal_y": 0.9})}}
    tasks = {"train": 2, "iid": 2, "far": 1}
    wanted = plan.custom(["reach", "door-close"], name="mine", tasks=tasks, held_out=["push"], regions=regions)
    assert wanted.splits["iid"].regions == regions["train"] and wanted.splits["far"].families == ("reach",)
    assert wanted.families == ("reach", "door-close", "push") and wanted.splits["family"].families == ("push",)
    played = []
    certified = plan.certify([wanted], lambda what, done, total: played.append((what, done, total)))
    assert played[0] == ("tabletop, 200 steps, episode 0", 69, 69)
    suite = plan.freeze(wanted, certified)
    assert not suite.uncertified and suite.splits["family"]["push"][0] == plan.FIRST_SEED["family"]
    later = plan.freeze(wanted, {**certified, (suite.task_id("train", "reach", 0), 200): 2})
    assert later.certificates == {"reach": {0: 2}}
    with pytest.raises(MtbenchError, match="reach: its expert solves 0 of 2 tasks of split train within 200 steps"):
        plan.freeze(wanted, {})


@pytest.mark.parametrize(
    ("families", "more", "words"),
    [
        ([], {}, "at least one family"),
        (["reach", "rech"], {}, "unknown family 'rech': did you mean reach"),
        (["reach", "push", "reach"], {}, "family reach is named twice"),
        (["reach"], {"name": "STARTER"}, "'STARTER' is installed and frozen: choose another name"),
        (["reach"], {"tasks": {"train": 0}}, "train = 0: expected a whole number from 1 to 1,000,000"),
        (["reach"], {"horizon": 0}, "horizon = 0: expected a whole number"),
        (["reach"], {"tasks": {"family": 3}}, "split family has no families"),
        (["reach"], {"regions": {"*": {"push": Region()}}}, "unknown family with a region in suite custom 'push'"),
        (["reach"], {"regions": {"tran": {}}}, "unknown split of suite custom 'tran': did you mean train"),
        (["push"], {"regions": {"*": {"push": {"object_mas": 1}}}}, "unknown factor of push .object_mas.: did you"),
        (["push"], {"regions": {"*": {"push": {"object_mass": (0.7, 0.6)}}}}, "is empty, expected low <= high"),
        (["push"], {"regions": {"*": {"push": {"object_mass": []}}}}, "is empty, expected at least one interval"),
        (["push"], {"regions": {"*": {"push": {"object_mass": (0.6, 9)}}}}, r"within \[0.4, 0.8\] kg"),
        (["push"], {"regions": {"*": {"push": {"object_mass": float("nan")}}}}, "is empty"),
        (["push"], {"regions": {"*": {"push": {"object_mass": (0.6, 0.7, 0.8)}}}}, "expected a number, low and high"),
        (["push"], {"regions": {"*": {"push": {"object_mass": [(0.5, 0.6), (0.6, 0.7)]}}}}, "overlap at 0.6: join"),
        (["push"], {"regions": {"*": {"push": {"object_mass": [(0.5, 0.5), (0.6, 0.7)]}}}}, "would never be drawn"),
        (
            ["push"],
            {"regions": {"*": {"push": {"object_x": 0, "goal_x": 0, "object_y": 0.7, "goal_y": 0.8}}}},
            "no draw for task 0 is a task at all .* allow a wider region",
        ),
    ],
)  # fmt: skip
def test_bad_requests_name_the_argument(families, more, words):
    with pytest.raises(UsageError, match=words):
        regions = {
            split: {name: region if isinstance(region, Region) else Region.of(region) for name, region in t.items()}
            for split, t in more.get("regions", {}).items()
        }
        custom(*families, **{**more, "regions": regions})


def test_an_unknown_arena_is_told_with_the_families_that_need_it(monkeypatch):
    lunar = replace(registry.family("reach"), name="lunar-reach", arena="moon")
    monkeypatch.setattr(registry, "families", lambda: {"lunar-reach": lunar})
    suite = suites.Suite("lunar", 1, "", ("lunar-reach",), 10, True, {"train": {"lunar-reach": (0,)}})
    for use in (lambda: suite.vector_env(8), suite.expert):
        with pytest.raises(UsageError, match="unknown arena 'moon'.*needed by lunar-reach: install the package"):
            use()


def test_what_is_withheld_may_not_be_everything():
    everything = Region.of(withheld=[{"object_mass": (0.4, 0.8)}])
    with pytest.raises(UsageError, match="not together: object_mass 0.4 to 0.8 of split train: no draw for task 0"):
        custom("push", regions={"train": {"push": everything}})


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
    text = suites.to_toml(draft.frozen())
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
        ("tasks_per_family = 1", "tasks_per_family = 2", "tasks_per_family = 2: no family has more than 1"),
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


def test_legged_suites():
    """All families, those held out apart; oracles certify twenty tasks of at least eighteen."""
    legged = {name for name, family in registry.families().items() if family.arena != "tabletop"}
    every, meta = suites.load("LOCO-MT"), suites.load("ML-LOCO")
    assert set(every.families) == legged
    assert set(suites.load("ALL").families) == legged | set(suites.load("MT50").families)
    assert {"quadruped"} == set(meta.arenas) and len(meta.splits["family"]) == 10 and not meta.show_goal
    assert not any(suites.load(name).uncertified for name in ("ALL", "LOCO-MT", "LOCO20", "ML-LOCO"))
    ids = [task_id for split in every.splits for task_id in every.task_ids(split)]
    certified = Counter(task_id.family for task_id in ids if every.certificate(task_id) is not None)
    assert sum(count >= 20 for count in certified.values()) >= 18
    # Suites share tasks: what is certified in one is in the others.
    for name in ("ALL", "LOCO20"):
        other = suites.load(name)
        for family in set(other.splits["iid"]) & legged:
            assert other.splits["iid"][family] == every.splits["iid"][family]
            assert other.open.get(family) == every.open.get(family)


def test_open_tasks_are_listed_and_not_scored(tmp_path):
    """The expert solves all tasks of reach, and of push one of four to train on and none of four held out."""
    wanted = plan.custom(["reach", "push"], name="x", tasks={"train": 4, "iid": 4}, keep_open=True)
    ids = [task_id for split in ("train", "iid") for task_id in wanted.candidates(split, "reach", 5)]
    certified = {(task_id, 200): 1 for task_id in (*ids, wanted.candidates("train", "push", 2)[1])}
    frozen = plan.freeze(wanted, certified)
    assert frozen.open == {"push": (0, 2, 3, *range(1_000_000, 1_000_004))} and not frozen.uncertified
    assert [len(frozen.splits["iid"][family]) for family in ("reach", "push")] == [4, 4]
    assert frozen.certificate(frozen.task_id("train", "push", 1)) == 1
    assert frozen.certificate(frozen.task_id("train", "push", 2)) is None
    assert [str(i) for i in frozen.scored_ids("train", 2)] == ["reach/1/0", "reach/1/1", "push/1/1"]
    path = tmp_path / "x.toml"
    path.write_text(suites.to_toml(frozen))
    assert suites.read(path) == frozen
    path.write_text(suites.to_toml(frozen).replace('push = "0 2-3', 'push = "0 2-4', 1))
    with pytest.raises(MtbenchError, match="open task push/4 is in no split"):
        suites.read(path)
    far = frozen.divided("far", "iid", {"far": {"push": Region.of({"goal_x": (0.05, 0.1)})}})
    assert 0 < len(far.open["push"]) < 7
    hard = replace(frozen, open={**frozen.open, "reach": frozen.splits["iid"]["reach"]})
    with pytest.raises(UsageError, match="split iid: all tasks are open"):
        evaluate(hard.envs("mujoco"), hard, RandomPolicy(4), name="random", protocol="ours", seed=0)
    with pytest.raises(MtbenchError, match="push: its expert solves 1 of 5 tasks of split train within 200 steps"):
        plan.freeze(replace(wanted, keep_open=False), certified)


def test_changed_rows_are_refused():
    """As after an edit of a family: the file is sound, but its rows are other ones now."""
    suite = custom("reach", tasks={"train": 2, "iid": 2})
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
    suite = custom("reach", "push", tasks={"train": 2, "iid": 3}, horizon=9, show_goal=False)
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
    params = env.params_of(jax.tree.map(lambda leaf: leaf[None], row))[0]

    @jax.jit
    def roll(key, memory):
        return play(env, Learner(), key, row, 5, memory, params=params), env.begin(key, row, params)[1]

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
