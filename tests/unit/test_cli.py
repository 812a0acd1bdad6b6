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
from mtbench.cli.terminal import Terminal

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
    assert {"random", "constant", "expert"} <= set(json.dumps(card).replace('"', " ").split())
    page = (folder / "scorecard.html").read_text()
    assert not re.search(r'(src|href)="https?:', page)
    before = (folder / "episodes.parquet").stat().st_mtime_ns
    assert run("eval", trained, *words) == 0
    assert "nothing is played" in capsys.readouterr().out
    assert (folder / "episodes.parquet").stat().st_mtime_ns == before and not (folder / "parts").exists()
    assert run("eval", trained, *words[:4]) == 2
    error = capsys.readouterr().err
    assert "exists: --force overwrites it" in error and "protocol.episodes is 2 there and 1 here" in error


def test_eval_after_fine_tuning(trained, tmp_path):
    """A run goes on from what it has learnt, in a folder of its own; a policy without memory adapts to nothing."""
    import jax
    import polars as pl

    import mtbench
    from mtbench.baselines.mt_ppo import MTPPO, MTPPOConfig
    from mtbench.training import load_state, read_run

    words = ("--tasks-per-family", "2", "--adaptation-episodes", "0", "2", "--fine-tune", "128", "--out", tmp_path)
    assert run("eval", trained, *words) == 0
    rows = pl.read_parquet(tmp_path / "episodes.parquet")
    assert set(rows["policy"]) == {"mt-ppo", "mt-ppo+128", "random", "constant", "expert"} and len(rows) == 10
    assert set(rows["adaptation"]) == {0} and set(rows["episode"]) == {2}
    states = []
    tuned = tmp_path / "fine-tuned" / "iid-256+128"
    for folder, step in ((trained, 256), (tuned, 0), (tuned, 128)):
        config = {k: tuple(v) if isinstance(v, list) else v for k, v in read_run(folder)["config"].items()}
        split = "train" if folder == trained else "iid"
        env = mtbench.load_suite(trained / "suite.toml").vector_env(16, split, "mujoco")
        states.append(load_state(folder, MTPPO(MTPPOConfig(**config)), env, step=step))
    weights = [jax.tree.leaves(state.learner.params) for state in states]
    assert all((a == b).all() for a, b in zip(*weights[:2], strict=True)) and int(states[1].updates) == 0
    assert any((a != b).any() for a, b in zip(*weights[1:], strict=True))


