"""Policy × protocol ─► episodes table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from .batching import batches
from .env import Env
from .episode import Episode, Memory, play, play_trials
from .errors import UsageError
from .policy import Expert, Policy, failure_reason, has_memory
from .suite import EvaluationProtocol, Suite, reset_key
from .task import Task, TaskId

__all__ = ["LANES", "Episode", "Keep", "Memory", "episodes_of", "evaluate", "play", "play_jobs", "with_horizon"]

LANES = 512
"""Trials played at once."""

Keep = Callable[[str, Callable[[], pl.DataFrame]], pl.DataFrame]
"""Given a part's name and a function that plays it, returns its rows: played now, or kept from before."""


@dataclass(frozen=True)
class Trial:
    """Episodes of one task, in the order in which they are played."""

    task_id: TaskId
    scored: tuple[int, ...]
    """Numbers of the scored episodes: a number is an initial state, whoever plays."""
    levels: tuple[int, ...] = (0,)
    """After how many adaptation episodes each of them is played, rising; these are numbered from 0 on."""

    @property
    def steps(self) -> list[tuple[int, int | None]]:
        """(Episode, the number of adaptation episodes after which it is scored, or `None` for one that adapts)."""
        played: list[tuple[int, int | None]] = []
        for level in range(max(self.levels) + 1):
            if level in self.levels:
                played += [(episode, level) for episode in self.scored]
            if level < max(self.levels):
                played.append((level, None))
        return played


@lru_cache(maxsize=8)
def with_horizon(env: Env, horizon: int | None) -> Env:
    """The same object for the same horizon: the policies of several seeds share its compiled program."""
    return env if horizon in (None, env.horizon) else replace(env, horizon=horizon)


def _trials(
    suite: Suite, policy: Policy | Expert, protocol: EvaluationProtocol, levels: Sequence[int] | None, split: str
) -> list[Trial]:
    levels = tuple(sorted(set(levels or (protocol.adaptation_episodes,))))
    # Scored episodes are numbered from the longest adaptation on: the same initial states after every one.
    numbers = tuple(range(levels[-1], levels[-1] + protocol.episodes))
    scored = suite.scored_ids(split, protocol.tasks_per_family)
    if not scored:
        raise UsageError(f"suite {suite.name}, split {split}: all tasks are open, there is none to be scored on")
    if levels[-1] and has_memory(policy):
        return [Trial(task_id, numbers, levels) for task_id in scored]
    # Without a memory, or without anything to remember, episodes do not depend on each other: a lane for each.
    return [Trial(task_id, (number,)) for task_id in scored for number in numbers]


def episodes_of(
    suite: Suite, policy: Policy | Expert, protocol: EvaluationProtocol, adaptation: Sequence[int] | None = None
) -> int:
    """How many rows `evaluate` returns."""
    every = [trial for split in protocol.splits for trial in _trials(suite, policy, protocol, adaptation, split)]
    return sum(len(trial.scored) * len(trial.levels) for trial in every)


