"""What is wrong with a task file whose entries are all of the right form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from mtbench.errors import UsageError, unknown_name

from .. import rows
from . import expressions
from .schema import ConditionEntry, Entry, StageEntry, TaskFile

_WORDS = frozenset(
    ["arena", "name", "description", "factors", "colour", "along", "subject", "anchor", "relation", "after", "to"]
    + ["beside", "switch_stage", "seen", "of"]
)
"""Entries that are no numbers."""
_OF_BODY = {
    "object": ("object", "object_tip"),
    "mechanism": ("mechanism", "mechanism_tip", "joints"),
    "second": ("second", "lead", "follow"),
    "third": ("third",),
    "goal.next": ("next_goal", "shown_goal"),
}
"""Quantities that tell nothing where the file has no such entry."""


def faults(file: TaskFile) -> Iterator[str]:
    """What is wrong with a file whose entries are all of the right form."""
    middle = {name: (f.low + f.high) / 2 for name, f in file.factors.items()}
    for name in file.factors:
        if not name.isidentifier() or name in expressions.CONSTANTS or name in expressions.FUNCTIONS:
            yield f"factors.{name}: expected a name of letters, digits and _ that means nothing else in expressions"
    for place, text in _expressions(file):
        try:
            used = sorted(expressions.names(text))
            if used and place.startswith("expert"):
                raise UsageError(f"'{text}': an expert is one for all tasks and knows no factors, only quantities")
            for unknown in [name for name in used if name not in middle]:
                raise (
                    unknown_name("factor", unknown, middle)
                    if middle
                    else UsageError(f"unknown factor '{unknown}': the file has no [factors.{unknown}]")
                )
            if not math.isfinite(float(expressions.evaluate(text, middle))):
                raise UsageError(f"'{text}' is not finite at the middle of the factors")
        except (UsageError, ArithmeticError, ValueError) as error:
            yield f"{place}: {error}"
    try:
        file.description.format(**middle)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        yield f"description: {{{error}}} is no factor, expected {{name}} or {{name:.2f}} of one"
    yield from _slots(file)
    yield from _bodies(file)
    yield from _order(file.stages, file.rules.switch_stage)
    for index, entry in enumerate(file.expert[:-1]):
        if entry.until is None:
            yield f"expert[{index}].until: is missing: only the last waypoint never ends"


def _expressions(entry: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Places and texts of all expressions."""
    if isinstance(entry, str):
        yield place, entry
    elif isinstance(entry, tuple):
        for index, part in enumerate(entry):
            yield from _expressions(part, f"{place}[{index}]")
    elif isinstance(entry, Entry):
        for name in type(entry).model_fields:
            if name not in _WORDS:
                yield from _expressions(getattr(entry, name), f"{place}.{name}".removeprefix("."))


def _slots(file: TaskFile) -> Iterator[str]:
    """Bodies of more geoms than their slot has."""
    bodies = {
        "object.shapes": ("free", file.object.shapes if file.object else ()),
        "mechanism.shapes": ("mechanism", file.mechanism.shapes if file.mechanism else ()),
        "fixtures": ("fixtures", file.fixtures),
        "second.shapes": ("second", file.second.shapes if file.second else ()),
        "third.shapes": ("third", file.third.shapes if file.third else ()),
    }
    for place, (slot, shapes) in bodies.items():
        for kind, room in rows.CAPACITY[slot].items():
            if (count := sum(shape.kind == kind for shape in shapes)) > room:
                yield f"{place}: {count} of type {kind}, the arena has room for {room}"


def _bodies(file: TaskFile) -> Iterator[str]:
    """Quantities of bodies that the file does not have, and a mechanism that cannot move."""
    there = {"goal.next": file.goal.next is not None} | {
        body: getattr(file, body) is not None for body in ("object", "mechanism", *rows.FURTHER)
    }
    missing = {quantity: body for body, own in _OF_BODY.items() if not there[body] for quantity in own}
    conditions: dict[str, ConditionEntry] = {f"stages[{i}]": stage for i, stage in enumerate(file.stages)}
    for i, waypoint in enumerate(file.expert):
        ends = {"until": waypoint.until, "done": waypoint.done}
        conditions |= {f"expert[{i}].{name}": end for name, end in ends.items() if end}
    used = [(f"{place}.{name}", getattr(c, name)) for place, c in conditions.items() for name in ("subject", "anchor")]
    used += [(f"expert[{i}].{name}", getattr(w, name)) for i, w in enumerate(file.expert) for name in ("to", "subject")]
    used += [("rules.zone.of", quantity) for quantity in (file.rules.zone.of if file.rules.zone else ())]
    used += [("rules.seen", file.rules.seen)] if file.rules.seen else []
    for place, quantity in used:
        if quantity in missing:
            yield f"{place}: '{quantity}' needs [{missing[quantity]}], which the file does not have"
    if file.third and not file.second:
        yield "third: expected [second] too: objects are counted from the first"
    if file.second and not file.object:
        yield "second: expected [object] too: objects are counted from the first"
    if file.goal.beside and not file.second:
        yield "goal.beside: 'second' needs [second], which the file does not have"
    if (file.rules.switch_step or file.rules.switch_stage) and not file.goal.next:
        yield "rules: a switch needs goal.next, which the file does not have"
    if file.mechanism and not (file.mechanism.slide or file.mechanism.slide2 or file.mechanism.hinge):
        yield "mechanism: has no joint, expected slide, slide2 or hinge (what never moves is a fixture)"


def _order(stages: Sequence[StageEntry], switch: str | None) -> Iterator[str]:
    """Stages named twice, after something unknown, or in a circle; none that success needs."""
    known = [stage.name for stage in stages]
    for index, stage in enumerate(stages):
        if known.index(stage.name) != index:
            yield f"stages[{index}].name: '{stage.name}' is taken by stages[{known.index(stage.name)}]"
        for other in stage.after:
            if other not in known:
                yield f"stages[{index}].after: {unknown_name('stage', other, known)}"
    turns = [stage.name for stage in stages if stage.in_turn]
    if switch and switch not in turns:
        expected = f"one of {', '.join(turns)}" if turns else "a stage with in_turn = true"
        yield f"rules.switch_stage: '{switch}', expected {expected}"
    try:
        in_order(stages)
    except CycleError as error:
        yield f"stages: {' after '.join(error.args[1])}: a cycle, none of them can come first"
    if not any(stage.required for stage in stages):
        yield "stages: none is required, so nothing would count as success: expected required = true in at least one"


def in_order(stages: Sequence[StageEntry]) -> list[StageEntry]:
    """Stages in an order that `after` asks for; otherwise as they are written."""
    by_name = {stage.name: stage for stage in stages}
    graph = TopologicalSorter({stage.name: stage.after for stage in stages})
    graph.prepare()
    order: list[str] = []
    ready: list[str] = []
    while graph.is_active():
        ready = sorted([*ready, *graph.get_ready()], key=list(by_name).index)
        order.append(ready.pop(0))
        graph.done(order[-1])
    return [by_name[name] for name in order if name in by_name]
