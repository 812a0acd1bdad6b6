"""The tabletop's row: what a task may say, and the short words in which families say it.

Slots have a fixed number of geoms per type, so that every task of the arena has the same structure. A family fills
some of them; the rest is parked. Lengths are half sizes in metres, as in MuJoCo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from mtbench.stages import BEYOND, MAX_STAGES, NEAR, Conditions, Stages
from mtbench.task import Deviations

from ..arrays import constant, scalar, stacked, vector
from ..scenery import COLOURS
from .rules import MAX_ROWS, Rules, blank, no_stages, zeros

BOX, CAPSULE, SPHERE = "box", "capsule", "sphere"
TYPES = (BOX, CAPSULE, SPHERE)
CAPACITY = {
    "free": {BOX: 3, CAPSULE: 6, SPHERE: 2},
    "mechanism": {BOX: 4, CAPSULE: 3, SPHERE: 1},
    "fixtures": {BOX: 10, CAPSULE: 8, SPHERE: 0},
    "second": {BOX: 5, CAPSULE: 1, SPHERE: 1},
    "third": {BOX: 1, CAPSULE: 1, SPHERE: 1},
}
"""Geoms of each slot by type: what the families need (docs/families.md)."""
FURTHER = ("second", "third")
"""Slots of free objects beside the first. A model without tasks that use one has no such body."""

_COLOURS = tuple(COLOURS)

QUANTITIES = (
    "hand",
    "tcp",
    "object",
    "object_tip",
    "mechanism",
    "mechanism_tip",
    "joints",
    "gripper",
    "goal",
    "origin",
    "layout",
    "command",
    "pending",
    "second",
    "third",
    "lead",
    "follow",
    "next_goal",
    "shown_goal",
    "status",
)
"""The vocabulary of stages and experts; docs/families.md says what each means."""
HAND, TCP, OBJECT, OBJECT_TIP, MECHANISM, MECHANISM_TIP, JOINTS, GRIPPER, GOAL, ORIGIN = range(10)
LAYOUT, COMMAND, PENDING = range(10, 13)
SECOND, THIRD, LEAD, FOLLOW, NEXT_GOAL, SHOWN_GOAL, STATUS = range(13, len(QUANTITIES))
POINTS = (
    *(HAND, TCP, OBJECT, OBJECT_TIP, MECHANISM, MECHANISM_TIP, GOAL),
    *(SECOND, THIRD, LEAD, FOLLOW, NEXT_GOAL, SHOWN_GOAL),
)
"""Quantities that are places in the world."""

PARKED = 1e-3
"""Size of a geom that is not used."""
PARKED_DRAG = 1e4
# Far behind the table and above its plane, which has no end.
PARKED_FREE = (0.0, 4.0, 1.0)
PARKED_MECHANISM = (0.5, 4.0, 1.0)
PARKED_FURTHER = ((-0.5, 4.0, 1.0), (-1.0, 4.0, 1.0))


@struct.dataclass
class Geoms:
    """The geoms of one slot [n], in the order boxes, capsules, spheres."""

    size: Float[Array, "n 3"]
    pos: Float[Array, "n 3"]
    quat: Float[Array, "n 4"]
    colour: Int[Array, " n"]
    used: Float[Array, " n"]
    """1 where the task uses the geom."""


def _no_geoms(name: str) -> Any:
    """A field without a geom by default."""
    count = sum(CAPACITY[name].values())
    return field(
        default_factory=lambda: Geoms(
            blank(count, 3), blank(count, 3), blank(count, 4), blank(count, dtype=np.int32), blank(count)
        )
    )


@struct.dataclass
class Further(Deviations):
    """The free objects beside the first, in the order of `FURTHER`; zeros where there is none."""

    second: Geoms = _no_geoms("second")
    third: Geoms = _no_geoms("third")
    mass: Float[Array, 2] = zeros(2)
    friction: Float[Array, 2] = zeros(2)
    """Sliding friction."""


@struct.dataclass
class FurtherInitial(Deviations):
    """Where they start, upright."""

    there: Bool[Array, 2] = zeros(2, dtype=bool)
    pos: Float[Array, "2 3"] = zeros(2, 3)
    spread: Float[Array, "2 3"] = zeros(2, 3)


@struct.dataclass
class Scene:
    """Causes of the model."""

    free: Geoms
    mechanism: Geoms
    fixtures: Geoms
    free_mass: Float[Array, ""]
    free_friction: Float[Array, ""]
    """Sliding friction of the free object."""
    free_drag: Float[Array, ""]
    """Damping of the free joint, N s/m and N m s: for an unused object so large that it stays where it is parked."""
    free_armature: Float[Array, ""]
    """Inertia added to the free object's turning, kg m²: for one that keeps its orientation so large that it does."""
    mechanism_mass: Float[Array, ""]
    mechanism_pos: Float[Array, 3]
    mechanism_quat: Float[Array, 4]
    axis: Float[Array, "3 3"]
    """Axes of the joints slide, slide, hinge."""
    range: Float[Array, "3 2"]
    damping: Float[Array, 3]
    armature: Float[Array, 3]
    stiffness: Float[Array, 3]
    spring: Float[Array, 3]
    """Joint positions at which the springs rest."""
    further: Further


