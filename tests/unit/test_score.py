"""Figures are those computed by hand, bad tables are refused, pages need no network."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from scipy import stats

from mtbench.cli import main
from mtbench.errors import MtbenchError, UsageError
from mtbench.score import (
    SCHEMA,
    compare,
    comparison,
    contrasts,
    power,
    read_episodes,
    read_metadata,
    read_tables,
    report,
    scorecard,
    simulation,
    statistics,
    summary_table,
    validate,
    write_csv,
    write_episodes,
    write_json,
    write_report,
)
from mtbench.score.outcomes import Outcomes, Pool
from mtbench.score.scorecard import LIMITS


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (49, 50), (1, 1)])
def test_wilson_agrees_with_scipy(successes, trials):
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    found = statistics.wilson(successes / trials, trials)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_order_statistics_agree_with_scipy():
    rates = np.random.default_rng(0).uniform(0.1, 0.9, 40)
    found = statistics.quantile_over_tasks(rates[None], 0.2, 1000)
    expected = stats.quantile_test(rates, p=0.2).confidence_interval()
    assert (found.low, found.high) == (expected.low, expected.high)


def test_population_interval_is_satterthwaites():
    """Against a balanced table's textbook analysis of variance: MS of seeds, of tasks, of their interaction."""
    values = np.random.default_rng(2).uniform(0.2, 0.8, (6, 8)) + np.linspace(-0.2, 0.2, 6)[:, None]
    rows, columns, grand = values.mean(1), values.mean(0), values.mean()
    ms_seed, ms_task = 8 * rows.var(ddof=1), 6 * columns.var(ddof=1)
    ms_rest = ((values - rows[:, None] - columns + grand) ** 2).sum() / 35
    variance = (ms_seed + ms_task - ms_rest) / 48
    freedom = (48 * variance) ** 2 / (ms_seed**2 / 5 + ms_task**2 / 7 + ms_rest**2 / 35)
    half = stats.t.ppf(0.975, 5) * rows.std(ddof=1) / np.sqrt(6)
    weight = np.exp(-8 * grand * (1 - grand))
    inflation = variance / (grand * (1 - grand) / 8)
    assert inflation < 1
    smoothed = inflation + weight * (1 - inflation)
    quantile = stats.t.ppf(0.975, freedom * (smoothed / inflation) ** 2)
    expected = statistics.wilson(grand, 8 / smoothed, quantile)
    found = statistics.population_interval(values, ["a"] * 8)
    assert found.low == pytest.approx(min(expected.low, grand - half))
    assert found.high == pytest.approx(max(expected.high, grand + half))


def test_all_or_none_still_has_an_interval():
    for value in (0.0, 1.0):
        for seeds, names in ((1, ["a", "a", "b", "b"]), (3, ["a", "a", "b", "b"]), (1, ["a", "b", "c", "d"])):
            same = np.full((seeds, 4), value)
            group = contrasts.Group(same, names)
            assert np.ptp([(i := statistics.population_interval(same, names)).low, i.high]) > 0.2
            assert np.ptp([(i := contrasts.paired_difference(same, same, names)).low, i.high]) > 0.2
            assert np.ptp([(i := contrasts.generalization_gap(group, [group])).low, i.high]) > 0.2
    single = statistics.population_interval(np.ones((1, 1)), ["a"])
    assert single.low < 0.1 and single.high == 1.0  # one task tells next to nothing of others
    nothing = contrasts.Group(np.zeros((3, 4)), ["a", "a", "b", "b"])
    kept = contrasts.retention(nothing, [nothing])
    assert np.isnan(kept.value) and kept.low == 0 and kept.high == np.inf


def test_holm_and_profiles_by_hand():
    assert contrasts.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert contrasts.holm([]) == []
    scores = np.array([[0.0, 0.5], [0.5, 1.0]])
    assert statistics.performance_profile(scores, np.array([0.0, 0.5, 0.6, 1.0])).tolist() == [
        1,
        0.75,
        0.25,
        0.25,
    ]
    assert statistics.iqm(np.array([[0.0, 0.2, 0.4, 1.0]])) == pytest.approx(0.3)


