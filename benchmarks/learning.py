"""Learning curves: trains for given wall times and writes curves, held-out scores and plots.

    python benchmarks/learning.py --suite STARTER --minutes 30
    python benchmarks/learning.py --suite MT1/reach --minutes 2

The number of steps is chosen from a short trial, so that annealing ends when the time does. Runs unchanged on a GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from machine import describe

HERE = Path(__file__).parent
MANY = 10
"""Families that lines of different colours can still tell apart."""


def mtbench(*arguments: str) -> None:
    """Runs the command line of the interpreter at hand."""
    command = [sys.executable, "-c", "from mtbench.cli import main; main()", *arguments]
    subprocess.run(command, check=True)


def plot(lines: list[dict], title: str, path: Path) -> None:
    """Success on training tasks over minutes: a line per family, a row per family where these are many."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    families = list(lines[-1]["success"])
    minutes = np.array([line["seconds"] / 60 for line in lines])
    # One value per seed; before a family's first finished episode there is none.
    success = np.array(
        [
            [np.nan if None in line["success"][family] else np.mean(line["success"][family]) for family in families]
            for line in lines
        ]
    )
    many = len(families) > MANY
    figure, axes = plt.subplots(figsize=(7, 0.17 * len(families) + 1.2) if many else (7, 4))
    if many:
        order = np.argsort(-success[-len(lines) // 20 :].mean(0), kind="stable")
        # Rows share a grid of minutes: logged lines are not spaced evenly in time.
        grid = np.linspace(minutes[0], minutes[-1], 200)
        rows = np.stack([np.interp(grid, minutes, success[:, family]) for family in order])
        edges = (grid[0], grid[-1], len(families) - 0.5, -0.5)
        image = axes.imshow(rows, aspect="auto", extent=edges, vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
        axes.set_yticks(range(len(families)), [families[family] for family in order], fontsize=7)
        figure.colorbar(image, label="success on training tasks")
        title = f"{title}: mean {np.nanmean(success[-1]):.0%}"
    else:
        for family, column in zip(families, success.T, strict=True):
            axes.plot(minutes, column, label=family)
        axes.set(ylabel="success on training tasks", ylim=(-0.02, 1.02))
        axes.legend(frameon=False)
    axes.set(xlabel="minutes of training", title=title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="STARTER")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--steps-per-second", type=float, help="of training; measured by a short trial if left out")
    parser.add_argument("--runs", type=Path, default=Path("runs/learning"))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments, flags = parser.parse_known_args()
    name = arguments.suite.replace("/", "-")
    run, trial = arguments.runs / name, arguments.runs / f"{name}-trial"
    speed = arguments.steps_per_second
    if speed is None:
        mtbench("train", arguments.suite, "--run-dir", str(trial), "--force", "--total-steps", "400000", *flags)
        *_, last = [json.loads(line) for line in (trial / "metrics.jsonl").read_text().splitlines()]
        speed = last["steps_per_second"]
    steps = int(arguments.minutes * 60 * speed)
    begin = time.perf_counter()
    mtbench("train", arguments.suite, "--run-dir", str(run), "--force", "--total-steps", str(steps), *flags)
    minutes = (time.perf_counter() - begin) / 60
    mtbench("eval", str(run), "--splits", "iid", "train", "--force")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    every = max(1, len(lines) // 200)
    card = json.loads((run / "eval" / "scorecard.json").read_text())
    arguments.out.mkdir(parents=True, exist_ok=True)
    plot(lines, f"MT-PPO on {arguments.suite}", arguments.out / f"learning-{name}.png")
    curve = [{k: v for k, v in line.items() if k != "train"} for line in [*lines[::every], lines[-1]]]
    record = {
        "machine": describe(),
        "suite": arguments.suite,
        "flags": flags,
        "wall_minutes": minutes,
        "env_steps": lines[-1]["env_steps"],
        "scorecard": card,
        "curve": curve,
    }
    path = arguments.out / f"learning-{name}.json"
    path.write_text(json.dumps(record) + "\n")
    print(f"{minutes:.1f} minutes with start-up, {lines[-1]['env_steps']:,} steps; written {path}")


if __name__ == "__main__":
    main()