@struct.dataclass
class Initial:
    """Distribution of the initial state: uniform boxes around a pose."""

    hand: Float[Array, 3]
    hand_spread: Float[Array, 3]
    object: Float[Array, 3]
    object_spread: Float[Array, 3]
    object_quat: Float[Array, 4]
    joints: Float[Array, 3]
    joint_speeds: Float[Array, 3]
    """Of the mechanism's joints: m/s, m/s, rad/s."""
    further: FurtherInitial


def _nominal(value: float) -> Any:
    return field(default_factory=lambda: np.float32(value))


@struct.dataclass
class Setting(Deviations):
    """The hand, its senses and the table; without a unit, as multiples of the arena's own."""

    side: Float[Array, ""] = _nominal(1.0)
    """-1 where the scene, and the hand with it, is mirrored left to right."""
    table_height: Float[Array, ""] = _nominal(0.0)
    """Metres."""
    table_friction: Float[Array, ""] = _nominal(1.0)
    """Sliding friction of the table, of mechanisms and of fixtures."""
    hand_speed: Float[Array, ""] = _nominal(1.0)
    """Metres by which one unit of action moves the commanded hand."""
    hand_stiffness: Float[Array, ""] = _nominal(1.0)
    """Of the springs that hold the hand at its target; their damping ratio stays."""
    grip_force: Float[Array, ""] = _nominal(1.0)
    """Of the fingers, whose time to close stays."""
    finger_length: Float[Array, ""] = _nominal(0.0)
    """Metres by which the fingers are longer."""
    finger_width: Float[Array, ""] = _nominal(1.0)
    """Distance of the two capsules of a pad."""
    pad_friction: Float[Array, ""] = _nominal(1.0)
    palm_size: Float[Array, ""] = _nominal(1.0)
    delay: Float[Array, ""] = _nominal(0.0)
    """Control steps from an action to its effect; between two numbers of steps a mixture of their actions."""
    noise: Float[Array, ""] = _nominal(0.0)
    """Standard deviation of what is seen of positions, metres."""


@struct.dataclass
class Goal:
    """What is to be reached, which points are seen and judged, and the setting of it all."""

    point: Float[Array, 3]
    stages: Stages
    hand_low: Float[Array, 3]
    hand_high: Float[Array, 3]
    object_point: Float[Array, 3]
    """Offset of the observed point in the free object's frame; the others likewise."""
    object_tip: Float[Array, 3]
    mechanism_point: Float[Array, 3]
    mechanism_tip: Float[Array, 3]
    observed: Int[Array, 2]
    """Quantities in the observation's two object places; `ORIGIN` for none."""
    orientation: Float[Array, "2 4 4"]
    """Beside each place stands this times the quaternion (w, x, y, z) of the body that the place is on, and …"""
    orientation_constant: Float[Array, "2 4"]
    """… this added. Zeros, constants and the order of the numbers are all told by the two."""
    orientation_positive: Bool[Array, 2]
    """Whether the sign is such that the largest number is positive; else it is the engine's."""
    setting: Setting
    rules: Rules

    @property
    def table(self) -> Stages:
        """All stages of the task."""
        return jax.tree.map(lambda *parts: jnp.concatenate(parts), self.stages, self.rules.stages)


