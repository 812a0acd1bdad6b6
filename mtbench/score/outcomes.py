"""One column of the table as arrays with named axes, and several splits that count alike as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Float

from ..errors import UsageError
from .contrasts import Group
from .episodes import bad_column


@dataclass(frozen=True)
class Outcomes:
    """One column of one policy on one split."""

    values: Float[np.ndarray, "seed task episode"]
    seeds: list[int]
    tasks: list[str]
    families: list[str]
    """One for each task."""
    episodes: list[int]

    @property
    def rates(self) -> Float[np.ndarray, "seed task"]:
        """Mean over episodes."""
        return self.values.mean(-1)

    def select(self, tasks: Sequence[str], episodes: Sequence[int] | None = None) -> Outcomes:
        """The named tasks; with `episodes`, only those of them that are there."""
        places = {task: place for place, task in enumerate(self.tasks)}
        chosen = [places[task] for task in tasks]
        kept = [i for i, episode in enumerate(self.episodes) if episodes is None or episode in episodes]
        return Outcomes(
            self.values[:, chosen][:, :, kept],
            self.seeds,
            list(tasks),
            [self.families[i] for i in chosen],
            [self.episodes[i] for i in kept],
        )

    def by_family(self) -> dict[str, list[str]]:
        """The tasks of each family."""
        found: dict[str, list[str]] = {}
        for task, family in zip(self.tasks, self.families, strict=True):
            found.setdefault(family, []).append(task)
        return found

    def units(self) -> tuple[Float[np.ndarray, "seed unit"], list[str]]:
        """Scores of the independent units and the stratum of each, as the intervals want them.

        Units are tasks within families. Where no family has two tasks their spread is unknown, so units are
        the episodes within tasks, and the claim is about these tasks alone.
        """
        if len(set(self.families)) < len(self.tasks):
            return self.rates, self.families
        return self.plays()

    def plays(self) -> tuple[Float[np.ndarray, "seed unit"], list[str]]:
        """Episodes as units, within tasks: for claims about exactly these tasks."""
        return self.values.reshape(len(self.seeds), -1), [task for task in self.tasks for _ in self.episodes]

    def group(self, weight: float = 1.0) -> Group:
        """The units as a part of a contrast."""
        return Group(*self.units(), weight)


@dataclass(frozen=True)
class Sample:
    """Units of several splits side by side."""

    values: Float[np.ndarray, "seed unit"]
    strata: list[str]
    weights: Float[np.ndarray, " unit"]


@dataclass(frozen=True)
class Pool:
    """A policy on one or several splits, each of which counts alike, however many tasks it has."""

    parts: list[Outcomes]

    @property
    def seeds(self) -> list[int]:
        """The same in all parts."""
        return self.parts[0].seeds

    @property
    def tasks(self) -> list[str]:
        """Of all parts."""
        return [task for part in self.parts for task in part.tasks]

    @property
    def families(self) -> list[str]:
        """One for each task."""
        return [family for part in self.parts for family in part.families]

    @property
    def rates(self) -> Float[np.ndarray, "seed task"]:
        """Of all tasks."""
        return np.concatenate([part.rates for part in self.parts], -1)

    def select(self, tasks: Sequence[str]) -> Pool:
        """The named tasks; parts without any are left out."""
        wanted = set(tasks)
        chosen = [[task for task in part.tasks if task in wanted] for part in self.parts]
        return Pool([part.select(own) for part, own in zip(self.parts, chosen, strict=True) if own])

    def by_family(self) -> dict[str, list[str]]:
        """The tasks of each family, in the order in which the parts name them."""
        found: dict[str, list[str]] = {}
        for part in self.parts:
            for family, tasks in part.by_family().items():
                found.setdefault(family, []).extend(tasks)
        return found

    def groups(self) -> list[Group]:
        """The parts of a contrast; their weights sum to 1."""
        return [part.group(1 / len(self.parts)) for part in self.parts]

    def sample(self, *, exact: bool) -> Sample:
        """All units.

        Args:
          exact: for a claim about exactly these tasks; otherwise about all tasks that their families generate.
        """
        parts = [part.plays() if exact else part.units() for part in self.parts]
        return Sample(
            np.concatenate([values for values, _ in parts], -1),
            [f"{number} {name}" for number, (_, strata) in enumerate(parts) for name in strata],
            np.concatenate([np.full(len(s), 1 / len(parts) / len(s)) for _, s in parts]),
        )


def outcomes(rows: pl.DataFrame, policy: str, column: str = "success", adaptation: int | None = None) -> Outcomes:
    """A column of one split as an array. Every seed must have played every task for the same episodes.

    Args:
      rows: of one split.
      policy: whose.
      column: what to look at.
      adaptation: after how many episodes of adaptation; by default the most that the policy had.
    """
    every = rows.filter(policy=policy)
    adaptation = max(every["adaptation"].to_list(), default=0) if adaptation is None else adaptation
    rows = every.filter(adaptation=adaptation).sort("seed", "family", "task", "episode")
    for name in ("seed", "task"):
        if missing := sorted(set(every[name]) - set(rows[name])):
            found = f"is not {adaptation} for policy '{policy}', {name} {missing[0]}"
            raise bad_column("adaptation", f"{found}, expected that level for all")
    plan = rows.unique("task", maintain_order=True)
    seeds, numbers = (rows[name].unique().sort().to_list() for name in ("seed", "episode"))
    shape = len(seeds), len(plan), len(numbers)
    if len(rows) != shape[0] * shape[1] * shape[2]:
        cells = pl.DataFrame({"seed": seeds}).join(plan.select("task"), how="cross")
        counts = cells.join(rows.group_by("seed", "task").len(), on=["seed", "task"], how="left").fill_null(0)
        seed, task, count = counts.sort("len", "seed", "task").row(0)
        found = f"has {count} values for policy '{policy}', task '{task}', seed {seed}"
        raise bad_column("episode", f"{found}, expected {shape[2]} as elsewhere")
    values = rows[column].cast(pl.Float64).to_numpy().reshape(shape)
    return Outcomes(values, seeds, plan["task"].to_list(), plan["family"].to_list(), numbers)


def common(first: Pool, second: Pool) -> tuple[Pool, Pool]:
    """What two policies have both played: the same tasks, from the same initial states. May be empty."""
    pairs = []
    for a in first.parts:
        for b in second.parts:
            shared = set(a.tasks) & set(b.tasks)
            if shared and set(a.episodes) & set(b.episodes):
                tasks = [task for task in a.tasks if task in shared]
                pairs.append((a.select(tasks, b.episodes), b.select(tasks, a.episodes)))
    return replace(first, parts=[a for a, _ in pairs]), replace(second, parts=[b for _, b in pairs])


def pool(episodes: pl.DataFrame, policy: str, splits: Sequence[str], column: str = "success") -> Pool:
    """A policy on several splits, each after the most adaptation that it had there.

    Raises:
      UsageError: it was not played by the same seeds on all.
    """
    parts = [outcomes(episodes.filter(split=split), policy, column) for split in splits]
    for split, part in zip(splits, parts, strict=True):
        if part.seeds != parts[0].seeds:
            raise UsageError(f"'{policy}' has other seeds on '{splits[0]}' than on '{split}': evaluate both alike")
    return Pool(parts)
