"""Intervals cover what they claim to, in named regimes with known truth, and wrong ones are found out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mtbench.score import power, statistics
from mtbench.score.contrasts import paired_difference
from mtbench.score.scorecard import LIMITS
from mtbench.score.simulation import REGIMES, Draw, Regime, claims, coverage, covered, rate

GATE = 0.90
REPLICATES = 2000
"""A coverage of 0.92 falls below the gate by chance once in 2,000 times; `benchmarks/coverage.py` plays more."""


@pytest.mark.parametrize("name", REGIMES)
def test_intervals_cover(name):
    found = coverage(REGIMES[name], REPLICATES, parts=4)
    if REGIMES[name].collapse:
        # A collapse that has not happened cannot be foreseen: only what it cancels in, or does not enter, is held to.
        assert found["suite"] < GATE, "the small print names a regime that is no limit any more"
        kept = ("gap", "retention", "rival", "slope", "adaptation gain")
        found = {claim: share for claim, share in found.items() if "artefact" in claim or claim in kept}
    assert min(found.values()) >= GATE, found
    if name in ("ordinary", "correlated seeds", "ten seeds"):  # and they are no wider than they need be
        claimed = ("suite", "population", "artefact", "difference", "headline", "gap", "adaptation gain")
        assert max(found[claim] for claim in claimed) < 0.985, found


def test_the_small_print_says_how_far_collapses_are_missed():
    found = [coverage(REGIMES[name], REPLICATES, parts=4) for name in ("collapse", "collapse, three seeds")]
    least = min(min(one["suite"], one["headline"], one["adaptation area"]) for one in found)
    assert 0.48 < least < 0.56 and "as little as 51 % with 5 seeds" in LIMITS["collapse"]


def test_quantile_over_tasks_covers():
    random = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return random.binomial(20, stats.norm.cdf(0.3 + random.standard_normal(shape))) / 20

    for tasks in (8, 50):
        for quantile in (0.2, 0.5):
            truth = np.quantile(draw(400_000), quantile)
            found = statistics.quantile_over_tasks(draw(4000, 1, tasks), quantile, 20)
            assert covered(found, truth) >= GATE


def test_wrong_intervals_fail_the_gate():
    """Episodes, or seeds of each task, resampled as if independent: far below nominal on the same tables."""
    regime = REGIMES["correlated seeds"]
    suite, truth = claims(regime, 500, 0)["suite"]
    pooled = statistics.wilson(suite.value, regime.seeds * sum(regime.sizes) * regime.episodes)
    assert covered(pooled, truth) < 0.5

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


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_plan_holds_what_it_promises(seeds):
    """Comparisons simulated at the difference that the plan says is found in 80 of 100."""
    regime = Regime(seeds=seeds, sizes=(10,) * 5, seed_spread=0.15, task_spread=0.5, cell_spread=0.2, episodes=8)
    moments = [_one_plan(regime, number) for number in range(40)]
    found = power.Components(
        *np.mean([[m.seed, m.task, m.seed_task, m.episode, m.method_task] for m in moments], 0),
        assumed=False,
        seeds=seeds,
        families=5,
    )
    difference = float(power.detectable(found, [seeds], [50], 8)[0])
    draw = Draw(regime, 1000, 7)
    spreads = (regime.seed_spread, regime.task_spread, regime.cell_spread)
    shifts = np.linspace(0, 3, 301)
    falls = [(rate(draw.base, *spreads) - rate(draw.base - shift, *spreads)).mean() for shift in shifts]
    first, second = _two_methods(draw, float(np.interp(difference, falls, shifts)))
    p_values = paired_difference(first.mean(-1), second.mean(-1), draw.families).p_value
    assert 0.7 < np.mean(p_values < 0.05) < 0.9, (difference, np.mean(p_values < 0.05))


def _two_methods(draw: Draw, shift: float) -> tuple[np.ndarray, np.ndarray]:
    task, state, possible = draw.tasks(len(draw.base))
    played = []
    for lacking in (0.0, shift):
        level, alive = draw.trainings()
        cell = draw.normal(draw.regime.cell_spread, draw.regime.seeds, len(draw.base))
        played.append(draw.play(draw.base - lacking + task + level + cell, alive & possible, state))
    return played[0], played[1]


def _one_plan(regime: Regime, seed: int) -> power.Components:
    from mtbench.score.outcomes import Outcomes, Pool

    draw = Draw(regime, 1, seed)
    pools = []
    for values in _two_methods(draw, 0.3):
        names = [str(number) for number in range(len(draw.base))]
        families = draw.families.tolist()
        pools.append(Pool([Outcomes(values[0], list(range(regime.seeds)), names, families, list(range(8)))]))
    return power.components(*pools)