@dataclass(frozen=True)
class Orientation:
    """What stands beside an observed point for its orientation: four numbers, `numbers` or a quaternion."""

    order: str = "wxyz"
    """Of the quaternion. Meta-World has two ways: MuJoCo's `wxyz`, whose sign goes on continuously, and SciPy's `xyzw`
    from a rotation matrix, whose largest number is positive."""
    turn: Sequence[float] = (1.0, 0.0, 0.0, 0.0)
    """From the body's frame to the one whose orientation is written (w, x, y, z): Meta-World's frame of a mesh."""
    numbers: Sequence[float] | None = None
    """Constant numbers in place of a quaternion."""

    def matrix(self) -> Float[np.ndarray, "4 4"]:
        """The written numbers as a linear function of the body's quaternion."""
        if self.numbers is not None:
            return np.zeros((4, 4))
        w, x, y, z = self.turn
        times_turn = np.array([[w, -x, -y, -z], [x, w, z, -y], [y, -z, w, x], [z, y, -x, w]])
        return times_turn[["wxyz".index(letter) for letter in self.order]]


WXYZ, XYZW = Orientation("wxyz"), Orientation("xyzw")
ZEROS = Orientation(numbers=(0.0, 0.0, 0.0, 0.0))
UPRIGHT = Orientation(numbers=(1.0, 0.0, 0.0, 0.0))
"""The orientation of a body that does not move, w x y z, where the observed point is on another that does."""


@dataclass(frozen=True)
class Shape:
    """One geom as a family writes it: values may be numbers or traced arrays."""

    kind: str
    size: Sequence[Any]
    pos: Sequence[Any]
    quat: Sequence[Any] = (1.0, 0.0, 0.0, 0.0)
    colour: str = "steel"


ALONG_X = (0.70710678, 0.0, 0.70710678, 0.0)
ALONG_Y = (0.70710678, -0.70710678, 0.0, 0.0)
ALONG_Z = (1.0, 0.0, 0.0, 0.0)


def box(size: Sequence[Any], pos: Sequence[Any] = (0.0, 0.0, 0.0), colour: str = "steel") -> Shape:
    """A box with half sizes (x, y, z)."""
    return Shape(BOX, size, pos, colour=colour)


def capsule(
    radius: Any, half: Any, pos: Sequence[Any], along: Sequence[float] = ALONG_Z, colour: str = "steel"
) -> Shape:
    """A capsule whose straight part has half length `half`."""
    return Shape(CAPSULE, (radius, half, 0.0), pos, along, colour)


def sphere(radius: Any, pos: Sequence[Any] = (0.0, 0.0, 0.0), colour: str = "steel") -> Shape:
    """A sphere."""
    return Shape(SPHERE, (radius, 0.0, 0.0), pos, colour=colour)


def slot(name: str, shapes: Sequence[Shape]) -> Geoms:
    """Fills a slot; geoms that are left over are parked.

    Raises:
      ValueError: the slot has too few geoms of a type.
    """
    size, pos, quat, colour, used = [], [], [], [], []
    # What is left over hides inside a geom in use: the body's origin may be a hole that something else fills.
    hidden = shapes[0].pos if shapes else (0.0, 0.0, 0.0)
    parked = (1.0, 4.0, 1.0) if name == "fixtures" else hidden
    for kind, capacity in CAPACITY[name].items():
        chosen = [shape for shape in shapes if shape.kind == kind]
        if len(chosen) > capacity:
            raise ValueError(f"slot '{name}' has {capacity} of type {kind}, {len(chosen)} are asked for")
        for shape in chosen:
            size.append(vector(shape.size))
            pos.append(vector(shape.pos))
            quat.append(vector(shape.quat))
            colour.append(_COLOURS.index(shape.colour))
            used.append(1.0)
        for _ in range(capacity - len(chosen)):
            size.append(vector((PARKED, PARKED, PARKED)))
            pos.append(vector(parked))
            quat.append(vector((1.0, 0.0, 0.0, 0.0)))
            colour.append(0)
            used.append(0.0)
    return Geoms(stacked(size), stacked(pos), stacked(quat), constant(colour, np.int32), constant(used, np.float32))