def test_an_interrupted_training_says_how_to_go_on(trained, tmp_path, monkeypatch, capsys):
    words = ["train", trained / "suite.toml", "--run-dir", tmp_path / "run", "--total-steps", "256", *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(Terminal, "stop", lambda terminal: True)
        assert run(*words, "--force") == 1
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == f"to go on: mtbench {' '.join(map(str, words))} --resume"
    assert run(*words, "--resume") == 0
    assert f"next: mtbench eval {tmp_path / 'run'}" in capsys.readouterr().out


def test_an_exported_policy_acts_as_the_run_did(trained, tmp_path, capsys):
    """Bit for bit, also without the run, and the score is that of the run."""
    import jax
    import jax.numpy as jnp
    import polars as pl

    import mtbench
    from mtbench.baselines.mt_ppo import MTPPO, MTPPOConfig
    from mtbench.policy import PolicyInput
    from mtbench.training import load_state, read_run

    folder, words = tmp_path / "policy", ("--protocol", "ours", "--tasks-per-family", "3", "--episodes", "2")
    assert run("export", trained, folder, "--seed", "0") == 0
    assert "mtbench eval" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {"policy.json", "suite.toml", "seed-0.safetensors"}
    assert run("export", trained, folder) == 2
    assert "exists: --force overwrites it" in capsys.readouterr().err
    assert run("export", trained, folder, "--step", "256", "--force") == 0

    config = {k: tuple(v) if isinstance(v, list) else v for k, v in read_run(trained)["config"].items()}
    algorithm = MTPPO(MTPPOConfig(**config))
    env = mtbench.load_suite(folder / "suite.toml").vector_env(16, "train", "mujoco")
    learnt = algorithm.policy(load_state(trained, algorithm, env), 0)
    no = jnp.zeros(32, bool)
    observation = jax.random.normal(jax.random.key(0), (32, env.observation_size))
    seen = PolicyInput(observation, jnp.ones((32, 1)), jnp.zeros(32), no, no)
    act = jax.jit(jax.vmap(lambda policy, seen: policy.act(jax.random.key(0), (), seen)[1], (None, 0)))
    actions = act(learnt, seen)
    assert np.ptp(actions) > 0.01
    for source in (folder, trained):
        np.testing.assert_array_equal(act(mtbench.load_policy(source), seen), actions)

    moved = trained.rename(trained.with_name("gone"))
    try:
        assert run("eval", folder, *words) == 0
        picture = tmp_path / "last.png"
        small = ["--rows", "1", "--columns", "1", "--width", "64", "--height", "48", "--seconds", "0.1"]
        assert run("render", folder, "--out", picture, *small) == 0 and picture.exists()
    finally:
        moved.rename(trained)
    read = [pl.read_parquet(place / "eval" / "ours" / "episodes.parquet") for place in (trained, folder)]
    assert read[0].equals(read[1]) and set(read[0]["policy"]) == {"mt-ppo", "random", "constant", "expert"}
    card = json.loads((folder / "eval" / "ours" / "scorecard.json").read_text())
    assert card["metadata"]["policy"]["training"]["env_steps"] == 256


def test_eval_of_a_function(trained, tmp_path, monkeypatch, capsys):
    """A user's own policy, from a module in the working folder, and what is wrong with it."""
    import polars as pl

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import jax.numpy as jnp\nfrom mtbench.policy import RandomPolicy\n"
        "def make():\n    return RandomPolicy(4)\n"
        "def wrong():\n    return RandomPolicy(7)\n"
        "import numpy as np\n"
        "def act(seen):\n    assert seen.observation.dtype == np.float32\n"
        "    if (seen.observation[:, -3] > 0.03).any():\n        raise RuntimeError('too far')\n"
        "    return np.zeros((len(seen.reward), 4))\n"
        "def narrow(seen):\n    return np.zeros((len(seen.reward), 3))\n"
    )
    words = ("--suite", trained / "suite.toml", "--tasks-per-family", "3", "--episodes", "2")
    assert run("eval", "mine:make", *words) == 0
    rows = pl.read_parquet(tmp_path / "mine.make" / "eval" / "near" / "episodes.parquet")
    same = [rows.filter(policy=name).drop("policy") for name in ("mine:make", "random")]
    assert len(same[0]) == 6 and same[0].equals(same[1])  # it is the random policy, by another name
    capsys.readouterr()
    assert run("eval", "mine:act", *words) == 3, "a function that acts itself, and fails in places"
    failed = pl.read_parquet(tmp_path / "mine.act" / "eval" / "near" / "episodes.parquet").filter(
        pl.col("failure") != ""
    )
    told = capsys.readouterr().out.splitlines()[-1]
    assert set(failed["policy"]) == {"mine:act"} and set(failed["failure"]) == {"RuntimeError: too far"}
    assert 0 < len(failed) < 6 and told.startswith(f"failed    {len(failed)} of 24 episodes")
    for source, message in (
        ("mine:narrow", "the function returns actions float64[1, 3], expected floating-point [1, 4]"),
        ("mine:wrong", "act returns an action float32[7], expected floating-point [4]"),
        ("mine:mak", "unknown function of mine 'mak': did you mean make"),
    ):
        assert run("eval", source, *words) == 2
        error = capsys.readouterr().err
        assert error.startswith("mtbench: ") and message in error and len(error.splitlines()) == 1


