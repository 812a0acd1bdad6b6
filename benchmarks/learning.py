"""Learning results: trains the rows of a table, scores them on held-out tasks, writes curves, scores and pictures.

    python benchmarks/learning.py benchmarks/rows/published.toml --only MT10
    python benchmarks/learning.py benchmarks/rows/MT10-networks.toml

A table (benchmarks/rows/*.toml) says of each row what is trained and for how long: for so many steps of each seed, or
for so many minutes, from which a short trial makes steps, so that annealing ends when the time does. Rows that are to
be compared make one page, with letters for what is not distinct; others have a page each. What is interrupted goes on
where it was, what is on record is not trained again. Runs unchanged on a GPU.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Self

import polars as pl
from machine import describe
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, ValidationError, model_validator

import mtbench.suite as suites
from mtbench import files
from mtbench.errors import UsageError
from mtbench.score import compare, plots, read_episodes, write_episodes
from mtbench.training.curves import Curves, draw

HERE = Path(__file__).parent
TRIAL = 400_000
"""Steps of the trial that measures speed."""


class Row(BaseModel):
    """What is trained, and for how long."""

    model_config = ConfigDict(extra="forbid")

    suite: str
    algorithm: str = "mt-ppo"
    flags: str = ""
    """Hyper-parameters, as `mtbench train` takes them."""
    seeds: PositiveInt = 3
    """In one program."""
    steps: PositiveInt | None = None
    """Environment steps of each seed."""
    minutes: PositiveFloat | None = None
    """Of all seeds together."""

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("expected either steps or minutes")
        return self


class Table(BaseModel):
    """Rows, and what they have in common."""

    model_config = ConfigDict(extra="forbid")

    title: str
    compared: bool = False
    """Whether the rows make one page."""
    common: dict[str, Any] = {}
    """What rows have that say nothing else."""
    rows: dict[str, dict[str, Any]]

    def row(self, name: str) -> Row:
        """A row, whole."""
        return Row(**{**self.common, **self.rows[name]})


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


def train(row: Row, run: Path) -> dict[str, Any]:
    """Trains a row for what it was given and scores it; the record of both."""
    flags = ["--algorithm", row.algorithm, "--num-seeds", str(row.seeds), *shlex.split(row.flags)]
    if (begun := run / "run.json").exists():
        steps = json.loads(begun.read_text())["config"]["total_steps"]
    elif row.steps is None:
        trial = run.with_name(f"{run.name}-trial")
        mtbench("train", row.suite, "--run-dir", str(trial), "--force", "--total-steps", str(TRIAL), *flags)
        steps = int(row.minutes * 60 * metrics(trial)[-1]["steps_per_second"] / row.seeds)
    else:
        steps = row.steps
    train_or_resume(row.suite, run, "--total-steps", str(steps), *flags)
    # A ladder is played whole. An evaluation that was interrupted goes on, of a newer checkpoint it begins anew.
    splits = [] if suites.load(row.suite).protocol("ours").headline else ["--splits", "iid", "train"]
    mtbench("eval", str(run), *splits, "--force")
    lines = metrics(run)
    every, last = max(1, len(lines) // 200), lines[-1]
    return {
        "machine": describe(),
        "row": row.model_dump(exclude_none=True),
        "wall_minutes": last["seconds"] / 60,
        "env_steps": steps,
        # Of all seeds together.
        "steps_per_second": last["steps_per_second"],
        "curve": [{k: v for k, v in line.items() if k != "train"} for line in [*lines[::every], last]],
    }


def cell(estimate: dict | None) -> str:
    """An estimate with its interval."""
    return f"{estimate['value']:.0%} [{estimate['low']:.0%}, {estimate['high']:.0%}]" if estimate else "–"


def markdown(header: list[str], rows: list[list[str]], words: int = 1) -> str:
    """A table of Markdown; the first columns hold words, the others figures."""
    ruler = ["---" if column < words else "---:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ruler, *rows]) + "\n"


def ladder(card: dict) -> str:
    """Success on every split, from near to far, as Markdown; those of the headline are marked."""
    names = [card["policy"], *card["controls"]]

    def line(title: str, block: dict, gap: dict | None) -> list[str]:
        own = block["policies"]
        cells = [cell(own[name]["success"] if name in own else None) for name in names]
        return [title, f"{own[card['policy']]['tasks']:,}", *cells, cell(gap)]

    rungs = [
        line(rung["split"] + " \\*" * rung["scored"], card["splits"][rung["split"]], rung["gap"])
        for rung in card["ladder"]
    ]
    head = line("**headline: all \\***", card["pooled"], card["headline"]["gap"])
    return markdown(["split", "tasks", *names, "train − split"], [*rungs, head])


def families(card: dict) -> str:
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
    first, *_ = groups.values()
    rows = [["**all**", *(cell(group["success"]) for group in groups.values())]]
    for family in first["families"]:
        # All tasks of a family may be open in one split and not in another.
        found = [group["families"].get(family) for group in groups.values()]
        rows.append([family, *(cell(own and own["success"]) for own in found)])
    return markdown(["family", *groups], rows)


def report(record: dict[str, Any], run: Path, name: str, out: Path) -> Path:
    """Writes the page, the curves and the record of a row by itself."""
    row = record["row"]
    card = json.loads((run / "eval" / "scorecard.json").read_text())
    seeds = row["seeds"]
    told = f"{row['algorithm'].upper()} on {row['suite']}, {seeds} training seed{'s' if seeds > 1 else ''}"
    draw([Curves.of(name, record["curve"])], out / f"{name}.png", title=told)
    about = f"{record['env_steps'] / 1e6:.1f} M steps each, {record['wall_minutes']:.0f} minutes in all."
    about += f" Success is about {card['claim']}."
    if suites.load(row["suite"]).open:
        about += " Training tasks here are those that an expert solves; the curve counts the open ones too."
    rungs = ""
    if len(card["ladder"]) > 2:
        plots.draw_rungs(card, out / f"{name}-ladder.png")
        rungs = f"![Success from near to far]({name}-ladder.png)\n\n{ladder(card)}\n"
    files.write(out / f"{name}.md", f"# {told}\n\n{about}\n\n{rungs}{families(card)}")
    # Thousands of tasks, one by one, are in the run's episodes table; here they would hide the rest.
    for block in (*card["splits"].values(), card["pooled"]):
        for policy in block["policies"].values():
            policy.pop("per_task", None)
    path = out / f"{name}.json"
    files.write(path, json.dumps({**record, "scorecard": card}) + "\n")
    return path


def report_together(table: Table, records: dict[str, dict[str, Any]], name: str, out: Path) -> Path:
    """Writes the page, the curves and the record of rows that are compared, from what is on record of them."""
    path = out / f"{name}.json"
    files.write(path, json.dumps({"title": table.title, "rows": records}) + "\n")
    played = [read_episodes(out / name / f"{row}.parquet") for row in records]
    if len(records) < 2:
        return path
    comparison = compare(pl.concat(played))
    rows = []
    for one in comparison["policies"]:
        record, (best, worst) = records[one["name"]], one["rank"]
        rank = str(best) if best == worst else f"{best}–{worst}"
        cost = [f"{record['env_steps'] / 1e6:.1f} M", f"{record['wall_minutes']:.0f}"]
        cost.append(f"{record['steps_per_second']:,.0f}")
        about = f"`{record['row']['algorithm']} {record['row']['flags']}`"
        rows.append([one["name"], about, one["letters"], cell(one["success"]), rank, *cost])
    header = ["row", "flags", "letters", "held out", "rank", "steps of each seed", "minutes", "env-steps/s"]
    draw([Curves.of(row, record["curve"]) for row, record in records.items()], out / f"{name}.png", title=table.title)
    page = [markdown(header, rows, 3), *comparison["small_print"], f"![Learning curves]({name}.png)\n"]
    files.write(out / f"{name}.md", "\n\n".join([f"# {table.title}", *page]))
    files.write(path, json.dumps({"title": table.title, "rows": records, "comparison": comparison}) + "\n")
    return path


def on_record(path: Path) -> dict[str, Any]:
    """What was written about a row or a table; nothing if nothing was."""
    return json.loads(path.read_text()) if path.exists() else {}


def read(path: Path) -> Table:
    """Reads a table and checks its rows.

    Raises:
      UsageError: names the row and what is wrong with it.
    """
    where = str(path)
    try:
        table = Table(**tomllib.loads(path.read_text(encoding="utf-8")))
        for name in table.rows:
            where = f"{path}: row {name}"
            suites.load(table.row(name).suite)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{where}: {error}") from None
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="TOML file of rows")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="by default all rows that are not on record")
    parser.add_argument("--runs", type=Path, default=Path("runs/learning"))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--force", action="store_true", help="replace what is on record")
    arguments = parser.parse_args()
    try:
        table = read(arguments.table)
    except UsageError as error:
        parser.error(str(error))
    if unknown := set(arguments.only or ()) - set(table.rows):
        parser.error(f"--only {min(unknown)}: no such row; known: {', '.join(table.rows)}")
    page = f"table-{arguments.table.stem}"
    together = on_record(arguments.out / f"{page}.json").get("rows", {}) if table.compared else {}
    runs = arguments.runs / arguments.table.stem
    for name in table.rows:
        row, alone = table.row(name), f"learning-{name.replace('/', '-')}"
        known = together.get(name) if table.compared else on_record(arguments.out / f"{alone}.json")
        same = known and known.get("row") == row.model_dump(exclude_none=True)
        if arguments.only is not None and name not in arguments.only or same and not arguments.force:
            continue
        if known and not same and not arguments.force:
            print(f"{name}: on record with another definition; --force trains it anew", file=sys.stderr)
            continue
        run = runs / name.replace("/", "-")
        record = train(row, run)
        if table.compared:
            episodes = read_episodes(run / "eval" / "episodes.parquet").filter(policy=row.algorithm, split="iid")
            (arguments.out / page).mkdir(parents=True, exist_ok=True)
            write_episodes(episodes.with_columns(policy=pl.lit(name)), arguments.out / page / f"{name}.parquet")
            together = {**together, name: record}
            print(f"written {report_together(table, together, page, arguments.out)}")
        else:
            print(f"written {report(record, run, alone, arguments.out)}")


if __name__ == "__main__":
    main()
