"""The ladder of splits: how far from training a policy still succeeds, and how much of its success it keeps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ..errors import UsageError
from . import contrasts
from .contrasts import Group
from .estimate import Estimate, estimate, population
from .outcomes import Outcomes, Pool, pool

ORDER = ("train", "iid", "interpolation", "extrapolation", "combination", "embodiment", "novelty", "family")
"""From near to far."""
SCORED_SHELL = 1.25
"""Where the tasks of split `extrapolation` end, in half widths of a factor's training range; `extrapolation-2` says so
itself."""


def in_order(splits: Sequence[str]) -> list[str]:
    """Splits from near to far; those of other names are last."""

    def place(split: str) -> tuple[int, str]:
        kind = re.sub(r"-[\d.]+$", "", split)
        return (ORDER.index(kind) if kind in ORDER else len(ORDER), split)

    return sorted(splits, key=place)


def scored(splits: Sequence[str], metadata: Mapping[str, Any]) -> list[str]:
    """The splits that the headline is the mean over, of those in the table.

    `metadata["headline"]`, or the protocol in it, names them; by default they are all but `train` and those whose name
    ends in a number, which are diagnostics.
    """
    named = metadata.get("headline") or (metadata.get("protocol") or {}).get("headline")
    if named and not (isinstance(named, list | tuple) and all(isinstance(name, str) for name in named)):
        raise UsageError(f"metadata 'headline' is {named!r}, expected a list of splits")
    held_out = [split for split in splits if split != "train"]
    found = [split for split in splits if split in (named or ())]
    found = found or [split for split in held_out if not split[-1].isdigit()]
    return in_order(found or held_out or splits)


def ladder(
    episodes: pl.DataFrame, policy: str, blocks: Mapping[str, Mapping[str, Any]], headline: Sequence[str]
) -> list[dict[str, Any]]:
    """A rung for each split: success, what is lost against training, and the share of it that is kept."""
    near = pool(episodes, policy, ["train"]) if "train" in blocks else None
    rungs = []
    for split in in_order(list(blocks)):
        own = blocks[split]
        rung = {"split": split, "scored": split in headline, "tasks": own["tasks"], "success": own["success"]}
        rungs.append(rung | {"population": own["population"]} | against(near, pool(episodes, policy, [split]), split))
    return rungs


def against(near: Pool | None, far: Pool, split: str = "") -> dict[str, Estimate | None]:
    """What far tasks lose against near ones as a difference, and keep as a ratio."""
    if near is None or split == "train":
        return {"gap": None, "retention": None}
    if near.seeds != far.seeds:
        raise UsageError("'train' was played by other seeds than the other splits: evaluate them alike")
    base, groups = near.groups()[0], far.groups()
    found = contrasts.generalization_gap(base, groups), contrasts.retention(base, groups)
    return {"gap": estimate(found[0]), "retention": estimate(found[1])}


def gaps(episodes: pl.DataFrame, policy: str, splits: Sequence[str]) -> list[dict[str, Any]]:
    """Of train − iid, and iid (or, without it, train) − each other split."""
    base = "iid" if "iid" in splits else "train"
    pairs = [("train", "iid")] if {"train", "iid"} <= set(splits) else []
    pairs += [(base, name) for name in in_order(splits) if base in splits and name not in ("train", base)]
    found = []
    for near, far in pairs:
        a, b = pool(episodes, policy, [near, far]).parts
        found.append(estimate(contrasts.generalization_gap(a.group(), [b.group()])) | {"near": near, "far": far})
    return found


def shells(
    episodes: pl.DataFrame, policy: str, splits: Sequence[str], facts: pl.DataFrame | None
) -> list[dict[str, Any]]:
    """Success over the distance from training: of all factors together and, where facts say which, of each.

    Args:
      episodes: the table.
      policy: whose.
      splits: those in the table.
      facts: of tasks, with the columns `factor` and perhaps `side` and `distance`; see `mtbench.score.task_facts`.
    """
    beyond = [split for split in in_order(splits) if re.fullmatch(r"extrapolation(-[\d.]+)?", split)]
    inside = next((split for split in ("iid", "train") if split in splits), None)
    if not beyond or inside is None:
        return []
    near, *far = pool(episodes, policy, [inside, *beyond]).parts
    tasks = pl.concat([_of_tasks(part, split) for part, split in zip(far, beyond, strict=True)])
    if facts is not None:
        wanted = [name for name in ("factor", "side", "distance") if name in facts.columns]
        if "distance" in wanted:
            facts = facts.filter(pl.col("distance") > 1)
        tasks = tasks.join(facts.select("task", *wanted), on="task", how="left")
    for name, kind in (("factor", pl.String), ("side", pl.String), ("distance", pl.Float64)):
        column = pl.col(name).cast(kind) if name in tasks.columns else pl.lit(None, kind).alias(name)
        tasks = tasks.with_columns(column)
    tasks = tasks.with_columns(pl.col("distance").fill_null(pl.col("split").map_elements(_shell, pl.Float64)))
    found = [_curve("all factors", near, far, tasks.with_columns(side=pl.lit("")))]
    for factor in tasks["factor"].replace("", None).drop_nulls().unique().sort():
        found.append(_curve(factor, near, far, tasks.filter(factor=factor).with_columns(pl.col("side").fill_null(""))))
    return found


def _shell(split: str) -> float:
    _, _, number = split.partition("-")
    return float(number or SCORED_SHELL)


def _of_tasks(part: Outcomes, split: str) -> pl.DataFrame:
    return pl.DataFrame({"task": part.tasks, "family": part.families, "split": [split] * len(part.tasks)})


def _curve(factor: str, near: Outcomes, far: Sequence[Outcomes], tasks: pl.DataFrame) -> dict[str, Any]:
    """Points inside and beyond the training range, and the slope over their distance; the families are those beyond."""
    families = set(tasks["family"])
    kept = [task for task, family in zip(near.tasks, near.families, strict=True) if family in families]
    parts = [("", 1.0, near.select(kept))] if kept else []
    for (side, _), rows in tasks.group_by("side", "split", maintain_order=True):
        chosen = set(rows["task"])
        part = next(p for p in far if chosen & set(p.tasks))
        at = float(rows["distance"].to_numpy().mean())
        parts.append((str(side), at, part.select([task for task in part.tasks if task in chosen])))
    points = [
        {"side": side, "at": at, "tasks": len(part.tasks), "success": estimate(population(Pool([part])))}
        for side, at, part in sorted(parts, key=lambda point: (point[1] > 1, point[0], point[1]))
    ]
    groups = [Group(*part.units()) for _, _, part in parts]
    slope = contrasts.slope([at for _, at, _ in parts], groups) if len({at for _, at, _ in parts}) > 1 else None
    return {"factor": factor, "points": points, "slope": slope and estimate(slope)}
