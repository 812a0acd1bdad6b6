"""Intervals cover what they claim to, figures are those computed by hand, the page needs no network."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from scipy import stats

from mtbench.errors import MtbenchError, UsageError
from mtbench.score import (
    SCHEMA,
    read_episodes,
    read_metadata,
    scorecard,
    statistics,
    summary_table,
    validate,
    write_episodes,
    write_json,
    write_report,
)
from mtbench.score.scorecard import LIMITS

GATE = 0.90
REPLICATES = 4000


@dataclasses.dataclass(frozen=True)
class Regime:
    """Success of an episode is Φ(family + seed + task + cell): its expectations are known in closed form."""

    seeds: int = 5
    sizes: tuple[int, ...] = (5,) * 5  # tasks in each family
    episodes: int = 6
    level: float = 0.5
    apart: float = 0.5  # how far families lie from their middle
    seed_spread: float = 0.3
    task_spread: float = 0.6
    cell_spread: float = 0.3
    collapse: float = 0.0  # share of seeds that fail everywhere
    hopeless: float = 0.0  # share of tasks that nobody can do
    blind: float = 0.0  # share of tasks that the control cannot do
    shared: float = 0.5  # share of an episode's chance that is in its initial state, which all meet


REGIMES = {
    "ordinary": Regime(),
    "correlated seeds": Regime(seed_spread=0.8),
    "two seeds": Regime(seeds=2, seed_spread=0.5),
    "three seeds": Regime(seeds=3, seed_spread=0.5),
    "ten seeds": Regime(seeds=10, seed_spread=0.5, sizes=(3,) * 5),
    "few tasks": Regime(seeds=3, sizes=(3, 3)),
    "one family of five": Regime(sizes=(5,)),
    "pairs of tasks": Regime(sizes=(2,) * 5),
    "uneven families": Regime(sizes=(2, 3, 4, 6, 10)),
    "some families of one task": Regime(sizes=(1, 1, 1, 7, 7)),
    "ceiling": Regime(level=2.5),
    "floor": Regime(level=-2.5),
    "some hopeless tasks": Regime(level=2.5, task_spread=0.2, hopeless=0.04),
    "tasks all or nothing": Regime(task_spread=3.0),
    "tasks alike": Regime(shared=0.0, seed_spread=0.05, task_spread=0.05, cell_spread=0.05),
    "one episode": Regime(episodes=1),
    "families far apart": Regime(sizes=(40,) * 6, episodes=1, apart=2.5, seed_spread=0.05),
    "hard ceiling": Regime(level=3.2, seed_spread=0.1, task_spread=0.2, cell_spread=0.1, blind=0.05),
    "initial states decide": Regime(shared=1.0, seed_spread=0.0, cell_spread=0.0, blind=0.05),
    "collapse": Regime(level=1.5, collapse=0.1),
}


def simulate(regime: Regime, replicates: int, seed: int) -> dict[str, tuple[statistics.Interval, np.ndarray]]:
    """Every interval of the regime beside its truth."""
    random = np.random.default_rng(seed)
    seeds, episodes, families = regime.seeds, regime.episodes, len(regime.sizes)
    names = np.repeat(np.arange(families), regime.sizes).astype(str)
    base = np.repeat(regime.level + np.linspace(-regime.apart, regime.apart, families), regime.sizes)
    tasks, handicap = len(base), 0.0 if regime.blind else 0.6

    def normal(spread: float, *shape: int) -> np.ndarray:
        return spread * random.standard_normal((replicates, *shape), np.float32)

    def lasting(share: float, *shape: int) -> np.ndarray:
        return random.random((replicates, *shape)) >= share

    def rate(latent: np.ndarray, *spreads: float) -> np.ndarray:
        return stats.norm.cdf(latent / np.sqrt(1 + np.square(spreads).sum()))

    level, task = normal(regime.seed_spread, seeds, 1), normal(regime.task_spread, 1, tasks)
    cell, other_cell = normal(regime.cell_spread, seeds, tasks), normal(regime.cell_spread, 1, tasks)
    possible, alive = lasting(regime.hopeless, 1, tasks), lasting(regime.collapse, seeds, 1)
    state = normal(np.sqrt(regime.shared), 1, tasks, episodes)

    def play(latent: np.ndarray, able: np.ndarray, state: np.ndarray) -> np.ndarray:
        chance = state + normal(np.sqrt(1 - regime.shared), latent.shape[1], tasks, episodes)
        return ((latent[..., None] > chance) & able[..., None]).astype(float)

    plays = play(base + level + task + cell, alive & possible, state)
    control = play(base - handicap + task + other_cell, possible & lasting(regime.blind, 1, tasks), state).mean(-1)
    far_latent = base - 0.4 + level + normal(regime.task_spread, 1, tasks) + normal(regime.cell_spread, seeds, tasks)
    far_state = normal(np.sqrt(regime.shared), 1, tasks, episodes)
    far = play(far_latent, alive & lasting(regime.hopeless, 1, tasks), far_state).mean(-1)

    scores, doable = plays.mean(-1), 1 - regime.hopeless
    one, spreads = scores[:, :1], (regime.seed_spread, regime.cell_spread)
    per_task = rate(base + task[:, 0], *spreads) * possible[:, 0] * (1 - regime.collapse)
    these = rate(base + level + task + cell)[:, 0] * possible[:, 0] * alive[:, 0]
    population = rate(base, *spreads, regime.task_spread).mean() * doable * (1 - regime.collapse)
    artefact = rate(base + level[:, 0], regime.task_spread, regime.cell_spread) * doable * alive[:, 0]
    opponent = rate(base - handicap, regime.task_spread, regime.cell_spread).mean() * doable * (1 - regime.blind)
    behind = rate(base - 0.4, *spreads, regime.task_spread).mean() * doable * (1 - regime.collapse)
    found = {
        "suite": (statistics.suite_interval(plays), per_task.mean(-1)),
        "tasks": (statistics.task_intervals(plays), per_task),
        "population": (statistics.population_interval(scores, names), population),
        "difference": (statistics.paired_difference(scores, control, names), population - opponent),
        "gap": (statistics.generalization_gap(scores, far, names, names), population - behind),
        "artefact": (statistics.population_interval(one, names), artefact.mean(-1)),
        "artefact, these tasks": (statistics.suite_interval(plays[:, :1]), these.mean(-1)),
        "artefact, single tasks": (statistics.task_intervals(plays[:, :1]), these),
        "artefact, difference": (
            statistics.paired_difference(one, control, names),
            artefact.mean(-1) - opponent,
        ),
    }
    if 1 < regime.sizes[0] < tasks:
        part, name = one[..., : regime.sizes[0]], names[: regime.sizes[0]]
        assumed = statistics.clustering(one, names)
        found["artefact, family"] = statistics.population_interval(part, name, assumed), artefact[:, 0]
        assumed = np.minimum(np.maximum(assumed, statistics.clustering(control, names)), 1)
        rival = rate(base[:1] - handicap, regime.task_spread, regime.cell_spread) * doable * (1 - regime.blind)
        difference = statistics.paired_difference(part, control[..., : len(name)], name, assumed)
        found["artefact, family difference"] = difference, artefact[:, 0] - rival
    return found


def coverage(interval: statistics.Interval, truth: np.ndarray | float) -> float:
    assert np.all(interval.low <= interval.value) and np.all(interval.value <= interval.high)
    return float(((interval.low <= truth) & (truth <= interval.high)).mean())


def coverages(regime: Regime) -> dict[str, float]:
    """Over 4,000 replicates, in parts that fit a small memory."""
    parts = [simulate(regime, REPLICATES // 8, seed) for seed in range(8)]
    return {claim: float(np.mean([coverage(*part[claim]) for part in parts])) for claim in parts[0]}


@pytest.mark.parametrize("name", REGIMES)
def test_intervals_cover(name):
    covered = coverages(REGIMES[name])
    if name in LIMITS:
        assert covered["suite"] < GATE, "the small print names a regime that is no limit any more"
        covered = {claim: share for claim, share in covered.items() if "artefact" in claim}
    assert min(covered.values()) >= GATE, covered
    if name in ("ordinary", "correlated seeds", "ten seeds"):  # and they are no wider than they need be
        assert max(covered[claim] for claim in ("suite", "population", "artefact", "difference")) < 0.98


def test_quantile_over_tasks_covers():
    random = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return random.binomial(20, stats.norm.cdf(0.3 + random.standard_normal(shape))) / 20

    for tasks in (8, 50):
        for quantile in (0.2, 0.5):
            truth = np.quantile(draw(400_000), quantile)
            found = statistics.quantile_over_tasks(draw(REPLICATES, 1, tasks), quantile, 20)
            assert coverage(found, truth) >= GATE


def test_wrong_intervals_fail_the_gate():
    """Episodes, or seeds of each task, resampled as if independent: far below nominal on the same tables."""
    regime = REGIMES["correlated seeds"]
    suite, truth = simulate(regime, REPLICATES // 8, 0)["suite"]
    pooled = statistics.wilson(suite.value, regime.seeds * sum(regime.sizes) * regime.episodes)
    assert coverage(pooled, truth) < 0.5

    random = np.random.default_rng(1)
    latent = random.normal(0.5, 0.8, (200, 5, 1)) + random.normal(0, 0.3, (200, 5, 50))
    scores = random.binomial(10, stats.norm.cdf(latent)) / 10
    truth = statistics.iqm(scores).mean()
    found = [statistics.rliable_interval(table, resamples=200) for table in scores]
    assert np.mean([interval.low <= truth <= interval.high for interval in found]) < 0.5


def test_one_task_limit():
    """Wilson's exact coverage of a single task, averaged over success rates, and at its worst."""
    successes, rates = np.arange(21), np.linspace(0.0005, 0.9995, 2000)
    found = statistics.wilson(successes / 20, 20)
    hit = (found.low <= rates[:, None]) & (rates[:, None] <= found.high)
    exact = (hit * stats.binom.pmf(successes, 20, rates[:, None])).sum(-1)
    assert exact.mean() >= 0.94
    assert 0.83 < exact.min() < GATE and "84 %" in LIMITS["one task"]


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
            assert np.ptp([(i := statistics.population_interval(same, names)).low, i.high]) > 0.2
            assert np.ptp([(i := statistics.paired_difference(same, same, names)).low, i.high]) > 0.2
            assert np.ptp([(i := statistics.generalization_gap(same, same, names, names)).low, i.high]) > 0.2
    single = statistics.population_interval(np.ones((1, 1)), ["a"])
    assert single.low < 0.1 and single.high == 1.0  # one task tells next to nothing of others