def test_render_writes_a_video_that_moves(tmp_path):
    import imageio.v2 as imageio

    target = tmp_path / "expert.gif"
    words = ["--rows", "1", "--columns", "2", "--width", "64", "--height", "48", "--seconds", "0.5"]
    words += ["--families", "push", "reach"]
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
        (
            ["train", "MT1/reach", "--run-dir", "{tmp}/r", "--learning-rate", "inf"],
            "learning_rate = inf: must be finite",
        ),
        (["eval", "{tmp}/nothing"], "{tmp}/nothing"),
        (["eval", "{run}", "--suite", "MT10"], "acts on Sizes(observation="),
        (["eval", "{run}", "--step", "3"], "has no checkpoint of step 3, but of [256"),
        (
            ["eval", "{run}", "--suite", "STARTER-ALL"],
            "was trained on near with arena tabletop, suite STARTER-ALL plays arena walker: choose a suite without",
        ),
        (["eval", "nowhere:make"], "nowhere:make: --suite NAME says on which tasks"),
        (["render", "nowhere:make", "--suite", "MT1/reach"], "cannot import nowhere"),
        (["export", "{tmp}/nothing", "{tmp}/p"], "{tmp}/nothing holds no run"),
        (["export", "{run}", "{tmp}/p", "--seed", "7"], "{run} has no policy of seed 7, but of [0]"),
        (["export", "{run}", "{run}"], "suite.toml exists: --force overwrites it"),
        (["export", "{run}", "/dev/null/p"], "cannot write to /dev/null/p"),
        (["eval", "{run}", "--splits", "idd", "--out", "{tmp}/e"], "unknown split"),
        (["eval", "{run}", "--out", "/dev/null/e"], "cannot write to /dev/null/e"),
        (["eval", "{run}", "--adaptation-episodes", "-1", "--out", "{tmp}/e"], "needs numbers of at least 0"),
        (["eval", "{run}", "--suite", "MT1/reach", "--fine-tune", "9", "--out", "{tmp}/e"], "not trained on MT1/reach"),
        (["certify", "{run}/suite.toml"], "suite near has no certificate there"),
        (["render", "no-such-thing"], "unknown run folder, suite or family 'no-such-thing'"),
        (
            ["render", "STARTER", "--families", "puhs", "--out", "{tmp}/x.gif"],
            "STARTER, split iid 'puhs': did you mean",
        ),
        (["render", "reach", "--out", "{tmp}/x.avi"], "must end in .mp4, .gif, .webp or .png"),
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
    assert run("eval", copy, "--out", tmp_path / "scores") == 1
    assert "with digest 0000000000000000, its suite.toml has" in capsys.readouterr().err
    # A failure is a failure in every command.
    for damage, message in (
        (lambda: (copy / "run.json").write_text('{"schema"'), "run.json is damaged"),
        (lambda: shutil.rmtree(copy / "checkpoints"), "has no checkpoint"),
    ):
        shutil.rmtree(copy)
        shutil.copytree(trained, copy)
        damage()
        for words in (["eval"], ["render"], ["export"]):
            assert run(*words, copy, *([tmp_path / "p"] if words == ["export"] else [])) == 1
            error = capsys.readouterr().err
            assert error.startswith("mtbench: ") and message in error and len(error.splitlines()) == 1


def test_no_gl_library_names_the_package(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(render.ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(render.sys, "platform", "linux")
    with pytest.raises(render.MtbenchError, match="libegl1"):
        render.choose_gl()


def test_tasks_json():
    """For programs: nothing else on the output, whatever libraries print when they are imported."""
    command = [sys.executable, "-c", "import mtbench.physics; from mtbench.cli import main; main()", "tasks", "--json"]
    listing = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    families = {family["name"]: family for family in listing["families"]}
    assert set(families["reach"]) == {"name", "arena", "version", "description", "base", "factors"}
    assert families["varied-reach"]["base"] == "reach" and families["varied-reach"]["factors"][-1]["levels"]
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