DOT = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")
"""The smallest animation."""


def make_table(policies: dict[str, list], splits=("iid",), episodes: int = 2) -> pl.DataFrame:
    """Two families of two tasks; `policies` gives, per seed, the successes of each task out of `episodes`."""
    rows = [
        {
            "policy": policy, "seed": seed, "suite": "TINY", "protocol": "ours", "split": split,
            "family": "ab"[task // 2],
            "task": f"{'ab'[task // 2]}/1/{split}-{task}", "episode": episode, "success": episode < wins,
            "success_final": episode < wins - 1, "return": 2.0 * wins, "progress": float(episode < wins),
            "length": 5, "diverged": False, "adaptation": 0, "failure": "",
        }
        for policy, seeds in policies.items() for seed, tasks in enumerate(seeds)
        for split in splits for task, wins in enumerate(tasks) for episode in range(episodes)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA)


PLAYED = {
    "mt-ppo": [[2, 1, 1, 0], [2, 1, 1, 0], [2, 2, 1, 1]],  # means 1/2, 1/2, 3/4
    "random": [[0, 0, 1, 0]],
    "expert": [[2, 2, 2, 2]],
}


def test_scorecard_by_hand():
    card = scorecard(make_table(PLAYED), metadata={"suite_digest": "abc"})
    block = card["splits"]["iid"]["policies"]["mt-ppo"]
    half = stats.t.ppf(0.975, 2) * (np.std([0.5, 0.5, 0.75], ddof=1) / np.sqrt(3))
    mean = 7 / 12
    success = card["headline"]["success"]
    assert success["value"] == pytest.approx(mean)
    assert 0 < success["low"] <= mean - half and mean + half <= success["high"] + 1e-9 <= 1  # t, and initial states
    assert success["method"] == "t over seeds" and success["bound"] is None
    assert block["success_final"]["value"] == pytest.approx(4 / 24)
    assert (block["seeds"], block["tasks"], block["episodes"], block["diverged"]) == (3, 4, 24, 0)
    assert block["return"] == pytest.approx(2 * 14 / 12) and block["progress"] == pytest.approx(14 / 24)
    assert {name: f["success"]["value"] for name, f in block["families"].items()} == pytest.approx(
        {"a": 10 / 12, "b": 4 / 12}
    )
    assert block["per_task"]["a/1/iid-0"]["success"]["bound"] == "ceiling"
    assert block["per_task"]["b/1/iid-3"]["success"]["value"] == pytest.approx(1 / 6)
    assert card["headline"]["solved_50"]["value"] == pytest.approx(10 / 12)  # (seed, task) pairs
    assert card["headline"]["solved_80"]["value"] == pytest.approx(4 / 12)
    assert block["median"]["value"] == pytest.approx((4 / 6 + 3 / 6) / 2)
    random = card["splits"]["iid"]["policies"]["random"]["success"]
    assert random["value"] == 1 / 8 and random["method"] == "episodes within tasks"
    differences = {d["name"]: d for d in card["splits"]["iid"]["differences"]}
    assert differences["mt-ppo − random"]["value"] == pytest.approx(14 / 24 - 1 / 8)
    assert differences["expert − mt-ppo"]["value"] == pytest.approx(1 - 14 / 24)
    assert differences["expert − mt-ppo"]["families"]["b"]["value"] == pytest.approx(1 - 4 / 12)
    assert max(d["p_value"] for d in differences.values()) <= max(d["p_holm"] for d in differences.values())
    assert card["metadata"] == {"suite_digest": "abc"} and card["gaps"] == []
    assert set(LIMITS.values()) <= set(card["small_print"])
    assert json.loads(json.dumps(card, allow_nan=False)) == card


def test_scorecard_of_one_artefact_claims_the_population():
    table = make_table({"mt-ppo": [[2, 2, 2, 2]], "random": [[0, 0, 0, 0]]})
    card = scorecard(table)
    success = card["headline"]["success"]
    assert success["method"] == "tasks within families" and success["bound"] == "ceiling"
    assert 0.3 < success["low"] < 0.7 and success["high"] == 1.0
    assert card["splits"]["iid"]["policies"]["mt-ppo"]["iqm"]["low"] is None
    assert not any(
        np.isclose(f["success"]["low"], 1) for f in card["splits"]["iid"]["policies"]["mt-ppo"]["families"].values()
    )
    one_each = table.filter(pl.col("task").str.contains("-[02]$"))
    card = scorecard(one_each)
    assert any("about these tasks alone" in line for line in card["small_print"])
    expected = stats.binomtest(4, 4).proportion_ci(method="wilson")
    assert card["headline"]["success"]["low"] == pytest.approx(expected.low)  # units are the 4 episodes
    scorecard(one_each.filter(pl.col("episode") == 0))  # a single episode of each is scored too
    scorecard(one_each.filter(pl.col("episode") == 0, pl.col("family") == "a"))


def test_the_headline_is_the_mean_over_scored_splits():
    """Splits of unequal size count alike, the gap and the ratio are those of the means, diagnostics do not count."""
    far = make_table({"mt-ppo": [[1, 1, 0, 0]] * 3, "random": [[0] * 4], "expert": [[2] * 4]}, ("family",))
    few = far.filter(pl.col("task").str.ends_with("-0") | pl.col("task").str.ends_with("-2"))
    beyond = make_table(PLAYED, ("extrapolation-2",))
    table = pl.concat([make_table(PLAYED, ("train", "iid")), few, beyond])
    card = scorecard(table)
    assert card["headline"]["splits"] == ["iid", "family"]
    mean = (7 / 12 + 1 / 4) / 2
    assert card["headline"]["success"]["value"] == pytest.approx(mean)
    assert card["headline"]["gap"]["value"] == pytest.approx(7 / 12 - mean)
    assert card["headline"]["retention"]["value"] == pytest.approx(mean / (7 / 12))
    assert card["pooled"]["policies"]["mt-ppo"]["families"]["b"]["success"]["value"] == pytest.approx((1 / 3 + 0) / 2)
    differences = {d["name"]: d["value"] for d in card["pooled"]["differences"]}
    assert differences["expert − mt-ppo"] == pytest.approx(1 - mean)
    assert [rung["split"] for rung in card["ladder"]] == ["train", "iid", "extrapolation-2", "family"]
    assert [rung["scored"] for rung in card["ladder"]] == [False, True, False, True]
    assert [(gap["near"], gap["far"]) for gap in card["gaps"]] == [
        ("train", "iid"),
        ("iid", "extrapolation-2"),
        ("iid", "family"),
    ]
    named = scorecard(table, metadata={"headline": ["family", "embodiment"]})
    assert named["headline"]["splits"] == ["family"] and named["headline"]["success"]["value"] == 0.25
    assert "The suite also scores embodiment, which the table does not have." in named["warnings"]
    assert scorecard(table, splits=["train"])["headline"]["gap"] is None
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(summary_table(card))
    text = console.export_text()
    assert "all tasks" in text and "0.42 [" in text and "expert − mt-ppo" in text


def test_one_seed_is_this_artefact_only():
    one = {"mt-ppo": [[2, 1, 1, 0]], "random": [[0, 0, 1, 0]]}
    assert any("this artefact only" in line for line in scorecard(make_table(one))["warnings"])
    assert any("of little use" in line for line in scorecard(make_table({"mt-ppo": PLAYED["mt-ppo"][:2]}))["warnings"])
    assert scorecard(make_table(PLAYED))["warnings"] == []
    assert any("this artefact only" in line for line in compare(make_table(one), ["mt-ppo", "random"])["small_print"])


def test_slope_of_shells_by_hand():
    """Success falls by 1/2 from inside to 2 half widths: with two tasks a point, least squares through three points."""
    wins = {"iid": [2, 2, 2, 2], "extrapolation": [2, 1, 2, 1], "extrapolation-2": [1, 1, 1, 1]}
    table = pl.concat([make_table({"mt-ppo": [rung] * 3}, (split,)) for split, rung in wins.items()])
    facts = table.unique("task", maintain_order=True).select(
        "task", factor=pl.when(pl.col("split") != "iid").then(pl.lit("mass")), side=pl.lit("high"), nearest=pl.lit(0.5)
    )
    card = scorecard(table, tasks=facts)
    every, mass = card["shells"]
    expected = stats.linregress([1.0, 1.25, 2.0], [1.0, 0.75, 0.5]).slope
    assert every["slope"]["value"] == pytest.approx(expected) and mass["slope"]["value"] == pytest.approx(expected)
    assert mass["factor"] == "mass" and [point["at"] for point in mass["points"]] == [1.0, 1.25, 2.0]
    assert [point["success"]["value"] for point in mass["points"]] == pytest.approx([1.0, 0.75, 0.5])
    assert card["difficulty"]["iid"]["nearest"] == 0.5
    placed = facts.with_columns(distance=pl.when(pl.col("factor").is_not_null()).then(pl.lit(1.5)))
    assert [point["at"] for point in scorecard(table, tasks=placed)["shells"][1]["points"]] == [1.0, 1.5, 1.5]
    with pytest.raises(UsageError, match="factor 'mass' repeats"):
        scorecard(table, tasks=pl.concat([facts[-1:], facts[-1:]]))
    # Metadata may hold the same table, and is not repeated on the card.
    again = scorecard(table, metadata={"tasks": facts.to_dicts()})
    assert again["shells"] == card["shells"] and again["metadata"] == {}


def test_adaptation_by_hand():
    levels = {0: [0, 0, 1, 0], 2: [1, 1, 1, 0], 4: [2, 1, 1, 0]}
    learner = [make_table({"rl2": [w] * 3}).with_columns(adaptation=pl.lit(k, pl.Int64)) for k, w in levels.items()]
    still = [make_table({"mt-ppo": PLAYED["mt-ppo"]}).with_columns(adaptation=pl.lit(k, pl.Int64)) for k in levels]
    table = pl.concat([*learner, *still, make_table({"random": PLAYED["random"]})])
    card = scorecard(table, "rl2", controls=("mt-ppo", "random"))
    curve = card["adaptation"]["rl2"]
    assert curve["levels"] == [0, 2, 4] and curve["flat"] == ""
    assert [e["value"] for e in curve["success"]] == pytest.approx([1 / 8, 3 / 8, 4 / 8])
    assert curve["gain"]["value"] == pytest.approx(3 / 8) and curve["gain"]["low"] > -1
    assert curve["area"]["value"] == pytest.approx((1 / 8 + 2 * 3 / 8 + 4 / 8) / 4)
    assert card["headline"]["success"]["value"] == pytest.approx(4 / 8)  # after the most adaptation
    flat = card["adaptation"]["mt-ppo"]
    assert "without memory" in flat["flat"] and flat["gain"]["value"] == 0
    assert "played without adaptation" in card["adaptation"]["random"]["flat"]
    assert scorecard(make_table(PLAYED))["adaptation"] == {}
    torn = table.filter(~((pl.col("adaptation") == 2) & (pl.col("task") == "a/1/iid-0") & (pl.col("policy") == "rl2")))
    with pytest.raises(UsageError, match="'rl2' played other tasks, seeds or numbers of episodes after 2 than after 0"):
        scorecard(torn, "rl2", controls=())


def test_failures_count_as_unsuccessful_and_are_listed():
    failed = (pl.col("policy") == "mt-ppo") & (pl.col("task") == "a/1/iid-0") & (pl.col("seed") == 1)
    told = pl.when(failed).then(pl.lit("action is not finite")).otherwise(pl.lit(""))
    card = scorecard(make_table(PLAYED).with_columns(failure=told))
    assert card["headline"]["success"]["value"] == pytest.approx(12 / 24)
    assert card["failures"] == [
        {
            "policy": "mt-ppo",
            "seed": 1,
            "split": "iid",
            "task": "a/1/iid-0",
            "reason": "action is not finite",
            "episodes": 2,
        }
    ]
    assert card["pooled"]["policies"]["mt-ppo"]["failed"] == 2 and "2 episodes" in card["warnings"][0]


def test_difficulty_names_what_a_constant_action_solves():
    played = {**PLAYED, "constant": [[2, 1, 0, 0]]}
    table = make_table(played).with_columns(solved_at=pl.when(policy="expert").then(pl.lit(2)))
    card = scorecard(table)
    own = card["difficulty"]["iid"]
    assert own["constant"]["value"] == 3 / 8 and own["expert"]["value"] == 1.0 and own["slack"] == pytest.approx(0.6)
    assert card["easy_families"] == [{"family": "a", "success": 0.75}] and "a 75" in card["warnings"][0]
    assert scorecard(make_table(PLAYED))["difficulty"]["iid"]["slack"] is None  # every episode has one length


def test_letters_and_ranks():
    players = {name: simulation.Player(level) for name, level in (("p", 1.5), ("q", 1.5), ("r", -1.5), ("s", -1.5))}
    table = simulation.table(simulation.REGIMES["ordinary"], players, {"iid": 0.0, "family": 0.5})
    found = compare(table)
    assert found["splits"] == ["iid", "family"] and found["tasks"] == 50
    told = {one["name"]: (one["letters"], one["rank"]) for one in found["policies"]}
    assert told == {"p": ("a", [1, 2]), "q": ("a", [1, 2]), "r": ("b", [3, 4]), "s": ("b", [3, 4])}
    pairs = {(pair["first"], pair["second"]): pair for pair in found["pairs"]}
    assert len(pairs) == 6 and not pairs["p", "q"]["distinct"] and pairs["p", "s"]["distinct"]
    assert all(pair["p_value"] <= pair["p_holm"] for pair in pairs.values())
    values = {one["name"]: one["success"]["value"] for one in found["policies"]}
    assert pairs["p", "r"]["value"] == pytest.approx(values["p"] - values["r"])
    some = compare(table.filter((pl.col("policy") != "s") | (pl.col("task") != table["task"][0])))
    assert some["tasks"] == 49 and some["left_out"] == 1
    for names, words in ((["p"], "needs two policies"), (["p", "z"], "no episodes of policy 'z'")):
        with pytest.raises(UsageError, match=words):
            compare(table, names)


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
def test_letters_are_shared_by_those_that_are_not_distinct(density):
    random, names = np.random.default_rng(round(10 * density)), [f"p{i}" for i in range(9)]
    distinct = {frozenset((a, b)) for i, a in enumerate(names) for b in names[:i] if random.random() < density}
    found = comparison.letters(names, distinct)
    for i, a in enumerate(names):
        for b in names[:i]:
            assert bool(set(found[a]) & set(found[b])) != (frozenset((a, b)) in distinct)
    assert comparison.letters(["x", "y"], set()) == {"x": "a", "y": "a"}


def test_components_are_those_that_were_simulated():
    """Normal scores with known variances, balanced: the method of moments has no bias."""
    random, shape = np.random.default_rng(3), (6, 40, 5)
    found = []
    for _ in range(30):
        values = 0.3 * random.standard_normal((6, 1, 1)) + 0.4 * random.standard_normal((1, 40, 1))
        values = values + 0.2 * random.standard_normal((6, 40, 1)) + 0.3 * random.standard_normal((1, 40, 5))
        values = values + 0.5 * random.standard_normal(shape)
        names = [str(task) for task in range(40)]
        found.append(power.components(Pool([Outcomes(values, [*range(6)], names, ["a"] * 40, [*range(5)])])))
    mean = {name: np.mean([getattr(one, name) for one in found]) for name in ("seed", "seed_task", "episode", "task")}
    assert mean["seed"] == pytest.approx(0.09, rel=0.25) and mean["seed_task"] == pytest.approx(0.04, rel=0.1)
    assert mean["episode"] == pytest.approx(0.25, rel=0.05)
    assert mean["task"] == pytest.approx(0.16 + 0.09 / 5, rel=0.1)  # with what is left of initial states
    with pytest.raises(UsageError, match="one seed tells nothing"):
        power.components(Pool([Outcomes(values[:1], [0], names, ["a"] * 40, [*range(5)])]))


def test_plan():
    found = power.Components(0.01, 0.04, 0.01, 0.1, 0.02, assumed=False, seeds=5, families=2)
    grid = power.detectable(found, [[3], [10]], [[10, 100]], 5)
    assert grid.shape == (2, 2) and (np.diff(grid, axis=0) < 0).all() and (np.diff(grid, axis=1) < 0).all()
    normal = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * np.sqrt(2 * 0.01 / 1e4)  # seeds alone, no degrees lost
    assert power.detectable(found, [10_000], [10**7], 5)[0] == pytest.approx(normal, rel=1e-2)
    assert np.isnan(power.detectable(power.Components(1, 0, 0, 0, 0, False, 5, 1), [2], [10], 1)[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop("family"), "'family' is missing, expected String"),
        (lambda t: t.with_columns(pl.col("success").cast(pl.Int64)), "'success' is Int64, expected Boolean"),
        (lambda t: t.with_columns(seed=pl.lit(0.5)), "'seed' is Float64, expected Int64"),
        (lambda t: t.with_columns(progress=pl.lit(1.5)), "'progress' holds 1.5, expected 0 to 1"),
        (lambda t: t.with_columns(length=pl.lit(-1)), "'length' holds -1, expected 0 or more"),
        (lambda t: t.with_columns(pl.lit(float("nan")).alias("return")), "'return' holds NaN or infinity"),
        (lambda t: t.with_columns(split=pl.lit(None, pl.String)), "'split' has 40 empty values"),
        (lambda t: t.with_columns(success=pl.lit(False)), "'success_final' is true where 'success' is false"),
        (lambda t: pl.concat([t, t]), "'episode' repeats"),
        (lambda t: t.with_columns(family=pl.col("policy")), "'family' has several values for task 'a/1/iid-0'"),
        (lambda t: t.clear(), "no rows"),
        (lambda t: t[:-1], "'episode' has 1 values for policy 'expert', task 'b/1/iid-3', seed 0, expected 2"),
        (lambda t: t.with_columns(policy=pl.lit("x")).unique(["seed", "task", "episode"]), "policy 'mt-ppo'"),
        (lambda t: pl.concat([t, t.with_columns(suite=pl.lit("BIG"))]), r"several suites in one table \(BIG, TINY"),
        (lambda t: pl.concat([t[:9], t[9:].with_columns(protocol=pl.lit("x"))]), r"several protocols in one table"),
    ],
)  # fmt: skip
def test_bad_tables_are_told_in_one_line(change, words):
    with pytest.raises(UsageError, match=words) as error:
        scorecard(change(make_table(PLAYED)))
    assert "\n" not in str(error.value)


