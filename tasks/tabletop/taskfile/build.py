"""From a sound task file to rows and an expert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mtbench.stages import BEYOND, NEAR
from mtbench.task import Task

from .. import rows
from ..expert import Waypoint
from . import expressions
from .faults import in_order
from .schema import ConditionEntry, JointEntry, Number, ShapeEntry, TaskFile, WaypointEntry

_ALONG = {"x": rows.ALONG_X, "y": rows.ALONG_Y, "z": rows.ALONG_Z}
_RELATIONS = {"near": NEAR, "beyond": BEYOND}


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
    radius, half = _numbers(entry.capsule, factors)
    return rows.capsule(radius, half, at, _ALONG[entry.along], entry.colour)


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


def waypoint(entry: WaypointEntry) -> Waypoint:
    """A waypoint of the expert; an expert is one script for all tasks, so it has no factors in its numbers."""
    return Waypoint(
        target=rows.QUANTITIES.index(entry.to),
        offset=_numbers(entry.offset, {}),
        arrived=_condition(entry.until, {}) if entry.until else None,
        done=_condition(entry.done, {}) if entry.done else None,
        effort=entry.effort,
        gain=entry.gain,
        blend=entry.blend,
        subject=rows.QUANTITIES.index(entry.subject),
    )


def _stages(file: TaskFile, factors: Mapping[str, Any]) -> dict[str, Any]:
    """Stages and rules, as `rows.goal` takes them."""
    number, numbers = partial(_number, factors=factors), partial(_numbers, factors=factors)
    ordered, rules = in_order(file.stages), file.rules
    table = [_condition(s, factors, scale=s.scale, required=s.required, in_turn=s.in_turn) for s in ordered]
    told: dict[str, Any] = {
        "relative": file.goal.beside is not None,
        "hold": rules.hold,
        "order": number(rules.order),
        "switch_step": number(rules.switch_step),
    }
    if file.goal.next:
        told["next"] = numbers(file.goal.next)
    if rules.switch_stage:
        told["switch_stage"] = 1 + [stage.name for stage in ordered].index(rules.switch_stage)
    if rules.seen:
        told["seen"] = rows.QUANTITIES.index(rules.seen)
    if zone := rules.zone:
        told["zone"] = (numbers(zone.centre), numbers(zone.half))
        told |= {"zone_of": [rows.QUANTITIES.index(name) for name in zone.of], "zone_ends": zone.ends}
    return rows.staged(*table, **told)


def build(file: TaskFile, factors: Mapping[str, Any]) -> Task:
    """The row of a task; see `Family.build`."""
    number, numbers = partial(_number, factors=factors), partial(_numbers, factors=factors)
    shape = partial(_shape, factors=factors)

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
    if further := [body for body in (file.second, file.third) if body]:
        scene["further"] = [
            rows.Body([shape(entry) for entry in body.shapes], number(body.mass), number(body.friction))
            for body in further
        ]
        start["further"] = [numbers(body.at) for body in further]
        start["further_spread"] = [body.spread for body in further]
    if file.second and rows.ORIGIN in observed:
        observed[observed.index(rows.ORIGIN)] = rows.SECOND
    return Task(
        scene=rows.scene(**scene),
        initial=rows.initial(**start),
        goal=rows.goal(
            point=numbers(file.goal.at),
            **_stages(file, factors),
            observed=observed,
            hand_low=file.goal.hand_low,
            hand_high=file.goal.hand_high,
            second_orientation=rows.ZEROS if observed[1] == rows.ORIGIN else rows.WXYZ,
            object_point=numbers(file.goal.object_point),
            object_tip=numbers(file.goal.object_tip),
            mechanism_point=numbers(file.goal.mechanism_point),
            mechanism_tip=numbers(file.goal.mechanism_tip),
        ),
        family=0,
    )
