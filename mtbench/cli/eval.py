"""`mtbench eval`: episodes table, scorecard and page of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from .common import check_backend, claim, parse, progress, start_jax, versions

if TYPE_CHECKING:
    import polars as pl

    from ..suite import EvaluationProtocol
    from .policies import Opened

FAILED = 3
"""Exit code of an evaluation that is complete, but in which the policy could not play some episodes."""


@dataclass(frozen=True)
class Arguments:
    """Score a policy on held-out tasks, beside the random policy, constant actions and the expert.

    An interrupted evaluation goes on with the same command. Exit code 3: all is scored, but some episodes the policy
    could not play; column `failure` of the table says which and why.
    """

    policy: tyro.conf.Positional[str]
    """Folder of a training run or of `mtbench export`, an installed policy (best/STARTER), or module:function, which
    returns a policy, or which acts."""
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
    adaptation_episodes: tuple[int, ...] | None = None
    """Play the scored episodes after each of these numbers of episodes that the policy remembers, e.g. 0 1 2 4 8."""
    fine_tune: tuple[int, ...] = ()
    """Score a run also after it was trained on the held-out tasks for so many environment steps, e.g. 100000."""
    out: Path | None = None
    """Folder for the results; by default POLICY/eval, and in it one for each --suite and --protocol."""
    backend: str | None = None
    """Physics; by default that of the training."""
    step: int | None = None
    """Which checkpoint of a run, in environment steps; the newest by default."""
    clips: int = 0
    """Write short animations of so many of the worst tasks to the folder clips."""
    force: bool = False
    """Overwrite earlier results."""


@dataclass(frozen=True)
class Player:
    """Somebody who plays."""

    name: str
    seed: int
    """Of the training."""
    policy: Any
    splits: tuple[str, ...]


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "eval", argv)
    if arguments.clips:
        from .. import render

        render.choose_gl()  # before MuJoCo is imported
    start_jax()
    from ..errors import UsageError
    from ..ladder import labels
    from ..score import read_episodes, read_metadata, write_episodes
    from .parts import Parts, fingerprint
    from .policies import open_policies

    check_backend(arguments.backend)
    changes = _changes(arguments)
    opened = open_policies(arguments.policy, arguments.suite, arguments.backend, arguments.step)
    own = arguments.suite and opened.suite.name.replace("/", "-")
    out = arguments.out or opened.folder / "eval" / (own or "") / (arguments.protocol or "")
    protocol = opened.suite.protocol(arguments.protocol or "ours")
    if changes:
        protocol = replace(protocol, **changes, name=f"{protocol.name}, changed")
    metadata: dict[str, Any] = {
        "suite": opened.suite.name,
        "digest": opened.suite.digest,
        "backend": opened.backend,
        "protocol": {"name": protocol.name, **protocol.table()},
        "headline": list(protocol.headlines),
        "adaptation_episodes": arguments.adaptation_episodes or (protocol.adaptation_episodes,),
        "fine_tune": arguments.fine_tune,
        "policy": opened.origin,
        "versions": versions(),
    }
    metadata["evaluation"] = fingerprint(metadata)
    table_path = claim(out / "episodes.parquet", force=True)
    if arguments.force:
        Parts(out / "parts", "").remove()
        table_path.unlink(missing_ok=True)
    if table_path.exists():
        if (found := read_metadata(table_path)).get("evaluation") != metadata["evaluation"]:
            other = _difference(found, metadata)
            raise UsageError(f"{table_path} exists: --force overwrites it, or choose another with --out ({other})")
        episodes, metadata = read_episodes(table_path), dict(found)
        print(f"{table_path} is complete, and of this policy and protocol: nothing is played (--force plays again)")
    else:
        parts = Parts(out / "parts", str(metadata["evaluation"]))
        if opened.suite.regions.get("train"):
            # What sets the tasks of a split apart from training, for curves over factors.
            metadata["tasks"] = [row for split in protocol.splits for row in labels(opened.suite, split)]
        write_episodes(_play(opened, protocol, arguments, out, parts), table_path, metadata)
        parts.remove()
        episodes = read_episodes(table_path)
    if arguments.clips:
        _clips(opened, protocol, episodes, arguments.clips, out / "clips")
    return _score(opened.name, episodes, metadata, out)


def _changes(arguments: Arguments) -> dict[str, Any]:
    """What is to differ from the protocol.

    Raises:
      UsageError: a number is out of range, or there is no split.
    """
    from ..errors import UsageError

    changes = {name: getattr(arguments, name) for name in ("splits", "episodes", "tasks_per_family")}
    changes = {name: value for name, value in changes.items() if value is not None}
    if not all(changes.values()) or min(arguments.episodes or 1, arguments.tasks_per_family or 1) < 1:
        raise UsageError("--splits needs a split, --episodes and --tasks-per-family at least 1")
    if arguments.clips < 0 or min(arguments.fine_tune, default=1) < 1:
        raise UsageError("--fine-tune must be at least 1 step, --clips at least 0")
    if (levels := arguments.adaptation_episodes) is not None:
        if not levels or min(levels) < 0:
            raise UsageError("--adaptation-episodes needs numbers of at least 0")
        changes["adaptation_episodes"] = max(levels)
    return changes


def _players(opened: Opened, protocol: EvaluationProtocol, budgets: tuple[int, ...], out: Path) -> list[Player]:
    """The policies, what comes of them by fine-tuning, and the controls."""
    from ..policy import RandomPolicy, constants

    suite, splits = opened.suite, protocol.splits
    players = [Player(opened.name, seed, policy, splits) for seed, policy in opened.policies.items()]
    for budget in budgets:
        from .fine_tune import fine_tuned

        for split in splits:
            tuned = fine_tuned(opened, split, budget, out / "fine-tuned")
            players += [Player(f"{opened.name}+{budget}", s, policy, (split,)) for s, policy in tuned.items()]
    players.append(Player("random", 0, RandomPolicy(next(iter(opened.envs.values())).action_size), splits))
    if (constant := constants(suite)) is not None:
        players.append(Player("constant", 0, constant, splits))
    if all(suite.family(name).expert is not None for name in suite.families):
        players.append(Player("expert", 0, suite.expert(), splits))
    return players


def _play(opened: Opened, protocol: EvaluationProtocol, arguments: Arguments, out: Path, parts: Any) -> pl.DataFrame:
    """The table of all players.

    Raises:
      MtbenchError: it was interrupted; says that it can go on.
    """
    import polars as pl

    from ..errors import MtbenchError
    from ..evaluate import episodes_of, evaluate

    suite, levels = opened.suite, arguments.adaptation_episodes
    players = _players(opened, protocol, arguments.fine_tune, out)
    own = [replace(protocol, splits=player.splits) for player in players]
    counts = [episodes_of(suite, p.policy, played, levels) for p, played in zip(players, own, strict=True)]
    if parts.kept:
        print(f"going on with an interrupted evaluation: {parts.kept} parts are finished")
    tables: list[pl.DataFrame] = []
    try:
        with progress(f"{opened.name} and controls on {suite.name}") as told:
            for number, (player, played) in enumerate(zip(players, own, strict=True)):
                before = sum(counts[:number])
                tables.append(
                    evaluate(
                        opened.envs,
                        suite,
                        player.policy,
                        name=player.name,
                        protocol=played,
                        seed=player.seed,
                        adaptation=levels,
                        keep=parts.of(number),
                        on_progress=lambda done, _, before=before: told(before + done, sum(counts)),
                    )
                )
    except KeyboardInterrupt:
        raise MtbenchError("interrupted: the same command, without --force, goes on") from None
    return pl.concat(tables).rechunk()


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """In what an evaluation differs from an earlier one."""
    import json

    from ..training.checkpoint import differences

    old, new = ({k: v for k, v in json.loads(json.dumps(one)).items() if k != "evaluation"} for one in (old, new))
    found = list(differences(old, new, ""))
    return found[0] if found else "the installed code has changed since"


def _clips(opened: Opened, protocol: EvaluationProtocol, episodes: pl.DataFrame, count: int, folder: Path) -> None:
    """Animations of the worst tasks of the policy's first seed, each in its worst episode, without adaptation."""
    import polars as pl

    from .. import render
    from ..evaluate import with_horizon

    seed = min(opened.policies)
    envs = opened.envs if opened.backend == "mujoco" else opened.suite.envs("mujoco")
    envs = {arena: with_horizon(env, protocol.horizon) for arena, env in envs.items()}
    ids = {str(task_id): task_id for split in protocol.splits for task_id in opened.suite.task_ids(split)}
    rows = episodes.filter(policy=opened.name, seed=seed).sort("success", "progress", "episode")
    tasks = rows.group_by("task").agg(pl.col("success", "progress").mean(), pl.col("episode").first())
    worst = tasks.sort("success", "progress", "task").head(count)
    jobs = [(ids[task], episode) for task, episode in worst.select("task", "episode").iter_rows()]
    with progress("clips") as told:
        paths = render.clips(envs, opened.suite, opened.policies[seed], jobs, folder, on_progress=told)
    print(f"clips     {folder} ({len(paths)})")


