"""Intervals that hold when one policy plays every task.

A multi-task policy's task scores rise and fall together with its training seed, and all seeds meet the same
initial states. Rows of the table are not independent: resampled as if they were, they give intervals a third
as wide as they should be. Here seeds are crossed with units (tasks within families or episodes within tasks),
and both are random. Arrays of scores are [..., seed, task] (success rates over a task's episodes) or
[..., seed, task, episode], in [0, 1]; leading axes are replicates. All intervals are nominal 95 %.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import scipy  # loads scipy.stats when it is first used, which takes a second
from jaxtyping import Float

from .components import TAIL, Batch, Plays, Scores, Strata, Weights, at_least, effective, mixed, ratio, spread

_Z = NormalDist().inv_cdf(TAIL)


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
    return interval(mean, centre - half, centre + half, "Wilson")


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
    effect = np.clip(ratio(trials * variance.sum(-1), binomial, 1.0), 1, trials)
    return wilson(mean, trials / effect[..., None])


def suite_interval(values: Plays) -> Interval:
    """Score on exactly these tasks, from any initial states: of the training method, or of one artefact.

    Student's t over the means of the seeds, widened by the chance of the initial states that all seeds share.
    """
    strata = np.repeat(np.arange(values.shape[-2]), values.shape[-1])
    found = population_interval(values.reshape(*values.shape[:-2], -1), strata)
    method = "t over seeds" if values.shape[-3] > 1 else "episodes within tasks"
    return replace(found, method=method)


def population_interval(
    values: Scores, strata: Strata, assumed: Batch = 1.0, weights: Weights | None = None
) -> Interval:
    """Score on all units of these strata, from a sample of units and one or more seeds.

    Two-way random effects, seeds crossed with tasks, tasks within families: Var = seed + task − both, with
    the degrees of freedom of Satterthwaite (1946). With one seed the claim is about that artefact. The
    interval has Wilson's form with the effective number of tasks n = p (1 − p) / Var (Korn & Graubard 1998).

    Args:
      values: [..., seed, unit].
      strata: of each unit: the families of tasks, the tasks of episodes.
      assumed: `clustering` of a larger set of units, if these are a part of one.
      weights: of each unit, equal within a stratum and 1 in all; by default the same for all.
    """
    weights = _equal(values) if weights is None else weights
    scores, count = values.mean(-2), effective(weights)
    mean, found = scores @ weights, spread([values], scores, strata, weights)
    # Variance of the mean over that of independent units of one rate.
    observed = ratio(found.variance, mean * (1 - mean) / count, 0.0)
    inflation = at_least(observed, assumed, mixed(values, strata, weights))
    # What is assumed has no uncertainty of estimation, so it adds degrees of freedom.
    freedom = found.freedom * ratio(inflation, observed, np.inf) ** 2
    bounds = wilson(mean, count / inflation, scipy.stats.t.ppf(TAIL, freedom))
    low, high = np.minimum(bounds.low, mean - found.least), np.maximum(bounds.high, mean + found.least)
    method = "two-way random effects" if values.shape[-2] > 1 else "tasks within families"
    return interval(mean, low, high, method)


def clustering(values: Scores, strata: Strata, weights: Weights | None = None) -> Batch:
    """Variance of the mean, over what it were if each task were won or lost as a whole, at its family's rate.

    What families differ by is in neither: a family of its own has nothing to gain from it.
    """
    weights = _equal(values) if weights is None else weights
    mixture = mixed(values, strata, weights)
    found = spread([values], values.mean(-2), strata, weights)
    return at_least(ratio(found.variance, mixture / effective(weights) ** 2, 0.0), 1.0, mixture)


def quantile_over_tasks(values: Scores, quantile: float, episodes: int) -> Interval:
    """Quantile over tasks of the success averaged over seeds; 0.2 asks how the worst fifth fares.

    The interval is that of order statistics (Conover 1999, 3.2), for tasks drawn alike and for these seeds. A
    bound at a task that never (always) succeeded in its `episodes` for each seed is widened by Wilson's.
    """
    ordered = np.sort(values.mean(-2), -1)
    tasks, trials = ordered.shape[-1], values.shape[-2] * episodes
    low, high = scipy.stats.binom.ppf([1 - TAIL, TAIL], tasks, quantile).astype(int)
    # Ranks count from 1. With too few tasks a rank falls off the end: that side is unknown.
    below = ordered[..., low - 1] if low >= 1 else np.zeros(ordered.shape[:-1])
    above = ordered[..., high] if high < tasks else np.ones(ordered.shape[:-1])
    below, above = np.minimum(below, wilson(1.0, trials).low), np.maximum(above, wilson(0.0, trials).high)
    return interval(np.quantile(ordered, quantile, axis=-1), below, above, "order statistics")


def fraction_solved(values: Scores, threshold: float, families: Strata) -> Interval:
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
    low, high = np.quantile(np.concatenate(draws), [1 - TAIL, TAIL])
    return Interval(iqm(values), low, high, "rliable bootstrap")


def interval(
    value: Batch,
    low: Batch,
    high: Batch,
    method: str,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    p_value: Batch | None = None,
) -> Interval:
    """Clips to the bounds; rounding may have put an end a hair inside the estimate, which may be unknown."""
    value = np.clip(value, *bounds)
    low, high = np.fmin(low, value), np.fmax(high, value)
    return Interval(value, np.clip(low, *bounds), np.clip(high, *bounds), method, p_value)


def _equal(values: Scores) -> Weights:
    return np.full(values.shape[-1], 1 / values.shape[-1])