def evaluate(
    envs: Mapping[str, Env],
    suite: Suite,
    policy: Policy | Expert,
    *,
    name: str,
    protocol: EvaluationProtocol | str = "ours",
    seed: int = 0,
    adaptation: Sequence[int] | None = None,
    keep: Keep = lambda name, play: play(),
    on_progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Plays a suite by a protocol and returns the episodes table (see `mtbench.score.episodes`).

    Open tasks are left out. Every scored episode begins with what the policy remembers of the adaptation episodes of
    that task, and is not remembered itself. A policy without memory is spared them: they would change nothing.

    An episode in which the policy gives an action that is not finite, or in which a plain function fails
    (`FunctionPolicy`), ends there: it is unsuccessful, and the table says why. All others are scored.

    Args:
      envs: the suite's environments by arena; the protocol sets the horizon.
      suite: where the tasks come from.
      policy: the policy.
      name: what the table calls it.
      protocol: one of the suite's, or the name of one.
      seed: the training seed that the table records.
      adaptation: play the scored episodes after each of these numbers of adaptation episodes; by default after the
        protocol's.
      keep: what to do with each part, e.g. to go on later where an evaluation was interrupted; its name is unique
        for this policy.
      on_progress: called with (episodes scored, episodes in all).

    Raises:
      UsageError: a split has open tasks only.
    """
    protocol = suite.protocol(protocol) if isinstance(protocol, str) else protocol
    envs = {arena: with_horizon(env, protocol.horizon) for arena, env in envs.items()}
    total, done, tables = episodes_of(suite, policy, protocol, adaptation), 0, []
    for split in protocol.splits:
        trials = _trials(suite, policy, protocol, adaptation, split)
        places = {task_id: place for ids in suite.arena_ids(split).values() for place, task_id in enumerate(ids)}
        rows = cache(lambda split=split: suite.tables(split))  # not drawn where all parts are kept
        labels = {"policy": name, "seed": seed, "suite": suite.name, "protocol": protocol.name, "split": split}
        parts, order = [], []
        for part, arena, chosen, fresh in _parts(suite, trials):
            own = [trials[number] for number in chosen]

            def now(arena=arena, own=own, fresh=fresh, rows=rows, places=places, labels=labels) -> pl.DataFrame:
                table, index = rows()[arena], np.array([places[trial.task_id] for trial in own])
                return _table(_play(envs[arena], policy, own, table, index), own[:fresh], policy, labels)

            parts.append(keep(f"{split}-{part}", now))
            order += [number for number in chosen[:fresh] for _ in trials[number].scored for _ in trials[number].levels]
            done += len(parts[-1])
            if on_progress:
                on_progress(done, total)
        tables.append(pl.concat(parts)[np.argsort(order, kind="stable")])
    return pl.concat(tables).rechunk()


def play_jobs(
    envs: Mapping[str, Env],
    suite: Suite,
    policy: Policy | Expert,
    jobs: Sequence[tuple[TaskId, int]],
    *,
    name: str,
    split: str,
    on_progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Plays (task, episode) pairs of any tasks and returns their rows of the episodes table."""
    trials = [Trial(task_id, (episode,)) for task_id, episode in jobs]
    labels = {"policy": name, "seed": 0, "suite": suite.name, "protocol": "none", "split": split}
    tables, order = [], []
    for arena in suite.arenas:
        ids = list(dict.fromkeys(t for t, _ in jobs if suite.family(t.family).arena == arena))
        places = {task_id: place for place, task_id in enumerate(ids)}
        rows = suite.rows(ids) if ids else None
        for _, where, chosen, fresh in _parts(suite, trials):
            if where == arena and rows is not None:
                own = [trials[number] for number in chosen]
                index = np.array([places[trial.task_id] for trial in own])
                tables.append(_table(_play(envs[arena], policy, own, rows, index), own[:fresh], policy, labels))
                order += chosen[:fresh]
                if on_progress:
                    on_progress(len(order), len(jobs))
    return pl.concat(tables)[np.argsort(order)]


def _parts(suite: Suite, trials: Sequence[Trial]) -> Iterator[tuple[str, str, list[int], int]]:
    """Batches of trials of one arena: a name, the arena, the trials' numbers, and how many are no repeats."""
    arenas = [suite.family(trial.task_id.family).arena for trial in trials]
    for arena in dict.fromkeys(arenas):
        mine = [number for number, where in enumerate(arenas) if where == arena]
        for part, (chosen, fresh) in enumerate(batches(mine, LANES)):
            yield f"{arena}-{part:05}", arena, chosen, fresh


def _play(env: Env, policy: Policy | Expert, trials: Sequence[Trial], table: Task, index: np.ndarray) -> Episode:
    """The scored episodes [trial, level × episode] of trials of equal form; `index` says where their rows are."""
    steps = [trial.steps for trial in trials]
    seeds = [[reset_key(t.task_id, e) for e, _ in played] for t, played in zip(trials, steps, strict=True)]
    keys = jax.vmap(jax.vmap(jax.random.key))(np.array(seeds, np.uint32))
    used, lanes = np.unique(index, return_inverse=True)
    tasks = jax.tree.map(lambda leaf: np.asarray(leaf)[used], table)
    params = env.params_of(tasks)[lanes]
    scored = np.array([level is not None for _, level in steps[0]])
    rows = jax.tree.map(lambda leaf: jnp.asarray(leaf[lanes]), tasks)
    played = play_trials(env, policy, tuple((~scored).tolist()), keys, rows, params)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:, scored], played)


def _table(
    played: Episode, trials: Sequence[Trial], policy: Policy | Expert, labels: Mapping[str, Any]
) -> pl.DataFrame:
    """The rows of the episodes table, trial by trial; what was played beyond these trials is left out."""
    rows = [(t.task_id, episode, level) for t in trials for episode, level in t.steps if level is not None]
    figures = jax.tree.map(lambda leaf: leaf[: len(trials)].reshape(-1), played)
    return pl.DataFrame(
        {
            **{name: [value] * len(rows) for name, value in labels.items()},
            "family": [task_id.family for task_id, _, _ in rows],
            "task": [str(task_id) for task_id, _, _ in rows],
            "episode": [episode for _, episode, _ in rows],
            "success": figures.success,
            "success_final": figures.success_final,
            "return": figures.return_.astype(np.float64),
            "progress": figures.progress.astype(np.float64),
            "length": figures.length.astype(np.int64),
            "diverged": figures.diverged,
            "adaptation": [level for _, _, level in rows],
            "failure": [failure_reason(policy, number) for number in figures.failure.tolist()],
            "solved_at": pl.Series(figures.solved_at.astype(np.int64)).replace(0, None),
        }
    )
