"""The ladders of frozen suites stand where their names say, seen from the factor values of their tasks alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import mtbench.suite as suites
from mtbench.ladder import REACH, SHELLS
from mtbench.region import Region

NAMES = [name for name in sorted(suites.catalogue()) if name.startswith("Proc")]
REACHES = {"interpolation": (0.0, 1.0), **SHELLS}
BODY = {
    *("hand_speed", "hand_stiffness", "grip_force", "finger_length", "finger_width", "pad_friction", "palm_size"),
    *("base_mass", "limb_mass", "thigh_length", "shin_length", "strength"),
}


def columns(suite: suites.Suite, split: str) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Factor values of a split's tasks, family by family."""
    rows: dict[str, list[dict[str, float]]] = {}
    for task_id, values in suite.factors(split).items():
        rows.setdefault(task_id.family, []).append(values)
    for family, own in rows.items():
        yield family, {name: np.array([row[name] for row in own]) for name in own[0]}


@pytest.mark.parametrize("name", NAMES)
def test_tasks_lie_on_their_rung(name):
    suite = suites.load(name)
    trained = suite.regions["train"]
    assert {"iid", "interpolation", *SHELLS, "combination", "embodiment", "family"} <= set(suite.splits)
    for split in suite.splits:
        for family, values in columns(suite, split):
            if split == "family":
                assert family not in suite.splits["train"]
                continue
            unseen, distance = {}, {}
            for factor in suite.family(family).factors:
                intervals = dict(trained[family].within).get(factor.name, factor.intervals)
                low, high = intervals[0][0], intervals[-1][1]
                value, half = values[factor.name], (high - low) / 2 or 1.0
                unseen[factor.name] = ~Region(((factor.name, intervals),)).contains(values)
                distance[factor.name] = np.abs(value - (low + high) / 2) / half
            left = np.sum(list(unseen.values()), 0)
            corner = np.any([Region(box).contains(values) for box in trained[family].withheld], axis=0)
            told = f"{split} of {family}"
            if split in ("train", "iid"):
                assert (left == 0).all() and not corner.any(), told
            elif split == "combination":
                assert (left == 0).all() and corner.all(), told
            elif split == "embodiment":
                moved = {name for name, mask in unseen.items() if mask.any()}
                assert moved <= BODY and (left == len(moved)).all() and not corner.any(), told
                far = np.array([distance[name] for name in moved])
                assert ((far > 1.0) & (far <= REACH + 1e-3)).all(), told
            else:
                assert (left == 1).all() and not corner.any(), told
                assert not any(mask.any() for name, mask in unseen.items() if name in BODY), told
                far = np.array([distance[name][mask] for name, mask in unseen.items()], dtype=object)
                low, high = REACHES[split]
                assert all(((low < part) & (part < high + 1e-3)).all() for part in far), told


@pytest.mark.parametrize("name", NAMES)
def test_no_task_is_in_two_splits(name):
    suite = suites.load(name)
    ids = [task_id for split in suite.splits for task_id in suite.task_ids(split)]
    assert len(set(ids)) == len(ids)
