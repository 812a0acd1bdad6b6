"""`mtbench certify`: whether a suite's certificates still hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import tyro

from .common import check_backend, parse, progress, start_jax


@dataclass(frozen=True)
class Arguments:
    """Play again the episode in which each task's expert is on record to have solved it. Exit code 1: more tasks than
    --tolerance allows are solved in no try."""

    suite: tyro.conf.Positional[str]
    """Suite, or a suite's file."""
    splits: tuple[str, ...] | None = None
    """Only these of its splits."""
    tasks_per_family: int | None = None
    """Only the first so many tasks of each family in a split."""
    tolerance: float = 0.0
    """Share of the certified tasks that may be lost. A gait is sensitive to the last bit: another machine or version
    loses some of a legged suite's (docs/locomotion.md)."""
    backend: str = "mujoco"
    """Physics; certificates were made on mujoco."""
    listed: int = 20
    """List at most so many tasks that are lost, open or uncertified."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "certify", argv)
    start_jax()
    from rich.console import Console
    from rich.table import Table

    from .. import suite as suites
    from ..certificates import recertify
    from ..errors import UsageError

    check_backend(arguments.backend)
    if not 0 <= arguments.tolerance <= 1 or (arguments.tasks_per_family or 1) < 1 or arguments.listed < 0:
        raise UsageError("--tolerance must be in 0 to 1, --tasks-per-family at least 1, --listed at least 0")
    suite = suites.load(arguments.suite)
    with progress(f"certificates of {suite.name}") as told:
        found = recertify(
            suite,
            arguments.splits,
            arguments.tasks_per_family,
            arguments.backend,
            lambda _, done, total: told(done, total),
        )
    kinds = {
        "as on record": found.held,
        "in another try": found.moved,
        "lost": found.lost,
        "open": found.open,
        "uncertified": found.uncertified,
    }
    table = Table("family", *kinds, title=f"{suite.name}: certificates played on {arguments.backend}")
    for name in suite.families:
        counts = [Counter(task_id.family for task_id in ids)[name] for ids in kinds.values()]
        if any(counts):
            table.add_row(name, *[str(count or "–") for count in counts])
    table.add_section()
    table.add_row("all", *[str(len(ids)) for ids in kinds.values()], style="bold")
    Console().print(table)
    for kind in ("lost", "open", "uncertified"):
        ids = list(map(str, kinds[kind]))
        more = f" … and {len(ids) - arguments.listed} more" if len(ids) > arguments.listed else ""
        if ids and arguments.listed:
            print(f"{kind}: {', '.join(ids[: arguments.listed])}{more}")
    certified = len(found.held) + len(found.moved) + len(found.lost)
    print(f"{1 - found.share_lost:.1%} of {certified:,} certified tasks are solved again, {len(found.lost)} are lost")
    return int(found.share_lost > arguments.tolerance)
