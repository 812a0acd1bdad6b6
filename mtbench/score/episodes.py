"""The episodes table: one row per (policy, training seed, task, episode). Every score is a function of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from ..errors import MtbenchError, UsageError
from ..files import replacing

SCHEMA: dict[str, pl.DataType] = {
    "policy": pl.String(),
    "seed": pl.Int64(),  # of training; 0 for a control
    "suite": pl.String(),
    "protocol": pl.String(),  # of the suite: how many tasks and episodes, of which horizon
    "split": pl.String(),
    "family": pl.String(),
    "task": pl.String(),
    "episode": pl.Int64(),  # the same number means the same initial state, whoever plays
    "success": pl.Boolean(),  # at any time in the episode
    "success_final": pl.Boolean(),  # at its last step
    "return": pl.Float64(),
    "progress": pl.Float64(),  # best in the episode
    "length": pl.Int64(),  # control steps
    "diverged": pl.Boolean(),
    "adaptation": pl.Int64(),  # episodes of the task that the policy had played before, with its memory kept
    "failure": pl.String(),  # why the policy could not play the episode, which is then lost; "" if it could
}
LATER: dict[str, Any] = {"adaptation": 0, "failure": ""}
"""Columns that older tables lack, and what they would hold."""
KEY = ["policy", "seed", "suite", "split", "task", "adaptation", "episode"]
_METADATA = "mtbench"


def validate(frame: pl.DataFrame) -> pl.DataFrame:
    """The table with its columns in order and of their types, others behind; narrower numbers are widened.

    Columns that older tables lack are filled in; an episode that failed is no success, whatever its row says.

    Raises:
      UsageError: naming the column, what was expected and what it holds.
    """
    frame = frame.with_columns(pl.lit(value).alias(name) for name, value in LATER.items() if name not in frame.columns)
    for name, kind in SCHEMA.items():
        if name not in frame.columns:
            raise _bad(name, f"is missing, expected {kind}")
        found = frame.schema[name]
        widens = kind.is_numeric() and found.is_numeric() and (kind.is_float() or found.is_integer())
        if found != kind and not widens:
            raise _bad(name, f"is {found}, expected {kind}")
        if count := frame[name].null_count():
            raise _bad(name, f"has {count} empty values, expected none")
    if frame.is_empty():
        raise UsageError("episodes table: it has no rows, expected one per episode")
    frame = frame.with_columns(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    for name in ("return", "progress"):
        if not frame[name].is_finite().all():
            raise _bad(name, "holds NaN or infinity, expected finite numbers")
    for name, most, expected in (
        ("progress", 1.0, "0 to 1"),
        ("seed", np.inf, "0 or more"),
        ("episode", np.inf, "0 or more"),
        ("length", np.inf, "0 or more"),
        ("adaptation", np.inf, "0 or more"),
    ):
        outside = frame[name].filter(~frame[name].is_between(0, most))
        if len(outside):
            raise _bad(name, f"holds {outside[0]:g}, expected {expected}")
    if (frame["success_final"] & ~frame["success"]).any():
        raise _bad("success_final", "is true where 'success' is false, which includes the last step")
    frame = frame.with_columns(pl.col("success", "success_final") & (pl.col("failure") == ""))
    torn = frame.group_by("task").agg(pl.col("family").n_unique()).filter(pl.col("family") > 1)["task"]
    if len(torn):
        raise _bad("family", f"has several values for task '{torn.sort()[0]}', expected one")
    if frame.select(KEY).is_duplicated().any():
        raise _bad("episode", "repeats within a policy, seed, split, task and adaptation, expected each number once")
    return frame.select(*SCHEMA, pl.exclude(*SCHEMA))


def _bad(column: str, problem: str) -> UsageError:
    return UsageError(f"episodes table: column '{column}' {problem}")


def read_episodes(path: str | Path) -> pl.DataFrame:
    """A validated table from a Parquet file."""
    try:
        return validate(pl.read_parquet(path, glob=False))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise MtbenchError(f"cannot read episodes from {path}: {str(error).splitlines()[0]}") from error


def read_metadata(path: str | Path) -> dict[str, object]:
    """What `write_episodes` was given beside the table: digests, versions."""
    return json.loads(pl.read_parquet_metadata(path).get(_METADATA, "{}"))


def write_episodes(frame: pl.DataFrame, path: str | Path, metadata: Mapping[str, object] | None = None) -> None:
    """Writes a validated table, whole or not at all; `metadata` goes into the Parquet key-value metadata."""
    frame, pairs = validate(frame), {_METADATA: json.dumps(dict(metadata or {}))}
    with replacing(path) as partial:
        frame.write_parquet(partial, metadata=pairs)


@dataclass(frozen=True)
class Outcomes:
    """One column of one policy on one split, as an array with named axes."""

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
        chosen = [self.tasks.index(task) for task in tasks]
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
        return self.values.reshape(len(self.seeds), -1), [task for task in self.tasks for _ in self.episodes]


def outcomes(rows: pl.DataFrame, policy: str, column: str = "success") -> Outcomes:
    """A column of one split as an array, after the longest adaptation. Every seed must have played every task for the
    same episodes."""
    rows = rows.filter(policy=policy).filter(pl.col("adaptation") == pl.col("adaptation").max())
    rows = rows.sort("seed", "family", "task", "episode")
    plan = rows.unique("task", maintain_order=True)
    seeds, numbers = (rows[name].unique().sort().to_list() for name in ("seed", "episode"))
    shape = len(seeds), len(plan), len(numbers)
    if len(rows) != shape[0] * shape[1] * shape[2]:
        cells = pl.DataFrame({"seed": seeds}).join(plan.select("task"), how="cross")
        counts = cells.join(rows.group_by("seed", "task").len(), on=["seed", "task"], how="left").fill_null(0)
        seed, task, count = counts.sort("len", "seed", "task").row(0)
        found = f"has {count} values for policy '{policy}', task '{task}', seed {seed}"
        raise _bad("episode", f"{found}, expected {shape[2]} as elsewhere")
    values = rows[column].cast(pl.Float64).to_numpy().reshape(shape)
    return Outcomes(values, seeds, plan["task"].to_list(), plan["family"].to_list(), numbers)
