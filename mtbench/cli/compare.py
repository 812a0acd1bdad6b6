"""`mtbench compare`: which of several policies are distinct."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from .common import claim, parse


@dataclass(frozen=True)
class Arguments:
    """Compare policies on the tasks and initial states that all have played; nothing is played."""

    tables: tyro.conf.Positional[tuple[Path, ...]]
    """Parquet files, or folders of evaluations; policies of one name are told apart by their folders."""
    policies: tuple[str, ...] | None = None
    """Which to compare; by default all but random, constant and expert."""
    splits: tuple[str, ...] | None = None
    """Splits to compare on; by default those that the suite scores."""
    out: Path | None = None
    """Folder for comparison.json and comparison.html; by default nothing is written."""
    force: bool = False
    """Overwrite earlier results."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "compare", argv)
    from rich.console import Console

    from ..errors import UsageError
    from ..score import compare, read_tables, write_json
    from ..score.comparison import comparison_table, pairs_table
    from ..score.report import write_comparison

    if not arguments.tables:
        raise UsageError("compare needs tables of episodes: Parquet files or folders that mtbench eval wrote")
    episodes, metadata = read_tables(arguments.tables, rename=True)
    path = claim(arguments.out / "comparison.json", force=arguments.force) if arguments.out else None
    comparison = compare(episodes, arguments.policies, metadata, arguments.splits)
    console = Console()
    console.print(comparison_table(comparison))
    console.print(pairs_table(comparison))
    for line in comparison["small_print"]:
        console.print(line, style="dim", highlight=False)
    if path:
        write_json(comparison, path)
        write_comparison(comparison, path.with_suffix(".html"))
        console.print(f"comparison {path}\npage       {path.with_suffix('.html')}")
    return 0
