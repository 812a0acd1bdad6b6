"""Task files: a family of the tabletop written in TOML, by a person or a language model.

Everything that a family written in Python says is an entry here; numbers may be expressions of factors. `parse` names
every fault of a file with its place, so that whoever wrote it can mend all of them at once.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mtbench.errors import UsageError, unknown_name
from mtbench.stages import BEYOND, MAX_STAGES, NEAR
from mtbench.task import Factor, Family, Task

from ..scenery import COLOURS
from . import expressions, rows
from .expert import MAX_WAYPOINTS, Waypoint

Number = float | str
Point = tuple[Number, Number, Number]
Plain = tuple[float, float, float]
_ALONG = {"x": rows.ALONG_X, "y": rows.ALONG_Y, "z": rows.ALONG_Z}
_RELATIONS = {"near": NEAR, "beyond": BEYOND}
_WORDS = {
    *("arena", "name", "description", "factors", "colour", "along"),
    *("subject", "anchor", "relation", "after", "to"),
}
"""Entries that are no numbers."""
_OF_BODY = {"object": ("object", "object_tip"), "mechanism": ("mechanism", "mechanism_tip", "joints")}
"""Quantities that tell nothing where the file has no such body."""


class _Entry(BaseModel):
    """A table of the file: unknown entries are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class FactorEntry(_Entry):
    """A cause of variation, uniform over [low, high]."""

    low: float
    high: float
    unit: str = ""
    meaning: str

    @model_validator(mode="after")
    def _rising(self) -> FactorEntry:
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"low = {self.low}, high = {self.high}: expected finite numbers, low <= high")
        return self


class ShapeEntry(_Entry):
    """One geom: half sizes in metres, in the frame of its body."""

    box: Point | None = None
    sphere: Number | None = None
    capsule: tuple[Number, Number] | None = None
    """Radius, and half length of the straight part."""
    at: Point = (0.0, 0.0, 0.0)
    along: Literal["x", "y", "z"] = "z"
    colour: Literal[tuple(COLOURS)] = "steel"  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one(self) -> ShapeEntry:
        if sum(kind is not None for kind in (self.box, self.sphere, self.capsule)) != 1:
            raise ValueError("expected exactly one of box, sphere, capsule")
        return self

    @property
    def kind(self) -> str:
        """Its type of geom."""
        return rows.BOX if self.box is not None else rows.SPHERE if self.sphere is not None else rows.CAPSULE


class ObjectEntry(_Entry):
    """The free object."""

    shapes: Annotated[tuple[ShapeEntry, ...], Field(min_length=1)]
    at: Point
    spread: Plain = (0.01, 0.01, 0.0)
    """Half widths of the box in which it starts, from episode to episode."""
    mass: Number = 0.1
    friction: Number = 1.0
    turns: bool = True
    """Whether it can turn over."""


class JointEntry(_Entry):
    """A joint of the mechanism."""

    axis: Plain
    range: tuple[Number, Number]
    damping: Number = 2.0
    armature: Number = 0.3
    stiffness: Number = 0.0
    spring: Number = 0.0


class MechanismEntry(_Entry):
    """What moves along joints and is not free: a drawer, a button, a door."""

    shapes: Annotated[tuple[ShapeEntry, ...], Field(min_length=1)]
    at: Point
    mass: Number = 0.5
    slide: JointEntry | None = None
    slide2: JointEntry | None = None
    hinge: JointEntry | None = None
    start: Point = (0.0, 0.0, 0.0)
    """Positions of slide, slide2 and hinge as an episode begins: m, m, rad."""


class ConditionEntry(_Entry):
    """Does `subject` stand in a relation to `anchor + offset`?"""

    subject: Literal[rows.QUANTITIES]  # type: ignore[valid-type]
    anchor: Literal[rows.QUANTITIES]  # type: ignore[valid-type]
    tolerance: Number
    offset: Point = (0.0, 0.0, 0.0)
    weights: Plain = (1.0, 1.0, 1.0)
    relation: Literal["near", "beyond"] = "near"


class StageEntry(ConditionEntry):
    """A row of the stage table. Stages are judged in the order that `after` asks for."""

    name: str
    after: tuple[str, ...] = ()
    scale: Annotated[float, Field(gt=0)] = 0.15
    required: bool = False


class WaypointEntry(_Entry):
    """A step of the expert; see `expert.Waypoint`."""

    to: Literal[rows.QUANTITIES]  # type: ignore[valid-type]
    offset: Point = (0.0, 0.0, 0.0)
    until: ConditionEntry | None = None
    effort: Annotated[float, Field(ge=-1, le=1)] = -1.0
    gain: Annotated[float, Field(gt=0)] = 10.0
    blend: Plain = (1.0, 1.0, 1.0)
    subject: Literal[rows.QUANTITIES] = "hand"  # type: ignore[valid-type]


