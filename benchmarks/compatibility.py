"""Writes docs/compatibility.md: what agrees with Meta-World v3, what does not and why, and what was measured.

    python benchmarks/compatibility.py                                      (the page, from committed files)
    python benchmarks/compatibility.py --peers .venv-peers/bin/python       (reads Meta-World's own numbers anew)

Figures come from results/{experts,observations,transfer-MT10,contacts}.json, Meta-World's ranges and observations from
results/metaworld.json, ours from the families themselves; compatibility.toml says why things differ.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mtbench import files, registry
from mtbench.env import make_env
from mtbench.stages import NEAR
from mtbench.task import Family, Task

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "compatibility.md"
RESULTS = HERE / "results"
METAWORLD = RESULTS / "metaworld.json"
TEXTS = tomllib.loads((HERE / "compatibility.toml").read_text())
LOW_SUCCESS = 0.8
"""Below this, Meta-World's expert needs an explanation."""
AXES = "xyz"
ENTRIES = (("4–6", slice(4, 7)), ("11–13", slice(11, 14)), ("36–38", slice(36, 39)))
"""Positions in the observation: the two objects, the goal."""
QUATERNIONS = (("7–10", slice(7, 11)), ("14–17", slice(14, 18)))
GROUPS = {
    "hand": slice(0, 3),
    "opening": slice(3, 4),
    "object": slice(4, 7),
    "its orientation": slice(7, 11),
    "second object": slice(11, 14),
    "second orientation": slice(14, 18),
    "goal": slice(36, 39),
}
"""Entries of a frame and of the goal; the frame before ranges as this one does."""
CLOSE = 0.003


def number(value: float) -> str:
    return f"{round(float(value), 4) + 0.0:g}"


def point(values: Any) -> str:
    return "(" + ", ".join(number(v) for v in values) + ")"


def span(low: float, high: float) -> str:
    return f"{number(low)} … {number(high)}"


def rule(task: Task, quantities: tuple[str, ...]) -> str:
    """The required rows of a stage table, in words of its quantities."""
    table = task.goal.stages
    return " and ".join(
        f"`{_row(jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), table.conditions), quantities)}`"
        for i in np.flatnonzero(table.required)
    )


def _row(row: Any, quantities: tuple[str, ...]) -> str:
    subject, anchor = quantities[int(row.subject)], quantities[int(row.anchor)]
    axes = [i for i in range(3) if row.weights[i]]
    parts = {"joints": ("slide", "slide2", "hinge"), "gripper": ("distance",) * 3}.get(subject, tuple(AXES))
    if len(axes) == 1 and abs(row.weights[axes[0]]) == 1:
        (i,) = axes
        right = f"{anchor}.{parts[i]}" if anchor != "origin" else ""
        if int(row.relation) == NEAR:
            less = f" - {right}" if right else ""
            return f"|{subject}.{parts[i]}{less}{_signed(-row.offset[i])}| ≤ {number(row.tolerance)}"
        more = row.weights[i] > 0
        shift = row.offset[i] - row.weights[i] * row.tolerance
        target = f"{right}{_signed(shift)}" if right else number(shift)
        return f"{subject}.{parts[i]} {'≥' if more else '≤'} {target}"
    difference = subject + (f" - {anchor}" if anchor != "origin" else "")
    difference += f" - {point(row.offset)}" if np.any(row.offset) else ""
    if np.any(row.weights != 1):
        difference = f"{point(row.weights)} · ({difference})"
    if int(row.relation) == NEAR:
        return f"‖{difference}‖ ≤ {number(row.tolerance)}"
    return f"Σ {difference} ≥ {number(-row.tolerance)}"


def _signed(value: float) -> str:
    return "" if abs(value) < 1e-6 else f" {'+' if value > 0 else '-'} {number(abs(value))}"


def prefixes(family: Family, facts: Mapping[str, Any]) -> list[str]:
    """Which of our factors the numbers of Meta-World's random vector are."""
    if family.name in TEXTS["draw"]:
        return TEXTS["draw"][family.name]
    if len(facts["low"]) > 3:
        return ["object", "goal"]
    return [next(f.name[:-2] for f in family.factors if f.name[-2:] in ("_x", "_y"))]


