"""Intervals as JSON and as text, and which claim they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from . import statistics as st
from .components import Batch
from .outcomes import Pool

THESE = "the training method on exactly these tasks"
POPULATION = "this artefact on all tasks of these families"

Estimate = dict[str, Any]
"""`value`, `low`, `high`, `method`, and `bound` (ceiling, floor or None) or, of differences, `p_value`; what is unknown
is None."""


def success(pool: Pool, claim: str, assumed: Batch = 1.0) -> st.Interval:
    """Success under a claim; `assumed` is for a part of a larger pool (see `statistics.population_interval`)."""
    sample = pool.sample(exact=claim == THESE)
    if claim == POPULATION:
        return st.population_interval(sample.values, sample.strata, assumed, sample.weights)
    found = st.population_interval(sample.values, sample.strata, weights=sample.weights)
    return replace(found, method="t over seeds" if len(pool.seeds) > 1 else "episodes within tasks")


def population(pool: Pool) -> st.Interval:
    """Success on all tasks that the families generate."""
    sample = pool.sample(exact=False)
    return st.population_interval(sample.values, sample.strata, weights=sample.weights)


def estimate(interval: st.Interval, index: int | tuple[()] = ()) -> Estimate:
    """One estimate of an interval for JSON."""
    numbers = (float(np.asarray(x)[index]) for x in (interval.value, interval.low, interval.high))
    value, low, high = (number if np.isfinite(number) else None for number in numbers)
    found = {"value": value, "low": low, "high": high, "method": interval.method}
    if interval.p_value is not None:
        return found | {"p_value": float(np.asarray(interval.p_value)[index])}
    return found | {"bound": None if value is None else {0.0: "floor", 1.0: "ceiling"}.get(round(value, 9))}


def format_estimate(estimate: Mapping[str, Any] | None, form: str = "z.2f") -> str:
    """`0.62 [0.55, 0.69]`, or as much of it as is known."""
    if not estimate or estimate["value"] is None:
        return "–"
    value, low, high = (None if estimate[k] is None else format(estimate[k], form) for k in ("value", "low", "high"))
    ends = f" [{low}, {high}]" if high is not None else f" [{low}, ∞)"
    return f"{value}{ends if low is not None else ''}".replace("-", "−")
