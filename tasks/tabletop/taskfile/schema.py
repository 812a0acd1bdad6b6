"""What a task file may say. Docstrings are for readers of this file; docs/task_files.md is for writers of those."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...scenery import COLOURS
from .. import rows
from ..expert import MAX_WAYPOINTS
from ..rules import MAX_ROWS

Number = float | str
Point = tuple[Number, Number, Number]
Plain = tuple[float, float, float]


class Entry(BaseModel):
    """A table of the file: unknown entries are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class FactorEntry(Entry):
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


class ShapeEntry(Entry):
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


class FurtherEntry(Entry):
    """A free object beside the first."""

    shapes: Annotated[tuple[ShapeEntry, ...], Field(min_length=1)]
    at: Point
    spread: Plain = (0.01, 0.01, 0.0)
    """Half widths of the box in which it starts, from episode to episode."""
    mass: Number = 0.1
    friction: Number = 1.0


class ObjectEntry(FurtherEntry):
    """The free object."""

    turns: bool = True
    """Whether it can turn over."""


class JointEntry(Entry):
    """A joint of the mechanism."""

    axis: Plain
    range: tuple[Number, Number]
    damping: Number = 2.0
    armature: Number = 0.3
    stiffness: Number = 0.0
    spring: Number = 0.0


class MechanismEntry(Entry):
    """What moves along joints and is not free: a drawer, a button, a door."""

    shapes: Annotated[tuple[ShapeEntry, ...], Field(min_length=1)]
    at: Point
    mass: Number = 0.5
    slide: JointEntry | None = None
    slide2: JointEntry | None = None
    hinge: JointEntry | None = None
    start: Point = (0.0, 0.0, 0.0)
    """Positions of slide, slide2 and hinge as an episode begins: m, m, rad."""


class ConditionEntry(Entry):
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
    in_turn: bool = False
    """Counts for good once it holds while all before it do or did; success needs it to have."""


class WaypointEntry(Entry):
    """A step of the expert; see `expert.Waypoint`."""

    to: Literal[rows.QUANTITIES]  # type: ignore[valid-type]
    offset: Point = (0.0, 0.0, 0.0)
    until: ConditionEntry | None = None
    done: ConditionEntry | None = None
    """Passed over where this holds."""
    effort: Annotated[float, Field(ge=-1, le=1)] = -1.0
    gain: Annotated[float, Field(gt=0)] = 10.0
    blend: Plain = (1.0, 1.0, 1.0)
    subject: Literal[rows.QUANTITIES] = "hand"  # type: ignore[valid-type]


class GoalEntry(Entry):
    """What is to be reached, and which points of the bodies are seen and judged."""

    at: Point
    beside: Literal["second"] | None = None
    """The object from which `at` is an offset."""
    next: Point | None = None
    """A second goal."""
    object_point: Point = (0.0, 0.0, 0.0)
    object_tip: Point = (0.0, 0.0, 0.0)
    mechanism_point: Point = (0.0, 0.0, 0.0)
    mechanism_tip: Point = (0.0, 0.0, 0.0)
    hand_low: Plain = (-0.5, 0.4, 0.05)
    hand_high: Plain = (0.5, 1.0, 0.5)


class ZoneEntry(Entry):
    """A box that may not be entered."""

    centre: Point
    half: Point
    """Half sizes."""
    of: tuple[Literal[rows.QUANTITIES], Literal[rows.QUANTITIES]] = ("hand", "tcp")  # type: ignore[valid-type]
    ends: bool = False
    """Whether to enter it ends the episode; else it only cannot be a success any more."""


class RulesEntry(Entry):
    """What decides beside stages; see `rules.Rules`."""

    hold: Annotated[int, Field(ge=0)] = 0
    order: Number = 0
    """Which free object is `lead`: the first (0) or the second (1)."""
    switch_step: Number = 0
    """Control step from which on the next goal is shown; 0 for never."""
    switch_stage: str | None = None
    """The stage in turn after which it is."""
    seen: Literal[rows.QUANTITIES] | None = None  # type: ignore[valid-type]
    """A third quantity that is observed."""
    zone: ZoneEntry | None = None


class TaskFile(Entry):
    """A family."""

    arena: Literal["tabletop"] = "tabletop"
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{1,40}$")]
    version: Annotated[int, Field(ge=1)] = 1
    description: str
    """A sentence; `{factor}` stands for a factor's value."""
    factors: dict[str, FactorEntry] = {}
    object: ObjectEntry | None = None
    second: FurtherEntry | None = None
    third: FurtherEntry | None = None
    mechanism: MechanismEntry | None = None
    fixtures: tuple[ShapeEntry, ...] = ()
    hand: Point = rows.HAND_START
    """Where the hand starts."""
    goal: GoalEntry
    stages: Annotated[tuple[StageEntry, ...], Field(min_length=1, max_length=MAX_ROWS)]
    rules: RulesEntry = RulesEntry()
    expert: Annotated[tuple[WaypointEntry, ...], Field(max_length=MAX_WAYPOINTS)] = ()