def drawn(family: Family, facts: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Meta-World's ranges by the names of our factors."""
    return dict(zip(drawn_names(family, facts), zip(facts["low"], facts["high"], strict=True), strict=True))


def drawn_names(family: Family, facts: Mapping[str, Any]) -> list[str]:
    """Names of our factors for the numbers of Meta-World's random vector."""
    return [f"{prefix}_{axis}" for prefix in prefixes(family, facts) for axis in AXES]


def placed(family: Family, facts: Mapping[str, Any], vector: Sequence[float]) -> Task:
    """Our row for one of Meta-World's random vectors, everything else at the middle, without spread at the start."""
    known = dict(zip(drawn_names(family, facts), vector, strict=True))
    values = {name: known.get(name, middle) for name, middle in family.midpoint().items()}
    task = family.build({name: jnp.float32(value) for name, value in values.items()})
    still = task.initial.replace(hand_spread=jnp.zeros(3), object_spread=jnp.zeros(3))
    return jax.tree.map(jnp.asarray, task.replace(initial=still))


def placement(family: Family, task: Task, facts: Mapping[str, Any]) -> list[str]:
    """Where ranges of placement, the hand's start or its bounds are not Meta-World's."""
    ours = {f.name: (f.low, f.high) for f in family.factors}
    out = []
    for name, theirs in drawn(family, facts).items():
        if name in TEXTS["unused"].get(family.name, ()):
            continue
        mine = ours.get(name)
        if mine is None and theirs[1] - theirs[0] > CLOSE:
            out.append(f"`{name}` is fixed (Meta-World: {span(*theirs)})")
        elif mine is not None and not np.allclose(mine, theirs, atol=CLOSE / 2):
            out.append(f"`{name}` in {span(*mine)} (Meta-World: {span(*theirs)})")
    pairs = (
        ("the hand starts at", task.initial.hand, facts["hand"]),
        ("the hand's lower bound is", task.goal.hand_low, facts["hand_low"]),
        ("its upper bound is", task.goal.hand_high, facts["hand_high"]),
    )
    for what, mine, theirs in pairs:
        if not np.allclose(mine, theirs, atol=1e-4):
            out.append(f"{what} {point(mine)} (Meta-World: {point(theirs)})")
    return out


def variation(family: Family, facts: Mapping[str, Any]) -> list[str]:
    """Factors that Meta-World does not vary."""
    out = []
    for factor in family.factors:
        if factor.name not in drawn(family, facts):
            found = re.search(r"\(Meta-World: (.*?)\)", factor.meaning)
            theirs = found[1] if found else "1" if "relative to Meta-World's" in factor.meaning else ""
            values = f"{span(factor.low, factor.high)} {factor.unit}".strip()
            out.append(f"`{factor.name}` {values}" + (f" (Meta-World: {theirs})" if theirs else ""))
    return out


def first_observations(families: list[Family], facts: Mapping[str, Any]) -> tuple[list[Task], np.ndarray]:
    """Our rows and first observations [family, 39] where Meta-World's were taken."""
    tasks = []
    for index, family in enumerate(families):
        own = facts[family.name]
        tasks.append(placed(family, own, own["low"][:3] + own["high"][3:]).replace(family=jnp.int32(index)))
    rows = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks)
    env = make_env(registry.arena("tabletop"), rows, horizon=1, num_families=len(families), backend="mujoco")
    observations = jax.jit(jax.vmap(lambda key, row: env.reset(key, row)[1].observation))
    return tasks, np.asarray(observations(jax.random.split(jax.random.key(0), len(tasks)), rows))


def observed(ours: np.ndarray, theirs: np.ndarray) -> list[str]:
    """Entries of the first observation that differ."""
    out = []
    for name, entries in ENTRIES:
        if np.abs(ours[entries] - theirs[entries]).max() > CLOSE:
            out.append(f"{name} begin at {point(ours[entries].round(3))} (Meta-World: {point(theirs[entries])})")
    for name, entries in QUATERNIONS:
        mine, other = ours[entries], theirs[entries]
        if np.abs(mine - other).max() <= 0.05:
            continue
        out.append(f"{name} begin at {point(mine.round(3))} (Meta-World: {point(other)})")
    return out


def percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.0f} %"