@dataclass(frozen=True)
class Joint:
    """One joint of the mechanism that moves; those not named are locked."""

    axis: Sequence[Any]
    range: Sequence[Any]
    damping: Any = 2.0
    armature: Any = 0.3
    stiffness: Any = 0.0
    spring: Any = 0.0


# An unused joint must yield to nothing, yet keep the mass matrix well conditioned in float32.
_UNTURNABLE = 1e2
_LOCKED = {
    "slide": Joint((1.0, 0.0, 0.0), (-1.0, 1.0), damping=1e5, armature=1e3, stiffness=1e6),
    "hinge": Joint((0.0, 0.0, 1.0), (-1.0, 1.0), damping=1e4, armature=1e2, stiffness=1e5),
}


def scene(
    *,
    free: Sequence[Shape] = (),
    free_mass: Any = 0.2,
    free_friction: Any = 1.0,
    free_turns: bool = True,
    mechanism: Sequence[Shape] = (),
    mechanism_mass: Any = 0.5,
    mechanism_pos: Sequence[Any] = PARKED_MECHANISM,
    mechanism_quat: Sequence[Any] = (1.0, 0.0, 0.0, 0.0),
    slide: Joint | None = None,
    slide2: Joint | None = None,
    hinge: Joint | None = None,
    fixtures: Sequence[Shape] = (),
    further: Sequence[Body] = (),
) -> Scene:
    """Writes a scene; what is not named is parked or locked."""
    joints = (slide or _LOCKED["slide"], slide2 or _LOCKED["slide"], hinge or _LOCKED["hinge"])
    return Scene(
        free=slot("free", free),
        mechanism=slot("mechanism", mechanism),
        fixtures=slot("fixtures", fixtures),
        free_mass=scalar(free_mass),
        free_friction=scalar(free_friction),
        free_drag=constant(0.0 if free else PARKED_DRAG, np.float32),
        free_armature=constant(0.0 if free_turns else _UNTURNABLE, np.float32),
        mechanism_mass=scalar(mechanism_mass),
        mechanism_pos=vector(mechanism_pos),
        mechanism_quat=vector(mechanism_quat),
        axis=stacked([vector(j.axis) for j in joints]),
        range=stacked([vector(j.range) for j in joints]),
        damping=vector([j.damping for j in joints]),
        armature=vector([j.armature for j in joints]),
        stiffness=vector([j.stiffness for j in joints]),
        spring=vector([j.spring for j in joints]),
        further=_further(further),
    )


@dataclass(frozen=True)
class Body:
    """A free object beside the first, as a family writes it."""

    shapes: Sequence[Shape]
    mass: Any = 0.2
    friction: Any = 1.0


def _further(bodies: Sequence[Body]) -> Further:
    if not bodies:
        return Further()
    geoms = {name: slot(name, body.shapes) for name, body in zip(FURTHER, bodies, strict=False)}
    missing = [0.0] * (len(FURTHER) - len(bodies))
    return Further(
        **geoms,
        mass=vector([*[body.mass for body in bodies], *missing]),
        friction=vector([*[body.friction for body in bodies], *missing]),
    )


@dataclass(frozen=True)
class Stage:
    """One row of a stage table, or one arrival condition of a waypoint."""

    subject: int
    anchor: int
    tolerance: Any
    offset: Sequence[Any] = (0.0, 0.0, 0.0)
    weights: Sequence[float] = (1.0, 1.0, 1.0)
    relation: int = NEAR
    scale: float = 0.15
    required: bool = False
    in_turn: bool = False
    """Counts for good once it holds while all before it do or did, and success needs it to have; see `staged`."""


def switched() -> Stage:
    """A condition: the second goal is shown."""
    return Stage(STATUS, ORIGIN, 0.0, (1.0, 0.0, 0.0), weights=(1, 0, 0), relation=BEYOND)


