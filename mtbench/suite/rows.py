"""Rows of tasks, and their fingerprints."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from .. import registry
from ..batching import batches

if TYPE_CHECKING:
    from ..region import Region
    from ..task import Family, Task, TaskId

_CHUNKS = (64, 256)
"""Rows of a family are made in chunks of few sizes, so that families share the compiled operations."""


def rows(ids: Sequence[TaskId], families: tuple[str, ...]) -> Task:
    """Rows of task ids of one arena [task, …], in their order.

    Args:
      ids: the tasks; their factors are drawn anew from their seeds.
      families: gives each family its index.
    """
    import jax
    import numpy as np

    tables, order = [], []
    for name, region, places, seeds in grouped(ids):
        table = _table(registry.family(name), seeds, region)
        tables.append(table.replace(family=np.full(len(places), families.index(name), np.int32)))
        order += places
    inverse = np.argsort(np.array(order))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[inverse], *tables)


@lru_cache(maxsize=1024)
def _table(family: Family, seeds: tuple[int, ...], region: Region) -> Any:
    """Rows of one family [task, …]; suites share many.

    Operation by operation: to compile each family's rows as a program of its own takes two seconds a family.
    """
    return _in_chunks(lambda chosen: family.tasks(chosen, region), seeds)


@lru_cache(maxsize=4096)
def draws(family: Family, seeds: tuple[int, ...], region: Region) -> tuple[dict[str, Any], Any]:
    """Factor values [task] of one family's seeds, and which of them make a task: of some, no draw may do."""
    import jax

    def draw(chosen: Any) -> Any:
        values = family.samples(chosen, region)
        return values, jax.vmap(partial(family.accepts, region=region))(values)

    return _in_chunks(draw, seeds)


def _in_chunks(make: Callable[[Any], Any], seeds: tuple[int, ...]) -> Any:
    """What is made of seeds [task, …], on the CPU always: the same digits on every machine."""
    import jax
    import numpy as np

    size = next((size for size in _CHUNKS if len(seeds) <= size), _CHUNKS[-1])
    parts = []
    with jax.default_device(jax.devices("cpu")[0]):
        for chosen, fresh in batches(seeds, size, fill=True):
            made = make(np.array(chosen, np.int32))
            parts.append(jax.tree.map(lambda leaf, fresh=fresh: np.asarray(leaf)[:fresh], made))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def specimens(families: Sequence[Family]) -> Task:
    """Rows of families of one arena that together fill every slot that their tasks may."""
    import jax
    import numpy as np

    with jax.default_device(jax.devices("cpu")[0]):
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *map(_specimens, families))


@lru_cache(maxsize=1024)
def _specimens(family: Family) -> Any:
    """A row for each level of the family's choices: nothing else decides which slots are filled."""
    import jax
    import numpy as np

    seeds = np.arange(_CHUNKS[0], dtype=np.int32)
    factors = family.samples(seeds)
    for factor in family.factors:
        if factor.levels:
            factors[factor.name] = (seeds % len(factor.levels)).astype(np.float32)
    count = max((len(factor.levels) for factor in family.factors), default=0) or 1
    rows = jax.vmap(family.build)(factors)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:count], rows)


def factor_values(ids: Sequence[TaskId]) -> list[dict[str, float]]:
    """Factor values of task ids, in their order."""
    found: list[dict[str, float]] = [{} for _ in ids]
    for name, region, places, seeds in grouped(ids):
        values, _ = draws(registry.family(name), seeds, region)
        for row, place in enumerate(places):
            found[place] = {factor: float(column[row]) for factor, column in values.items()}
    return found


def grouped(ids: Sequence[TaskId]) -> Iterator[tuple[str, Region, list[int], tuple[int, ...]]]:
    """Family, region, places and seeds of the ids that are drawn from the same."""
    groups: dict[tuple[str, Region], list[int]] = {}
    for place, task_id in enumerate(ids):
        groups.setdefault((task_id.family, task_id.region), []).append(place)
    for (name, region), places in groups.items():
        yield name, region, places, tuple(ids[place].seed for place in places)


def digest(tables: Mapping[str, Task]) -> str:
    """Fingerprint of a split's rows by arena."""
    from ..task import digest as digest_rows

    return combined({arena: digest_rows(table) for arena, table in tables.items()})


def combined(digests: Mapping[str, str]) -> str:
    """One fingerprint of those of several arenas' rows."""
    return next(iter(digests.values())) if len(digests) == 1 else fingerprint(dict(digests))


def fingerprint(content: Any) -> str:
    """Fingerprint of plain data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def reset_key(task_id: TaskId, episode: int) -> int:
    """Seed of an evaluation's initial state: the same for every policy, whatever else is evaluated."""
    return zlib.crc32(f"{task_id}#{episode}".encode())
