"""The scorecard: every figure of one policy beside its controls, as JSON.

    {"format": 1, "policy", "suite", "split" (the headline's), "controls": [..], "metadata": {..},
     "headline":   {"success": estimate, "success_final", "worst_fifth", "solved_50", "solved_80"},
     "splits":     {split: {"policies": {policy: block}, "differences": [difference, ..]}},
     "gaps":       [{"near", "far"} + estimate, ..],
     "small_print": [sentence, ..]}

    block:      {"seeds", "tasks", "episodes", "diverged", "return", "progress" (means),
                 "success": estimate, "success_final": estimate, "population": estimate (of success),
                 "families": {family: {"tasks", "success", "success_final"}},
                 "per_task": {task: {"family", "success", "success_final"}},
                 "worst_fifth", "median", "solved_50", "solved_80": estimate, "iqm": estimate}
    difference: {"name": "a − b", "tasks", "families": {family: estimate}, "p_holm"} + estimate
    estimate:   {"value", "low", "high", "method", "bound": "ceiling" | "floor" | None, "p_value" (of differences)}

`success` is the suite score (t over seeds) with two or more seeds, else the artefact's (tasks within families).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..errors import UsageError
from . import statistics as st
from .episodes import Outcomes, outcomes, validate, write_atomic

if TYPE_CHECKING:
    from rich.table import Table

LIMITS = {
    "collapse": "Where one training seed in ten collapses, a few seeds often show no collapse, and no interval made "
    "from them can foresee one: nominal 95 % then covers 50 to 70 % with 3 to 5 seeds, and 88 % with 20.",
    "one task": "A single task's Wilson interval covers 95 % on average over success rates, but as little as 84 % "
    "for some rates near 0 or 1.",
}
"""Regimes, by name, in which an interval misses its nominal level (simulated in the tests)."""

_METHODS = {
    "t over seeds": "Success: mean over tasks and episodes for each training seed, Student's t over the seeds; the "
    "claim is about this training method on exactly these tasks.",
    "two-way random effects": "Population and families: two-way random effects of seed and task, tasks within "
    "families, degrees of freedom after Satterthwaite; the claim is about all tasks that these families generate.",
    "tasks within families": "Success of one artefact (one seed): from the spread of tasks within families, in Wilson's "
    "form; the claim is about this artefact on all tasks that these families generate, not about retraining it.",
    "Wilson": "Single tasks: Wilson's interval of their episodes; with several seeds, of their effective number.",
    "paired by task": "Differences: paired on the same tasks and initial states, from the spread of the tasks' "
    "differences and of the seeds; p-values adjusted for the number of pairs after Holm.",
    "difference of splits": "Gaps between splits: from the spread of tasks in both; a seed's own level cancels.",
    "order statistics": "Quantiles over tasks: from order statistics, for the seeds at hand.",
    "rliable bootstrap": "The interquartile mean's interval is rliable's stratified bootstrap, shown for comparison "
    "with older papers: on multi-task policies its nominal 95 % covers 30 to 40 %.",
}

Card = dict[str, Any]  # JSON; its structure is at the module's head


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
    present = episodes["policy"].unique().to_list()
    if policy not in present:
        raise UsageError(f"no episodes of policy '{policy}' (the table has: {', '.join(sorted(present))})")
    if len(suites := sorted(episodes["suite"].unique())) > 1:
        raise UsageError(f"the table holds several suites ({', '.join(suites)}): score them one at a time")
    controls = [name for name in controls if name in present and name != policy]
    splits = episodes.filter(policy=policy)["split"].unique(maintain_order=True).to_list()
    split = split or next((name for name in splits if name != "train"), splits[0])
    if split not in splits:
        raise UsageError(f"no episodes of '{policy}' on split '{split}' (the table has: {', '.join(splits)})")
    blocks = {name: _split(episodes, name, policy, controls) for name in splits}
    block = blocks[split]["policies"][policy]
    card: Card = {
        "format": 1,
        "policy": policy,
        "suite": suites[0],
        "split": split,
        "controls": [name for name in controls if name in blocks[split]["policies"]],
        "metadata": dict(metadata or {}),
        "headline": {k: block[k] for k in ("success", "success_final", "worst_fifth", "solved_50", "solved_80")},
        "splits": blocks,
        "gaps": _gaps(episodes, policy, splits),
    }
    card["small_print"] = _small_print(card)
    return card


def write_json(card: Card, path: str | Path) -> None:
    """Writes the card, whole or not at all."""
    text = json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def summary_table(card: Card) -> Table:
    """The headline split for a terminal: one line per family and one for all of them."""
    from rich.table import Table

    policy, block = card["policy"], card["splits"][card["split"]]
    table = Table(title=f"{policy} on {card['suite']} / {card['split']}: success, any time, with 95 % intervals")
    table.add_column("family")
    names = [policy, *card["controls"]]
    against = [d for d in block["differences"] if d["name"].startswith(f"{policy} −")]
    for name in [*names, *(difference["name"] for difference in against)]:
        table.add_column(name, justify="right", no_wrap=True)
    for family in block["policies"][policy]["families"]:
        cells = [block["policies"][name]["families"].get(family, {}).get("success") for name in names]
        cells += [difference["families"].get(family) for difference in against]
        table.add_row(family, *map(format_estimate, cells))
    table.add_section()
    overall = [block["policies"][name]["success"] for name in names] + against
    table.add_row("all tasks", *map(format_estimate, overall), style="bold")
    return table


def format_estimate(estimate: Mapping | None) -> str:
    """`0.62 [0.55, 0.69]`, or as much of it as is known."""
    if not estimate:
        return "–"
    form = "{value:.2f}" if estimate["low"] is None else "{value:.2f} [{low:.2f}, {high:.2f}]"
    return form.format(**estimate).replace("-", "−")


def _split(episodes: pl.DataFrame, split: str, policy: str, controls: Sequence[str]) -> dict:
    rows = episodes.filter(split=split)
    names = [name for name in (policy, *controls) if name in rows["policy"].unique()]
    plays = {name: outcomes(rows, name, split) for name in names}
    # Whoever does better as a rule comes first: policy − random, but expert − policy.
    pairs = [("expert", policy) if name == "expert" else (policy, name) for name in names[1:]]
    differences = [_difference(a, plays[a], b, plays[b]) for a, b in pairs]
    for difference, p_value in zip(differences, st.holm([d["p_value"] for d in differences]), strict=True):
        difference["p_holm"] = p_value
    return {"policies": {name: _block(rows, name, split) for name in names}, "differences": differences}


def _block(rows: pl.DataFrame, policy: str, split: str) -> dict:
    columns = {name: outcomes(rows, policy, split, name) for name in ("success", "success_final")}
    plays, own = columns["success"], rows.filter(policy=policy)
    rates, (units, strata) = plays.values.mean(-1), plays.units()
    per_task = {name: st.task_intervals(c.values.mean(-1), len(c.episodes)) for name, c in columns.items()}
    return {
        "seeds": len(plays.seeds),
        "tasks": len(plays.tasks),
        "episodes": plays.values.size,
        "diverged": int(own["diverged"].sum()),
        "return": float(own["return"].mean()),
        "progress": float(own["progress"].mean()),
        **{name: estimate(_overall(column)) for name, column in columns.items()},
        "population": estimate(st.population_interval(units, strata)),
        "families": {
            family: {"tasks": len(tasks)}
            | {name: estimate(st.population_interval(*c.select(tasks).units())) for name, c in columns.items()}
            for family, tasks in plays.by_family().items()
        },
        "per_task": {
            task: {"family": plays.families[i]}
            | {name: estimate(found, i) for name, found in per_task.items()}
            for i, task in enumerate(plays.tasks)
        },
        "worst_fifth": estimate(st.quantile_over_tasks(rates, 0.2)),
        "median": estimate(st.quantile_over_tasks(rates, 0.5)),
        "solved_50": estimate(st.fraction_solved(rates, 0.5, plays.families)),
        "solved_80": estimate(st.fraction_solved(rates, 0.8, plays.families)),
        "iqm": estimate(st.rliable_interval(rates)),
    }


def _overall(plays: Outcomes) -> st.Interval:
    if len(plays.seeds) > 1:
        return st.suite_interval(plays.values.mean(-1), len(plays.episodes))
    return st.population_interval(*plays.units())


def _difference(first: str, a: Outcomes, second: str, b: Outcomes) -> dict:
    tasks = [task for task in a.tasks if task in set(b.tasks)]
    numbers = [episode for episode in a.episodes if episode in set(b.episodes)]
    if not tasks or not numbers:
        raise UsageError(f"'{first}' and '{second}' share no task and episode: evaluate both on the same ones")
    a, b = a.select(tasks, numbers), b.select(tasks, numbers)

    def paired(chosen: list[str]) -> dict:
        (x, strata), (y, _) = a.select(chosen).units(), b.select(chosen).units()
        return estimate(st.paired_difference(x, y, strata))

    return {
        "name": f"{first} − {second}",
        "tasks": len(tasks),
        "families": {name: paired(chosen) for name, chosen in a.by_family().items()},
        **paired(tasks),
    }


def _gaps(episodes: pl.DataFrame, policy: str, splits: Sequence[str]) -> list[dict]:
    """train − iid, and iid (or, without it, train) − each other split."""
    base = next((name for name in ("iid", "train") if name in splits), None)
    pairs = [("train", "iid")] if {"train", "iid"} <= set(splits) else []
    pairs += [(base, name) for name in splits if base and name not in ("train", base)]
    gaps = []
    for near, far in pairs:
        plays = [outcomes(episodes, policy, name) for name in (near, far)]
        if plays[0].seeds != plays[1].seeds:
            raise UsageError(f"'{policy}' has other seeds on '{near}' than on '{far}': evaluate the same ones on both")
        (a, a_strata), (b, b_strata) = plays[0].units(), plays[1].units()
        gaps.append({"near": near, "far": far} | estimate(st.generalization_gap(a, b, a_strata, b_strata)))
    return gaps


def estimate(interval: st.Interval, index: int | tuple = ()) -> dict[str, Any]:
    """One of an interval's estimates for JSON; bounds that are unknown are None."""
    value, low, high = (float(np.asarray(x)[index]) for x in (interval.value, interval.low, interval.high))
    found = {"value": value, "low": low, "high": high, "method": interval.method}
    if interval.p_value is not None:
        return found | {"p_value": float(np.asarray(interval.p_value)[index])}
    if np.isnan(low):
        found |= {"low": None, "high": None}
    return found | {"bound": {0.0: "floor", 1.0: "ceiling"}.get(value)}


def _small_print(card: Card) -> list[str]:
    block = card["splits"][card["split"]]["policies"][card["policy"]]
    text = json.dumps(card)
    lines = [
        f"{block['tasks']} tasks of {len(block['families'])} families, {block['episodes']} episodes, training seeds: "
        f"{block['seeds']}. All intervals are nominal 95 %. The claim is about these families, not about others.",
        *(words for method, words in _METHODS.items() if json.dumps(method) in text),
        *LIMITS.values(),
    ]
    if '"bound": "' in text:
        lines.append("At a ceiling (all succeed) or a floor (none does) the interval says only what so many tasks and "
                     "episodes can exclude; a harder or easier set of tasks would tell more.")
    return lines