def passed(stages: int) -> Stage:
    """A condition: so many stages count for good."""
    return Stage(STATUS, ORIGIN, 0.0, (0.0, stages, 0.0), weights=(0, 1, 0), relation=BEYOND)


def conditions(rows: Sequence[Stage]) -> Conditions:
    """Rows as a table."""
    return Conditions(
        subject=constant([r.subject for r in rows], np.int32),
        anchor=constant([r.anchor for r in rows], np.int32),
        offset=stacked([vector(r.offset) for r in rows]),
        weights=stacked([vector(r.weights) for r in rows]),
        relation=constant([r.relation for r in rows], np.int32),
        tolerance=vector([r.tolerance for r in rows]),
    )


def stages(*rows: Stage) -> Stages:
    """A stage table, padded to `MAX_STAGES` rows. Success needs at least one required row."""
    if not any(r.required for r in rows) or len(rows) > MAX_STAGES:
        raise ValueError(f"a task has 1 to {MAX_STAGES} stages, one of them required")
    if any(r.in_turn for r in rows):
        raise ValueError("stages in turn are rules: write them with `staged`")
    return _table(rows)


def staged(
    *rows: Stage,
    order: Any = 0,
    next: Sequence[Any] = (0.0, 0.0, 0.0),
    switch_step: Any = 0,
    switch_stage: int = 0,
    relative: bool = False,
    hold: int = 0,
    zone: Sequence[Sequence[Any]] = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    zone_of: Sequence[int] = (HAND, HAND),
    zone_ends: bool = False,
    seen: int = 0,
) -> dict[str, Any]:
    """Up to `MAX_ROWS` stages, also in turn, and other rules, as `goal` takes them; see `Rules`."""
    if not any(r.required for r in rows) or len(rows) > MAX_ROWS:
        raise ValueError(f"a task with rules has 1 to {MAX_ROWS} stages, one of them required")
    first, more = rows[:MAX_STAGES], rows[MAX_STAGES:]
    rules = Rules(
        stages=_table(more) if more else no_stages(),
        in_turn=constant([r.in_turn for r in rows] + [False] * (MAX_ROWS - len(rows)), bool),
        order=_whole(order),
        next=vector(next),
        switch_step=_whole(switch_step),
        switch_stage=_whole(switch_stage),
        relative=constant(relative, bool),
        hold=_whole(hold),
        zone=stacked([vector(part) for part in zone]),
        zone_of=constant(zone_of, np.int32),
        zone_ends=constant(zone_ends, bool),
        seen=_whole(seen),
    )
    return {"stages": _table(first), "rules": rules}


def _whole(value: Any) -> Int[Array, ""]:
    """A number or a traced scalar as the nearest int32."""
    return jnp.round(value).astype(jnp.int32) if isinstance(value, jax.Array) else constant(value, np.int32)


def _table(rows: Sequence[Stage]) -> Stages:
    padding = [Stage(ORIGIN, ORIGIN, 1.0)] * (MAX_STAGES - len(rows))
    padded = [*rows, *padding]
    return Stages(
        conditions=conditions(padded),
        scale=constant([r.scale for r in padded], np.float32),
        required=constant([r.required for r in padded], bool),
        active=constant([True] * len(rows) + [False] * len(padding), bool),
    )


HAND_START = (0.0, 0.6, 0.2)
HAND_START_NEAR = (0.0, 0.4, 0.2)


def initial(
    *,
    hand: Sequence[Any] = HAND_START,
    object: Sequence[Any] = PARKED_FREE,
    object_spread: Sequence[float] = (0.0, 0.0, 0.0),
    object_quat: Sequence[Any] = (1.0, 0.0, 0.0, 0.0),
    joints: Sequence[Any] = (0.0, 0.0, 0.0),
    joint_speeds: Sequence[Any] = (0.0, 0.0, 0.0),
    hand_spread: Sequence[float] = (0.02, 0.02, 0.02),
    further: Sequence[Sequence[Any]] = (),
    further_spread: Sequence[Sequence[float]] = (),
) -> Initial:
    """Writes the distribution of the initial state: `further` objects each with a place and, if any, a spread."""
    return Initial(
        hand=vector(hand),
        hand_spread=vector(hand_spread),
        object=vector(object),
        object_spread=vector(object_spread),
        object_quat=vector(object_quat),
        joints=vector(joints),
        joint_speeds=vector(joint_speeds),
        further=_further_initial(further, further_spread),
    )


