"""Frozen suites stay what they are: published scores refer to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mtbench.suite as suites
from mtbench.errors import MtbenchError, UsageError
from mtbench.evaluate import play_jobs

DIGESTS = json.loads((Path(__file__).parent / "digests.json").read_text())


@pytest.mark.parametrize("name", sorted(suites.catalogue()))
def test_digests(name):
    suite = suites.load(name)
    assert dict(suite.digests) == DIGESTS[name], "a frozen suite has changed: give it a new version instead"
    suite.verify()


def test_certificates_hold():
    """Each certificate names an episode that the expert solves: replayed for some tasks of every family."""
    suite = suites.load("STARTER")
    env, expert = suite.env("train", "mujoco"), suite.expert()
    for split in suite.splits:
        ids = suite.task_ids(split)[:50]
        assert all(len(suite.certificates[split][f]) == len(suite.splits[split][f]) for f in suite.families)
        place = {(f, seed): i for f in suite.families for i, seed in enumerate(suite.splits[split][f])}
        jobs = [(t, suite.certificates[split][t.family][place[t.family, t.seed]]) for t in ids]
        table = play_jobs(env, suite, expert, jobs, name="expert", split=split)
        assert table["success"].mean() >= 0.98


def test_splits_are_disjoint_and_cover_all_families():
    suite = suites.load("STARTER")
    train, iid = set(suite.task_ids("train")), set(suite.task_ids("iid"))
    assert not train & iid and len(train) == 500 and len(iid) == 250


def test_bad_suites_name_the_entry(tmp_path):
    with pytest.raises(UsageError, match="unknown suite 'STARTR': did you mean STARTER"):
        suites.load("STARTR")
    with pytest.raises(UsageError, match="unknown split of STARTER 'idd': did you mean iid"):
        suites.load("STARTER").task_ids("idd")
    text = Path(suites.load("MT1/reach").path).read_text()
    cases = {
        "families": (text.replace('families = ["reach"]', 'families = ["reach", "reach"]'), "named twice"),
        "overlap": (text.replace("1000000,", "0,", 1), "reach/0 is in train and in iid"),
        "toml": (text.replace("horizon = 200", "horizon = "), "Invalid value"),
        "missing": (text.replace("horizon = 200\n", ""), "lacks horizon"),
    }
    for name, (changed, message) in cases.items():
        path = tmp_path / f"{name}.toml"
        path.write_text(changed)
        with pytest.raises(MtbenchError, match=message):
            suites.read(path)
    path.write_text(text.replace('iid = "', 'iid = "0'))
    with pytest.raises(MtbenchError, match="split iid: rows have digest"):
        suites.read(path).verify()
