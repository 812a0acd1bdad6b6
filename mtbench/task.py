"""Tasks are data: a row of arrays; a family is a named generator of rows."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from . import registry
from .errors import UsageError, unknown_name
from .region import WHOLE, Intervals, Region

PyTree = Any

LATTICE = 1000
"""Factors are drawn from this many equal steps of their range, so that a row has the same digits on every machine."""

_CANDIDATES, _ROUNDS = 32, 4
"""A task is the first of these many draws that its family accepts: enough where it rejects four in five."""


class TaskId(NamedTuple):
    """Names one task for ever: a family, its version, the seed of the draw, and what it is drawn from."""

    family: str
    version: int
    seed: int
    region: Region = WHOLE

    def __str__(self) -> str:
        name = f"{self.family}/{self.version}/{self.seed}"
        return name if self.region == WHOLE else f"{name}/{self.region.fingerprint}"


@struct.dataclass
class Task:
    """One task, or many with a leading axis: an indexable pytree."""

    scene: PyTree
    """Causes only: what each slot looks like and weighs, where it stands. The arena's own structure."""
    initial: PyTree
    """Distribution of the initial state. The arena's own structure."""
    goal: PyTree
    """What is to be reached, and what the arena needs to play and judge it. The arena's own structure."""
    family: Any
    """Index of the family in its suite, int32; what a family builds says 0."""


class Deviations:
    """Base of a part of a row that says how a task deviates from its arena's own setting.

    The class without arguments is no deviation. What deviates in no row of a table is left out of the table's digest:
    so an arena can learn to vary one thing more, and what was frozen before keeps its digest.
    """


@dataclass(frozen=True)
class Factor:
    """A named cause of variation, uniform over [low, high]."""

    name: str
    low: float
    high: float
    unit: str
    meaning: str
    levels: tuple[str, ...] = ()
    """What the values 0, 1, … stand for, if the factor is a choice: `low` is 0 then, and `high` the last of them."""

    @property
    def intervals(self) -> Intervals:
        """What it is drawn from."""
        return tuple((float(k), float(k)) for k in range(len(self.levels))) or ((self.low, self.high),)

    def told(self, value: float) -> float | str:
        """A value, or the level that it stands for."""
        return self.levels[round(value)] if self.levels else value


@dataclass(frozen=True, eq=False)
class Family:
    """A named generator of tasks for one arena."""

    name: str
    arena: str
    version: int
    description: str
    """A task in plain words; `{factor}` stands for a factor's value, or the level that it stands for."""
    factors: tuple[Factor, ...]
    build: Callable[[Mapping[str, Any]], Task]
    """Factor values of one task to its row; traceable."""
    accept: Callable[[Mapping[str, Any]], Array] | None = None
    """Whether a draw is kept, e.g. a least distance from object to goal; `None` keeps all."""
    expert: PyTree = None
    """A solution in the arena's terms, a script or the name of a trained oracle; `None` if there is none."""
    base: str | None = None
    """The family that this one varies further, if it is such a one."""

    def samples(self, seeds: Int[ArrayLike, " task"], region: Region = WHOLE) -> dict[str, Float[np.ndarray, " task"]]:
        """Factor values of the tasks with these seeds: the same for ever, whatever else is registered."""
        name, seeds = np.uint32(zlib.crc32(self.name.encode())), np.asarray(seeds)
        steps = np.asarray(_steps(name, self.version, seeds, len(self.factors)))
        boxes = [dict(one.within) for one in region.alternatives]
        turn = seeds % len(boxes)
        draws = {
            factor.name: _spread([box.get(factor.name, factor.intervals) for box in boxes], turn, steps[:, :, i])
            for i, factor in enumerate(self.factors)
        }
        # A draw lies in its alternative as it is: what is left to ask is quick.
        accepted = np.broadcast_to(Region(withheld=region.withheld).contains(draws), steps.shape[:2])
        if self.accept is not None:
            accepted = accepted & np.asarray(jax.vmap(jax.vmap(self.accept))(draws))
        chosen = accepted.argmax(1)
        return {name: values[np.arange(len(chosen)), chosen] for name, values in draws.items()}

    def accepts(self, factors: Mapping[str, Any], region: Region = WHOLE) -> Bool[Array, ""]:
        """Whether factor values make a task of this family that lies in a region."""
        return jnp.logical_and(region.contains(factors), True if self.accept is None else self.accept(factors))

    def sample(self, seed: int, region: Region = WHOLE) -> dict[str, Float[Array, ""]]:
        """Factor values of the task with this seed."""
        return {name: jnp.asarray(values[0]) for name, values in self.samples(np.array([seed]), region).items()}

    def task(self, seed: int, region: Region = WHOLE) -> Task:
        """The row of the task with this seed."""
        return self.build(self.sample(seed, region))

    def tasks(self, seeds: Int[ArrayLike, " task"], region: Region = WHOLE) -> Task:
        """The rows [task, …] of the tasks with these seeds."""
        return jax.vmap(self.build)(self.samples(seeds, region))

    def check(self, region: Region) -> None:
        """Makes sure that a region lies in the family's factor space.

        Raises:
          UsageError: a factor is unknown, or an interval leaves its range.
        """
        factors = {factor.name: factor for factor in self.factors}
        for name, intervals in (entry for box in region.boxes for entry in box):
            if name not in factors:
                raise unknown_name(f"factor of {self.name}", name, factors)
            whole = factors[name]
            for low, high in intervals:
                if not whole.low <= low <= high <= whole.high:
                    raise UsageError(
                        f"{self.name}: {name} = {low if low == high else [low, high]}: expected within "
                        f"[{whole.low}, {whole.high}] {whole.unit}".rstrip()
                    )

    def with_factors(self, seed: int, overrides: Mapping[str, float], region: Region = WHOLE) -> Task:
        """The row of a seed with some factors set by hand, also outside the region that the others are drawn from.

        Raises:
          UsageError: a factor is unknown or its value is outside its range, or all values together make no task.
        """
        self.check(Region.of(overrides))
        values = {**self.sample(seed, region), **{k: jnp.float32(v) for k, v in overrides.items()}}
        told = f"{self.name} with {', '.join(f'{name} = {value:g}' for name, value in overrides.items())}"
        if not self.accepts(values):
            raise UsageError(
                f"{told}: no task together with the other factors of seed {seed} (too near to its goal, say): choose "
                "other values, or another seed"
            )
        row = self.build(values)
        registry.arena(self.arena).check(jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], row), [told])
        return row

    def describe(self, seed: int) -> str:
        """The sentence of the task with this seed."""
        values = self.sample(seed)
        return self.description.format(**{f.name: f.told(float(values[f.name])) for f in self.factors})

    def midpoint(self) -> dict[str, float]:
        """Every factor at the middle of its range."""
        return {f.name: (f.low + f.high) / 2 for f in self.factors}