def _further_initial(places: Sequence[Sequence[Any]], spreads: Sequence[Sequence[float]]) -> FurtherInitial:
    if not places:
        return FurtherInitial()
    there = constant(np.arange(len(FURTHER)) < len(places), bool)
    rows = ([*given, *[(0.0, 0.0, 0.0)] * (len(FURTHER) - len(given))] for given in (places, spreads))
    return FurtherInitial(there, *(stacked([vector(row) for row in some]) for some in rows))


def goal(
    *,
    point: Sequence[Any],
    stages: Stages,
    hand_low: Sequence[float] = (-0.5, 0.4, 0.05),
    hand_high: Sequence[float] = (0.5, 1.0, 0.5),
    object_point: Sequence[Any] = (0.0, 0.0, 0.0),
    object_tip: Sequence[Any] = (0.0, 0.0, 0.0),
    mechanism_point: Sequence[Any] = (0.0, 0.0, 0.0),
    mechanism_tip: Sequence[Any] = (0.0, 0.0, 0.0),
    observed: Sequence[int] = (OBJECT, ORIGIN),
    orientation: Orientation = WXYZ,
    second_orientation: Orientation = ZEROS,
    rules: Rules | None = None,
) -> Goal:
    """Writes what is to be reached."""
    orientations = (orientation, second_orientation)
    return Goal(
        vector(point),
        stages,
        vector(hand_low),
        vector(hand_high),
        vector(object_point),
        vector(object_tip),
        vector(mechanism_point),
        vector(mechanism_tip),
        constant(observed, np.int32),
        constant([o.matrix() for o in orientations], np.float32),
        constant([o.numbers or ZEROS.numbers for o in orientations], np.float32),
        constant([o.order == "xyzw" for o in orientations], bool),
        Setting(),
        rules or Rules(),
    )


def apart(
    least: float, first: str = "object", second: str = "goal"
) -> Callable[[Mapping[str, Array]], Bool[Array, ""]]:
    """Meta-World's rule of placement: two sampled places keep this distance, metres, seen from above.

    Args:
      least: the least distance.
      first: prefix of the factors `_x` and `_y` of one place.
      second: of the other.
    """

    def accept(factors: Mapping[str, Array]) -> Bool[Array, ""]:
        dx, dy = (factors[f"{first}_{axis}"] - factors[f"{second}_{axis}"] for axis in "xy")
        return jnp.hypot(dx, dy) >= least

    return accept


def all_apart(least: float, *names: str) -> Callable[[Mapping[str, Array]], Bool[Array, ""]]:
    """As `apart`, for every two of several places."""
    pairs = [apart(least, first, second) for first, second in combinations(names, 2)]

    def accept(factors: Mapping[str, Array]) -> Bool[Array, ""]:
        return jnp.all(jnp.stack([pair(factors) for pair in pairs]))

    return accept


def slots_used(scenes: Scene) -> dict[str, dict[str, int]]:
    """The union of geoms that stacked scenes [task, …] use, by slot and type."""
    union: dict[str, dict[str, int]] = {}
    for name, capacity in CAPACITY.items():
        shapes = getattr(scenes.further if name in FURTHER else scenes, name)
        used = np.asarray(shapes.used).reshape(-1, sum(capacity.values()))
        ends = np.cumsum([0, *capacity.values()])
        union[name] = {
            kind: int(used[:, start:stop].sum(axis=1).max(initial=0))
            for kind, start, stop in zip(capacity, ends[:-1], ends[1:], strict=True)
        }
    return union


def have_rules(goals: Goal) -> bool:
    """Whether one of stacked goals has rules: then there is more to observe."""
    return any(np.any(leaf) for leaf in jax.tree.leaves(goals.rules))
