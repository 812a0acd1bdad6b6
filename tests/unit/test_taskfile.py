"""Task files: the documented ones work, and of a bad one every fault is named with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mtbench.suite as suites
from mtbench import feasibility, plan, registry, taskfile
from mtbench.errors import UsageError
from mtbench.tasks.tabletop.taskfile import expressions

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "tasks").glob("*.toml"))
WALL, BESIDE = (
    next(path for path in EXAMPLES if path.stem == stem).read_text() for stem in ("lift-over-wall", "beside-and-back")
)

BAD = """
name = "bad"
description = "Push {weight:.1f} kg."
[factors.mass]
low = 0.1
high = 0.2
meaning = "mass of the puck"
[object]
shapes = [{ sphere = 0.02 }, { sphere = 0.02 }, { sphere = "1 / (mass - mass)" }]
at = ["puck_x", 0.6, 0.02]
mass = "mas"
[goal]
at = [0.0, 0.8, "__import__('os')"]
[[stages]]
name = "a"
after = ["c"]
subject = "tcp"
anchor = "mechanism"
tolerance = 0.05
[[stages]]
name = "b"
after = ["a", "d"]
subject = "object"
anchor = "goal"
tolerance = 0.05
[[stages]]
name = "c"
after = ["b"]
subject = "object"
anchor = "goal"
tolerance = 0.05
[[expert]]
to = "object"
offset = ["mass", 0.0, 0.0]
[[expert]]
to = "goal"
"""
FAULTS = (
    "object.shapes[2].sphere: float division by zero",
    "object.at[0]: unknown factor 'puck_x': known: mass",
    "object.mass: unknown factor 'mas': did you mean mass?",
    "goal.at[2]: '__import__('os')': __import__('os') is not allowed",
    "expert[0].offset[0]: 'mass': an expert is one for all tasks",
    "description: {'weight'} is no factor",
    "object.shapes: 3 of type sphere, the arena has room for 2",
    "stages[0].anchor: 'mechanism' needs [mechanism]",
    "stages[1].after: unknown stage 'd'",
    "a cycle, none of them can come first",
    "stages: none is required",
    "expert[0].until: is missing",
)


def test_every_fault_is_named_with_its_place():
    with pytest.raises(UsageError) as caught:
        taskfile.define(BAD, "bad.toml")
    told = str(caught.value)
    assert [fault for fault in FAULTS if fault not in told] == []
    assert told.startswith(f"bad.toml: {len(FAULTS)} faults") and told.count("\n") == len(FAULTS)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('at = ["puck_x", 0.6, 0.02]', 'at = ["puck_x", 0.6]'), "object.at[2]: Field required"),
        (('anchor = "object"', 'anchor = "objekt"'), "stages[0].anchor: Input should be 'hand'"),
        (("low = -0.1", "low = 0.2"), "factors.goal_x: low = 0.2, high = 0.1: expected"),
        (("mass = ", "weight = "), "object.weight: Extra inputs are not permitted"),
        (('name = "lift-over-wall"', 'name = "Lift it"'), "name: String should match"),
        (("[goal]", "[goal"), "no TOML"),
        (('name = "lift-over-wall"', 'name = "push"'), "family 'push': an installed family has this name"),
        (('name = "lift-over-wall"', 'name = "lift-over-wall"\narena = "quadruped"'), "has no task files"),
    ],
)
def test_a_fault_alone(change, fault):
    with pytest.raises(UsageError, match=re.escape(fault)):
        taskfile.define(WALL.replace(*change, 1), "wall.toml")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("[second]", "[third]"), "third: expected [second] too"),
        (("[second]", "[third]"), "goal.beside: 'second' needs [second]"),
        (("next = [0.0, 0.6, 0.25]", ""), "stages[2].anchor: 'next_goal' needs [goal.next]"),
        (('seen = "next_goal"', 'seen = "third"'), "rules.seen: 'third' needs [third]"),
        (("hold = 5", 'switch_stage = "back"'), "rules.switch_stage: 'back', expected one of place"),
        (
            ("hold = 5", 'zone = { centre = [0, 0, 0], half = [1, 1, "size"] }'),
            "rules.zone.half[2]: unknown factor 'size'",
        ),
    ],
)
def test_a_fault_of_rules_alone(change, fault):
    with pytest.raises(UsageError, match=re.escape(fault)):
        taskfile.define(BESIDE.replace(*change, 1), "beside.toml")


@pytest.mark.parametrize(
    "text", ["x.y", "(lambda: 1)()", "'a' * 9", "[1]", "x if x else 1", "1 +", "True", "f(x)", "-" * 300]
)
def test_an_expression_is_arithmetic_and_nothing_else(text):
    with pytest.raises(UsageError):
        expressions.names(text)


def test_expressions_count_as_python_does():
    x = 0.3
    for text in ("2 * x - -1", "max(x, 0.5) ** 2 / 4", "sin(pi * x) + sqrt(abs(-x))"):
        ours = float(expressions.evaluate(text, {"x": x}))
        theirs = eval(text, {"x": x, "pi": 3.14159265, "max": max, "abs": abs, **vars(__import__("math"))})
        assert ours == pytest.approx(theirs, rel=1e-6)


def test_documented_files_can_be_done_and_live_on_in_suites(tmp_path):
    families = [taskfile.load(path) for path in EXAMPLES]
    assert len(families) == 4 and taskfile.load(EXAMPLES[0]).name == families[0].name
    found = feasibility.check(families[0], tasks=4)
    assert found.possible and found.solved == 4
    wanted = plan.custom([family.name for family in families], name="own", tasks={"train": 2, "iid": 2})
    frozen = plan.freeze(wanted)
    text = suites.to_toml(frozen)
    registry._DEFINED.clear()  # another process reads the suite's file alone
    read = tmp_path / "own.toml"
    read.write_text(text)
    again = suites.load(read)
    assert again == frozen and again.tables("iid").keys() == {"tabletop"}
    assert again.family("slide-bead").expert


def test_what_cannot_begin_is_told():
    inside = WALL.replace('name = "lift-over-wall"', 'name = "inside"').replace("at = [0.0, 0.72,", "at = [0.0, 0.6,")
    found = feasibility.check(taskfile.define(inside, "inside.toml"), tasks=2)
    assert found.possible is False and "inside each other" in next(iter(found.faults.values()))
    both = BESIDE.replace('"beside-and-back"', '"both"').replace('["block_x", 0.78, 0.025]', '["puck_x", 0.61, 0.025]')
    found = feasibility.check(taskfile.define(both, "both.toml"), tasks=2)
    assert found.possible is False and "inside each other" in next(iter(found.faults.values()))