def test_table_round_trip(tmp_path):
    path, table = tmp_path / "runs" / "episodes.parquet", make_table(PLAYED)
    narrow = table.with_columns(pl.col("seed").cast(pl.Int32), pl.col("return").cast(pl.Float32), note=pl.lit("x"))
    write_episodes(narrow.select(reversed(narrow.columns)), path, {"suite_digest": "abc", "versions": {"jax": "0"}})
    back = read_episodes(path)
    assert back.drop("note").schema == pl.Schema(SCHEMA) and back.drop("note").equals(table)
    assert read_metadata(path) == {"suite_digest": "abc", "versions": {"jax": "0"}}
    with pytest.raises(MtbenchError, match="cannot read episodes from"):
        read_episodes(tmp_path / "missing.parquet")
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_json({"unwritable": object()}, path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]
    assert validate(table).equals(table)


@pytest.mark.parametrize("seeds", [1, 3])
def test_report_needs_no_network(tmp_path, seeds):
    table = make_table({**PLAYED, "mt-ppo": PLAYED["mt-ppo"][:seeds]}, ("train", "iid"))
    card = scorecard(table, metadata={"command": "<script>alert(1)</script>"})
    write_report(card, table, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for loading in ("http:", "https:", "src=", "@import", "<script", "<link", "url(//"):
        assert loading not in page
    assert page.count('<svg role="img" aria-label="') == 4 and "prefers-color-scheme: dark" in page
    assert "#0102" not in page  # every colour of the plots follows the page
    for line in LIMITS.values():
        assert line.split("'")[0] in page
    assert f"mt-ppo succeeds in {'50' if seeds == 1 else '58'} % of episodes" in page and "20th percentile" in page
    once = table.filter(episode=0)
    write_report(scorecard(once), once, tmp_path / "once.html")
    page = (tmp_path / "once.html").read_text()
    assert (
        page.count('<svg role="img" aria-label="') == 2 and "20th percentile" not in page and "median task" not in page
    )


CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"),
]


