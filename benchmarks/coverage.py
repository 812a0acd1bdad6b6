"""How often the scorecard's intervals cover the truth, on simulated tables.

    python benchmarks/coverage.py --replicates 20000

Every nominal 95 % interval that a card prints, in every regime of `mtbench.score.simulation`. The tests hold them to
90 % over fewer replicates. Also the coverage of a mean over 50 tasks by seeds, beside the intervals that are in use
elsewhere.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import describe
from rich.progress import track
from scipy import stats

from mtbench import files
from mtbench.score import statistics
from mtbench.score.simulation import REGIMES, Draw, Regime, coverage, covered, rate

OUT = Path(__file__).parent / "results" / "coverage.json"
SEEDS = (3, 5, 10, 20)


def elsewhere(regime: Regime, replicates: int) -> dict[str, float]:
    """Success of a training method on exactly these tasks, by intervals in use and by ours."""
    draw = Draw(regime, replicates, 1)
    task, state, possible = draw.tasks(len(draw.base))
    cell = draw.normal(regime.cell_spread, regime.seeds, len(draw.base))
    plays = draw.play(draw.base + draw.level + task + cell, draw.alive & possible, state)
    truth = rate(draw.base + task[:, 0], regime.seed_spread, regime.cell_spread).mean(-1)
    scores, mean = plays.mean(-1), plays.mean((-3, -2, -1))
    random, seeds = np.random.default_rng(0), regime.seeds
    rliable, whole = [], []
    for table in scores:
        draws = random.integers(seeds, size=(400, seeds, table.shape[1]))
        rliable.append(np.quantile(table[draws, np.arange(table.shape[1])].mean((1, 2)), [0.025, 0.975]))
        means = table.mean(1)[random.integers(seeds, size=(2000, seeds))].mean(1)
        whole.append(np.quantile(means, [0.025, 0.975]))
    half = stats.t.ppf(0.975, seeds - 1) * scores.mean(-1).std(-1, ddof=1) / np.sqrt(seeds)
    ends = {
        "seeds resampled for each task (rliable)": np.array(rliable).T,
        "whole seeds resampled": np.array(whole).T,
        "t over seeds": np.array([mean - half, mean + half]),
    }
    found = {name: float(((low <= truth) & (truth <= high)).mean()) for name, (low, high) in ends.items()}
    return found | {"ours": covered(statistics.suite_interval(plays), truth)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    parts = -(-arguments.replicates // 500)
    regimes = dict(REGIMES)
    regimes |= {f"collapse, {n} seeds": replace(REGIMES["collapse"], seeds=n) for n in (10, 20)}
    found = {
        name: {claim: round(share, 3) for claim, share in coverage(regime, 500 * parts, parts).items()}
        for name, regime in track(regimes.items(), "regimes")
    }
    fifty = Regime(sizes=(10,) * 5, episodes=10, seed_spread=0.5)
    few = min(arguments.replicates, 2000)
    others = {
        str(n): {name: round(share, 3) for name, share in elsewhere(replace(fifty, seeds=n), few).items()}
        for n in track(SEEDS, "intervals in use")
    }
    record = {**describe(), "replicates": 500 * parts, "coverage": found, "fifty_tasks_by_seeds": others}
    files.write(arguments.out, json.dumps(record, indent=1) + "\n")
    for name, claims in found.items():
        claim = min(claims, key=lambda one: claims[one])
        print(f"{name:28} least {claims[claim]:.3f} ({claim})")
    for seeds, shares in others.items():
        print(f"{seeds:>2} seeds: " + ", ".join(f"{name} {share:.2f}" for name, share in shares.items()))


if __name__ == "__main__":
    main()
