"""The episodes table: one row per (policy, training seed, task, episode). Every score is a function of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

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
CONTROLS = ("random", "constant", "expert")
"""Policies that others are compared with; `constant` is the best constant action, chosen on training tasks."""
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
            raise bad_column(name, f"is missing, expected {kind}")
        found = frame.schema[name]
        widens = kind.is_numeric() and found.is_numeric() and (kind.is_float() or found.is_integer())
        if found != kind and not widens:
            raise bad_column(name, f"is {found}, expected {kind}")
        if count := frame[name].null_count():
            raise bad_column(name, f"has {count} empty values, expected none")
    if frame.is_empty():
        raise UsageError("episodes table: it has no rows, expected one per episode")
    frame = frame.with_columns(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    for name in ("return", "progress"):
        if not frame[name].is_finite().all():
            raise bad_column(name, "holds NaN or infinity, expected finite numbers")
    for name, most, expected in (
        ("progress", 1.0, "0 to 1"),
        ("seed", np.inf, "0 or more"),
        ("episode", np.inf, "0 or more"),
        ("length", np.inf, "0 or more"),
        ("adaptation", np.inf, "0 or more"),
    ):
        outside = frame[name].filter(~frame[name].is_between(0, most))
        if len(outside):
            raise bad_column(name, f"holds {outside[0]:g}, expected {expected}")
    if (frame["success_final"] & ~frame["success"]).any():
        raise bad_column("success_final", "is true where 'success' is false, which includes the last step")
    frame = frame.with_columns(pl.col("success", "success_final") & (pl.col("failure") == ""))
    torn = frame.group_by("task").agg(pl.col("family").n_unique()).filter(pl.col("family") > 1)["task"]
    if len(torn):
        raise bad_column("family", f"has several values for task '{torn.sort()[0]}', expected one")
    if frame.select(KEY).is_duplicated().any():
        raise bad_column(
            "episode", "repeats within a policy, seed, split, task and adaptation, expected each number once"
        )
    return frame.select(*SCHEMA, pl.exclude(*SCHEMA))


def bad_column(column: str, problem: str) -> UsageError:
    """The error for a column of the table."""
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


def read_tables(paths: Sequence[str | Path], rename: bool = False) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One validated table of several, and the first one's metadata. Tables of different suites are refused.

    Controls that several tables hold are those of the first.

    Args:
      paths: Parquet files, or folders that hold `episodes.parquet` or `eval/episodes.parquet`.
      rename: tells policies of one name in several tables apart by their folders; without it, they are seeds of one.

    Raises:
      UsageError: the tables do not belong together.
    """
    files = [table_in(Path(path)) for path in paths]
    tables, metadata = [read_episodes(file) for file in files], [read_metadata(file) for file in files]
    for column in ("suite", "protocol"):
        found = {
            str(file): ", ".join(sorted(table[column].unique())) for file, table in zip(files, tables, strict=True)
        }
        _check_same(column, found)
    _check_same(
        "digest", {str(f): str(m["digest"])[:12] for f, m in zip(files, metadata, strict=True) if "digest" in m}
    )
    if rename:
        names = [set(table["policy"]) - set(CONTROLS) for table in tables]
        several = {name for own in names for name in own if sum(name in other for other in names) > 1}
        for number, file in enumerate(files):
            place = file.parent.parent if file.parent.name == "eval" else file.parent
            told = {name: f"{name} ({place.name or place})" for name in several}
            tables[number] = tables[number].with_columns(pl.col("policy").replace(told))
    kept: list[pl.DataFrame] = []
    for table in tables:
        known = {name for earlier in kept for name in earlier["policy"].unique()} & set(CONTROLS)
        kept.append(table.filter(~pl.col("policy").is_in(list(known))))
    return validate(pl.concat(kept, how="diagonal_relaxed")), metadata[0]


def read_tasks(path: str | Path) -> pl.DataFrame:
    """Facts about tasks from a Parquet or CSV file; see `task_facts`."""
    try:
        return task_facts(pl.read_csv(path) if Path(path).suffix == ".csv" else pl.read_parquet(path, glob=False))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise MtbenchError(f"cannot read tasks from {path}: {str(error).splitlines()[0]}") from error


def task_facts(frame: pl.DataFrame) -> pl.DataFrame:
    """The table of tasks, checked: a row for each task and factor that sets it apart from training, as
    `mtbench.ladder.labels` writes them, with `task` and any of

    - `factor`, `side`, `distance`: which factor, on which side of the middle of its training range, and how far from
      it, in half widths, so that 1 is the end of training; the factor is empty for a task that none sets apart;
    - `nearest`: how far the nearest training task is.
    """
    if "task" not in frame.columns:
        raise UsageError(f"tasks table: column 'task' is missing, it has {', '.join(frame.columns)}")
    for name in ("distance", "nearest"):
        if name in frame.columns and not frame.schema[name].is_numeric() and frame.schema[name] != pl.Null:
            raise UsageError(f"tasks table: column '{name}' is {frame.schema[name]}, expected numbers")
    key = [name for name in ("task", "factor") if name in frame.columns]
    if (repeated := frame.filter(frame.select(key).is_duplicated())).height:
        told = ", ".join(f"{name} '{repeated[name][0]}'" for name in key)
        raise UsageError(f"tasks table: {told} repeats, expected a row for each")
    return frame


def table_in(path: Path) -> Path:
    """The table of a path, which may be the folder of an evaluation or of a run."""
    if not path.is_dir():
        return path
    for place in (path / "episodes.parquet", path / "eval" / "episodes.parquet"):
        if place.is_file():
            return place
    raise UsageError(f"{path} holds no episodes.parquet, nor eval/episodes.parquet: mtbench eval writes it")


def _check_same(what: str, found: Mapping[str, str]) -> None:
    if len(set(found.values())) > 1:
        told = "; ".join(f"{file}: {value}" for file, value in found.items())
        raise UsageError(f"tables have several {what}s, which are not comparable ({told}): score them one at a time")
