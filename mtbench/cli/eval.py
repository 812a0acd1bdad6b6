"""`mtbench eval`: episodes table, scorecard and page of a trained policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from .common import check_backend, claim, parse, progress, start_jax, versions


@dataclass(frozen=True)
class Arguments:
    """Score a trained policy on held-out tasks, beside the random policy and the scripted expert."""

    run_dir: tyro.conf.Positional[Path]
    """Folder of a training run."""
    splits: tuple[str, ...] = ("iid",)
    """Splits to play: iid (new tasks), train (training tasks, fresh initial states)."""
    episodes: int = 1
    """Episodes per task."""
    tasks_per_family: int | None = None
    """Play only the first so many tasks of each family."""
    out: Path | None = None
    """Folder for the results; by default run_dir/eval."""
    backend: str | None = None
    """Physics; by default that of the training."""
    step: int | None = None
    """Which checkpoint, in environment steps; the newest by default."""
    force: bool = False
    """Overwrite earlier results."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "eval", argv)
    start_jax()
    import polars as pl
    from rich.console import Console

    from .. import registry
    from ..errors import UsageError
    from ..evaluate import evaluate
    from ..policy import RandomPolicy
    from ..score import scorecard, summary_table, write_episodes, write_json, write_report
    from .runs import Run

    check_backend(arguments.backend)
    if arguments.episodes < 1 or (arguments.tasks_per_family or 1) < 1:
        raise UsageError("--episodes and --tasks-per-family must be at least 1")
    out = arguments.out or arguments.run_dir / "eval"
    table_path = claim(out / "episodes.parquet", force=arguments.force)
    opened = Run(arguments.run_dir, arguments.backend, arguments.step)
    suite, env = opened.suite, opened.env.env
    players: list[tuple[str, int, Any]] = [(opened.algorithm.name, seed, policy) for seed, policy in opened.policies()]
    players.append(("random", 0, RandomPolicy(env.action_size)))
    if all(registry.family(name).expert is not None for name in suite.families):
        players.append(("expert", 0, suite.expert()))
    tables = []
    for split in arguments.splits:
        for name, seed, policy in players:
            with progress(f"{name} on {suite.name} {split}") as told:
                tables.append(
                    evaluate(
                        env,
                        suite,
                        policy,
                        name=name,
                        split=split,
                        episodes=arguments.episodes,
                        seed=seed,
                        tasks_per_family=arguments.tasks_per_family,
                        on_progress=told,
                    )
                )
    episodes = pl.concat(tables)
    metadata = {
        "suite": suite.name,
        "digest": suite.digest,
        "backend": env.physics.backend,
        "horizon": suite.horizon,
        "run": {key: opened.record.get(key) for key in ("algorithm", "config", "seed")},
        "versions": versions(),
    }
    write_episodes(episodes, table_path, metadata)
    controls = tuple(name for name, _, _ in players if name in ("random", "expert"))
    card = scorecard(episodes, policy=opened.algorithm.name, controls=controls, metadata=metadata)
    write_json(card, out / "scorecard.json")
    write_report(card, episodes, out / "scorecard.html")
    console = Console()
    console.print(summary_table(card))
    console.print(f"episodes  {table_path}\nscorecard {out / 'scorecard.json'}\npage      {out / 'scorecard.html'}")
    return 0