class GoalEntry(_Entry):
    """What is to be reached, and which points of the bodies are seen and judged."""

    at: Point
    object_point: Point = (0.0, 0.0, 0.0)
    object_tip: Point = (0.0, 0.0, 0.0)
    mechanism_point: Point = (0.0, 0.0, 0.0)
    mechanism_tip: Point = (0.0, 0.0, 0.0)
    hand_low: Plain = (-0.5, 0.4, 0.05)
    hand_high: Plain = (0.5, 1.0, 0.5)


class TaskFile(_Entry):
    """A family."""

    arena: Literal["tabletop"] = "tabletop"
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{1,40}$")]
    version: Annotated[int, Field(ge=1)] = 1
    description: str
    """A sentence; `{factor}` stands for a factor's value."""
    factors: dict[str, FactorEntry] = {}
    object: ObjectEntry | None = None
    mechanism: MechanismEntry | None = None
    fixtures: tuple[ShapeEntry, ...] = ()
    hand: Point = rows.HAND_START
    """Where the hand starts."""
    goal: GoalEntry
    stages: Annotated[tuple[StageEntry, ...], Field(min_length=1, max_length=MAX_STAGES)]
    expert: Annotated[tuple[WaypointEntry, ...], Field(max_length=MAX_WAYPOINTS)] = ()


def parse(text: str, where: str) -> Family:
    """The family of a task file.

    Args:
      text: the file's content.
      where: what errors call it.

    Raises:
      UsageError: names every fault with its place.
    """
    try:
        entries = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where}: no TOML: {error}") from None
    try:
        file = TaskFile.model_validate(entries)
    except ValidationError as error:
        found = {_place(fault["loc"]): fault["msg"].removeprefix("Value error, ") for fault in error.errors()}
        raise _told(where, [f"{place or 'file'}: {message}" for place, message in found.items()]) from None
    if faults := list(_faults(file)):
        raise _told(where, faults)
    family = Family(
        name=file.name,
        arena="tabletop",
        version=file.version,
        description=file.description,
        factors=tuple(Factor(name, f.low, f.high, f.unit, f.meaning) for name, f in file.factors.items()),
        build=partial(_build, file),
        expert=tuple(map(_waypoint, file.expert)) or None,
    )
    return family


def _told(where: str, faults: Sequence[str]) -> UsageError:
    count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
    return UsageError("\n  ".join([f"{where}: {count}", *faults]))


def _place(location: Sequence[Any]) -> str:
    """Where in the file: `stages[1].anchor`. What pydantic adds of its own (which type of a union) is left out."""
    words = [word for word in location if isinstance(word, int) or word.isidentifier() or "-" in word]
    text = ""
    for word in words:
        if word not in ("float", "str", "int"):
            text += f"[{word}]" if isinstance(word, int) else f".{word}"
    return text.removeprefix(".")


def _faults(file: TaskFile) -> Iterator[str]:
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
    yield from _order(file.stages)
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
    elif isinstance(entry, _Entry):
        for name in type(entry).model_fields:
            if name not in _WORDS:
                yield from _expressions(getattr(entry, name), f"{place}.{name}".removeprefix("."))


def _slots(file: TaskFile) -> Iterator[str]:
    """Bodies of more geoms than their slot has."""
    bodies = {
        "object.shapes": ("free", file.object.shapes if file.object else ()),
        "mechanism.shapes": ("mechanism", file.mechanism.shapes if file.mechanism else ()),
        "fixtures": ("fixtures", file.fixtures),
    }
    for place, (slot, shapes) in bodies.items():
        for kind, room in rows.CAPACITY[slot].items():
            if (count := sum(shape.kind == kind for shape in shapes)) > room:
                yield f"{place}: {count} of type {kind}, the arena has room for {room}"


def _bodies(file: TaskFile) -> Iterator[str]:
    """Quantities of bodies that the file does not have, and a mechanism that cannot move."""
    missing = {quantity: body for body, own in _OF_BODY.items() if getattr(file, body) is None for quantity in own}
    conditions = {f"stages[{i}]": stage for i, stage in enumerate(file.stages)}
    conditions |= {f"expert[{i}].until": w.until for i, w in enumerate(file.expert) if w.until}  # type: ignore[misc]
    used = [(f"{place}.{name}", getattr(c, name)) for place, c in conditions.items() for name in ("subject", "anchor")]
    used += [(f"expert[{i}].{name}", getattr(w, name)) for i, w in enumerate(file.expert) for name in ("to", "subject")]
    for place, quantity in used:
        if quantity in missing:
            yield f"{place}: '{quantity}' needs [{missing[quantity]}], which the file does not have"
    if file.mechanism and not (file.mechanism.slide or file.mechanism.slide2 or file.mechanism.hinge):
        yield "mechanism: has no joint, expected slide, slide2 or hinge (what never moves is a fixture)"


