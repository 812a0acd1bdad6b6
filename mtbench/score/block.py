"""What a card says of one policy on one or several splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ..errors import UsageError
from . import contrasts
from . import statistics as st
from .estimate import Estimate, estimate, success
from .outcomes import Pool, common, pool


def block(episodes: pl.DataFrame, policy: str, splits: Sequence[str], claim: str) -> dict[str, Any]:
    """Figures of a policy on splits that count alike; `mtbench.score.scorecard` shows their structure."""
    columns = {name: pool(episodes, policy, splits, name) for name in ("success", "success_final")}
    played, own = columns["success"], episodes.filter(pl.col("split").is_in(list(splits)), policy=policy)
    own = own.filter(pl.col("adaptation") == pl.col("adaptation").max().over("split"))
    sample = played.sample(exact=False)
    clustering = {name: _clustering(column) for name, column in columns.items()}

    def successes(tasks: list[str]) -> dict[str, Estimate]:
        # A family borrows how the suite's tasks cluster; a single task has episodes for units, which do not.
        part = 1 < len(tasks) < len(played.tasks)
        return {
            name: estimate(success(column.select(tasks), claim, clustering[name] if part else 1.0))
            for name, column in columns.items()
        }

    fewest = min(len(part.episodes) for part in played.parts)
    solved = {name: st.fraction_solved(played.rates, at, played.families) for name, at in (("50", 0.5), ("80", 0.8))}
    return {
        "seeds": len(played.seeds),
        "tasks": len(played.tasks),
        "episodes": len(own),
        "diverged": int(own["diverged"].sum()),
        "failed": int((own["failure"] != "").sum()),
        "return": float(own["return"].to_numpy().mean()),
        "progress": float(own["progress"].to_numpy().mean()),
        **successes(played.tasks),
        "population": estimate(st.population_interval(sample.values, sample.strata, weights=sample.weights)),
        "families": {name: {"tasks": len(t)} | successes(t) for name, t in played.by_family().items()},
        "per_task": _per_task(columns, splits[0]) if len(splits) == 1 else {},
        "worst_fifth": estimate(st.quantile_over_tasks(played.rates, 0.2, fewest)),
        "median": estimate(st.quantile_over_tasks(played.rates, 0.5, fewest)),
        "solved_50": estimate(solved["50"]),
        "solved_80": estimate(solved["80"]),
        "iqm": estimate(st.rliable_interval(played.rates)),
    }


def difference(episodes: pl.DataFrame, first: str, second: str, splits: Sequence[str]) -> dict[str, Any]:
    """`first` − `second`, on the same tasks from the same initial states."""
    a, b = common(pool(episodes, first, splits), pool(episodes, second, splits))
    if not a.parts:
        raise UsageError(f"'{first}' and '{second}' share no task and episode: evaluate both on the same ones")
    assumed = float(np.clip(max(_clustering(a), _clustering(b)), 0, 1))

    def paired(tasks: list[str]) -> Estimate:
        part = 1 < len(tasks) < len(a.tasks)
        return estimate(paired_difference(a.select(tasks), b.select(tasks), assumed if part else 1.0))

    families = {family: paired(own) for family, own in a.by_family().items()}
    return paired(a.tasks) | {"name": f"{first} − {second}", "tasks": len(a.tasks), "families": families}


def paired_difference(first: Pool, second: Pool, assumed: float = 1.0) -> st.Interval:
    """Of two policies on the same tasks and episodes, about all tasks that the families generate."""
    a, b = first.sample(exact=False), second.sample(exact=False)
    return contrasts.paired_difference(a.values, b.values, a.strata, assumed, a.weights)


def _clustering(played: Pool) -> float:
    sample = played.sample(exact=False)
    return float(st.clustering(sample.values, sample.strata, sample.weights))


def _per_task(columns: dict[str, Pool], split: str) -> dict[str, dict[str, Any]]:
    single = {name: st.task_intervals(column.parts[0].values) for name, column in columns.items()}
    played = columns["success"]
    return {
        task: {"family": family, "split": split} | {name: estimate(found, i) for name, found in single.items()}
        for i, (task, family) in enumerate(zip(played.tasks, played.families, strict=True))
    }
