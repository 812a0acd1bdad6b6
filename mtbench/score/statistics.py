"""Intervals that hold when one policy plays every task.

A multi-task policy's task scores rise and fall together with its training seed, and all seeds meet the same
initial states. Rows of the table are not independent: resampled as if they were, they give intervals a third
as wide as they should be. Here seeds are crossed with units (tasks within families or episodes within tasks),
and both are random. Arrays of scores are [..., seed, task] (success rates over a task's episodes) or
[..., seed, task, episode], in [0, 1]; leading axes are replicates. All intervals are nominal 95 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import scipy  # loads scipy.stats when it is first used, which takes a second
from jaxtyping import Float

_TAIL = 0.975
_Z = NormalDist().inv_cdf(_TAIL)

Plays = Float[np.ndarray, "*batch seed task episode"]
Scores = Float[np.ndarray, "*batch seed task"]
Families = Sequence[str] | np.ndarray
Batch = Float[np.ndarray, "*batch"] | float


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; arrays over the leading axes, scalars without any."""

    value: Batch
    low: Batch
    high: Batch
    method: str
    p_value: Batch | None = None
    """Two-sided, of a difference being zero."""


def wilson(mean: Batch, trials: Batch, quantile: Batch = _Z) -> Interval:
    """Score interval of a proportion; never of zero width (Wilson 1927).

    Args:
      mean: successes / trials.
      trials: how many independent ones; need not be whole, so that it may be an effective number.
      quantile: of the normal distribution, or of Student's t where a variance was estimated.
    """
    share = quantile**2 / trials
    centre = (mean + share / 2) / (1 + share)
    half = np.sqrt(share * mean * (1 - mean) + share**2 / 4) / (1 + share)
    return _interval(mean, centre - half, centre + half, "Wilson")


def task_intervals(values: Plays) -> Interval:
    """Success of each task, [..., task], averaged over seeds: Wilson with an effective number of episodes.

    A task's episodes are alike within a seed and, from one initial state, across seeds. Their design effect
    (variance over that of independent ones, Kish 1965) is pooled over tasks and divides the number of
    episodes (Dean & Pagano 2015). One seed: plain Wilson.
    """
    *_, seeds, _, episodes = values.shape
    mean, trials = values.mean((-3, -1)), seeds * episodes
    if seeds == 1:
        return wilson(mean, trials)
    if episodes == 1:
        return wilson(mean, 1)  # all seeds met one initial state
    seed, state = values.mean(-1), values.mean(-3)
    rest = values - seed[..., None] - state[..., None, :, :] + mean[..., None, :, None]
    both = (rest**2).sum((-3, -1)) / (seeds - 1) / (episodes - 1) / trials
    variance = seed.var(-2, ddof=1) / seeds + state.var(-1, ddof=1) / episodes - both
    binomial = (mean * (1 - mean) + variance).sum(-1)  # the second term removes the plug-in's bias
    effect = np.clip(_ratio(trials * variance.sum(-1), binomial, 1.0), 1, trials)
    return wilson(mean, trials / effect[..., None])


def suite_interval(values: Plays) -> Interval:
    """Score on exactly these tasks, from any initial states: of the training method, or of one artefact.

    Student's t over the means of the seeds, widened by the chance of the initial states that all seeds share.
    """
    strata = np.repeat(np.arange(values.shape[-2]), values.shape[-1])
    found = population_interval(values.reshape(*values.shape[:-2], -1), strata)
    method = "t over seeds" if values.shape[-3] > 1 else "episodes within tasks"
    return replace(found, method=method)


