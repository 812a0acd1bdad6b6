"""`mtbench eval`: episodes table, scorecard and page of a policy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from .common import check_backend, claim, parse, progress, start_jax, versions


@dataclass(frozen=True)
class Arguments:
    """Score a policy on held-out tasks, beside the random policy and the expert."""

    policy: tyro.conf.Positional[str]
    """Folder of a training run or of `mtbench export`, or module:function, which returns a policy."""
    suite: str | None = None
    """Suite, or a suite's file, to play; by default that of the training."""
    protocol: str | None = None
    """How to play, as the suite says, e.g. metaworld-mt or metaworld-ml; by default ours: held-out tasks, once each."""
    splits: tuple[str, ...] | None = None
    """Other splits than the protocol's, e.g. iid (new tasks) or train (training tasks, fresh initial states)."""
    episodes: int | None = None
    """Other number of episodes per task."""
    tasks_per_family: int | None = None
    """Play only the first so many tasks of each family."""
    out: Path | None = None
    """Folder for the results; by default POLICY/eval, and in it one for each --suite and --protocol."""
    backend: str | None = None
    """Physics; by default that of the training."""
    step: int | None = None
    """Which checkpoint of a run, in environment steps; the newest by default."""
    force: bool = False
    """Overwrite earlier results."""


def run(argv: list[str]) -> int:
    """Runs the command. Exit codes: 0 done, 1 the policy failed in some episodes, 2 bad use."""
    arguments = parse(Arguments, "eval", argv)
    start_jax()
    import polars as pl
    from rich.console import Console

    from ..errors import UsageError
    from ..evaluate import evaluate
    from ..ladder import labels
    from ..policy import RandomPolicy
    from ..score import scorecard, summary_table, write_csv, write_episodes, write_json, write_report
    from .policies import open_policies

    check_backend(arguments.backend)
    changes = {name: getattr(arguments, name) for name in ("splits", "episodes", "tasks_per_family")}
    changes = {name: value for name, value in changes.items() if value is not None}
    if not all(changes.values()) or min(arguments.episodes or 1, arguments.tasks_per_family or 1) < 1:
        raise UsageError("--splits needs a split, --episodes and --tasks-per-family at least 1")
    opened = open_policies(arguments.policy, arguments.suite, arguments.backend, arguments.step)
    suite, envs = opened.suite, opened.envs
    own = arguments.suite and suite.name.replace("/", "-")
    out = arguments.out or opened.folder / "eval" / (own or "") / (arguments.protocol or "")
    table_path = claim(out / "episodes.parquet", force=arguments.force)
    protocol = suite.protocol(arguments.protocol or "ours")
    if changes:
        protocol = replace(protocol, **changes, name=f"{protocol.name}, changed")
    players: list[tuple[str, int, Any]] = [(opened.name, seed, policy) for seed, policy in opened.policies.items()]
    players.append(("random", 0, RandomPolicy(next(iter(envs.values())).action_size)))
    if all(suite.family(name).expert is not None for name in suite.families):
        players.append(("expert", 0, suite.expert()))
    tables = []
    for name, seed, policy in players:
        with progress(f"{name} on {suite.name}") as told:
            tables.append(evaluate(envs, suite, policy, name=name, protocol=protocol, seed=seed, on_progress=told))
    episodes = pl.concat(tables)
    metadata: dict[str, Any] = {
        "suite": suite.name,
        "digest": suite.digest,
        "backend": opened.backend,
        "protocol": {"name": protocol.name, **protocol.table()},
        "headline": list(protocol.headlines),
        "policy": opened.origin,
        "versions": versions(),
    }
    if suite.regions.get("train"):
        # What sets the tasks of a split apart from training, for curves over factors.
        metadata["tasks"] = [row for split in protocol.splits for row in labels(suite, split)]
    write_episodes(episodes, table_path, metadata)
    controls = tuple(name for name, _, _ in players if name in ("random", "expert"))
    card = scorecard(episodes, policy=opened.name, controls=controls, metadata=metadata)
    write_json(card, out / "scorecard.json")
    write_csv(card, out / "scorecard.csv")
    write_report(card, episodes, out / "scorecard.html")
    console = Console()
    console.print(summary_table(card))
    console.print(f"episodes  {table_path}\nscorecard {out / 'scorecard.json'}\npage      {out / 'scorecard.html'}")
    failed = episodes.filter(pl.col("failure") != "")
    if len(failed):
        console.print(f"{len(failed)} episodes failed and count as unsuccessful: {failed['failure'][0]}")
    return 1 if len(failed) else 0
