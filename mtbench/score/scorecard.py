"""The scorecard: every figure of one policy beside its controls, as JSON.

    {"format": 1, "policy", "suite", "protocol", "split" (the headline's), "controls": [..], "claim", "metadata": {..},
     "headline":   {"success": estimate, "success_final", "worst_fifth", "solved_50", "solved_80"},
     "splits":     {split: {"policies": {policy: block}, "differences": [difference, ..]}},
     "gaps":       [estimate + {"near", "far"}, ..],
     "small_print": [sentence, ..]}

    block:      {"seeds", "tasks", "episodes", "diverged", "return", "progress" (means),
                 "success": estimate, "success_final", "population" (success on all tasks of the families),
                 "families": {family: {"tasks", "success": estimate, "success_final"}},
                 "per_task": {task: {"family", "success": estimate, "success_final"}},
                 "worst_fifth": estimate, "median", "solved_50", "solved_80", "iqm"}
    difference: estimate + {"name": "a − b", "tasks", "p_holm", "families": {family: estimate}}
    estimate:   {"value", "low", "high", "method"} + {"bound": "ceiling" | "floor" | None}, of differences
                + {"p_value"} instead; low and high may be None

With two or more seeds of the policy, `success` is about the training method on exactly these tasks; with one,
about that artefact on all tasks that the families generate. `claim` says which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from .. import files
from ..errors import UsageError
from . import statistics as st
from .episodes import Outcomes, outcomes, validate

if TYPE_CHECKING:
    from rich.table import Table

LIMITS = {
    "collapse": "Where one training seed in ten collapses, a few seeds often show none, and no interval can "
    "foresee one from them: nominal 95 % then covers as little as 60 % with 5 seeds and 88 % with 20.",
    "one task": "A single task's Wilson interval covers 95 % on average over success rates, but as little as "
    "84 % for some rates near 0 or 1.",
}
"""Regimes, by name, in which an interval misses its nominal level (simulated in the tests)."""

_METHODS = {
    "t over seeds": "Success is the mean over tasks and episodes of each seed, with Student's t over seeds, "
    "widened by the chance of the initial states that all seeds share.",
    "episodes within tasks": "Controls with one seed have the spread of episodes on exactly these tasks.",
    "tasks within families": "Success of one artefact is taken from the spread of tasks within families, in "
    "Wilson's form; it says nothing about training again.",
    "two-way random effects": "Success on the task population: two-way random effects of seed and task, "
    "tasks within families, degrees of freedom after Satterthwaite.",
    "Wilson": "Single tasks have Wilson's interval of the episodes, or of their effective number over seeds.",
    "paired by task": "Differences are paired on the same tasks and initial states and are about all tasks "
    "that the families generate; p-values are adjusted for the number of pairs after Holm.",
    "difference of splits": "Gaps of splits come from the spread of tasks in both; a seed's level cancels.",
    "order statistics": "Quantiles over tasks come from order statistics, for the seeds at hand.",
    "rliable bootstrap": "The interquartile mean has rliable's stratified bootstrap, for comparison with "
    "older papers only: on multi-task policies its nominal 95 % covers 30 to 40 %.",
}
_THESE, _POPULATION = (
    "the training method on exactly these tasks",
    "this artefact on all tasks of these families",
)
_HEADLINE = ("success", "success_final", "worst_fifth", "solved_50", "solved_80")

Card = dict[str, Any]  # JSON, of the structure above


def scorecard(
    episodes: pl.DataFrame,
    policy: str = "mt-ppo",
    controls: Sequence[str] = ("random", "expert"),
    metadata: Mapping[str, object] | None = None,
    split: str | None = None,
) -> Card:
    """Every figure of `policy` on one suite; see the module's head for the structure.

    Args:
      episodes: the table.
      policy: whose card it is.
      controls: other policies to show and to compare with; those without rows are left out.
      metadata: digests, versions, command; carried along.
      split: that of the headline; by default the first that is not "train".
    """
    episodes = validate(episodes)
    played = episodes.filter(policy=policy)
    if played.is_empty():
        raise UsageError(f"no episodes of policy '{policy}' (the table has: {_names(episodes['policy'])})")
    for column in ("suite", "protocol"):
        if episodes[column].n_unique() > 1:
            raise UsageError(f"several {column}s in one table ({_names(episodes[column])}): score them one at a time")
    splits = played["split"].unique(maintain_order=True).to_list()
    split = split or next((name for name in splits if name != "train"), splits[0])
    if split not in splits:
        raise UsageError(f"no episodes of '{policy}' on split '{split}' (it has: {', '.join(splits)})")
    claim = _THESE if played["seed"].n_unique() > 1 else _POPULATION
    blocks = {name: _split(episodes.filter(split=name), policy, controls, claim) for name in splits}
    block = blocks[split]["policies"][policy]
    card: Card = {
        "format": 1,
        "policy": policy,
        "suite": episodes["suite"][0],
        "protocol": episodes["protocol"][0],
        "split": split,
        "controls": [name for name in blocks[split]["policies"] if name != policy],
        "claim": claim,
        "metadata": dict(metadata or {}),
        "headline": {name: block[name] for name in _HEADLINE},
        "splits": blocks,
        "gaps": _gaps(episodes, policy, splits),
    }
    return card | {"small_print": _small_print(card, block)}


def write_json(card: Card, path: str | Path) -> None:
    """Writes the card, whole or not at all."""
    files.write(path, json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def summary_table(card: Card) -> Table:
    """The headline split for a terminal: a line for each family and one for all tasks."""
    from rich.table import Table

    policies, differences = (card["splits"][card["split"]][key] for key in ("policies", "differences"))
    where = f"{card['suite']} / {card['split']}, protocol {card['protocol']}"
    title = f"{card['policy']} on {where}: success at any time, 95 % intervals"
    table = Table("family", title=title)
    for name in [*policies, *(difference["name"] for difference in differences)]:
        table.add_column(name, justify="right")
    for family in policies[card["policy"]]["families"]:
        cells = [block["families"].get(family, {}).get("success") for block in policies.values()]
        cells += [difference["families"].get(family) for difference in differences]
        table.add_row(family, *map(format_estimate, cells))
    table.add_section()
    cells = [block["success"] for block in policies.values()] + differences
    table.add_row("all tasks", *map(format_estimate, cells), style="bold")
    return table


def format_estimate(estimate: Mapping[str, Any] | None) -> str:
    """`0.62 [0.55, 0.69]`, or as much of it as is known."""
    if not estimate:
        return "–"
    form = "{value:z.2f}" if estimate["low"] is None else "{value:z.2f} [{low:z.2f}, {high:z.2f}]"
    return form.format(**estimate).replace("-", "−")


def _names(column: pl.Series) -> str:
    return ", ".join(sorted(column.unique()))


def _split(rows: pl.DataFrame, policy: str, controls: Sequence[str], claim: str) -> dict[str, Any]:
    present = set(rows["policy"])
    names = [policy, *(name for name in controls if name in present and name != policy)]
    # Whoever should do better comes first: policy − random, but expert − policy.
    pairs = [("expert", policy) if name == "expert" else (policy, name) for name in names[1:]]
    differences = [_difference(rows, *pair) for pair in pairs]
    for difference, p_value in zip(differences, st.holm([d["p_value"] for d in differences]), strict=True):
        difference["p_holm"] = p_value
    return {"policies": {name: _block(rows, name, claim) for name in names}, "differences": differences}


def _block(rows: pl.DataFrame, policy: str, claim: str) -> dict[str, Any]:
    own = rows.filter(policy=policy)
    columns = {name: outcomes(own, policy, name) for name in ("success", "success_final")}
    plays = columns["success"]
    rates, families, episodes = plays.rates, plays.families, len(plays.episodes)
    clustering = {name: st.clustering(*column.units()) for name, column in columns.items()}
    single = {name: st.task_intervals(column.values) for name, column in columns.items()}

    def success(tasks: list[str]) -> dict[str, dict[str, Any]]:
        # A family borrows how the suite's tasks cluster; a single task has episodes for units, which do not.
        part = 1 < len(tasks) < len(plays.tasks)
        return {
            name: estimate(_success(column.select(tasks), claim, clustering[name] if part else 1.0))
            for name, column in columns.items()
        }

    return {
        "seeds": len(plays.seeds),
        "tasks": len(plays.tasks),
        "episodes": plays.values.size,
        "diverged": int(own["diverged"].sum()),
        "return": float(own["return"].to_numpy().mean()),
        "progress": float(own["progress"].to_numpy().mean()),
        **success(plays.tasks),
        "population": estimate(st.population_interval(*plays.units())),
        "families": {name: {"tasks": len(t)} | success(t) for name, t in plays.by_family().items()},
        "per_task": {
            task: {"family": families[i]} | {name: estimate(found, i) for name, found in single.items()}
            for i, task in enumerate(plays.tasks)
        },
        "worst_fifth": estimate(st.quantile_over_tasks(rates, 0.2, episodes)),
        "median": estimate(st.quantile_over_tasks(rates, 0.5, episodes)),
        "solved_50": estimate(st.fraction_solved(rates, 0.5, families)),
        "solved_80": estimate(st.fraction_solved(rates, 0.8, families)),
        "iqm": estimate(st.rliable_interval(rates)),
    }


def _success(plays: Outcomes, claim: str, assumed: st.Batch) -> st.Interval:
    if claim == _POPULATION:
        return st.population_interval(*plays.units(), assumed)
    return st.suite_interval(plays.values)


def _difference(rows: pl.DataFrame, first: str, second: str) -> dict[str, Any]:
    a, b = outcomes(rows, first), outcomes(rows, second)
    common = set(b.tasks)
    tasks = [task for task in a.tasks if task in common]
    if not tasks or not set(a.episodes) & set(b.episodes):
        raise UsageError(f"'{first}' and '{second}' share no task and episode: evaluate both on the same ones")
    a, b = a.select(tasks, b.episodes), b.select(tasks, a.episodes)

    clustering = np.clip(max(st.clustering(*plays.units()) for plays in (a, b)), 0, 1)

    def paired(chosen: list[str]) -> dict[str, Any]:
        (x, strata), (y, _) = a.select(chosen).units(), b.select(chosen).units()
        assumed = clustering if 1 < len(chosen) < len(tasks) else 1.0
        return estimate(st.paired_difference(x, y, strata, assumed))

    families = {family: paired(own) for family, own in a.by_family().items()}
    return paired(tasks) | {"name": f"{first} − {second}", "tasks": len(tasks), "families": families}


def _gaps(episodes: pl.DataFrame, policy: str, splits: Sequence[str]) -> list[dict[str, Any]]:
    """Of train − iid, and iid (or, without it, train) − each other split."""
    base = "iid" if "iid" in splits else "train"
    pairs = [("train", "iid")] if {"train", "iid"} <= set(splits) else []
    pairs += [(base, name) for name in splits if base in splits and name not in ("train", base)]
    gaps = []
    for near, far in pairs:
        a, b = (outcomes(episodes.filter(split=name), policy) for name in (near, far))
        if a.seeds != b.seeds:
            raise UsageError(f"'{policy}' has other seeds on '{near}' than on '{far}': evaluate both alike")
        (x, x_strata), (y, y_strata) = a.units(), b.units()
        gaps.append(estimate(st.generalization_gap(x, y, x_strata, y_strata)) | {"near": near, "far": far})
    return gaps


def estimate(interval: st.Interval, index: int | tuple[()] = ()) -> dict[str, Any]:
    """One estimate of an interval for JSON; bounds that are unknown are None."""
    value, low, high = (float(np.asarray(x)[index]) for x in (interval.value, interval.low, interval.high))
    known = {"low": low, "high": high} if np.isfinite(low) else {"low": None, "high": None}
    found = {"value": value, **known, "method": interval.method}
    if interval.p_value is not None:
        return found | {"p_value": float(interval.p_value)}
    return found | {"bound": {0.0: "floor", 1.0: "ceiling"}.get(value)}


def _small_print(card: Card, block: Mapping[str, Any]) -> list[str]:
    text = json.dumps(card)
    lines = [
        f"{block['tasks']} tasks of {len(block['families'])} families, training seeds: {block['seeds']}. "
        f"Intervals are nominal 95 %. Success is about {card['claim']}, not about other families.",
        *(sentence for method, sentence in _METHODS.items() if f'"{method}"' in text),
        *LIMITS.values(),
    ]
    if block["tasks"] == len(block["families"]):
        lines.append("With one task a family their spread is unknown: every claim is about these tasks alone.")
    if '"bound": "' in text:
        lines.append(
            "At a ceiling (⊤, all succeed) or a floor (⊥, none does) an interval says what so many tasks and "
            "episodes can exclude; harder or easier tasks would tell more."
        )
    return lines
