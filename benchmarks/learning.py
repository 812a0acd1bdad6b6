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
from pathlib import Path

from machine import describe

import mtbench.suite as suites
from mtbench import files
from mtbench.score import plots
from mtbench.training.curves import Curves, draw

HERE = Path(__file__).parent


def mtbench(*arguments: str) -> None:
    """Runs the command line of the interpreter at hand."""
    command = [sys.executable, "-c", "from mtbench.cli import main; main()", *arguments]
    subprocess.run(command, check=True)


def train_or_resume(suite: str, run: Path, *flags: str) -> None:
    """Trains in a folder; a training that was interrupted there goes on."""
    how = ["--resume"] if (run / "run.json").exists() else []
    mtbench("train", suite, "--run-dir", str(run), *flags, *how)


def metrics(run: Path) -> list[dict]:
    """What a run has logged, line by line."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def cell(estimate: dict | None) -> str:
    """An estimate with its interval."""
    return f"{estimate['value']:.0%} [{estimate['low']:.0%}, {estimate['high']:.0%}]" if estimate else "–"


def ladder(card: dict) -> str:
    """Success on every split, from near to far, as Markdown; those of the headline are marked."""
    names = [card["policy"], *card["controls"]]
    lines = [f"| split | tasks | {' | '.join(names)} | train − split |", "| --- |" + " ---: |" * (len(names) + 2)]

    def line(title: str, block: dict, gap: dict | None) -> str:
        own = block["policies"]
        cells = [cell(own[name]["success"] if name in own else None) for name in names]
        return f"| {title} | {own[card['policy']]['tasks']:,} | {' | '.join(cells)} | {cell(gap)} |"

    for rung in card["ladder"]:
        title = rung["split"] + " \\*" * rung["scored"]
        lines.append(line(title, card["splits"][rung["split"]], rung["gap"]))
    lines.append(line("**headline: all \\***", card["pooled"], card["headline"]["gap"]))
    return "\n".join(lines) + "\n"


def table(card: dict) -> str:
    """Success of every family on tasks of each split, as Markdown: the policy, its training tasks, the controls."""
    policy = card["policy"]
    shown = {
        f"{policy}, held out": ("iid", policy),
        f"{policy}, training tasks": ("train", policy),
        "random": ("iid", "random"),
        "expert": ("iid", "expert"),
    }
    groups = {
        title: card["splits"][split]["policies"][who]
        for title, (split, who) in shown.items()
        if who in card["splits"][split]["policies"]
    }
    lines = ["| family | " + " | ".join(groups) + " |", "| --- |" + " ---: |" * len(groups)]
    lines.append("| **all** | " + " | ".join(cell(group["success"]) for group in groups.values()) + " |")
    first, *_ = groups.values()
    for family in first["families"]:
        # All tasks of a family may be open in one split and not in another.
        found = [group["families"].get(family) for group in groups.values()]
        cells = [cell(own["success"]) if own else "–" for own in found]
        lines.append(f"| {family} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def report(run: Path, suite: str, out: Path) -> Path:
    """Writes the curves, the table and the record of a run that has been scored."""
    record = json.loads((run / "learning.json").read_text())
    lines = metrics(run)
    card = json.loads((run / "eval" / "scorecard.json").read_text())
    every = max(1, len(lines) // 200)
    curve = [{k: v for k, v in line.items() if k != "train"} for line in [*lines[::every], lines[-1]]]
    out.mkdir(parents=True, exist_ok=True)
    name = f"learning-{suite.replace('/', '-')}"
    seeds = len(lines[-1]["episodes"])
    told = f"MT-PPO on {suite}, {seeds} training seed{'s' if seeds > 1 else ''}"
    draw([Curves.of(name, lines)], out / f"{name}.png", title=told)
    about = f"{record['env_steps'] / 1e6:.1f} M steps each, {record['wall_minutes']:.0f} minutes in all."
    about += f" Success is about {card['claim']}."
    if suites.load(suite).open:
        about += " Training tasks here are those that an expert solves; the curve counts the open ones too."
    rungs = ""
    if len(card["ladder"]) > 2:
        with plots.style():
            figure = plots.rung_axes(card).figure
            figure.legend(loc="outside upper left", ncols=5, borderpad=0)
            figure.savefig(out / f"{name}-ladder.png", dpi=160)
        rungs = f"![Success from near to far]({name}-ladder.png)\n\n{ladder(card)}\n"
    files.write(out / f"{name}.md", f"# {told}\n\n{about}\n\n{rungs}{table(card)}")
    # Thousands of tasks, one by one, are in the run's episodes table; here they would hide the rest.
    for split in card["splits"].values():
        for policy in split["policies"].values():
            policy.pop("per_task", None)
    path = out / f"{name}.json"
    files.write(path, json.dumps({**record, "scorecard": card, "curve": curve}) + "\n")
    return path


def train(arguments: argparse.Namespace, flags: list[str], run: Path, trial: Path) -> None:
    """Trains for the time that was asked for and scores the run."""
    speed = arguments.steps_per_second
    if speed is None:
        mtbench("train", arguments.suite, "--run-dir", str(trial), "--force", "--total-steps", "400000", *flags)
        speed = metrics(trial)[-1]["steps_per_second"]
    steps = int(arguments.minutes * 60 * speed)
    how = "--resume" if arguments.resume else "--force"
    mtbench("train", arguments.suite, "--run-dir", str(run), how, "--total-steps", str(steps), *flags)
    minutes = metrics(run)[-1]["seconds"] / 60
    # A ladder is played whole.
    splits = [] if suites.load(arguments.suite).protocol("ours").headline else ["--splits", "iid", "train"]
    mtbench("eval", str(run), *splits, "--force")
    record = {
        "machine": describe(),
        "suite": arguments.suite,
        "flags": flags,
        "wall_minutes": minutes,
        "env_steps": steps,
    }
    files.write(run / "learning.json", json.dumps(record) + "\n")
    print(f"{minutes:.1f} minutes, {steps:,} steps of each seed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="STARTER")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--steps-per-second", type=float, help="of training; measured by a short trial if left out")
    parser.add_argument("--runs", type=Path, default=Path("runs/learning"))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--resume", action="store_true", help="go on with a training that was interrupted")
    parser.add_argument("--report", action="store_true", help="only write anew what a finished run of --runs says")
    arguments, flags = parser.parse_known_args()
    name = arguments.suite.replace("/", "-")
    run, trial = arguments.runs / name, arguments.runs / f"{name}-trial"
    if not arguments.report:
        train(arguments, flags, run, trial)
    print(f"written {report(run, arguments.suite, arguments.out)}")


if __name__ == "__main__":
    main()
