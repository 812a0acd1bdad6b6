"""`mtbench bench`: steps per second here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from .common import check_backend, claim, parse, start_jax, versions


@dataclass(frozen=True)
class Arguments:
    """Measure whole environment steps per second on this machine."""

    suite: tyro.conf.Positional[str] = "STARTER"
    """Suite, or a suite's file, whose families are mixed."""
    backend: str | None = None
    """Physics; by default the best on this machine."""
    lanes: tuple[int, ...] = (512,)
    """Numbers of environments stepped at once."""
    seconds: float = 10.0
    """Time to measure each."""
    out: Path | None = None
    """JSON file to write."""
    force: bool = False
    """Overwrite it."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "bench", argv)
    start_jax()
    from rich.console import Console
    from rich.table import Table

    from .. import files, suite
    from ..errors import UsageError
    from ..physics import default_backend
    from ..throughput import measure

    check_backend(arguments.backend)
    if min(arguments.lanes, default=0) < 1:
        raise UsageError("--lanes: numbers of at least 1 are needed")
    chosen, backend = suite.load(arguments.suite), arguments.backend or default_backend()
    out = claim(arguments.out, force=arguments.force) if arguments.out else None
    console, results = Console(), []
    table = Table("backend", "lanes", "env-steps/s", "compile s", "peak memory MB", title=chosen.name)
    for lanes in arguments.lanes:
        with console.status(f"{backend}, {lanes} lanes"):
            figures = measure(chosen, backend, lanes, arguments.seconds)
        results.append(figures)
        table.add_row(
            backend,
            str(lanes),
            f"{figures['env_steps_per_second']:,.0f}",
            f"{figures['compile_seconds']:.1f}",
            f"{figures['peak_memory_mb']:,.0f}",
        )
    console.print(table)
    if out:
        files.write(out, json.dumps({"versions": versions(), "results": results}, indent=2) + "\n")
        console.print(f"written {out}")
    return 0