def measured(columns: Mapping[str, Any], names: list[str]) -> list[str]:
    """The table of success rates."""
    heads = [f"{name} ({column['tasks_per_family']})" for name, column in columns.items()]
    lines = [f"| {' | '.join(['family', *heads])} |", f"| --- {'| ---: ' * len(heads)}|"]
    for name in names:
        cells = [percent(column["success"].get(name)) for column in columns.values()]
        lines.append(f"| {' | '.join([f'[{name}](#{name})', *cells])} |")
    means = [f"{percent(float(np.mean(list(c['success'].values()))))} of {len(c['success'])}" for c in columns.values()]
    return [*lines, f"| {' | '.join(['mean of families', *means])} |"]


def observations_section(measured: Mapping[str, Any]) -> list[str]:
    """Where entries go, here and there."""
    lines = []
    for name, family in measured["families"].items():
        here, there = (np.array([family[where]["min"], family[where]["max"]]) for where in ("here", "there"))
        first = np.abs(np.subtract(family["here"]["first"], family["there"]["first"]))
        apart = np.abs(here - there).max(0)
        cells = [f"{first.max():.3f}", *(f"{apart[entries].max():.2f}" for entries in GROUPS.values())]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [
        "## Ranges of the observation's entries",
        "",
        f"Meta-World's experts, unchanged, played the first {measured['goals']} goals of every family, there and here,",
        f"up to success or {measured['steps']} steps. *First* is the largest difference in any entry of the first",
        "observation; the others are how far the ends of an entry's range lie apart, the worst entry of each group, in",
        "metres (orientations and the opening: 1). A quaternion that turns freely (a ball, a dropped puck) ranges over",
        "what it happens to do. From `benchmarks/results/observations.json`, which has every entry.",
        "",
        "| family | first | " + " | ".join(GROUPS) + " |",
        "| --- |" + " ---: |" * (1 + len(GROUPS)),
        *lines,
        "",
    ]


def transfer_section(measured: Mapping[str, Any]) -> list[str]:
    """What policies that were trained here do in Meta-World."""
    seeds, suite = len(measured["seeds"]), measured["suite"]["name"]
    rows = [f"| {name} | {percent(s['here'])} | {percent(s['there'])} |" for name, s in measured["families"].items()]
    return [
        "## Policies trained here, in Meta-World",
        "",
        f"MT-PPO was trained on {suite} here, with {seeds} seeds (`benchmarks/results/learning-{suite}.md`), and",
        f"played in metaworld itself, unchanged, on {measured['goals']} goals of every family for {measured['steps']}",
        f"steps; here on as many held-out tasks. It keeps {percent(measured['share'])} of its success. From",
        f"`benchmarks/results/transfer-{suite}.json`.",
        "",
        "| family | here | in Meta-World |",
        "| --- | ---: | ---: |",
        *rows,
        f"| **mean** | {percent(measured['here'])} | {percent(measured['there'])} |",
        "",
    ]


def contacts_section(contacts: Mapping[str, Any]) -> list[str]:
    """What the caps on contacts change."""
    caps = contacts["caps"]
    rows = []
    for name, figures in contacts["families"].items():
        rates = percent(figures["success_capped"]), percent(figures["success_all_contacts"])
        speeds = f"{figures['metres_per_second']:.1g}", f"{figures['radians_per_second']:.1g}"
        rows.append(f"| {' | '.join([name, *rates, *speeds])} |")
    return [
        "## MJX's caps on contacts",
        "",
        f"On `mjx` the {caps['max_geom_pairs']} nearest pairs of each two types of geom are looked at, and the",
        f"{caps['max_contact_points']} nearest contacts of each friction dimension are kept. Below: our experts on",
        f"{contacts['tasks_per_family']} tasks per family with these caps and without, and the largest difference that",
        "they make to a velocity in one control step; equal contacts give round-off. From",
        "`benchmarks/results/contacts.json`.",
        "",
        "| family | success, capped | success, all contacts | m/s | rad/s |",
        "| --- | ---: | ---: | ---: | ---: |",
        *rows,
        "",
    ]


def unexplained(columns: Mapping[str, Any]) -> list[str]:
    """Families on which Meta-World's expert falls below `LOW_SUCCESS` on our environments, and no text says why."""
    low = {
        family
        for name, column in columns.items()
        for family, rate in column["success"].items()
        if name.startswith("Meta-World's") and "home" not in name and rate < LOW_SUCCESS
    }
    return sorted(low - set(TEXTS["explanations"]))