def population_interval(values: Scores, families: Families, assumed: Batch = 1.0) -> Interval:
    """Score on all tasks of these families, from a sample of tasks and one or more seeds.

    Two-way random effects, seeds crossed with tasks, tasks within families: Var = seed + task − both, with
    the degrees of freedom of Satterthwaite (1946). With one seed the claim is about that artefact. The
    interval has Wilson's form with the effective number of tasks n = p (1 − p) / Var (Korn & Graubard 1998).

    Args:
      values: [..., seed, task].
      families: of each task.
      assumed: `clustering` of a larger set of tasks, if these are a part of one.
    """
    mean = values.mean((-2, -1))
    inflation, freedom, least = _inflation(values, families, assumed)
    found = wilson(mean, values.shape[-1] / inflation, scipy.stats.t.ppf(_TAIL, freedom))
    low, high = np.minimum(found.low, mean - least), np.maximum(found.high, mean + least)
    method = "two-way random effects" if values.shape[-2] > 1 else "tasks within families"
    return _interval(mean, low, high, method)


def clustering(values: Scores, families: Families) -> Batch:
    """Variance of the mean, over what it were if each task were won or lost as a whole, at its family's rate.

    What families differ by is in neither: a family of its own has nothing to gain from it.
    """
    units, mixed = values.shape[-1], _mixed(values, families)
    variance, _, _ = _two_way([values], values.mean(-2), families, np.full(units, 1 / units))
    return _at_least(_ratio(variance, mixed / units**2, 0.0), 1.0, mixed)


def paired_difference(first: Scores, second: Scores, families: Families, assumed: Batch = 1.0) -> Interval:
    """Mean of `first` − `second` over all tasks of these families, played from the same initial states.

    From the spread of the tasks' differences and of each policy's seeds, as in `population_interval`. Where
    families differ wholly or not at all, the variance of two tasks is added (compare Agresti & Min 2005).

    Args:
      first: [..., seed, task].
      second: [..., seed, task], the same tasks and episodes; the seeds are its own.
      families: of each task.
      assumed: `clustering` of a larger set of tasks, if these are a part of one.
    """
    tasks, difference = first.shape[-1], first.mean(-2) - second.mean(-2)
    spread = _two_way([first, second], difference, families, np.full(tasks, 1 / tasks))
    added = 4 * assumed * np.exp(-_mixed(np.abs(difference)[..., None, :], families)) / (tasks + 2) ** 2
    return _difference(difference.mean(-1), spread, added, "paired by task")


