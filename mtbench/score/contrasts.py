"""Intervals of differences: between policies, between splits, along a factor, by adaptation. All are nominal 95 %.

Arrays are as in `mtbench.score.statistics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # loads scipy.stats when it is first used, which takes a second

from .components import TAIL, Batch, Scores, Spread, Strata, Weights, effective, mixed, ratio, spread
from .statistics import Interval, interval


@dataclass(frozen=True)
class Group:
    """Units that are averaged as one, such as a split's, with the weight of their mean in a contrast."""

    values: Scores
    strata: Strata
    weight: float = 1.0

    def share(self) -> Weights:
        """Of each unit in the contrast."""
        return np.full(self.values.shape[-1], self.weight / self.values.shape[-1])

    def unforeseen(self) -> Batch:
        """Variance of two units, where strata are near 0 or 1 (compare Agresti & Caffo 2000)."""
        return 4 * self.weight**2 * np.exp(-mixed(self.values, self.strata)) / (self.values.shape[-1] + 2) ** 2


def paired_difference(
    first: Scores,
    second: Scores,
    strata: Strata,
    assumed: Batch = 1.0,
    weights: Weights | None = None,
    same_seeds: bool = False,
) -> Interval:
    """Mean of `first` − `second` over all units of these strata, played from the same initial states.

    From the spread of the units' differences and of each policy's seeds, as in `population_interval`. Where
    strata differ wholly or not at all, the variance of two units is added (compare Agresti & Min 2005).

    Args:
      first: [..., seed, unit].
      second: [..., seed, unit], the same units.
      strata: of each unit.
      assumed: `clustering` of a larger set of units, if these are a part of one.
      weights: of each unit, equal within a stratum and 1 in all; by default the same for all.
      same_seeds: whether both were played by the same trainings; otherwise each has its own.
    """
    weights = np.full(first.shape[-1], 1 / first.shape[-1]) if weights is None else weights
    difference = first.mean(-2) - second.mean(-2)
    samples = [first - second] if same_seeds else [first, second]
    found = spread(samples, difference, strata, weights)
    mixture = mixed(np.abs(difference)[..., None, :], strata, weights)
    added = 4 * assumed * np.exp(-mixture) / (effective(weights) + 2) ** 2
    return _student(difference @ weights, found, added, "same seeds" if same_seeds else "paired by task", (-1.0, 1.0))


def contrast(groups: Sequence[Group], method: str, bounds: tuple[float, float] = (-1.0, 1.0)) -> Interval:
    """Σ weight · mean over disjoint groups of tasks that the same seeds have played, [..., seed, task] each.

    A seed's own level cancels as far as the weights do; the spread of tasks in every group stays.
    """
    values, strata, weights = _joined(groups)
    found = spread([values], values.mean(-2), strata, weights)
    added = sum(group.unforeseen() for group in groups)
    return _student(values.mean(-2) @ weights, found, added, method, bounds)


def generalization_gap(near: Group, far: Sequence[Group]) -> Interval:
    """Mean of `near` − Σ weight · mean of `far`."""
    return contrast([near, *_negative(far)], "difference of splits")


def slope(points: Sequence[float], groups: Sequence[Group]) -> Interval:
    """Least-squares slope of success over where the groups lie; each task counts alike."""
    counts = np.array([group.values.shape[-1] for group in groups])
    away = np.asarray(points, float) - np.average(points, weights=counts)
    shares = counts * away / (counts * away**2).sum()
    weighted = [Group(g.values, g.strata, share) for g, share in zip(groups, shares, strict=True)]
    return contrast(weighted, "slope over tasks", (-np.inf, np.inf))


def retention(near: Group, far: Sequence[Group]) -> Interval:
    """Σ weight · mean of `far` over mean of `near`, for the same seeds: Fieller's interval (1954) of a ratio.

    Where the denominator is not distinguishable from zero, neither is the ratio's upper bound from infinity.
    """
    value, base = sum(g.weight * g.values.mean((-2, -1)) for g in far), near.values.mean((-2, -1))
    at = ratio(value, base, np.nan)
    scale = np.nan_to_num(at)[..., None, None]
    joint = [Group(near.values * scale, near.strata), *_negative(far)]

    def of(groups: Sequence[Group]) -> Spread:
        values, strata, weights = _joined(groups)
        return spread([values], values.mean(-2), strata, weights)

    above, below, difference, zero = of(far), of([near]), of([near, *_negative(far)]), of(joint)
    # Var(far − R near) = a − 2 c R + b R², with `c` from R = 1.
    a = above.variance + sum(group.unforeseen() for group in far)
    b = below.variance + near.unforeseen()
    c = np.clip((above.variance + below.variance - difference.variance) / 2, -np.sqrt(a * b), np.sqrt(a * b))
    least = ratio(zero.least, np.sqrt(zero.variance), 0.0)
    square = np.maximum(scipy.stats.t.ppf(TAIL, zero.freedom), least) ** 2
    leading, middle, constant = base**2 - square * b, value * base - square * c, value**2 - square * a
    root = np.sqrt(np.maximum(middle**2 - leading * constant, 0))
    known = leading > 0
    low = np.where(known, ratio(middle - root, np.abs(leading), 0.0), 0.0)
    high = np.where(known, ratio(middle + root, np.abs(leading), np.inf), np.inf)
    return interval(at, low, high, "ratio after Fieller", bounds=(0.0, np.inf))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of several comparisons made at once, in the order given (Holm 1979)."""
    values = np.asarray(p_values, float)
    order = values.argsort()
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    return adjusted.tolist()


def _negative(groups: Sequence[Group]) -> list[Group]:
    return [Group(group.values, group.strata, -group.weight) for group in groups]


def _joined(groups: Sequence[Group]) -> tuple[Scores, list[str], Weights]:
    """All units side by side; strata of two groups are never one."""
    strata = [f"{number} {name}" for number, group in enumerate(groups) for name in group.strata]
    weights = np.concatenate([group.share() for group in groups])
    return np.concatenate([group.values for group in groups], -1), strata, weights


def _student(value: Batch, found: Spread, added: Batch, method: str, bounds: tuple[float, float]) -> Interval:
    """Student's t; variance that is added by assumption is not estimated, so it adds degrees of freedom."""
    freedom = found.freedom * ratio(found.variance + added, found.variance, np.inf) ** 2
    quantile = scipy.stats.t.ppf(TAIL, freedom)
    error = np.maximum(np.sqrt(found.variance + added), found.least / quantile)
    p_value = 2 * scipy.stats.t.sf(np.abs(value) / error, freedom)
    half = quantile * error
    return interval(value, value - half, value + half, method, bounds=bounds, p_value=p_value)
