"""`mtbench score`: scorecard and page of stored tables of episodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from .common import claim, parse


@dataclass(frozen=True)
class Arguments:
    """Compute scorecard, page and CSV file anew from stored tables of episodes; nothing is played."""

    tables: tyro.conf.Positional[tuple[Path, ...]]
    """Parquet files, or folders of evaluations: seeds of one policy on one suite."""
    policy: str | None = None
    """Whose card; by default the only one that is no control."""
    splits: tuple[str, ...] | None = None
    """Splits of the headline; by default those that the suite scores."""
    tasks: Path | None = None
    """Parquet or CSV file of facts about tasks: task, factor, side, distance, nearest."""
    animations: Path | None = None
    """Folder of pictures or short videos for the worst tasks, named after the task with - for /."""
    out: Path | None = None
    """Folder for the results; by default that of the first table."""
    force: bool = False
    """Overwrite earlier results."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "score", argv)
    from rich.console import Console

    from ..errors import UsageError
    from ..score import read_tables, read_tasks, scorecard, summary_table, write_csv, write_json, write_report
    from ..score.episodes import CONTROLS, table_in
    from ..score.report import find_animations
    from ..score.scorecard import ladder_table

    if not arguments.tables:
        raise UsageError("score needs a table of episodes: the Parquet file or folder that mtbench eval wrote")
    episodes, metadata = read_tables(arguments.tables)
    names = [name for name in episodes["policy"].unique().sort() if name not in CONTROLS]
    if arguments.policy is None and len(names) != 1:
        raise UsageError(f"the tables hold {', '.join(names) or 'controls only'}: --policy NAME says whose card")
    out = arguments.out or table_in(arguments.tables[0]).parent
    path = claim(out / "scorecard.json", force=arguments.force)
    facts = read_tasks(arguments.tasks) if arguments.tasks else None
    policy = arguments.policy or names[0]
    card = scorecard(episodes, policy, metadata=metadata, splits=arguments.splits, tasks=facts)
    shown = {}
    if arguments.animations:
        if not arguments.animations.is_dir():
            raise UsageError(f"--animations {arguments.animations}: expected a folder")
        shown = find_animations(arguments.animations, [task["task"] for task in card["worst_tasks"]])
    write_json(card, path)
    write_csv(card, out / "scorecard.csv")
    write_report(card, episodes, out / "scorecard.html", shown)
    console = Console()
    for line in card["warnings"]:
        console.print(line, style="yellow", highlight=False)
    console.print(summary_table(card))
    if len(card["ladder"]) > 1:
        console.print(ladder_table(card))
    console.print(f"scorecard {path}\ntable     {out / 'scorecard.csv'}\npage      {out / 'scorecard.html'}")
    return 0