def generalization_gap(near: Scores, far: Scores, near_families: Families, far_families: Families) -> Interval:
    """Mean of `near` − `far`: disjoint sets of tasks (splits) played by the same seeds.

    A seed's own level cancels, the spread of tasks in both sets, [..., seed, task], stays. Where families are
    near 0 or 1, the variance of two tasks in each set is added (compare Agresti & Caffo 2000).
    """
    count, other = near.shape[-1], far.shape[-1]
    weights = np.repeat([1 / count, -1 / other], [count, other])
    values = np.concatenate([near, far], -1)
    strata = [f"near {name}" for name in near_families] + [f"far {name}" for name in far_families]
    spread = _two_way([values], values.mean(-2), strata, weights)
    added = np.zeros(values.shape[:-2])
    for part, names in (near, near_families), (far, far_families):
        added = added + 4 * np.exp(-_mixed(part, names)) / (part.shape[-1] + 2) ** 2
    return _difference(values.mean(-2) @ weights, spread, added, "difference of splits")


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of several comparisons made at once, in the order given (Holm 1979)."""
    values = np.asarray(p_values, float)
    order = values.argsort()
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    return adjusted.tolist()


def quantile_over_tasks(values: Scores, quantile: float, episodes: int) -> Interval:
    """Quantile over tasks of the success averaged over seeds; 0.2 asks how the worst fifth fares.

    The interval is that of order statistics (Conover 1999, 3.2), for tasks drawn alike and for these seeds. A
    bound at a task that never (always) succeeded in its `episodes` for each seed is widened by Wilson's.
    """
    ordered = np.sort(values.mean(-2), -1)
    tasks, trials = ordered.shape[-1], values.shape[-2] * episodes
    low, high = scipy.stats.binom.ppf([1 - _TAIL, _TAIL], tasks, quantile).astype(int)
    # Ranks count from 1. With too few tasks a rank falls off the end: that side is unknown.
    below = ordered[..., low - 1] if low >= 1 else np.zeros(ordered.shape[:-1])
    above = ordered[..., high] if high < tasks else np.ones(ordered.shape[:-1])
    below, above = np.minimum(below, wilson(1.0, trials).low), np.maximum(above, wilson(0.0, trials).high)
    return _interval(np.quantile(ordered, quantile, axis=-1), below, above, "order statistics")


def fraction_solved(values: Scores, threshold: float, families: Families) -> Interval:
    """Share of (seed, task) pairs with an observed success rate of `threshold` or more."""
    return population_interval((values >= threshold).astype(float), families)


def iqm(values: Scores) -> Batch:
    """Interquartile mean of the seed × task scores: mean of the middle half (Agarwal et al. 2021, 4.2)."""
    return scipy.stats.trim_mean(values.reshape(*values.shape[:-2], -1), 0.25, axis=-1)


def performance_profile(
    values: Float[np.ndarray, "seed task"], thresholds: Float[np.ndarray, " point"]
) -> Float[np.ndarray, " point"]:
    """Share of seed × task scores at or above each threshold (Agarwal et al. 2021, 4.3, with ≥ for >)."""
    return (values.ravel() >= thresholds[:, None]).mean(-1)


def rliable_interval(values: Float[np.ndarray, "seed task"], resamples: int = 2000, seed: int = 0) -> Interval:
    """Interquartile mean with the stratified bootstrap of rliable (Agarwal et al. 2021), for older papers.

    Seeds are drawn anew for each task, as if each task had a policy of its own. A multi-task policy breaks
    that: nominal 95 % covers 30 to 40 %. One seed has no interval.
    """
    seeds, tasks = values.shape
    if seeds == 1:
        return Interval(iqm(values), np.nan, np.nan, "none")
    random, columns = np.random.default_rng(seed), np.arange(tasks)
    blocks = np.array_split(np.arange(resamples), 1 + resamples * values.size // 4_000_000)  # to save memory
    draws = [iqm(values[random.integers(seeds, size=(len(b), seeds, tasks)), columns]) for b in blocks]
    low, high = np.quantile(np.concatenate(draws), [1 - _TAIL, _TAIL])
    return Interval(iqm(values), low, high, "rliable bootstrap")


def _inflation(values: Scores, families: Families, assumed: Batch) -> tuple[Batch, Batch, Batch]:
    """Variance of the mean over that of independent units of one rate, its degrees of freedom, the least half-width."""
    units, mean = values.shape[-1], values.mean((-2, -1))
    weights = np.full(units, 1 / units)
    variance, freedom, least = _two_way([values], values.mean(-2), families, weights)
    observed = _ratio(variance, mean * (1 - mean) / units, 0.0)
    inflation = _at_least(observed, assumed, _mixed(values, families))
    # What is assumed has no uncertainty of estimation, so it adds degrees of freedom.
    return inflation, freedom * _ratio(inflation, observed, np.inf) ** 2, least


def _at_least(observed: Batch, assumed: Batch, mixed: Batch) -> Batch:
    """What was observed; where few units fail (or succeed) within a family, no less than what is assumed.

    The weight of the assumption is exp(−`mixed`), so that families all at 0 or 1 still have an interval.
    """
    return observed + np.maximum(assumed - observed, 0) * np.exp(-mixed)


def _mixed(values: Scores, families: Families) -> Batch:
    """Σ p (1 − p) over units, with p of their family: zero where each family is all at 0 or all at 1."""
    codes, counts = _strata(families, np.ones(len(families)))
    means = _sums(values.mean(-2), codes) / counts
    return (means * (1 - means)) @ counts


def _strata(families: Families, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of each unit's family, and the number of units of each family."""
    strata = np.asarray(families)
    if len(np.unique(strata)) == len(strata):
        strata = weights > 0  # one unit a family: counting in the families' spread is on the safe side
    _, codes, counts = np.unique(strata, return_inverse=True, return_counts=True)
    return codes, counts