def test_holm_and_profiles_by_hand():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([]) == []
    scores = np.array([[0.0, 0.5], [0.5, 1.0]])
    assert statistics.performance_profile(scores, np.array([0.0, 0.5, 0.6, 1.0])).tolist() == [
        1,
        0.75,
        0.25,
        0.25,
    ]
    assert statistics.iqm(np.array([[0.0, 0.2, 0.4, 1.0]])) == pytest.approx(0.3)


def make_table(policies: dict[str, list], splits=("iid",), episodes: int = 2) -> pl.DataFrame:
    """Two families of two tasks; `policies` gives, per seed, the successes of each task out of `episodes`."""
    rows = [
        {
            "policy": policy, "seed": seed, "suite": "TINY", "protocol": "ours", "split": split,
            "family": "ab"[task // 2],
            "task": f"{'ab'[task // 2]}/1/{split}-{task}", "episode": episode, "success": episode < wins,
            "success_final": episode < wins - 1, "return": 2.0 * wins, "progress": float(episode < wins),
            "length": 5, "diverged": False,
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


def test_splits_and_gaps():
    table = make_table(PLAYED, ("train", "iid", "family"))
    card = scorecard(table)
    assert card["split"] == "iid" and set(card["splits"]) == {"train", "iid", "family"}
    assert [(gap["near"], gap["far"]) for gap in card["gaps"]] == [("train", "iid"), ("iid", "family")]
    assert all(abs(gap["value"]) < 1e-9 and gap["low"] < 0 < gap["high"] for gap in card["gaps"])
    assert scorecard(table, split="train")["split"] == "train"
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(summary_table(card))
    text = console.export_text()
    assert "all tasks" in text and "0.58 [" in text and "expert − mt-ppo" in text


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
    assert page.count('<svg role="img" aria-label="') == 3 and "prefers-color-scheme: dark" in page
    assert "#0102" not in page  # every colour of the plots follows the page
    for line in LIMITS.values():
        assert line.split("'")[0] in page
    assert f"mt-ppo succeeds in {'50' if seeds == 1 else '58'} % of episodes" in page and "20th percentile" in page
    once = table.filter(episode=0)
    write_report(scorecard(once), once, tmp_path / "once.html")
    page = (tmp_path / "once.html").read_text()
    assert page.count('<svg role="img" aria-label="') == 1 and "20th percentile" not in page and "median" not in page


def test_import_is_light():
    heavy = "('jax', 'matplotlib', 'jinja2', 'rich', 'scipy.stats')"
    code = f"import sys, mtbench.score; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
