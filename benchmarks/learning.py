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


def mtbench(*arguments: str) -> None:
    """Runs the command line of the interpreter at hand."""
    command = [sys.executable, "-c", "from mtbench.cli import main; main()", *arguments]
    subprocess.run(command, check=True)


def plot(lines: list[dict], title: str, path: Path) -> None:
    """Success over minutes, a line per family."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    for family in lines[-1]["success"]:
        points = [(line["seconds"] / 60, line["success"][family]) for line in lines]
        means = [(m, sum(v) / len(v)) for m, v in points if all(x is not None for x in v)]
        axes.plot(*zip(*means, strict=True), label=family)
    axes.set(xlabel="minutes of training", ylabel="success on training tasks", title=title, ylim=(-0.02, 1.02))
    axes.legend(frameon=False)
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
