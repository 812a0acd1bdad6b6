"""Any number of policies beside one another: paired differences, letters for ties, ranges of ranks.

{"format": 1, "suite", "protocol", "splits": [..], "tasks", "left_out" (tasks that not all have played),
 "policies": [{"name", "seeds", "success": estimate, "population": estimate, "letters", "rank": [best, worst]}, ..],
 "pairs":    [estimate + {"first", "second", "p_holm", "distinct"}, ..],
 "small_print": [sentence, ..]}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import polars as pl

from ..errors import UsageError
from . import contrasts, ladder
from .block import paired_difference
from .episodes import CONTROLS, validate
from .estimate import POPULATION, THESE, estimate, format_estimate, population, success
from .outcomes import Pool, pool

if TYPE_CHECKING:
    from rich.table import Table

ALPHA = 0.05
Comparison = dict[str, Any]  # JSON, of the structure above


def compare(
    episodes: pl.DataFrame,
    policies: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    splits: Sequence[str] | None = None,
) -> Comparison:
    """Compares policies on the tasks and initial states that all of them have played.

    Args:
      episodes: the table.
      policies: their names; by default all but the controls.
      metadata: says which splits are scored, see `mtbench.score.ladder.scored`.
      splits: others to compare on.

    Raises:
      UsageError: there are not two policies, or they have nothing in common.
    """
    episodes = validate(episodes)
    present = episodes["policy"].unique().sort().to_list()
    names = list(dict.fromkeys(policies or [name for name in present if name not in CONTROLS]))
    if missing := [name for name in names if name not in present]:
        raise UsageError(f"no episodes of policy '{missing[0]}' (the tables have: {', '.join(present)})")
    if len(names) < 2:
        raise UsageError(f"a comparison needs two policies, the tables have {', '.join(names) or 'controls only'}")
    rows = episodes.filter(pl.col("policy").is_in(names))
    for column in ("suite", "protocol"):
        if rows[column].n_unique() > 1:
            raise UsageError(f"several {column}s in one table ({', '.join(rows[column].unique().sort())})")
    having = [set(rows.filter(policy=name)["split"]) for name in names]
    shared = sorted(set.intersection(*having))
    if strange := [split for split in splits or () if split not in shared]:
        raise UsageError(f"not every policy has played split '{strange[0]}' (all have: {', '.join(shared) or 'none'})")
    chosen = list(splits or (ladder.scored(shared, metadata or {}) if shared else ()))
    pools, left_out = _on_common_tasks({name: pool(rows, name, chosen) for name in names}) if chosen else ({}, 0)
    if not chosen or not next(iter(pools.values())).parts:
        raise UsageError(f"{' and '.join(names)} share no task and episode: evaluate all on the same ones")
    pairs = []
    for first, second in combinations(names, 2):
        found = estimate(paired_difference(pools[first], pools[second]))
        pairs.append(found | {"first": first, "second": second})
    for pair, p_value in zip(pairs, contrasts.holm([pair["p_value"] for pair in pairs]), strict=True):
        pair |= {"p_holm": p_value, "distinct": p_value < ALPHA}
    told = [_told(name, played) for name, played in pools.items()]
    told.sort(key=lambda one: -one["success"]["value"])
    order = [one["name"] for one in told]
    distinct = {frozenset((pair["first"], pair["second"])) for pair in pairs if pair["distinct"]}
    shared_letters = letters(order, distinct)
    values = {one["name"]: one["success"]["value"] for one in told}
    for one in told:
        others = [o for o in order if frozenset((o, one["name"])) in distinct]
        better = sum(values[o] > values[one["name"]] for o in others)
        one |= {"letters": shared_letters[one["name"]], "rank": [1 + better, len(order) - len(others) + better]}
    first = next(iter(pools.values()))
    comparison: Comparison = {
        "format": 1,
        "suite": rows["suite"][0],
        "protocol": rows["protocol"][0],
        "splits": chosen,
        "tasks": len(first.tasks),
        "left_out": left_out,
        "policies": told,
        "pairs": pairs,
    }
    return comparison | {"small_print": _small_print(comparison)}


def letters(order: Sequence[str], distinct: Collection[frozenset[str]]) -> dict[str, str]:
    """Compact letter display: two policies share a letter if and only if they are not distinct (Piepho 2004).

    Args:
      order: policies, best first; letters are given out from the best on.
      distinct: pairs.
    """
    columns = [set(order)]
    for first, second in (sorted(pair) for pair in distinct):
        for column in [column for column in columns if first in column and second in column]:
            columns.remove(column)
            columns += [column - {first}, column - {second}]
        columns = [
            c for i, c in enumerate(columns) if not any(c < d or (c == d and j < i) for j, d in enumerate(columns))
        ]
    columns.sort(key=lambda column: sorted(map(order.index, column)))
    return {name: "".join(_letter(i) for i, column in enumerate(columns) if name in column) for name in order}


def comparison_table(comparison: Comparison) -> Table:
    """Policies for a terminal, best first."""
    from rich.table import Table

    where = f"{comparison['suite']} / {', '.join(comparison['splits'])}, protocol {comparison['protocol']}"
    table = Table(title=f"{where}: success at any time, 95 % intervals; policies that share a letter are not distinct")
    for name in ("policy", "seeds", "success", "letters", "rank"):
        table.add_column(name, justify="left" if name in ("policy", "letters") else "right")
    for one in comparison["policies"]:
        low, high = one["rank"]
        rank = str(low) if low == high else f"{low}–{high}"
        table.add_row(one["name"], str(one["seeds"]), format_estimate(one["success"]), one["letters"], rank)
    return table


def pairs_table(comparison: Comparison) -> Table:
    """Paired differences for a terminal."""
    from rich.table import Table

    table = Table("difference", title="Paired differences; p adjusted for the number of pairs after Holm")
    table.add_column("success", justify="right")
    table.add_column("p", justify="right")
    for pair in comparison["pairs"]:
        p_value = f"{pair['p_holm']:.1g}" if pair["p_holm"] >= 1e-4 else "< 0.0001"
        style = "bold" if pair["distinct"] else None
        table.add_row(f"{pair['first']} − {pair['second']}", format_estimate(pair), p_value, style=style)
    return table


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"({number + 1})"


def _told(name: str, played: Pool) -> dict[str, Any]:
    claim = THESE if len(played.seeds) > 1 else POPULATION
    about = {"success": estimate(success(played, claim)), "population": estimate(population(played))}
    return {"name": name, "seeds": len(played.seeds), **about}


def _on_common_tasks(pools: Mapping[str, Pool]) -> tuple[dict[str, Pool], int]:
    """Each policy on the tasks and episodes that all have played, and how many tasks that leaves out."""
    kept: dict[str, list] = {name: [] for name in pools}
    left_out = 0
    for parts in zip(*(played.parts for played in pools.values()), strict=True):
        tasks = [task for task in parts[0].tasks if all(task in set(part.tasks) for part in parts)]
        episodes = set.intersection(*(set(part.episodes) for part in parts))
        left_out += len(set().union(*(part.tasks for part in parts))) - len(tasks)
        if tasks and episodes:
            for name, part in zip(pools, parts, strict=True):
                kept[name].append(part.select(tasks, sorted(episodes)))
    return {name: Pool(parts) for name, parts in kept.items()}, left_out


def _small_print(comparison: Comparison) -> list[str]:
    lines = [
        f"{comparison['tasks']} tasks, the same initial states for all. Differences are about all tasks that the "
        "families generate; they come from the spread of tasks and of each policy's seeds. Policies are distinct at "
        f"p < {ALPHA} after Holm over {len(comparison['pairs'])} pairs; sharing a letter is no proof of being alike.",
        "A rank range counts who is distinctly better, and who is distinctly worse.",
    ]
    if comparison["left_out"]:
        lines.append(f"{comparison['left_out']} tasks that not all have played are left out.")
    alone = [one["name"] for one in comparison["policies"] if one["seeds"] == 1]
    if alone:
        lines.append(f"{', '.join(alone)}: one seed, so this artefact only, not the method that trained it.")
    return lines
