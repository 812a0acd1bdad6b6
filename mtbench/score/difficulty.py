"""How hard tasks are: what a constant action achieves, how much time the expert has left, how far training is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from .estimate import THESE, estimate, success
from .outcomes import pool

EASY = 0.2
"""A family that the constant action solves more often than this is named on every card."""


def difficulty(episodes: pl.DataFrame, splits: Sequence[str], facts: pl.DataFrame | None) -> dict[str, dict[str, Any]]:
    """Of each split.

    `constant` and `expert` are success rates, `slack` is the share of the horizon that is left when the expert first
    succeeds (median of the episodes that it solves), `nearest` the distance to the nearest training task (median of
    tasks). What the table does not say is None.
    """
    return {split: _of(episodes, split, facts) for split in splits}


def easy_families(episodes: pl.DataFrame) -> list[dict[str, Any]]:
    """Families that the constant action solves more often than `EASY`, easiest first."""
    rates = episodes.filter(policy="constant").group_by("family").agg(pl.col("success").mean())
    easy = rates.filter(pl.col("success") > EASY).sort("success", "family", descending=[True, False])
    return easy.to_dicts()


def _of(episodes: pl.DataFrame, split: str, facts: pl.DataFrame | None) -> dict[str, Any]:
    rows = episodes.filter(split=split)
    present = set(rows["policy"])

    def rate(name: str) -> dict[str, Any] | None:
        return estimate(success(pool(rows, name, [split]), THESE)) if name in present else None

    nearest = None
    if facts is not None and "nearest" in facts.columns:
        own = facts.unique("task").filter(pl.col("task").is_in(rows["task"].unique().to_list()))["nearest"]
        known = own.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
        nearest = float(np.median(known)) if len(known) else None
    return {"constant": rate("constant"), "expert": rate("expert"), "slack": _slack(rows), "nearest": nearest}


def _slack(rows: pl.DataFrame) -> float | None:
    """The horizon is as long as anybody played the family. `solved_at` says when the expert succeeded; without that,
    `length` does, if episodes end with success."""
    horizons = rows.group_by("family").agg(horizon=pl.col("length").max())
    solved = rows.filter(pl.col("success"), policy="expert").join(horizons, on="family")
    when = "solved_at" if "solved_at" in rows.columns else "length"
    solved = solved.drop_nulls(when)
    if solved.is_empty() or (when == "length" and (solved["length"] == solved["horizon"]).all()):
        return None
    return float(np.median((1 - solved[when] / solved["horizon"]).to_numpy()))