def _order(stages: Sequence[StageEntry]) -> Iterator[str]:
    """Stages named twice, after something unknown, or in a circle; none that success needs."""
    known = [stage.name for stage in stages]
    for index, stage in enumerate(stages):
        if known.index(stage.name) != index:
            yield f"stages[{index}].name: '{stage.name}' is taken by stages[{known.index(stage.name)}]"
        for other in stage.after:
            if other not in known:
                yield f"stages[{index}].after: {unknown_name('stage', other, known)}"
    try:
        _sorted(stages)
    except CycleError as error:
        yield f"stages: {' after '.join(error.args[1])}: a cycle, none of them can come first"
    if not any(stage.required for stage in stages):
        yield "stages: none is required, so nothing would count as success: expected required = true in at least one"


def _sorted(stages: Sequence[StageEntry]) -> list[StageEntry]:
    """Stages in an order that `after` asks for; otherwise as they are written."""
    by_name = {stage.name: stage for stage in stages}
    graph = TopologicalSorter({stage.name: stage.after for stage in stages})
    graph.prepare()
    order, ready = [], []
    while graph.is_active():
        ready = sorted([*ready, *graph.get_ready()], key=list(by_name).index)
        order.append(ready.pop(0))
        graph.done(order[-1])
    return [by_name[name] for name in order if name in by_name]


def _number(value: Number, factors: Mapping[str, Any]) -> Any:
    return expressions.evaluate(value, factors) if isinstance(value, str) else value


def _numbers(values: Sequence[Number], factors: Mapping[str, Any]) -> list[Any]:
    return [_number(value, factors) for value in values]


def _shape(entry: ShapeEntry, factors: Mapping[str, Any]) -> rows.Shape:
    at = _numbers(entry.at, factors)
    if entry.box is not None:
        return rows.box(_numbers(entry.box, factors), at, entry.colour)
    if entry.sphere is not None:
        return rows.sphere(_number(entry.sphere, factors), at, entry.colour)
    assert entry.capsule is not None
    return rows.capsule(*_numbers(entry.capsule, factors), at, _ALONG[entry.along], entry.colour)


def _condition(entry: ConditionEntry, factors: Mapping[str, Any], **more: Any) -> rows.Stage:
    return rows.Stage(
        subject=rows.QUANTITIES.index(entry.subject),
        anchor=rows.QUANTITIES.index(entry.anchor),
        tolerance=_number(entry.tolerance, factors),
        offset=_numbers(entry.offset, factors),
        weights=entry.weights,
        relation=_RELATIONS[entry.relation],
        **more,
    )


def _waypoint(entry: WaypointEntry) -> Waypoint:
    # An expert is one script for all tasks of a family: it sees factors in what it measures alone.
    return Waypoint(
        target=rows.QUANTITIES.index(entry.to),
        offset=_numbers(entry.offset, {}),
        arrived=_condition(entry.until, {}) if entry.until else None,
        effort=entry.effort,
        gain=entry.gain,
        blend=entry.blend,
        subject=rows.QUANTITIES.index(entry.subject),
    )


def _build(file: TaskFile, factors: Mapping[str, Any]) -> Task:
    number, numbers, shape = (partial(f, factors=factors) for f in (_number, _numbers, _shape))

    def joint(entry: JointEntry | None) -> rows.Joint | None:
        if entry is None:
            return None
        told = {name: number(getattr(entry, name)) for name in ("damping", "armature", "stiffness", "spring")}
        return rows.Joint(entry.axis, numbers(entry.range), **told)

    scene: dict[str, Any] = {"fixtures": [shape(entry) for entry in file.fixtures]}
    start: dict[str, Any] = {"hand": numbers(file.hand)}
    observed = [rows.ORIGIN, rows.ORIGIN]
    if free := file.object:
        scene |= {"free": [shape(entry) for entry in free.shapes], "free_turns": free.turns}
        scene |= {"free_mass": number(free.mass), "free_friction": number(free.friction)}
        start |= {"object": numbers(free.at), "object_spread": free.spread}
        observed[0] = rows.OBJECT
    if moving := file.mechanism:
        scene |= {"mechanism": [shape(entry) for entry in moving.shapes], "mechanism_mass": number(moving.mass)}
        scene |= {"mechanism_pos": numbers(moving.at)}
        scene |= {name: joint(getattr(moving, name)) for name in ("slide", "slide2", "hinge")}
        start["joints"] = numbers(moving.start)
        observed[1 if file.object else 0] = rows.MECHANISM
    ordered = _sorted(file.stages)
    table = [_condition(s, factors, scale=s.scale, required=s.required) for s in ordered]
    return Task(
        scene=rows.scene(**scene),
        initial=rows.initial(**start),
        goal=rows.goal(
            point=numbers(file.goal.at),
            stages=rows.stages(*table),
            observed=observed,
            hand_low=file.goal.hand_low,
            hand_high=file.goal.hand_high,
            second_orientation=rows.WXYZ if file.object and file.mechanism else rows.ZEROS,
            **{
                name: numbers(getattr(file.goal, name))
                for name in ("object_point", "object_tip", "mechanism_point", "mechanism_tip")
            },
        ),
        family=0,
    )
