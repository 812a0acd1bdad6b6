"""The command line: from training to a page, and every misuse told in one line with the right exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from mtbench import render
from mtbench.cli import main

SMALL = [
    "--lanes",
    "16",
    "--rollout-length",
    "8",
    "--minibatches",
    "2",
    "--policy-hidden",
    "16",
    "--critic-hidden",
    "16",
]


def run(*argv: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(a) for a in argv])
    return caught.value.code or 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a suite of one's own, whose file is gone since."""
    folder = tmp_path_factory.mktemp("runs")
    suite = folder / "near.toml"
    small = ["--tasks", "iid=6", "--horizon", "40", "--no-certify"]
    assert (
        run(
            "freeze",
            suite,
            "--families",
            "reach",
            "--factors",
            "reach.goal_x=0:0.05",
            "iid/reach.goal_y=0.8:0.9",
            *small,
        )
        == 0
    )
    assert run("train", suite, "--run-dir", folder / "first", "--total-steps", "256", *SMALL) == 0
    suite.unlink()
    return folder / "first"


def test_train_eval_render(trained, capsys):
    words = ("--protocol", "ours", "--tasks-per-family", "3", "--episodes", "2")
    assert run("eval", trained, *words) == 0
    out = capsys.readouterr().out
    assert "scorecard.html" in out and "reach" in out
    # A protocol's results have a folder of their own.
    folder = trained / "eval" / "ours"
    card = json.loads((folder / "scorecard.json").read_text())
    assert card["suite"] == "near" and card["protocol"] == "ours, changed"
    assert card["metadata"]["protocol"]["tasks_per_family"] == 3 and card["metadata"]["protocol"]["horizon"] == 40
    assert {"random", "expert"} <= set(json.dumps(card).replace('"', " ").split())
    page = (folder / "scorecard.html").read_text()
    assert not re.search(r'(src|href)="https?:', page)
    assert run("eval", trained, *words) == 2
    assert "exists: --force overwrites it" in capsys.readouterr().err


def test_render_writes_a_video_that_moves(tmp_path):
    import imageio.v2 as imageio

    target = tmp_path / "expert.gif"
    words = ["--rows", "1", "--columns", "2", "--width", "64", "--height", "48", "--seconds", "0.5"]
    assert run("render", "STARTER", "--out", target, *words) == 0
    frames = imageio.mimread(target)
    assert len(frames) == 10 and frames[0].shape[:2] == (48, 128)
    assert (frames[0] != frames[-1]).any() and frames[0].std() > 5


