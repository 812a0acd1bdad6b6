"""The scorecard: every figure of one policy beside its controls, as JSON.

    {"format": 2, "policy", "suite", "protocol", "controls": [..], "claim", "warnings": [sentence, ..],
     "metadata": {..},
     "headline":   {"splits": [..], "success": estimate, "success_final", "worst_fifth", "solved_50", "solved_80",
                    "gap": estimate (train − headline), "retention": estimate (headline / train)},
     "pooled":     {"policies": {policy: block}, "differences": [difference, ..]} (of the headline's splits as one),
     "splits":     {split: the same},
     "ladder":     [{"split", "scored", "tasks", "success": estimate, "population", "gap", "retention"}, ..],
     "gaps":       [estimate + {"near", "far"}, ..],
     "shells":     [{"factor", "points": [{"side", "at", "tasks", "success": estimate}, ..], "slope": estimate}, ..],
     "adaptation": {policy: {"levels": [..], "success": [estimate, ..], "gain": estimate, "area": estimate, "flat"}},
     "difficulty": {split: {"constant": estimate, "expert": estimate, "slack", "nearest"}},
     "easy_families": [{"family", "success"}, ..],
     "worst_tasks": [{"task", "family", "split", "success": estimate}, ..],
     "failures":   [{"policy", "seed", "split", "task", "reason", "episodes"}, ..],
     "small_print": [sentence, ..]}

    block:      {"seeds", "tasks", "episodes", "diverged", "failed", "return", "progress" (means),
                 "success": estimate, "success_final", "population" (success on all tasks of the families),
                 "families": {family: {"tasks", "success": estimate, "success_final"}},
                 "per_task": {task: {"family", "split", "success": estimate, "success_final"}} (of a single split;
                 in the CSV file alone, not in the JSON file),
                 "worst_fifth": estimate, "median", "solved_50", "solved_80", "iqm"}
    difference: estimate + {"name": "a − b", "tasks", "p_holm", "families": {family: estimate}}
    estimate:   see `mtbench.score.estimate`

With two or more seeds of the policy, `success` is about the training method on exactly these tasks; with one,
about that artefact on all tasks that the families generate. `claim` says which. Of a policy that was played after
several numbers of episodes of adaptation, every figure but the adaptation curve is of the last.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from .. import files
from ..errors import UsageError
from . import adaptation, contrasts, ladder
from .block import block, difference
from .difficulty import EASY, difficulty, easy_families
from .episodes import CONTROLS, task_facts, validate
from .estimate import POPULATION, THESE, format_estimate
from .outcomes import pool

if TYPE_CHECKING:
    from rich.table import Table

LIMITS = {
    "collapse": "Where one training seed in ten collapses, a few seeds often show none, and no interval of a mean can "
    "foresee one from them: nominal 95 % then covers as little as 51 % with 5 seeds and 88 % with 20. Differences and "
    "ratios of splits hold, for they are of the same seeds.",
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
    "same seeds": "Gains by adaptation are differences of the same trainings on the same tasks.",
    "ratio after Fieller": "Retention is a ratio: where success in training is not distinguishable from none, it has "
    "no upper bound.",
    "slope over tasks": "Slopes are least squares over tasks, by distance from the middle of a factor's training range "
    "in half widths; what lies inside counts as 1.",
    "difference of splits": "Gaps of splits come from the spread of tasks in both; a seed's level cancels.",
    "order statistics": "Quantiles over tasks come from order statistics, for the seeds at hand.",
    "rliable bootstrap": "The interquartile mean has rliable's stratified bootstrap, for comparison with "
    "older papers only: on multi-task policies its nominal 95 % covers 30 to 40 %.",
}
_HEADLINE = ("success", "success_final", "worst_fifth", "solved_50", "solved_80")
_FEW_SEEDS = {
    1: "One seed: this artefact only. Nothing here is about the method that trained it.",
    2: "Two seeds: intervals are of little use; five or more support a claim about a training method.",
}
WORST = 10
"""Tasks on the list of the worst."""
FEW_FAMILIES = 6
"""With fewer held-out families than this, a claim is about exactly these."""

Card = dict[str, Any]  # JSON, of the structure above


def scorecard(
    episodes: pl.DataFrame,
    policy: str = "mt-ppo",
    controls: Sequence[str] = CONTROLS,
    metadata: Mapping[str, object] | None = None,
    splits: Sequence[str] | None = None,
    tasks: pl.DataFrame | None = None,
) -> Card:
    """Every figure of `policy` on one suite; see the module's head for the structure.

    Args:
      episodes: the table.
      policy: whose card it is.
      controls: other policies to show and to compare with; those without rows are left out.
      metadata: digests, versions, command; carried along. `headline`, a list of splits, says which are scored, and
        `tasks`, a list of rows, what `tasks` says.
      splits: those of the headline, where they are to be others.
      tasks: facts about tasks, see `mtbench.score.task_facts`.
    """
    episodes, metadata = validate(episodes), dict(metadata or {})
    played = episodes.filter(policy=policy)
    if played.is_empty():
        raise UsageError(f"no episodes of policy '{policy}' (the table has: {_names(episodes['policy'])})")
    for column in ("suite", "protocol"):
        if episodes[column].n_unique() > 1:
            raise UsageError(f"several {column}s in one table ({_names(episodes[column])}): score them one at a time")
    present = ladder.in_order(played["split"].unique().to_list())
    if strange := [split for split in splits or () if split not in present]:
        raise UsageError(f"no episodes of '{policy}' on split '{strange[0]}' (it has: {', '.join(present)})")
    headline = list(splits or ladder.scored(present, metadata))
    rows = metadata.pop("tasks", None)
    if tasks is None and rows:
        tasks = pl.DataFrame(cast("list[dict[str, Any]]", rows))
    facts = None if tasks is None else task_facts(tasks)
    claim = THESE if played["seed"].n_unique() > 1 else POPULATION
    blocks = {split: _side_by_side(episodes, policy, controls, claim, [split]) for split in present}
    pooled = blocks[headline[0]] if len(headline) == 1 else _side_by_side(episodes, policy, controls, claim, headline)
    own = pooled["policies"][policy]
    near = pool(episodes, policy, ["train"]) if "train" in present and headline != ["train"] else None
    names = [name for name in pooled["policies"] if name != policy]
    card: Card = {
        "format": 2,
        "policy": policy,
        "suite": episodes["suite"][0],
        "protocol": episodes["protocol"][0],
        "controls": names,
        "claim": claim,
        "metadata": metadata,
        "headline": {"splits": headline}
        | {name: own[name] for name in _HEADLINE}
        | ladder.against(near, pool(episodes, policy, headline)),
        "pooled": pooled,
        "splits": blocks,
        "ladder": ladder.ladder(episodes, policy, {s: b["policies"][policy] for s, b in blocks.items()}, headline),
        "gaps": ladder.gaps(episodes, policy, present),
        "shells": ladder.shells(episodes, policy, present, facts),
        "adaptation": adaptation.curves(episodes, [policy, *names], headline, claim),
        "difficulty": difficulty(episodes, present, facts),
        "easy_families": easy_families(episodes),
        "failures": _failures(episodes, [policy, *names]),
    }
    card["worst_tasks"] = [task for task in worst_tasks(card) if task["success"]["value"] < 1][:WORST]
    card["warnings"] = _warnings(card, own)
    return card | {"small_print": _small_print(card, own)}


def worst_tasks(card: Card) -> list[dict[str, Any]]:
    """The tasks of the headline, with the policy's figures; those with the least success come first."""
    splits = [card["splits"][split]["policies"][card["policy"]]["per_task"] for split in card["headline"]["splits"]]
    tasks = [{"task": task, **figures} for per_task in splits for task, figures in per_task.items()]
    return sorted(tasks, key=lambda task: (task["success"]["value"], task["success_final"]["value"]))