def _sums(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Sum over the units of each family, [..., family]."""
    order = codes.argsort(kind="stable")
    return np.add.reduceat(values[..., order], np.flatnonzero(np.diff(codes[order], prepend=-1)), -1)


def _two_way(
    samples: Sequence[Scores],
    tasks: Float[np.ndarray, "*batch task"],
    families: Families,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variance of Σ weights · scores, its degrees of freedom, and the half-width of t over seeds alone.

    Satterthwaite overrates the degrees of freedom at two or three seeds: no interval is to be narrower than
    the last.

    Args:
      samples: scores of each independent set of seeds.
      tasks: what is averaged over the tasks, after averaging over seeds.
      families: of each task.
      weights: of each task, equal within a family.
    """
    codes, counts = _strata(families, weights)
    one = np.ones(tasks.shape[:-1])
    if counts.max() == 1:
        return one, one, one  # one task tells nothing of others
    squared, freedom = _sums(weights**2, codes), counts - 1
    own_or_pooled = np.where(freedom > 0, freedom, freedom.sum())  # a single task borrows the others' spread

    def within(scores: np.ndarray) -> np.ndarray:
        """Mean square of tasks within each family, [..., family]."""
        squares = _sums((scores - (_sums(scores, codes) / counts)[..., codes]) ** 2, codes)
        pooled = squares.sum(-1, keepdims=True) / freedom.sum()
        return np.where(freedom > 0, squares / np.maximum(freedom, 1), pooled)

    parts = squared * within(tasks)
    task, curvature, fewest = parts.sum(-1), (parts**2 / own_or_pooled).sum(-1), freedom.sum()
    seed, seed_curvature, both = 0 * one, 0 * one, 0 * one
    for values in samples:
        others = values.shape[-2] - 1
        if others:
            part = (values @ weights).var(-1, ddof=1) / (others + 1)
            seed, seed_curvature = seed + part, seed_curvature + part**2 / others
            # Chance in a (seed, task) cell is in both the seeds' and the tasks' spread: it is taken off once.
            residual = values - values.mean(-2, keepdims=True)
            parts = squared * within(residual).sum(-2) / others / (others + 1)
            both, curvature = both + parts.sum(-1), curvature + (parts**2 / own_or_pooled).sum(-1) / others
            fewest = min(fewest, others)
    variance = np.maximum(seed + task - both, np.maximum(seed, task))
    degrees = np.maximum(_ratio(variance**2, curvature + seed_curvature, np.inf), fewest)
    return (
        variance,
        degrees,
        scipy.stats.t.ppf(_TAIL, _ratio(seed**2, seed_curvature, np.inf)) * np.sqrt(seed),
    )


def _difference(value: Batch, spread: tuple[Batch, Batch, Batch], added: Batch, method: str) -> Interval:
    """Student's t; variance that is added by assumption is not estimated, so it adds degrees of freedom."""
    variance, freedom, least = spread
    freedom = freedom * _ratio(variance + added, variance, np.inf) ** 2
    quantile = scipy.stats.t.ppf(_TAIL, freedom)
    error = np.maximum(np.sqrt(variance + added), least / quantile)
    p_value = 2 * scipy.stats.t.sf(np.abs(value) / error, freedom)
    half = quantile * error
    return _interval(value, value - half, value + half, method, floor=-1.0, p_value=p_value)


def _interval(
    value: Batch, low: Batch, high: Batch, method: str, *, floor: float = 0.0, p_value: Batch | None = None
) -> Interval:
    """Clips the bounds; rounding may have put one a hair inside the estimate."""
    low, high = np.minimum(low, value), np.maximum(high, value)
    return Interval(value, np.clip(low, floor, 1), np.clip(high, floor, 1), method, p_value)


def _ratio(numerator: Batch, denominator: Batch, otherwise: float) -> np.ndarray:
    """The quotient, and `otherwise` where there is no spread to divide by."""
    tiny = np.asarray(denominator) <= 1e-30
    return np.where(tiny, otherwise, numerator / np.where(tiny, 1.0, denominator))
