"""Varied families: every family of the tabletop again, with more that differs from task to task.

A variation is a function of a finished row, so that it says the same of every family. Each has a neutral value at
which the row is what the family wrote. `varied` adds them to a family; the factors of the family itself stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import cos, pi, sin
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from . import rows
from .rows import ORIGIN, POINTS, Geoms

PREFIX = "varied-"
"""Of the name of a varied family, before its base's."""


@dataclass(frozen=True)
class Variation:
    """One thing in which the tasks of a varied family differ."""

    factor: Factor
    neutral: float
    """The factor's value at which a row stays what it is."""
    apply: Callable[[Task, Array], Task]
    """A row and the factor's value to the row that differs."""
    words: str
    """The part of a task's description."""


def varied(family: Family) -> Family:
    """A family whose tasks differ in all of `VARIATIONS` that apply to it, beside its own factors."""
    chosen = variations(family)
    return replace(
        family,
        name=PREFIX + family.name,
        version=1,
        description=f"{family.description} {'; '.join(v.words for v in chosen)}.".replace(". ", ". Varied: ", 1),
        factors=(*family.factors, *(v.factor for v in chosen)),
        build=partial(_build, family, chosen),
        base=family.name,
    )


def variations(family: Family) -> tuple[Variation, ...]:
    """The variations of a family, each with the range in which its expert still solves the tasks."""
    narrower = NARROWER.get(family.name, {})
    chosen = []
    for variation in VARIATIONS:
        name = variation.factor.name
        if name in ("size", "shape") and family.name not in PLAIN or name == "damping" and family.name in NO_MECHANISM:
            continue
        factor = variation.factor
        low, high = narrower.get(name, (factor.low, factor.high))
        levels = factor.levels[: int(high) + 1]
        chosen.append(replace(variation, factor=replace(factor, low=low, high=high, levels=levels)))
    return tuple(chosen)


def _build(family: Family, chosen: tuple[Variation, ...], factors: Mapping[str, Array]) -> Task:
    row = family.build(factors)
    for variation in chosen:
        row = variation.apply(row, factors[variation.factor.name])
    return row


def _set(row: Task, **values: Any) -> Task:
    """The row with other entries of its setting."""
    return replace(row, goal=replace(row.goal, setting=replace(row.goal.setting, **values)))


def _scene(row: Task, **values: Any) -> Task:
    return replace(row, scene=replace(row.scene, **values))


def _own(name: str) -> Callable[[Task, Array], Task]:
    """A variation that is an entry of the setting."""
    return lambda row, value: _set(row, **{name: value})


def _weigh(row: Task, times: Array) -> Task:
    scene = row.scene
    return _scene(row, free_mass=scene.free_mass * times, mechanism_mass=scene.mechanism_mass * times)


def _roughen(row: Task, times: Array) -> Task:
    return _set(_scene(row, free_friction=row.scene.free_friction * times), table_friction=times)


def _resist(row: Task, times: Array) -> Task:
    return _scene(row, damping=row.scene.damping * times)


def _lengthen(row: Task, by: Array) -> Task:
    """Longer fingers; the hand may not come as low, so that their ends may."""
    low = jnp.asarray(row.goal.hand_low).at[2].add(by)
    return _set(replace(row, goal=replace(row.goal, hand_low=low)), finger_length=by)


def _raise(row: Task, by: Array) -> Task:
    """A higher table and all that stands on it. The hand starts where it did; its lowest place is above the table."""
    scene, start, goal, up = row.scene, row.initial, row.goal, jnp.stack([0.0 * by, 0.0 * by, by])
    conditions = goal.stages.conditions
    absolute = np.isin(conditions.subject, POINTS) & (np.asarray(conditions.anchor) == ORIGIN)
    stages = replace(goal.stages, conditions=replace(conditions, offset=conditions.offset + absolute[:, None] * up))
    raised = replace(
        row,
        scene=replace(
            scene,
            fixtures=replace(scene.fixtures, pos=scene.fixtures.pos + up),
            mechanism_pos=scene.mechanism_pos + up,
        ),
        initial=replace(start, object=start.object + up),
        goal=replace(goal, point=goal.point + up, hand_low=goal.hand_low + up, stages=stages),
    )
    return _set(raised, table_height=by)


