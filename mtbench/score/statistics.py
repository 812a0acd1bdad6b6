"""Intervals that hold when one policy plays every task.

A multi-task policy's task scores rise and fall together with its training seed, so rows of the table are not
independent, and resampling them as if they were gives intervals a third as wide as they should be. The units
here are training seeds and tasks. Arrays of scores are [..., seed, task] with values in [0, 1] (success rates
over a task's episodes); leading axes are replicates. All intervals are nominal 95 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

LEVEL = 0.95
_TAIL = (1 + LEVEL) / 2
_Z = float(stats.norm.ppf(_TAIL))

Scores = Float[np.ndarray, "*batch seed task"]
Batch = Float[np.ndarray, "*batch"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; arrays over the leading axes, scalars without any."""

    value: Batch
    low: Batch
    high: Batch
    method: str
    p_value: Batch | None = None
    """Two-sided, of a difference being zero."""


def wilson(mean: Batch, trials: Batch | float, quantile: Batch | float = _Z) -> Interval:
    """Score interval of a proportion; never of zero width (Wilson 1927).

    Args:
      mean: successes / trials.
      trials: how many independent ones; need not be whole, so that it may be an effective number.
      quantile: of the normal distribution, or of Student's t where a variance was estimated.
    """
    share = quantile**2 / trials
    centre = (mean + share / 2) / (1 + share)
    half = np.sqrt(share * mean * (1 - mean) + share**2 / 4) / (1 + share)
    return _clipped(mean, centre - half, centre + half, 0.0, "Wilson")


def task_intervals(values: Scores, episodes: int) -> Interval:
    """Success of each task, [..., task], averaged over seeds: Wilson with an effective number of episodes.

    A task's episodes are alike within a seed. Their design effect (variance over that of independent ones, Kish
    1965) is pooled over tasks, and divides the number of episodes (Dean & Pagano 2015). One seed: plain Wilson.
    """
    mean, seeds = values.mean(-2), values.shape[-2]
    effect = np.ones(values.shape[:-2])
    if seeds > 1:
        between = values.var(-2, ddof=1).sum(-1)
        binomial = (mean * (1 - mean)).sum(-1) + between / seeds  # the second term removes the plug-in's bias
        effect = np.clip(_ratio(episodes * between, binomial, 1.0), 1.0, episodes)
    return wilson(mean, seeds * episodes / effect[..., None])


def suite_interval(values: Scores, episodes: int) -> Interval:
    """Score of the training method on exactly these tasks: Student's t over the means of two or more seeds.

    It is never narrower than Wilson's interval of all episodes, so that equal seeds do not give zero width.
    """
    per_seed = values.mean(-1)
    seeds = per_seed.shape[-1]
    if seeds < 2:
        raise ValueError("a suite interval needs two or more seeds; population_interval takes one")
    mean = per_seed.mean(-1)
    half = _half_width_over_seeds(values)
    floor = wilson(mean, seeds * values.shape[-1] * episodes)
    return _clipped(mean, np.minimum(mean - half, floor.low), np.maximum(mean + half, floor.high), 0.0, "t over seeds")


def population_interval(values: Scores, families: Sequence[str]) -> Interval:
    """Score on all tasks of these families, from a sample of tasks and one or more seeds.

    Two-way random effects, seeds crossed with tasks, tasks within families: Var = seed + task − both, with the
    degrees of freedom of Satterthwaite (1946). With one seed the claim is about that artefact. The interval has
    Wilson's form with the effective number of tasks n = p (1 − p) / Var (Korn & Graubard 1998). Few failures (or
    successes) say little about how they cluster, so n is drawn towards the number of tasks, as if each task were
    won or lost as a whole, with a weight exp(−n_tasks · p (1 − p)): tasks all at 1 still have an interval. It is
    never narrower than Student's t over seeds, whose degrees of freedom Satterthwaite overrates at two or three.
    """
    tasks = values.shape[-1]
    mean = values.mean((-2, -1))
    variance, freedom = _two_way([values], values.mean(-2), families, np.full(tasks, 1 / tasks))
    bernoulli = mean * (1 - mean) / tasks
    inflation = _ratio(variance, bernoulli, 1.0)
    inflation += np.maximum(1 - inflation, 0) * np.exp(-(tasks**2) * bernoulli)
    found = wilson(mean, tasks / inflation, stats.t.ppf(_TAIL, freedom))
    if values.shape[-2] == 1:
        return Interval(found.value, found.low, found.high, "tasks within families")
    half = _half_width_over_seeds(values)
    return _clipped(
        mean, np.minimum(found.low, mean - half), np.maximum(found.high, mean + half), 0.0, "two-way random effects"
    )