def _score(name: str, episodes: pl.DataFrame, metadata: Mapping[str, Any], out: Path) -> int:
    """Writes and prints what follows from the table; the exit code."""
    import polars as pl
    from rich.console import Console

    from ..score import scorecard, summary_table, write_csv, write_json, write_report
    from ..score.episodes import CONTROLS
    from ..score.report import find_animations

    present = episodes["policy"].unique(maintain_order=True).to_list()
    tuned = tuple(other for other in present if other not in (name, *CONTROLS))
    controls = (*tuned, *(control for control in CONTROLS if control in present))
    card = scorecard(episodes, policy=name, controls=controls, metadata=metadata)
    write_json(card, out / "scorecard.json")
    write_csv(card, out / "scorecard.csv")
    worst = [task["task"] for task in card["worst_tasks"]]
    shown = find_animations(out / "clips", worst) if (out / "clips").is_dir() else {}
    write_report(card, episodes, out / "scorecard.html", shown)
    console = Console()
    console.print(summary_table(card))
    places = {"episodes": "episodes.parquet", "scorecard": "scorecard.json", "page": "scorecard.html"}
    console.print("\n".join(f"{what:<9} {out / place}" for what, place in places.items()))
    failed = episodes.filter(pl.col("failure") != "")
    if failed.is_empty():
        return 0
    first = failed.row(0, named=True)
    print(
        f"failed    {len(failed)} of {len(episodes)} episodes, {failed['task'].n_unique()} tasks; the first: "
        f"{first['policy']}, seed {first['seed']}, {first['task']}, episode {first['episode']}: {first['failure']}"
    )
    return FAILED