def _mirror(row: Task, level: Array) -> Task:
    """Left is right: everything, the hand too, reflected in the plane x = 0, where the table has its middle.

    A reflected rotation by the quaternion (w, x, y, z) is one by (w, x, -y, -z), since a reflection turns the sense of
    rotation and the x axis; so it is with the axes of hinges.
    """
    side = 1.0 - 2.0 * (level > 0.5)
    point, axial = jnp.ones(3).at[0].set(side), jnp.ones(3).at[1:].set(side)
    turn = jnp.ones(4).at[2:].set(side)
    scene, start, goal = row.scene, row.initial, row.goal

    def geoms(slot: Geoms) -> Geoms:
        return replace(slot, pos=slot.pos * point, quat=slot.quat * turn)

    conditions = goal.stages.conditions
    places = np.isin(conditions.subject, POINTS)[:, None]
    sides = jnp.where(places, point, 1.0)
    stages = replace(
        goal.stages,
        conditions=replace(conditions, offset=conditions.offset * sides, weights=conditions.weights * sides),
    )
    low, high = jnp.asarray(goal.hand_low), jnp.asarray(goal.hand_high)
    swapped = side < 0
    return replace(
        _set(row, side=side),
        scene=replace(
            scene,
            free=geoms(scene.free),
            mechanism=geoms(scene.mechanism),
            fixtures=geoms(scene.fixtures),
            mechanism_pos=scene.mechanism_pos * point,
            mechanism_quat=scene.mechanism_quat * turn,
            axis=scene.axis * jnp.stack([point, point, axial]),
        ),
        # The same draw gives the mirrored start.
        initial=replace(
            start,
            hand=start.hand * point,
            hand_spread=start.hand_spread * point,
            object=start.object * point,
            object_spread=start.object_spread * point,
            object_quat=start.object_quat * turn,
        ),
        goal=replace(
            goal,
            point=goal.point * point,
            stages=stages,
            hand_low=low.at[0].set(jnp.where(swapped, -high[0], low[0])),
            hand_high=high.at[0].set(jnp.where(swapped, -low[0], high[0])),
            object_point=goal.object_point * point,
            object_tip=goal.object_tip * point,
            mechanism_point=goal.mechanism_point * point,
            mechanism_tip=goal.mechanism_tip * point,
            setting=replace(goal.setting, side=side),
        ),
    )


def _resize(row: Task, times: Array) -> Task:
    """A larger or smaller free object, standing where it stood: it is one box."""
    box, goal = row.scene.free, row.goal
    up = (times - 1.0) * box.size[0, 2]
    resized = replace(box, size=box.size * times, pos=jnp.asarray(box.pos).at[:, 2].add(up))
    point = jnp.asarray(goal.object_point).at[2].add(up)
    return _scene(replace(row, goal=replace(goal, object_point=point)), free=resized)


SHAPES = ("as built", "ball", "bar", "plate", "ring")


def _shape(row: Task, level: Array) -> Task:
    """Another shape for a free object that is one box; as wide along y, where the claws hold it, as the box is."""
    box = row.scene.free
    (x, y, z), pos = box.size[0], tuple(box.pos[0])
    radius, ring_radius = 0.5 * y, 0.65 * y
    ring = [
        rows.capsule(
            radius,
            ring_radius / 2,
            (pos[0] + ring_radius * cos(angle), pos[1] + ring_radius * sin(angle), pos[2]),
            (sin(pi / 4), -cos(angle) * sin(pi / 4), -sin(angle) * sin(pi / 4), 0.0),
        )
        for angle in np.arange(6) * pi / 3
    ]
    others = (
        [rows.sphere(y, pos)],
        [rows.capsule(y, 0.75 * x, pos, rows.ALONG_X)],
        [rows.box((1.3 * x, y, 0.55 * z), pos)],
        ring,
    )
    slots = [replace(rows.slot("free", shapes), colour=np.full_like(box.colour, box.colour[0])) for shapes in others]
    which = jnp.round(level).astype(int)
    return _scene(row, free=jax.tree.map(lambda *leaves: jnp.stack(leaves)[which], box, *slots))


def _ratio(name: str, low: float, high: float, meaning: str) -> Factor:
    return Factor(name, low, high, "", f"{meaning}; 1 is as built")