@pytest.fixture(scope="module")
def simulated() -> pl.DataFrame:
    """A whole ladder with adaptation, controls, failures, and a hostile name."""
    players = {**simulation.PLAYERS, "learner": simulation.Player(gains={0: -0.5, 4: 0.0})}
    table = simulation.table(simulation.REGIMES["ordinary"], players)
    failed = (pl.col("task") == "known-0/1/iid-0") & (pl.col("policy") == "learner")
    return table.with_columns(failure=pl.when(failed).then(pl.lit("<script>alert(1)</script>")).otherwise(pl.lit("")))


def browse(page: Path, folder: Path, *flags: str) -> tuple[str, str]:
    """What a browser makes of a page, and what it has to say of it."""
    profile = ["--user-data-dir=" + str(folder / "profile"), *flags]
    found = subprocess.run(
        [CHROMIUM, *FLAGS, *profile, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True
    )
    return found.stdout, "\n".join(line for line in found.stderr.splitlines() if ":CONSOLE" in line)


@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium")
def test_pages_in_a_browser(simulated, tmp_path):
    facts = simulated.unique("task", maintain_order=True).select(
        "task", factor=pl.when(pl.col("split").str.starts_with("extra")).then(pl.lit("mass")), side=pl.lit("low")
    )
    card = scorecard(simulated, "learner", metadata={"digest": "abc"}, tasks=facts)
    worst = card["worst_tasks"][0]["task"]
    (tmp_path / f"{worst.replace('/', '-')}.gif").write_bytes(DOT)
    shown = report.find_animations(tmp_path, [worst])
    page = tmp_path / "report.html"
    write_report(card, simulated, page, shown)
    assert page.stat().st_size < 1_000_000
    dom, console = browse(page, tmp_path)
    assert console == "" and dom.rstrip().endswith("</html>")
    for title in ("The ladder", "Families and splits", "Beyond the training range", "Adaptation", "Worst tasks",
                  "Difficulty", "Failures", "Small print"):  # fmt: skip
        assert f"<h2>{title}</h2>" in dom
    assert f'<img src="data:image/gif;base64,{base64.b64encode(DOT).decode()}"' in dom
    assert "&lt;script&gt;alert(1)" in dom and "<script" not in dom
    report.write_comparison(compare(simulated, ["learner", "expert", "random"]), tmp_path / "comparison.html")
    dom, console = browse(tmp_path / "comparison.html", tmp_path)
    assert console == "" and "<h2>Paired differences</h2>" in dom
    # That silence means something: a page that does load from elsewhere is heard.
    broken = page.read_text().replace("</body>", '<img src="http://127.0.0.1:9/x.png"></body>')
    (tmp_path / "broken.html").write_text(broken)
    assert "127.0.0.1:9" in browse(tmp_path / "broken.html", tmp_path)[1]


def test_csv_has_every_task(simulated, tmp_path):
    card = scorecard(simulated, "learner")
    write_csv(card, tmp_path / "card.csv")
    table = pl.read_csv(tmp_path / "card.csv")
    own = table.filter(policy="learner", figure="success")
    assert own["task"].drop_nulls().n_unique() == simulated["task"].n_unique()
    whole = own.filter(pl.col("task").is_null(), pl.col("family").is_null(), split="headline")
    assert whole["value"].item() == pytest.approx(card["headline"]["success"]["value"])
    write_json(card, tmp_path / "card.json")  # which is small: tasks are in the other file
    assert (tmp_path / "card.json").stat().st_size < (tmp_path / "card.csv").stat().st_size
    back = json.loads((tmp_path / "card.json").read_text())
    assert back["headline"] == card["headline"] and "per_task" not in back["splits"]["iid"]["policies"]["learner"]
    assert set(own.filter("scored")["split"]) == {"headline", *card["headline"]["splits"]}


def test_tables_that_belong_together(tmp_path):
    whole = make_table(PLAYED)
    learner, controls = whole.filter(policy="mt-ppo"), whole.filter(pl.col("policy") != "mt-ppo")
    for seed in range(3):  # a table for each training, with the controls in all
        part = pl.concat([learner.filter(seed=seed), controls])
        write_episodes(part, tmp_path / str(seed) / "eval" / "episodes.parquet", {"digest": "abc"})
    folders = [tmp_path / str(seed) for seed in range(3)]
    joined, metadata = read_tables(folders)
    order = ["policy", "seed", "task", "episode"]
    assert joined.sort(order).equals(validate(whole).sort(order)) and metadata == {"digest": "abc"}
    apart, _ = read_tables(folders, rename=True)
    assert set(apart["policy"]) == {"mt-ppo (0)", "mt-ppo (1)", "mt-ppo (2)", "random", "expert"}
    with pytest.raises(UsageError, match="'episode' repeats"):
        read_tables([folders[0], folders[0]])
    write_episodes(whole, tmp_path / "other.parquet", {"digest": "xyz"})
    with pytest.raises(UsageError, match="several digests, which are not comparable"):
        read_tables([folders[0], tmp_path / "other.parquet"])
    write_episodes(whole.with_columns(suite=pl.lit("BIG")), tmp_path / "big.parquet")
    with pytest.raises(UsageError, match="several suites"):
        read_tables([folders[0], tmp_path / "big.parquet"])
    with pytest.raises(UsageError, match="holds no episodes.parquet"):
        read_tables([tmp_path])


def test_older_tables_are_read(tmp_path):
    old = make_table(PLAYED).drop("adaptation", "failure")
    write_report(scorecard(old), old, tmp_path / "report.html")
    assert validate(old).equals(validate(make_table(PLAYED)))


def test_commands(tmp_path, capsys, simulated):
    write_episodes(simulated, tmp_path / "eval" / "episodes.parquet", {"digest": "abc"})

    def run(*words: object) -> int:
        with pytest.raises(SystemExit) as done:
            main([str(word) for word in words])
        return done.value.code

    assert run("score", tmp_path / "eval") == 0
    told = capsys.readouterr().out
    assert "headline" in told and "extrapolation-1.5" in told
    written = {path.name for path in (tmp_path / "eval").iterdir()}
    assert written == {"episodes.parquet", "scorecard.json", "scorecard.csv", "scorecard.html"}
    assert run("score", tmp_path / "eval") == 2 and "--force" in capsys.readouterr().err
    write_episodes(simulated.filter(policy="learner"), tmp_path / "other" / "episodes.parquet", {"digest": "abc"})
    assert run("compare", tmp_path, tmp_path / "other", "--out", tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["pairs"][0]["p_holm"] == pytest.approx(1)
    assert (tmp_path / "out" / "comparison.html").is_file() and "share a letter" in capsys.readouterr().out
    assert run("power", tmp_path, "--difference", "0.2", "--out", tmp_path / "plan.json", "--seeds", 3, 10) == 0
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["seeds"] == [3, 10] and "For a difference of 0.2 with power 80%" in capsys.readouterr().out
    assert plan["detectable"][1][0] < plan["detectable"][0][0]
    for words, told in (
        (["score"], "needs a table"),
        (["score", tmp_path, "--policy", "z", "--force"], "no episodes of policy 'z'"),
        (["score", tmp_path, "--splits", "moon", "--force"], "on split 'moon'"),
        (["score", tmp_path, "--tasks", tmp_path / "none.csv", "--force"], "cannot read tasks"),
        (["compare", tmp_path], "a comparison needs two policies"),
        (["power", tmp_path, "--policy", "random"], "one seed tells nothing"),
        (["power", tmp_path, "--difference", "2"], "between 0 and 1"),
    ):
        assert run(*words) in (1, 2) and told in capsys.readouterr().err


def test_import_is_light():
    heavy = "('jax', 'matplotlib', 'jinja2', 'rich', 'scipy.stats')"
    code = f"import sys, mtbench.score; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
