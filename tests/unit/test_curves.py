"""Learning curves: what is read, what is drawn, and what is sent to Weights & Biases."""

from __future__ import annotations

import builtins
import json

import numpy as np
import pytest

from mtbench.cli import main
from mtbench.errors import MtbenchError, UsageError
from mtbench.training.curves import Curves
from mtbench.training.wandb import wandb_log

RUN = {"schema": 1, "algorithm": "mt-ppo", "config": {}, "reporting": {}}


def line(update: int, success: dict) -> dict:
    return {
        "env_steps": 1000 * update,
        "update": update,
        "seconds": 30.0 * update,
        "steps_per_second": 100.0,
        "success_mean": [0.5, 0.5],
        "success": success,
        "return": {name: [1.0, 2.0] for name in success},
        "train": {"entropy": [0.1, 0.3]},
    }


def made(folder, families=("reach", "push"), lines: int = 4):
    """A run of two seeds whose first family is known from the second line on."""
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(RUN))
    written = [
        line(k, {name: [None, None] if k == 1 and name == families[0] else [0.1 * k, 0.2 * k] for name in families})
        for k in range(1, lines + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in written))
    return folder


def run(*argv) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in argv])
    return caught.value.code or 0


def test_curves_of_a_run(tmp_path):
    curves = Curves.read(made(tmp_path / "first"))
    assert curves.name == "first (mt-ppo)" and curves.families == ("reach", "push")
    np.testing.assert_allclose(curves.along("minutes"), [0.5, 1.0, 1.5, 2.0])
    np.testing.assert_allclose(curves.along("steps"), [0.001, 0.002, 0.003, 0.004])
    assert curves.success.shape == (4, 2, 2)
    np.testing.assert_allclose(curves.mean[0], [0.1, 0.2])  # of the family that is known
    np.testing.assert_allclose(curves.mean[3], [0.4, 0.8])


def test_plot_of_one_run_of_many_families_and_of_several_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = made(tmp_path / "first"), made(tmp_path / "second", ("push", "door-open"))
    many = made(tmp_path / "many", tuple(f"family-{k}" for k in range(12)))
    assert run("plot", first) == 0 and (first / "curves-minutes.png").stat().st_size > 5000
    assert run("plot", first) == 2 and "--force overwrites it" in capsys.readouterr().err
    assert run("plot", many, "--axis", "steps", "--out", "many.svg") == 0
    drawn = (tmp_path / "many.svg").read_text()
    assert drawn.startswith("<?xml")
    assert run("plot", first, second, "--axis", "steps") == 0
    assert (tmp_path / "curves-steps.png").stat().st_size > 5000
    assert run("plot", first, "--out", "a.pdf") == 2
    assert "ends in .png or .svg" in capsys.readouterr().err
    assert run("plot", tmp_path / "none") == 2


def test_metrics_that_are_missing_or_damaged(tmp_path):
    folder = made(tmp_path / "first")
    (folder / "metrics.jsonl").write_text("{\n")
    with pytest.raises(MtbenchError, match=r"metrics\.jsonl is damaged"):
        Curves.read(folder)
    (folder / "metrics.jsonl").unlink()
    with pytest.raises(UsageError, match="has logged nothing yet"):
        Curves.read(folder)


def test_without_wandb_the_error_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *more):
        if name == "wandb":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UsageError, match=r"pip install 'mtbench-mjx\[wandb\]'"), wandb_log(tmp_path):
        pass


def test_lines_are_kept_by_wandb_without_a_network(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = made(tmp_path / "first")
    sent = []
    real = wandb.init

    def init(**how):
        opened = real(**how)
        monkeypatch.setattr(opened, "log", lambda numbers, step: sent.append((step, numbers)))
        return opened

    monkeypatch.setattr(wandb, "init", init)
    for update in (5, 6):  # a run that is resumed goes on under its id
        with wandb_log(folder) as on_line:
            on_line(line(update, {"reach": [None, None], "push": [0.2, 0.4]}))
    assert [step for step, _ in sent] == [5, 6]
    numbers = sent[0][1]
    assert numbers["env_steps"] == 5000 and "success/reach" not in numbers
    assert numbers["success/push"] == pytest.approx(0.3) and numbers["train/entropy"] == pytest.approx(0.2)
    kept = sorted(path.name.split("-")[-1] for path in (folder / "wandb").glob("offline-run-*"))
    assert kept and set(kept) == {(folder / "wandb.id").read_text()}
