"""Goals that change in mid-episode: after some time, or once the first is reached. What comes is not shown before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jaxtyping import Array

from mtbench.task import Factor, Family, Task

from .. import rows
from ..expert import Waypoint, until
from ..rows import GOAL, NEXT_GOAL, OBJECT, SHOWN_GOAL, TCP, Stage
from . import objects
from .grasping import grasp, held, lifted

_REST = objects.PUCK_HEIGHT / 2
_SPREAD = (0.01, 0.01, 0.0)
_SWITCHED = replace(rows.switched(), required=True)


def _build(factors: Mapping[str, Array], *stages: Stage, **rules) -> Task:
    first, second = (tuple(factors.get(f"{name}_{axis}", _REST) for axis in "xyz") for name in ("goal", "next"))
    return Task(
        scene=rows.scene(**objects.free(factors, objects.puck(factors))),
        initial=rows.initial(object=(factors["object_x"], factors["object_y"], _REST), object_spread=_SPREAD),
        goal=rows.goal(point=first, orientation=rows.XYZW, **rows.staged(*stages, next=second, **rules)),
        family=0,
    )


def _timed(factors: Mapping[str, Array], *stages: Stage) -> Task:
    """The goal changes at a control step, and counts only then."""
    return _build(factors, *stages, _SWITCHED, switch_step=factors["switch"])


def _when(low: int, high: int) -> Factor:
    return Factor("switch", low, high, "steps", "after how many control steps the goal changes")


_MATTER = objects.matter("the puck", (0.4, 0.8), 0.75)
_FIRST, _THEN = "the goal at the start", "the goal after it"
_AIR = (0.05, 0.3)
_ASIDE = objects.place("object", "where the puck stands", (-0.1, 0.1), (0.5, 0.6))
_PUCK = objects.place("object", "where the puck stands", (-0.1, 0.1), (0.6, 0.7))
_GRASP = grasp(objects.PUCK_WIDTH, x=-0.003)

FAMILIES = (
    Family(
        name="reach-switch",
        arena="tabletop",
        version=1,
        description=(
            "Follow the goal with the fingertips: after {switch:.0f} steps it jumps from x {goal_x:.2f}, "
            "y {goal_y:.2f}, z {goal_z:.2f} to x {next_x:.2f}, y {next_y:.2f}, z {next_z:.2f} m."
        ),
        factors=(
            *objects.place("goal", _FIRST, (-0.2, 0.2), (0.7, 0.9), _AIR),
            *objects.place("next", _THEN, (-0.2, 0.2), (0.7, 0.9), _AIR),
            _when(40, 100),
            *_ASIDE,
            *_MATTER,
        ),
        build=lambda factors: _timed(factors, Stage(TCP, SHOWN_GOAL, tolerance=0.04, scale=0.2, required=True)),
        accept=rows.all_apart(0.12, "goal", "next"),
        expert=(Waypoint(SHOWN_GOAL, (0.0, 0.0, 0.045)),),
    ),
    Family(
        name="push-switch",
        arena="tabletop",
        version=1,
        description=(
            "Push the puck of {object_mass:.2f} kg to the mark, which after {switch:.0f} steps jumps from "
            "x {goal_x:.2f}, y {goal_y:.2f} to x {next_x:.2f}, y {next_y:.2f} m."
        ),
        factors=(
            *objects.place("goal", _FIRST, (-0.2, 0.2), (0.75, 0.9)),
            *objects.place("next", _THEN, (-0.2, 0.2), (0.75, 0.9)),
            _when(60, 110),
            *_PUCK,
            *_MATTER,
        ),
        build=lambda factors: _timed(
            factors,
            Stage(TCP, OBJECT, tolerance=0.03, scale=0.15),
            Stage(OBJECT, SHOWN_GOAL, tolerance=0.05, scale=0.3, required=True),
        ),
        accept=rows.all_apart(0.12, "goal", "next", "object"),
        expert=(*_GRASP, Waypoint(SHOWN_GOAL, (0.0, 0.0, 0.04), effort=0.6)),
    ),
    Family(
        name="pick-place-switch",
        arena="tabletop",
        version=1,
        description=(
            "Hold the puck of {object_mass:.2f} kg at the goal, which after {switch:.0f} steps jumps from "
            "x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} to x {next_x:.2f}, y {next_y:.2f}, z {next_z:.2f} m."
        ),
        factors=(
            *objects.place("goal", _FIRST, (-0.2, 0.2), (0.75, 0.9), (0.1, 0.3)),
            *objects.place("next", _THEN, (-0.2, 0.2), (0.75, 0.9), (0.1, 0.3)),
            _when(60, 110),
            *_PUCK,
            *_MATTER,
        ),
        build=lambda factors: _timed(
            factors,
            Stage(TCP, OBJECT, tolerance=0.04, scale=0.15),
            held(objects.PUCK_WIDTH),
            lifted(0.045),
            Stage(OBJECT, SHOWN_GOAL, tolerance=0.06, scale=0.3, required=True),
        ),
        accept=rows.all_apart(0.12, "goal", "next", "object"),
        expert=(*_GRASP, Waypoint(SHOWN_GOAL, (0.0, 0.0, 0.03), effort=1.0)),
    ),
    Family(
        name="reach-relay",
        arena="tabletop",
        version=1,
        description=(
            "Bring the fingertips to x {goal_x:.2f}, y {goal_y:.2f}, z {goal_z:.2f} m, where the next goal appears: "
            "x {next_x:.2f}, y {next_y:.2f}, z {next_z:.2f} m."
        ),
        factors=(
            *objects.place("goal", "the first goal", (-0.2, 0.2), (0.7, 0.9), _AIR),
            *objects.place("next", "the goal that appears there", (-0.3, 0.3), (0.6, 0.9), _AIR),
            *_ASIDE,
            *_MATTER,
        ),
        build=lambda factors: _build(
            factors,
            Stage(TCP, GOAL, tolerance=0.04, scale=0.2, in_turn=True),
            Stage(TCP, NEXT_GOAL, tolerance=0.04, scale=0.2, required=True),
            switch_stage=1,
        ),
        accept=rows.all_apart(0.15, "goal", "next"),
        expert=(
            *until(rows.passed(1), Waypoint(GOAL, (0.0, 0.0, 0.045))),
            Waypoint(NEXT_GOAL, (0.0, 0.0, 0.045)),
        ),
    ),
)
