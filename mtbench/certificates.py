"""Whether the certificates of a frozen suite still hold: experts play again what they are on record to have solved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .errors import UsageError
from .evaluate import play_jobs
from .plan import TRIES
from .suite import Suite
from .task import TaskId


@dataclass(frozen=True)
class Certificates:
    """What came of playing again."""

    held: dict[TaskId, int]
    """Solved in the episode on record."""
    moved: dict[TaskId, int]
    """Solved in another of the episodes that a certificate may name: which."""
    lost: tuple[TaskId, ...]
    """Solved in none."""
    open: tuple[TaskId, ...]
    """Not on record as solved: no score counts them."""
    uncertified: tuple[TaskId, ...]
    """Of families that no expert has played."""

    @property
    def share_lost(self) -> float:
        """Of all tasks on record as solved."""
        return len(self.lost) / max(1, len(self.held) + len(self.moved) + len(self.lost))


def recertify(
    suite: Suite,
    splits: Sequence[str] | None = None,
    tasks_per_family: int | None = None,
    backend: str = "mujoco",
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Certificates:
    """Plays every certificate of a suite: the expert, the episode on record, and where that fails the other tries.

    Args:
      suite: with the episode lengths of its training, in which it was certified.
      splits: by default all.
      tasks_per_family: only the first so many of each family in a split.
      backend: physics; certificates come from `mujoco`.
      on_progress: called with (what is played, episodes played, episodes in all).

    Raises:
      UsageError: no such split.
    """
    ids: list[TaskId] = []
    for split in splits or tuple(suite.splits):
        counts: dict[str, int] = {}
        for task_id in suite.task_ids(split):
            counts[task_id.family] = counts.get(task_id.family, 0) + 1
            if tasks_per_family is None or counts[task_id.family] <= tasks_per_family:
                ids.append(task_id)
    certified = {task_id: e for task_id in ids if (e := suite.certificate(task_id)) is not None}
    uncertified = tuple(task_id for task_id in ids if task_id.family in suite.uncertified)
    still_open = tuple(task_id for task_id in ids if task_id not in certified and task_id not in uncertified)
    if not certified:
        raise UsageError(f"suite {suite.name} has no certificate there: mtbench freeze without --no-certify makes them")
    playable = Suite(
        suite.name, suite.version, "", tuple(dict.fromkeys(task_id.family for task_id in certified)), suite.horizon,
        suite.show_goal, {}, horizons=suite.horizons,
    )  # fmt: skip
    envs, expert = playable.envs(backend), playable.expert()

    def solved(jobs: list[tuple[TaskId, int]], what: str) -> dict[TaskId, int]:
        if not jobs:
            return {}
        told = (lambda done, total: on_progress(what, done, total)) if on_progress else None
        table = play_jobs(envs, playable, expert, jobs, name="expert", split="", on_progress=told)
        return {task_id: episode for (task_id, episode), s in zip(jobs, table["success"], strict=True) if s}

    held = solved(list(certified.items()), "episodes on record")
    moved: dict[TaskId, int] = {}
    for episode in range(TRIES):
        left = [t for t, recorded in certified.items() if t not in held and t not in moved and recorded != episode]
        moved |= solved([(task_id, episode) for task_id in left], f"the others, episode {episode}")
    lost = tuple(task_id for task_id in certified if task_id not in held and task_id not in moved)
    return Certificates(held, moved, lost, still_open, uncertified)