def write_json(card: Mapping[str, Any], path: str | Path) -> None:
    """Writes a card, a comparison or a plan, whole or not at all; figures of single tasks are left to `write_csv`."""
    files.write(path, json.dumps(_without(card, "per_task"), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _without(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(own, name) for key, own in value.items() if key != name}
    return value


def write_csv(card: Card, path: str | Path) -> None:
    """Writes success of every policy, split, family and task, a line for each, whole or not at all."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["policy", "split", "scored", "family", "task", "figure", "value", "low", "high", "method"])
    for split, shown in {"headline": card["pooled"], **card["splits"]}.items():
        scored = split == "headline" or split in card["headline"]["splits"]
        for policy, own in shown["policies"].items():
            rows = [("", "", own)] + [(family, "", figures) for family, figures in own["families"].items()]
            if split != "headline":
                rows += [(figures["family"], task, figures) for task, figures in own["per_task"].items()]
            for family, task, figures in rows:
                for name in ("success", "success_final"):
                    found = [figures[name][key] for key in ("value", "low", "high", "method")]
                    lines.writerow([policy, split, scored, family, task, name, *found])
    files.write(path, text.getvalue())


def summary_table(card: Card) -> Table:
    """The headline for a terminal: a line for each family and for all tasks, the differences to controls below."""
    from rich.table import Table

    policies, differences = card["pooled"]["policies"], card["pooled"]["differences"]
    where = f"{card['suite']} / {', '.join(card['headline']['splits'])}, protocol {card['protocol']}"
    below = "\n".join(f"{found['name']}: {format_estimate(found)}" for found in differences)
    table = Table(
        title=f"{card['policy']} on {where}: success at any time, 95 % intervals",
        caption=below or None,
        caption_justify="left",
    )
    table.add_column("family", no_wrap=True)
    for name in policies:
        table.add_column(name, justify="right")

    def cell(name: str, found: Any) -> str:
        # Controls without their intervals, which are on the page: all of it fits into 80 columns.
        return format_estimate(found) if name == card["policy"] or found is None else f"{found['value']:.2f}"

    for family in policies[card["policy"]]["families"]:
        cells = [cell(name, block["families"].get(family, {}).get("success")) for name, block in policies.items()]
        table.add_row(family, *cells)
    table.add_section()
    cells = [cell(name, block["success"]) for name, block in policies.items()]
    table.add_row("all tasks", *cells, style="bold")
    return table


def ladder_table(card: Card) -> Table:
    """The ladder for a terminal."""
    from rich.table import Table

    table = Table(title=f"{card['policy']}: from near to far; * is in the headline")
    table.add_column("split", no_wrap=True)
    for name in ("tasks", "success", "train − split", "split / train"):
        table.add_column(name, justify="right")
    for rung in card["ladder"]:
        figures = [format_estimate(rung[name]) for name in ("success", "gap", "retention")]
        table.add_row(rung["split"] + " *" * rung["scored"], str(rung["tasks"]), *figures)
    table.add_section()
    head = card["headline"]
    figures = [format_estimate(head[name]) for name in ("success", "gap", "retention")]
    table.add_row("headline", str(card["pooled"]["policies"][card["policy"]]["tasks"]), *figures, style="bold")
    return table


def _names(column: pl.Series) -> str:
    return ", ".join(sorted(column.unique()))


def _side_by_side(
    episodes: pl.DataFrame, policy: str, controls: Sequence[str], claim: str, splits: Sequence[str]
) -> dict[str, Any]:
    """The blocks of the policy and of the controls that have played all of the splits, and their differences."""
    having = {name: set(episodes.filter(policy=name)["split"]) for name in controls}
    names = [policy, *(name for name in controls if set(splits) <= having[name] and name != policy)]
    # Whoever should do better comes first: policy − random, but expert − policy.
    pairs = [("expert", policy) if name == "expert" else (policy, name) for name in names[1:]]
    differences = [difference(episodes, *pair, splits) for pair in pairs]
    for found, p_value in zip(differences, contrasts.holm([d["p_value"] for d in differences]), strict=True):
        found["p_holm"] = p_value
    return {"policies": {name: block(episodes, name, splits, claim) for name in names}, "differences": differences}


def _failures(episodes: pl.DataFrame, policies: Sequence[str]) -> list[dict[str, Any]]:
    """Episodes that could not be played, by reason."""
    failed = episodes.filter(pl.col("policy").is_in(list(policies)), pl.col("failure") != "")
    by = ["policy", "seed", "split", "task", "failure"]
    return failed.group_by(by).agg(episodes=pl.len()).sort(by).rename({"failure": "reason"}).to_dicts()


def _warnings(card: Card, own: Mapping[str, Any]) -> list[str]:
    """What a reader must know before the first figure."""
    lines = [_FEW_SEEDS[own["seeds"]]] if own["seeds"] in _FEW_SEEDS else []
    if easy := card["easy_families"]:
        told = ", ".join(f"{family['family']} {100 * family['success']:.0f}\N{NO-BREAK SPACE}%" for family in easy)
        lines.append(f"A constant action solves more than {100 * EASY:.0f} % of: {told}.")
    if failed := sum(row["episodes"] for row in card["failures"] if row["policy"] == card["policy"]):
        lines.append(
            f"{failed} episodes, of all splits, could not be played; they count as unsuccessful (reasons below)."
        )
    named = card["metadata"].get("headline") or (card["metadata"].get("protocol") or {}).get("headline") or ()
    if missing := [split for split in named if split not in card["splits"]]:
        lines.append(f"The suite also scores {', '.join(missing)}, which the table does not have.")
    if card["headline"]["splits"] == ["train"]:
        lines.append("These are the training tasks: nothing is held out.")
    return lines


def _small_print(card: Card, own: Mapping[str, Any]) -> list[str]:
    text = json.dumps(_without(card, "metadata"))
    splits = card["headline"]["splits"]
    lines = [
        f"{own['tasks']} tasks of {len(own['families'])} families, training seeds: {own['seeds']}. "
        f"Intervals are nominal 95 %. Success is about {card['claim']}, not about other families.",
    ]
    if len(splits) > 1:
        lines.append(
            f"The headline is the mean over {', '.join(splits)}, each of which counts alike; quantiles and the "
            "fraction of tasks solved are over all their tasks."
        )
    lines += [sentence for method, sentence in _METHODS.items() if f'"{method}"' in text]
    lines += LIMITS.values()
    if own["tasks"] == len(own["families"]):
        lines.append("With one task a family their spread is unknown: every claim is about these tasks alone.")
    held_out = card["splits"].get("family", {"policies": {}})["policies"].get(card["policy"], {"families": {}})
    if 0 < (count := len(held_out["families"])) < FEW_FAMILIES:
        lines.append(f"{count} held-out families support a claim about exactly these, not about all families.")
    if '"bound": "' in text:
        lines.append(
            "At a ceiling (⊤, all succeed) or a floor (⊥, none does) an interval says what so many tasks and "
            "episodes can exclude; harder or easier tasks would tell more."
        )
    return lines