def page() -> str:
    """The page.

    Raises:
      SystemExit: a family needs an explanation, or a text speaks of a family that does not exist.
    """
    experts = json.loads((RESULTS / "experts.json").read_text())["columns"]
    metaworld = json.loads(METAWORLD.read_text())
    facts = metaworld["families"]
    names = sorted(facts)
    if missing := unexplained(experts):
        raise SystemExit(
            f"Meta-World's expert solves less than {percent(LOW_SUCCESS)} of {', '.join(missing)}: say why under "
            "[explanations] in benchmarks/compatibility.toml"
        )
    for table in ("draw", "unused", "success", "notes", "explanations"):
        if strangers := sorted(set(TEXTS[table]) - set(names)):
            raise SystemExit(f"benchmarks/compatibility.toml, [{table}]: no family {', '.join(strangers)}")
    families = [registry.family(name) for name in names]
    tasks, observations = first_observations(families, facts)
    quantities = registry.arena("tabletop")(jax.tree.map(lambda leaf: leaf[None], tasks[0])).quantities
    version = metaworld["versions"]["metaworld"]
    lines = [
        "# What agrees with Meta-World v3, and what does not",
        "",
        "<!-- Written by benchmarks/compatibility.py from compatibility.toml and results/*.json there. -->",
        "",
        f"The fifty families beside Meta-World v3 (package metaworld {version}). [families.md](families.md) says how",
        "one arena's slots make them, and by which stages they are rewarded.",
        "",
        "## Common to all families",
        "",
        "What agrees:",
        "",
        *[f"- {text}" for text in TEXTS["common"]["agrees"]],
        "",
        "What differs:",
        "",
        *[f"- {text}" for text in TEXTS["common"]["differs"]],
        "",
        "## Success of scripted experts",
        "",
        "Ours and Meta-World's own, unchanged, on our environments with either backend; and Meta-World's at home, in",
        "metaworld itself. Tasks per family in brackets; – is not measured. From `benchmarks/results/experts.json`.",
        "",
        *measured(experts, names),
        "",
        *observations_section(json.loads((RESULTS / "observations.json").read_text())),
        *transfer_section(json.loads((RESULTS / "transfer-MT10.json").read_text())),
        *contacts_section(json.loads((RESULTS / "contacts.json").read_text())),
        "## Families",
        "",
        "Ranges of placement, the hand's start and bounds, and the first observation were compared with metaworld's",
        "by program: what is not named agrees. A success rule is ours, and Meta-World's too unless another stands",
        "beside it; it speaks of the quantities of [families.md](families.md#vocabulary).",
        "",
    ]
    for family, task, observation in zip(families, tasks, observations, strict=True):
        own = facts[family.name]
        theirs = TEXTS["success"].get(family.name)
        differences = [*placement(family, task, own), *observed(observation, np.array(own["observation"]))]
        lines += [f"### {family.name}", ""]
        lines.append(f"- Success: {rule(task, quantities)}." + (f" Meta-World: {theirs}." if theirs else ""))
        lines.append(f"- Varies besides placement: {', '.join(variation(family, own))}.")
        if differences:
            lines.append(f"- Placement and observation: {'; '.join(differences)}.")
        lines += [f"- {note}" for note in TEXTS["notes"].get(family.name, ())]
        if family.name in TEXTS["explanations"]:
            lines.append(f"- {TEXTS['explanations'][family.name]}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def indented(content: Any) -> str:
    """JSON to read, with vectors on one line."""
    text = json.dumps(content, indent=1)
    return re.sub(r"\[\s+([^\[\]]*?)\s+\]", lambda found: "[" + re.sub(r",\s+", ", ", found[1]) + "]", text) + "\n"


def ask(interpreter: str) -> None:
    """Writes Meta-World's own numbers to results/metaworld.json."""
    command = [interpreter, "-W", "ignore", str(HERE / "peers" / "metaworld_home.py"), "facts"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    families = {row.pop("family"): row for row in rows[1:]}
    files.write(METAWORLD, indented({**rows[0], "families": families}))
    print(f"written {METAWORLD}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="interpreter of an environment with metaworld: reads its numbers anew")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is not up to date")
    arguments = parser.parse_args()
    if arguments.peers:
        ask(arguments.peers)
    text = page()
    if not arguments.check:
        files.write(PAGE, text)
        print(f"written {PAGE}")
    elif text != PAGE.read_text():
        sys.exit(f"{PAGE} is out of date: python benchmarks/compatibility.py")


if __name__ == "__main__":
    main()