def test_stills_show_a_task_before_and_after(tmp_path):
    import imageio.v3 as imageio

    target = tmp_path / "reach.png"
    assert run("render", "MT1/reach", "--stills", target, "--columns", "1", "--width", "128", "--height", "96") == 0
    picture = imageio.imread(target)[-56:-8, :, :3].astype(int)
    start, end = (picture[:, left : left + 60] for left in (8, 74))
    assert start.std() > 5 and np.abs(start - end).max() > 50
    assert run("render", "MT1/reach", "--stills", tmp_path / "reach.gif") == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "STARTR", "--run-dir", "{tmp}/r"], "unknown suite 'STARTR': did you mean STARTER"),
        (
            ["train", "STARTER", "--run-dir", "{tmp}/r", "--algorithm", "mt-pp"],
            "unknown algorithm 'mt-pp': did you mean mt-ppo",
        ),
        (["train", "STARTER", "--run-dir", "{tmp}/r", "--backend", "mjq"], "unknown backend 'mjq': did you mean mjx"),
        (
            ["train", "STARTER", "--run-dir", "{tmp}/r", "--split", "idd"],
            "unknown split of STARTER 'idd': did you mean iid",
        ),
        (["train", "MT1/reach", "--run-dir", "{tmp}/r", "--learning-rate", "-1"], "learning_rate"),
        (
            ["train", "MT1/reach", "--run-dir", "{run}"],
            "holds a run of mt-ppo: --resume continues it, --force replaces it",
        ),
        (["train", "MT1/reach", "--run-dir", "{tmp}/nothing", "--resume"], "{tmp}/nothing"),
        (["train", "MT1/reach", "--run-dir", "/dev/null/r"], "/dev/null"),
        (["train", "{tmp}/no.toml", "--run-dir", "{tmp}/r"], "suite file {tmp}/no.toml: No such file"),
        (["freeze", "{tmp}/x.toml", "--families", "reach", "rech"], "unknown family 'rech': did you mean reach"),
        (
            ["freeze", "{tmp}/x.toml", "--families", "reach", "--factors", "reach.goal_x"],
            "--factors reach.goal_x: expected FAMILY.FACTOR=VALUE, LOW:HIGH or LOW:HIGH,LOW:HIGH",
        ),
        (
            ["freeze", "{tmp}/x.toml", "--families", "reach", "--factors", "train/reach.goal_x=0:9"],
            "reach: goal_x = [0.0, 9.0]: expected within [-0.1, 0.1] m",
        ),
        (
            ["freeze", "{tmp}/x.toml", "--families", "reach", "push", "--withhold", "push.goal_x=0+reach.goal_x=0"],
            "expected factors of one family",
        ),
        (["freeze", "{tmp}/x.toml", "--families", "reach", "--tasks", "iid"], "--tasks iid: expected SPLIT=COUNT"),
        (["freeze", "{tmp}/x", "--families", "reach"], "must end in .toml"),
        (
            ["eval", "{run}", "--protocol", "metaworld-ml", "--out", "{tmp}/e"],
            "unknown protocol of near",
        ),
        (["eval", "{tmp}/nothing"], "{tmp}/nothing"),
        (["eval", "{run}", "--splits", "idd", "--out", "{tmp}/e"], "unknown split"),
        (["eval", "{run}", "--out", "/dev/null/e"], "cannot write to /dev/null/e"),
        (["render", "no-such-thing"], "unknown run folder, suite or family 'no-such-thing'"),
        (["render", "reach", "--out", "{tmp}/x.avi"], "must end in .mp4, .gif or .png"),
        (["tasks", "rech"], "did you mean reach"),
        (["bench", "STARTER", "--lanes", "0"], "at least 1"),
    ],
)
def test_bad_use_is_told_in_one_line(argv, message, trained, tmp_path, capsys):
    places = {"tmp": tmp_path, "run": trained}
    small = SMALL if argv[0] == "train" else []
    assert run(*[word.format(**places) for word in argv], *small) == 2
    error = capsys.readouterr().err.strip()
    assert message.format(**places) in error and error.startswith("mtbench: ")
    assert len(error.splitlines()) == 1 and "Traceback" not in error


def test_a_damaged_checkpoint_and_another_digest(trained, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    for path in sorted(copy.glob("checkpoints/*/**/*")):
        if path.is_file() and path.stat().st_size > 64:
            path.write_bytes(path.read_bytes()[:32])
    assert run("eval", copy, "--out", tmp_path / "scores") == 1
    assert capsys.readouterr().err.startswith("mtbench: ")
    shutil.rmtree(copy)
    shutil.copytree(trained, copy)
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**record, "digest": "0" * 16}))
    assert run("eval", copy, "--out", tmp_path / "scores") == 2
    assert "with digest 0000000000000000, its suite.toml has" in capsys.readouterr().err


def test_no_gl_library_names_the_package(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(render.ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(render.sys, "platform", "linux")
    with pytest.raises(render.MtbenchError, match="libegl1"):
        render.choose_gl()


def test_tasks_json(capsys):
    assert run("tasks", "--json") == 0
    listing = json.loads(capsys.readouterr().out)
    families = {family["name"]: family for family in listing["families"]}
    assert set(families["reach"]) == {"name", "arena", "version", "description", "factors"}
    suites = {suite["name"]: suite for suite in listing["suites"]}
    assert suites["STARTER"]["splits"] == {"train": 500, "iid": 250}


def test_unknown_command_and_help():
    for words, code in ((["trian"], 2), ([], 2), (["--help"], 0), (["train", "--help"], 0), (["eval", "--nope"], 2)):
        assert run(*words) == code


def test_the_package_is_light_to_import():
    """`import mtbench` and `mtbench --help` load neither JAX nor MuJoCo, which take seconds."""
    code = "import sys, mtbench; from mtbench import cli; print('jax' in sys.modules, 'mujoco' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
