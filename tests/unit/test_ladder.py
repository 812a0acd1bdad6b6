"""Splits lie where their names say, for every family, seen from factor values alone."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np
import pytest

from mtbench import plan, registry
from mtbench.errors import UsageError
from mtbench.ladder import REACH, SHELLS, labels, ladder, left_out, place
from mtbench.region import Region

BODY = ("thigh_length", "strength", "finger_width", "hand_speed")
SEEDS = np.arange(64)
FAMILIES = ("push", "drawer-open", "varied-push", "walker-walk")


@cache
def drawn(family, split):
    """Regions of a ladder and the factor values of some tasks of a split."""
    source = registry.family(family)
    regions = ladder(source, body=[name for name in BODY if any(f.name == name for f in source.factors)])
    values = jax.tree.map(np.asarray, source.samples(SEEDS, regions[split])) if split in regions else {}
    rows = [{name: float(column[i]) for name, column in values.items()} for i in range(len(SEEDS) if values else 0)]
    return source, regions, rows


def places(source, regions, row):
    return {f.name: place(row[f.name], f, regions["train"]) for f in source.factors}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("split", ["train", "iid", "interpolation", *SHELLS, "combination", "novelty", "embodiment"])
def test_tasks_leave_training_in_one_respect(family, split):
    source, regions, rows = drawn(family, split)
    if split not in regions:
        assert split in ("embodiment", "novelty") and not family.startswith("varied")
        return
    left = set()
    for row in rows:
        found = {name: p for name, p in places(source, regions, row).items() if p.rung != "seen"}
        corners = left_out(row, regions["train"])
        if split in ("train", "iid"):
            assert not found and not corners
        elif split == "combination":
            assert not found and corners, "each level is seen alone, both together never"
            left.update(corners)
        elif split == "embodiment":
            assert len(found) == 2 and set(found) < set(BODY) and not corners
            assert all(p.rung == "extrapolation" and 1 < p.distance <= REACH + 1e-3 for p in found.values())
            left.add(tuple(p.side for p in found.values()))
        elif split == "novelty":
            ((name, p),) = found.items()
            assert p.rung == "novelty" and not corners and row[name] == {f.name: f.high for f in source.factors}[name]
            left.add(name)
        else:
            ((name, p),) = found.items()
            assert p.rung == split.split("-")[0] and not corners and name not in BODY
            low, high = SHELLS.get(split, (0.0, 0.2))
            assert low < p.distance + 1e-4 and p.distance < high + 1e-4
            left.add((name, p.side if p.rung == "extrapolation" else ""))
    assert len(left) == len(regions[split].one_of), "every factor (and side, pair, body) has had its turn"


def test_each_level_of_a_withheld_pair_is_trained_on():
    source, regions, rows = drawn("push", "train")
    for box in regions["train"].withheld:
        for name, intervals in box:
            alone = Region(((name, intervals),))
            assert any(bool(alone.contains(row)) for row in rows), name


def test_a_turn_is_a_task_of_its_alternative_and_is_named_by_it():
    source, regions, _ = drawn("push", "extrapolation")
    region = regions["extrapolation"]
    whole, count = source.samples(SEEDS, region), len(region.alternatives)
    for turn in (0, count - 1):
        own = source.samples(SEEDS, region.alternatives[turn])
        mine = SEEDS % count == turn
        assert all((np.asarray(whole[name])[mine] == np.asarray(own[name])[mine]).all() for name in whole)
    assert Region.from_table(region.table()) == region
    assert region.fingerprint != Region(region.within, region.withheld).fingerprint
    # What has no turns keeps the name that it has always had.
    assert Region.of({"object_mass": (0.4, 0.5)}).fingerprint == "43c2f7d2"


def test_labels_say_what_sets_a_task_apart():
    own = ladder(registry.family("push"))
    regions = {split: {"push": own[split]} for split in ("train", "extrapolation")}
    wanted = plan.custom(["push"], name="rungs", tasks={"train": 8, "iid": 1, "extrapolation": 14}, regions=regions)
    suite = plan.freeze(wanted)
    rows = labels(suite, "extrapolation")
    assert len(rows) == 14 and {(row["factor"], row["side"]) for row in rows} == {
        (factor.name, side) for factor in registry.family("push").factors for side in ("low", "high")
    }
    # Neighbours are measured over all factors, so one that is 1.25 half widths away from the middle is not far off.
    assert all(1.0 < row["distance"] <= 1.2501 and 0.0 < row["nearest"] < 2.0 for row in rows)
    trained = labels(suite, "train")
    assert all(row["factor"] == "" and row["nearest"] == 0.0 for row in trained) and len(trained) == 8


def test_bad_ladders():
    with pytest.raises(UsageError, match="unknown factor of push 'mass'"):
        ladder(registry.family("push"), fixed=["mass"])
    with pytest.raises(UsageError, match="at least one factor"):
        ladder(registry.family("push"), fixed=[f.name for f in registry.family("push").factors])