VARIATIONS = (
    Variation(_ratio("size", 0.8, 1.15, "size of the object"), 1.0, _resize, "object {size:.2f} times as large"),
    Variation(
        Factor("shape", 0, len(SHAPES) - 1, "", "what the object is in place of a box", SHAPES),
        0.0,
        _shape,
        "shape {shape}",
    ),
    Variation(
        _ratio("mass", 0.5, 2.0, "masses of the object and of the mechanism"), 1.0, _weigh, "masses {mass:.1f} times"
    ),
    Variation(
        _ratio("friction", 0.5, 2.0, "sliding friction of the object, the table, mechanism and fixtures"),
        1.0,
        _roughen,
        "friction {friction:.1f} times",
    ),
    Variation(
        _ratio("damping", 0.4, 2.5, "damping of the mechanism's joints"),
        1.0,
        _resist,
        "joints {damping:.1f} times as damped",
    ),
    Variation(
        _ratio("hand_speed", 0.6, 1.6, "way of the commanded hand for one unit of action"),
        1.0,
        _own("hand_speed"),
        "hand {hand_speed:.1f} times as fast",
    ),
    Variation(
        _ratio("hand_stiffness", 0.5, 2.0, "stiffness with which the hand is held at its target"),
        1.0,
        _own("hand_stiffness"),
        "held {hand_stiffness:.1f} times as stiffly",
    ),
    Variation(
        _ratio("grip_force", 0.7, 1.5, "force of the fingers"),
        1.0,
        _own("grip_force"),
        "gripping {grip_force:.1f} times as hard",
    ),
    Variation(
        Factor("finger_length", -0.008, 0.016, "m", "by how much the fingers are longer"),
        0.0,
        _lengthen,
        "fingers {finger_length:+.3f} m",
    ),
    Variation(
        _ratio("finger_width", 0.6, 1.8, "width of the finger pads"),
        1.0,
        _own("finger_width"),
        "pads {finger_width:.1f} times as wide",
    ),
    Variation(
        _ratio("pad_friction", 0.5, 1.5, "sliding friction of the finger pads"),
        1.0,
        _own("pad_friction"),
        "{pad_friction:.1f} times as rough",
    ),
    Variation(
        _ratio("palm_size", 0.7, 1.3, "size of the palm"), 1.0, _own("palm_size"), "palm {palm_size:.1f} times as large"
    ),
    Variation(
        Factor("delay", 0.0, 3.0, "steps", "control steps from an action to its effect"),
        0.0,
        _own("delay"),
        "actions delayed by {delay:.1f} steps",
    ),
    Variation(
        Factor("noise", 0.0, 0.01, "m", "standard deviation of noise on observed positions"),
        0.0,
        _own("noise"),
        "positions seen to {noise:.3f} m",
    ),
    Variation(
        Factor("table_height", -0.04, 0.06, "m", "how much higher the table and all upon it stand"),
        0.0,
        _raise,
        "table {table_height:+.2f} m",
    ),
    Variation(
        Factor("mirrored", 0, 1, "", "whether left and right are exchanged", ("as built", "mirrored")),
        0.0,
        _mirror,
        "scene {mirrored}",
    ),
)
"""In the order in which they are applied: what is mirrored last is mirrored whole."""
NEUTRAL = {variation.factor.name: variation.neutral for variation in VARIATIONS}
"""By factor the value at which a varied family's row is its base's."""

PLAIN = frozenset(
    {
        "reach",
        "push",
        "pick-place",
        "reach-wall",
        "push-wall",
        "pick-place-wall",
        "push-back",
        "sweep",
        "sweep-into",
        "hand-insert",
        "pick-out-of-hole",
        "bin-picking",
        "shelf-place",
    }
)
"""Families whose free object is one box: it may have another size and shape."""
NO_MECHANISM = PLAIN | {
    "assembly",
    "disassemble",
    "basketball",
    "box-close",
    "peg-insert-side",
    "peg-unplug-side",
    "soccer",
}
"""Families in which no joint moves."""
NARROWER: dict[str, dict[str, tuple[float, float]]] = {
    "bin-picking": {
        "size": (0.95, 1.1),
        "shape": (0, 1),
        "pad_friction": (0.5, 1.2),
        "finger_length": (-0.008, 0.01),
        "table_height": (-0.04, 0.04),
    },
    "box-close": {"table_height": (-0.04, 0.03)},
    "peg-unplug-side": {"friction": (0.9, 2.0)},
    "pick-out-of-hole": {"shape": (0, 3)},
    "plate-slide-back": {"palm_size": (0.7, 1.1), "finger_length": (-0.008, 0.01)},
    "pick-place-wall": {"size": (0.9, 1.15)},
    "shelf-place": {"size": (0.95, 1.1), "shape": (0, 2), "hand_stiffness": (0.5, 1.5)},
    "soccer": {"finger_length": (-0.008, 0.01), "friction": (0.5, 1.6)},
    "stick-pull": {"palm_size": (0.7, 1.1), "pad_friction": (0.5, 1.2)},
}
"""By family narrower ranges, chosen by the factors that went with its expert's failures.

None of sixteen rings was lifted out of the bin, and with a palm 1.3 times as large no stick pulled the thermos; what
else lies beyond these ranges is solved less often.
"""