def paired_difference(first: Scores, second: Scores, families: Sequence[str]) -> Interval:
    """Mean of `first` − `second` over tasks of these families, played from the same initial states.

    Args:
      first: [..., seed, task].
      second: [..., seed, task], the same tasks and episodes; the seeds are its own.
      families: of each task.

    The spread of the tasks' differences and that of each policy's seeds, two-way as in `population_interval`; half
    a task lost and half a task won are added to the variance (Agresti & Min 2005), so that it is never zero.
    """
    tasks = first.shape[-1]
    difference = first.mean(-2) - second.mean(-2)
    variance, freedom = _two_way([first, second], difference, families, np.full(tasks, 1 / tasks))
    return _difference(difference.mean(-1), variance + (tasks + 2.0) ** -2, freedom, "paired by task")


def generalization_gap(
    near: Scores, far: Scores, near_families: Sequence[str], far_families: Sequence[str]
) -> Interval:
    """Mean of `near` − `far`: two disjoint sets of tasks (splits) played by the same seeds, [..., seed, task] each.

    A seed's level cancels, the spread of the tasks of both sets stays; smoothed as by Agresti & Caffo (2000).
    """
    count, other = near.shape[-1], far.shape[-1]
    weights = np.repeat([1 / count, -1 / other], [count, other])
    values = np.concatenate([near, far], -1)
    strata = [f"near {name}" for name in near_families] + [f"far {name}" for name in far_families]
    variance, freedom = _two_way([values], values.mean(-2), strata, weights)
    variance = variance + (count + 2.0) ** -2 + (other + 2.0) ** -2
    return _difference(values.mean(-2) @ weights, variance, freedom, "difference of splits")


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of several comparisons made at once, in the order given (Holm 1979)."""
    values = np.asarray(p_values, float)
    order = values.argsort()
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted.tolist()


def quantile_over_tasks(values: Scores, quantile: float) -> Interval:
    """Quantile over tasks of the success averaged over seeds; 0.2 asks how the worst fifth fares.

    The interval is that of order statistics (Conover 1999, 3.2): it holds for tasks drawn alike and for these seeds.
    """
    ordered = np.sort(values.mean(-2), -1)
    tasks = ordered.shape[-1]
    low, high = stats.binom.ppf([1 - _TAIL, _TAIL], tasks, quantile).astype(int)
    # Ranks count from 1. With too few tasks a rank falls off the end: that side is unknown.
    below = ordered[..., low - 1] if low >= 1 else np.zeros(ordered.shape[:-1])
    above = ordered[..., high] if high < tasks else np.ones(ordered.shape[:-1])
    return _clipped(np.quantile(ordered, quantile, axis=-1), below, above, 0.0, "order statistics")


def fraction_solved(values: Scores, threshold: float, families: Sequence[str]) -> Interval:
    """Share of (seed, task) pairs with an observed success rate of `threshold` or more."""
    return population_interval((values >= threshold).astype(float), families)


def iqm(values: Scores) -> Batch:
    """Interquartile mean of the seed × task scores: the mean of the middle half (Agarwal et al. 2021, section 4.2)."""
    return stats.trim_mean(values.reshape(*values.shape[:-2], -1), 0.25, axis=-1)


def performance_profile(
    values: Float[np.ndarray, "seed task"], thresholds: Float[np.ndarray, " point"]
) -> Float[np.ndarray, " point"]:
    """Share of seed × task scores at or above each threshold (Agarwal et al. 2021, section 4.3, with ≥ for >)."""
    return (values.ravel() >= np.asarray(thresholds)[:, None]).mean(-1)


def rliable_interval(values: Float[np.ndarray, "seed task"], resamples: int = 2000, seed: int = 0) -> Interval:
    """Interquartile mean with the stratified bootstrap of rliable (Agarwal et al. 2021), for older papers.

    Seeds are drawn anew for each task, which assumes one policy per task. A multi-task policy breaks that: nominal
    95 % covers 30 to 40 %.
    """
    seeds, tasks = values.shape
    if seeds == 1:
        return Interval(iqm(values), np.nan, np.nan, "none: one seed")
    rows = np.random.default_rng(seed).integers(seeds, size=(resamples, seeds, tasks))
    draws = iqm(values[rows, np.arange(tasks)])
    low, high = np.quantile(draws, [1 - _TAIL, _TAIL])
    return Interval(iqm(values), low, high, "rliable bootstrap")


def _two_way(
    samples: list[Scores], tasks: Float[np.ndarray, "*batch task"], families: Sequence[str], weights: np.ndarray
) -> tuple[Batch, Batch]:
    """Variance of Σ weights · scores and its degrees of freedom; weights are equal within a family.

    Args:
      samples: scores of each set of seeds.
      tasks: what is averaged over the tasks, after averaging over seeds.
      families: of each task.
      weights: of each task.
    """
    strata = np.asarray(families)
    if len(set(families)) == len(strata):
        strata = weights > 0  # one task a family: the families' spread is counted in, which is on the safe side
    _, codes, counts = np.unique(strata, return_inverse=True, return_counts=True)
    member = np.eye(len(counts))[codes]
    squared = weights**2 @ member
    freedom = counts - 1
    if not freedom.sum():
        return np.ones(tasks.shape[:-1]), np.ones(tasks.shape[:-1])  # one task tells nothing of others
    # A family with one task borrows the spread of the others.
    own_or_pooled = np.where(freedom > 0, freedom, freedom.sum())

    def within(scores: np.ndarray) -> np.ndarray:
        """Mean square of tasks within each family, [..., family]."""
        squares = (scores - (scores @ member / counts)[..., codes]) ** 2 @ member
        pooled = squares.sum(-1, keepdims=True) / freedom.sum()
        return np.where(freedom > 0, squares / np.maximum(freedom, 1), pooled)

    parts = squared * within(tasks)
    task, curvature = parts.sum(-1), (parts**2 / own_or_pooled).sum(-1)
    seed, both, least = np.zeros_like(task), np.zeros_like(task), float(freedom.sum())
    for values in samples:
        seeds = values.shape[-2]
        if seeds > 1:
            part = (values @ weights).var(-1, ddof=1) / seeds
            seed, curvature = seed + part, curvature + part**2 / (seeds - 1)
            # Chance in a (seed, task) cell is in both the seeds' and the tasks' spread: it is taken off once.
            residual = values - values.mean(-2, keepdims=True)
            parts = squared * within(residual).sum(-2) / (seeds - 1) / seeds
            both = both + parts.sum(-1)
            curvature = curvature + (parts**2 / own_or_pooled).sum(-1) / (seeds - 1)
            least = min(least, seeds - 1)
    variance = np.maximum(seed + task - both, np.maximum(seed, task))
    return variance, np.maximum(_ratio(variance**2, curvature, float(freedom.sum())), least)


def _difference(value: Batch, variance: Batch, freedom: Batch, method: str) -> Interval:
    error = np.sqrt(variance)
    half = stats.t.ppf(_TAIL, freedom) * error
    return _clipped(value, value - half, value + half, -1.0, method, 2 * stats.t.sf(np.abs(value) / error, freedom))


def _clipped(value: Batch, low: Batch, high: Batch, least: float, method: str, p: Batch | None = None) -> Interval:
    """Rounding may put a bound a hair inside the estimate; it is put back."""
    return Interval(
        value, np.clip(np.minimum(low, value), least, 1), np.clip(np.maximum(high, value), least, 1), method, p
    )


def _ratio(numerator: np.ndarray, denominator: np.ndarray, otherwise: float) -> np.ndarray:
    """The quotient, and `otherwise` where both are zero for want of spread."""
    tiny = denominator <= 1e-30
    return np.where(tiny, otherwise, numerator / np.where(tiny, 1.0, denominator))


def _half_width_over_seeds(values: Scores) -> Batch:
    seeds = values.shape[-2]
    return stats.t.ppf(_TAIL, seeds - 1) * stats.sem(values.mean(-1), axis=-1)
