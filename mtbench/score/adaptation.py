"""Adaptation curves: success after k episodes of a task whose memory is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from ..errors import UsageError
from . import contrasts
from .estimate import POPULATION, estimate, success
from .outcomes import Outcomes, Pool, outcomes

FLAT = "flat: the same after any number of episodes, as without memory"
ONCE = "flat: played without adaptation"


def curves(
    episodes: pl.DataFrame, policies: Sequence[str], splits: Sequence[str], claim: str
) -> dict[str, dict[str, Any]]:
    """By policy its success after each number of episodes, the gain from the first to the last, and the mean height.

    Without a policy that was played after several numbers of episodes, there is nothing to draw.
    """
    rows = {name: episodes.filter(pl.col("split").is_in(list(splits)), policy=name) for name in policies}
    levels = {name: own["adaptation"].unique().sort().to_list() for name, own in rows.items() if len(own)}
    if max(map(len, levels.values()), default=0) < 2:
        return {}
    return {name: _curve(rows[name], name, splits, own, claim) for name, own in levels.items()}


def _curve(rows: pl.DataFrame, policy: str, splits: Sequence[str], levels: list[int], claim: str) -> dict[str, Any]:
    present = [split for split in splits if split in set(rows["split"])]
    pools = [Pool([_level(rows, policy, split, level) for split in present]) for level in levels]
    for pool, level in zip(pools, levels, strict=True):
        for part, first in zip(pool.parts, pools[0].parts, strict=True):
            if part.values.shape != first.values.shape or part.tasks != first.tasks:
                raise UsageError(
                    f"'{policy}' played other tasks, seeds or numbers of episodes after {level} than after {levels[0]} "
                    "episodes of adaptation: evaluate both alike"
                )
    found = {"levels": levels, "success": [estimate(success(pool, claim)) for pool in pools]}
    if len(levels) == 1:
        return found | {"gain": None, "area": None, "flat": ONCE}
    start, end = (pools[i].sample(exact=claim != POPULATION) for i in (0, -1))
    gain = contrasts.paired_difference(end.values, start.values, start.strata, weights=start.weights, same_seeds=True)
    alike = all(
        np.array_equal(part.values, first.values)
        for pool in pools
        for part, first in zip(pool.parts, pools[0].parts, strict=True)
    )
    area = estimate(success(_mean_height(pools, levels), claim))
    return found | {"gain": estimate(gain), "area": area, "flat": FLAT if alike else ""}


def _level(rows: pl.DataFrame, policy: str, split: str, level: int) -> Outcomes:
    own = rows.filter(split=split, adaptation=level)
    if own.is_empty():
        raise UsageError(f"'{policy}' has no episodes of '{split}' after {level} episodes of adaptation")
    return outcomes(own, policy)


def _mean_height(pools: Sequence[Pool], levels: Sequence[int]) -> Pool:
    """Area under the curve by the trapezoidal rule, over its width: a success rate again."""
    steps = np.diff(levels)
    weights = (np.append(steps, 0) + np.append(0, steps)) / 2 / steps.sum()
    parts = zip(*(pool.parts for pool in pools), strict=True)
    return Pool(
        [replace(part[0], values=sum(w * p.values for w, p in zip(weights, part, strict=True))) for part in parts]
    )
