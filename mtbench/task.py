"""Tasks are data: a row of arrays; a family is a named generator of rows."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from .errors import UsageError, unknown_name

PyTree = Any

LATTICE = 1000
"""Factors are drawn from this many equal steps of their range, so that a row has the same digits on every machine."""

_CANDIDATES = 32


class TaskId(NamedTuple):
    """Names one task for ever: a family, its version, and the seed of the draw."""

    family: str
    version: int
    seed: int

    def __str__(self) -> str:
        return f"{self.family}/{self.version}/{self.seed}"


@struct.dataclass
class Task:
    """One task, or many with a leading axis: an indexable pytree."""

    scene: PyTree
    """Causes only: what each slot looks like and weighs, where it stands. The arena's own structure."""
    initial: PyTree
    """Distribution of the initial state. The arena's own structure."""
    goal: PyTree
    """What is to be reached, and what the arena needs to judge it. The arena's own structure."""
    family: Int[Array, ""]
    """Index of the family in its suite."""


@dataclass(frozen=True)
class Factor:
    """A named cause of variation, uniform over [low, high]."""

    name: str
    low: float
    high: float
    unit: str
    meaning: str


@dataclass(frozen=True)
class Family:
    """A named generator of tasks for one arena."""

    name: str
    arena: str
    version: int
    description: str
    """One plain sentence about a task; `{factor}` stands for a factor's value."""
    factors: tuple[Factor, ...]
    build: Callable[[Mapping[str, Array]], Task]
    """Factor values of one task to its row; traceable."""
    accept: Callable[[Mapping[str, Array]], Array] | None = None
    """Whether a draw is kept, e.g. a least distance from object to goal; `None` keeps all."""
    expert: PyTree = None
    """A scripted solution in the arena's terms; `None` if there is none."""

    def sample(self, seed: Int[Array, ""] | int) -> dict[str, Float[Array, ""]]:
        """Factor values of the task with this seed: the same for ever, whatever else is registered."""
        name_key = jax.random.fold_in(jax.random.key(zlib.crc32(self.name.encode())), self.version)
        key = jax.random.fold_in(name_key, seed)
        steps = jax.random.randint(key, (_CANDIDATES, len(self.factors)), 0, LATTICE + 1)
        low = jnp.array([f.low for f in self.factors])
        high = jnp.array([f.high for f in self.factors])
        draws = low + (high - low) * (steps / LATTICE)
        names = [f.name for f in self.factors]
        chosen = jnp.asarray(0)
        if self.accept is not None:
            kept = jax.vmap(lambda row: self.accept(dict(zip(names, row, strict=True))))(draws)
            chosen = jnp.argmax(kept)
        return dict(zip(names, draws[chosen], strict=True))

    def task(self, seed: Int[Array, ""] | int) -> Task:
        """The row of the task with this seed."""
        return self.build(self.sample(seed))

    def with_factors(self, seed: int, overrides: Mapping[str, float]) -> Task:
        """The row of a seed with some factors set by hand.

        Raises:
          UsageError: a factor is unknown or its value is outside its range.
        """
        ranges = {f.name: f for f in self.factors}
        for name, value in overrides.items():
            if name not in ranges:
                raise unknown_name(f"factor of {self.name}", name, ranges)
            factor = ranges[name]
            if not factor.low <= value <= factor.high:
                raise UsageError(
                    f"{self.name}: {name} = {value} is outside [{factor.low}, {factor.high}] {factor.unit}"
                )
        return self.build({**self.sample(seed), **{k: jnp.float32(v) for k, v in overrides.items()}})

    def describe(self, seed: int) -> str:
        """The sentence of the task with this seed."""
        return self.description.format(**{name: float(value) for name, value in self.sample(seed).items()})

    def midpoint(self) -> dict[str, float]:
        """Every factor at the middle of its range."""
        return {f.name: (f.low + f.high) / 2 for f in self.factors}


def digest(tasks: Task, decimals: int = 5) -> str:
    """Fingerprint of rows: every number of every leaf, rounded, so that it survives another machine's last bit."""
    import hashlib

    state = hashlib.sha256()
    for path, leaf in sorted(
        jax.tree_util.tree_leaves_with_path(tasks), key=lambda item: jax.tree_util.keystr(item[0])
    ):
        values = np.asarray(leaf, np.float64)
        state.update(f"{jax.tree_util.keystr(path)}{values.shape}".encode())
        state.update(np.rint(values * 10**decimals).astype(np.int64).tobytes())
    return state.hexdigest()[:16]