@partial(jax.jit, static_argnums=3)
def _steps(name: ArrayLike, version: int, seeds: ArrayLike, factors: int) -> Int[Array, "task candidate factor"]:
    """Lattice steps of every factor of every candidate: one program for all families with as many factors."""
    key = jax.random.fold_in(jax.random.key(name), version)

    def draw(seed):
        own = jax.random.fold_in(key, seed)
        keys = [own, *(jax.random.fold_in(own, number) for number in range(1, _ROUNDS))]
        rounds = [jax.random.randint(k, (_CANDIDATES, factors), 0, LATTICE + 1) for k in keys]
        return jnp.concatenate(rounds)

    # Not `vmap`: that takes twice as long to compile, and the draws are few.
    return jax.lax.map(draw, seeds)


def _spread(
    alternatives: Sequence[Intervals], turn: Int[np.ndarray, " task"], steps: Int[np.ndarray, "task n"]
) -> Float[np.ndarray, "task n"]:
    """Lattice steps as values, uniform over a union of intervals, or over single values; each task has its own."""
    # Times the inverse, which differs from a division in the last bit: rows have been frozen with it.
    share = steps.astype(np.float32) * (np.float32(1.0) / np.float32(LATTICE))
    if len(different := list(dict.fromkeys(alternatives))) == 1:
        return _spread_alike(different[0], share)
    found = np.stack([_spread_alike(intervals, share) for intervals in different])
    which = np.array([different.index(intervals) for intervals in alternatives])[turn]
    return found[which, np.arange(len(which))]


def _spread_alike(intervals: Intervals, share: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    lows, highs = np.array(intervals, np.float32).T
    if len(intervals) == 1:
        ((low, high),) = intervals
        return np.float32(low) + np.float32(high - low) * share
    ends = np.cumsum(highs - lows)
    if ends[-1] == 0.0:
        return lows[np.minimum((share * np.float32(len(lows))).astype(int), len(lows) - 1)]
    place = share * ends[-1]
    which = (place[..., None] > ends[:-1]).sum(-1)
    return np.minimum((lows - ends + (highs - lows))[which] + place, highs[which])


def digest(tasks: Task, decimals: int = 5) -> str:
    """Fingerprint of rows: every number of every leaf, rounded, so that it survives another machine's last bit.

    Left out are the leaves of `Deviations` that deviate in no row.
    """
    import hashlib

    state = hashlib.sha256()
    for name, numbers in sorted(_told(tasks, decimals)):
        state.update(f"{name}{numbers.shape}".encode())
        state.update(numbers.tobytes())
    return state.hexdigest()[:16]


def _told(tasks: Task, decimals: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names and rounded numbers of the leaves that a digest is over."""

    def rounded(leaf: ArrayLike) -> np.ndarray:
        return np.rint(np.asarray(leaf, np.float64) * 10**decimals).astype(np.int64)

    def is_part(node: Any) -> bool:
        return isinstance(node, Deviations)

    for path, node in jax.tree_util.tree_leaves_with_path(tasks, is_leaf=is_part):
        leaves = jax.tree_util.tree_leaves_with_path(node)
        none = map(rounded, jax.tree.leaves(type(node)())) if is_part(node) else [None]
        for (below, leaf), neutral in zip(leaves, none, strict=True):
            numbers = rounded(leaf)
            if neutral is None or (numbers != neutral).any():
                yield jax.tree_util.keystr((*path, *below)), numbers
