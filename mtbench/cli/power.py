"""`mtbench power`: how many seeds and tasks a comparison needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from .common import claim, parse


@dataclass(frozen=True)
class Arguments:
    """Plan a comparison of two methods: seeds × tasks to the difference that they would find.

    How trainings, tasks and episodes vary is taken from a table of episodes with two seeds or more.
    """

    table: tyro.conf.Positional[Path]
    """Parquet file, or folder of an evaluation."""
    difference: float = 0.05
    """Difference of success to see."""
    power: float = 0.8
    """With which probability."""
    policy: str | None = None
    """Whose trainings; by default the only one that is no control."""
    against: str | None = None
    """Another policy of the table: how methods differ from task to task is taken from it, and assumed without."""
    splits: tuple[str, ...] | None = None
    """Splits to take; by default those that the suite scores."""
    seeds: tuple[int, ...] | None = None
    """Numbers of trainings of each method."""
    tasks: tuple[int, ...] | None = None
    """Numbers of tasks."""
    episodes: int | None = None
    """Episodes per task; by default as many as were played."""
    out: Path | None = None
    """JSON file to write."""
    force: bool = False
    """Overwrite it."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "power", argv)
    from rich.console import Console

    from ..errors import UsageError
    from ..score import ladder, power, read_tables, write_json
    from ..score.episodes import CONTROLS
    from ..score.outcomes import pool

    episodes, metadata = read_tables([arguments.table])
    names = [name for name in episodes["policy"].unique().sort() if name not in CONTROLS]
    if arguments.policy is None and len(names) != 1:
        raise UsageError(f"the table holds {', '.join(names) or 'controls only'}: --policy NAME says whose trainings")
    chosen = [arguments.policy or names[0], *([arguments.against] if arguments.against else [])]
    present = {name: set(episodes.filter(policy=name)["split"]) for name in chosen}
    if missing := [name for name, own in present.items() if not own]:
        raise UsageError(f"no episodes of policy '{missing[0]}'")
    shared = sorted(set.intersection(*present.values()))
    if strange := [split for split in arguments.splits or () if split not in shared]:
        raise UsageError(f"no episodes on split '{strange[0]}' (there are: {', '.join(shared)})")
    splits = list(arguments.splits or (ladder.scored(shared, metadata) if shared else ()))
    if not splits:
        raise UsageError(f"{' and '.join(chosen)} have no split in common: evaluate both on the same tasks")
    path = claim(arguments.out, force=arguments.force) if arguments.out else None
    pools = [pool(episodes, name, splits) for name in chosen]
    plan = power.plan(
        *pools,
        difference=arguments.difference,
        power=arguments.power,
        seeds=arguments.seeds or power.SEEDS,
        tasks=arguments.tasks or power.TASKS,
        episodes=arguments.episodes,
    )
    console = Console()
    for line in power.told(plan):
        console.print(line, highlight=False)
    console.print(power.plan_table(plan))
    if path:
        write_json(plan, path)
        console.print(f"plan {path}")
    return 0
