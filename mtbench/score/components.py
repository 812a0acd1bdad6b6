"""Variance components of scores in which seeds are crossed with units, and units lie in strata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # loads scipy.stats when it is first used, which takes a second
from jaxtyping import Float

TAIL = 0.975

Plays = Float[np.ndarray, "*batch seed task episode"]
Scores = Float[np.ndarray, "*batch seed unit"]
Strata = Sequence[str] | np.ndarray
Weights = Float[np.ndarray, " unit"]
Batch = Float[np.ndarray, "*batch"] | float


@dataclass(frozen=True)
class Spread:
    """How uncertain a weighted sum of scores is."""

    variance: np.ndarray
    freedom: np.ndarray
    """Degrees of freedom of the variance."""
    least: np.ndarray
    """Half-width of Student's t over seeds alone: Satterthwaite overrates the degrees of freedom at two or three seeds,
    and no interval is to be narrower than this."""


def spread(
    samples: Sequence[Scores], units: Float[np.ndarray, "*batch unit"], strata: Strata, weights: Weights
) -> Spread:
    """Of Σ weights · scores, by two-way random effects: Var = seed + unit − both (Satterthwaite 1946).

    Args:
      samples: scores of each independent set of seeds.
      units: what is averaged over the units, after averaging over seeds.
      strata: of each unit.
      weights: of each unit, equal within a stratum.
    """
    codes, counts = coded(strata, weights)
    one = np.ones(units.shape[:-1])
    if counts.max() == 1:
        return Spread(one, one, one)  # one unit tells nothing of others
    squared, freedom = sums(weights**2, codes), counts - 1
    own_or_pooled = np.where(freedom > 0, freedom, freedom.sum())  # a single unit borrows the others' spread

    def within(scores: np.ndarray) -> np.ndarray:
        """Mean square of units within each stratum, [..., stratum]."""
        squares = sums((scores - (sums(scores, codes) / counts)[..., codes]) ** 2, codes)
        pooled = squares.sum(-1, keepdims=True) / freedom.sum()
        return np.where(freedom > 0, squares / np.maximum(freedom, 1), pooled)

    parts = squared * within(units)
    unit, curvature, fewest = parts.sum(-1), (parts**2 / own_or_pooled).sum(-1), freedom.sum()
    seed, seed_curvature, both = 0 * one, 0 * one, 0 * one
    for values in samples:
        others = values.shape[-2] - 1
        if others:
            part = (values @ weights).var(-1, ddof=1) / (others + 1)
            seed, seed_curvature = seed + part, seed_curvature + part**2 / others
            # Chance in a (seed, unit) cell is in both the seeds' and the units' spread: it is taken off once.
            residual = values - values.mean(-2, keepdims=True)
            parts = squared * within(residual).sum(-2) / others / (others + 1)
            both, curvature = both + parts.sum(-1), curvature + (parts**2 / own_or_pooled).sum(-1) / others
            fewest = min(fewest, others)
    variance = np.maximum(seed + unit - both, np.maximum(seed, unit))
    degrees = np.maximum(ratio(variance**2, curvature + seed_curvature, np.inf), fewest)
    least = scipy.stats.t.ppf(TAIL, ratio(seed**2, seed_curvature, np.inf)) * np.sqrt(seed)
    return Spread(variance, degrees, least)


def mixed(values: Scores, strata: Strata, weights: Weights | None = None) -> Batch:
    """Σ p (1 − p) over units, with p of their stratum: zero where each stratum is all at 0 or all at 1.

    With weights, units count in proportion to their squares, and as many of them as `effective` says.
    """
    count = len(strata)
    weights = np.full(count, 1 / count) if weights is None else weights
    codes, counts = coded(strata, np.ones(count))
    means = sums(values.mean(-2), codes) / counts
    squares = weights**2 / (weights**2).sum()
    return effective(weights) * (means * (1 - means)) @ sums(squares, codes)


def effective(weights: Weights) -> float:
    """How many equally weighted units give a mean of the same variance (Kish 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def coded(strata: Strata, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of each unit's stratum, and the number of units of each stratum."""
    names = np.asarray(strata)
    if len(np.unique(names)) == len(names):
        # One unit a stratum: counting in the strata's spread is on the safe side.
        names = weights
    _, codes, counts = np.unique(names, return_inverse=True, return_counts=True)
    return codes, counts


def sums(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Sum over the units of each stratum, [..., stratum]."""
    order = codes.argsort(kind="stable")
    return np.add.reduceat(values[..., order], np.flatnonzero(np.diff(codes[order], prepend=-1)), -1)


def at_least(observed: Batch, assumed: Batch, mixture: Batch) -> Batch:
    """What was observed; where few units fail (or succeed) within a stratum, no less than what is assumed.

    The weight of the assumption is exp(−`mixture`), so that strata all at 0 or 1 still have an interval.
    """
    return observed + np.maximum(assumed - observed, 0) * np.exp(-mixture)


def ratio(numerator: Batch, denominator: Batch, otherwise: float) -> np.ndarray:
    """The quotient, and `otherwise` where there is no spread to divide by."""
    tiny = np.asarray(denominator) <= 1e-30
    return np.where(tiny, otherwise, numerator / np.where(tiny, 1.0, denominator))
