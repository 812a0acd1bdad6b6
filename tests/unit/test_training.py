"""A run can be killed, stopped, damaged and misused; what it computes stays the same."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtbench.cli.terminal import Terminal
from mtbench.errors import MtbenchError, UsageError
from mtbench.training import load_state, read_run, train
from mtbench.training.metrics import Meter

SEEDS, UPDATES, STEPS = 2, 23, 8
SUITE = {"suite": "toy", "digest": "abc", "versions": {"jax": "1"}}


@dataclass(frozen=True)
class ToyEnv:
    family_names: tuple[str, ...] = ("reach", "push", "never")


@dataclass(frozen=True)
class ToyConfig:
    learning_rate: float = 0.1
    hidden: tuple[int, ...] = (4,)


class ToyState(NamedTuple):
    key: jax.Array
    weights: dict[str, Any]
    count: Any


@dataclass(frozen=True)
class Toy:
    """Noise with a memory: one lost or repeated update changes everything after it."""

    config: ToyConfig = field(default_factory=ToyConfig)
    at: int = -1
    action: str = ""
    name: str = "toy"

    def init(self, key, env):
        width = self.config.hidden[0]
        weights = {"w": jnp.zeros((SEEDS, width)), "half": jnp.ones((3,), jnp.bfloat16), "none": jnp.zeros((0, 3))}
        return ToyState(jax.random.split(key, SEEDS), weights, 0)

    def train_step(self, env, state):
        if self.action not in ("", "break"):
            jax.debug.callback(self._act, state.count)
        pairs = jax.vmap(jax.random.split)(state.key)
        noise = jax.vmap(lambda key: jax.random.normal(key, (self.config.hidden[0],)))(pairs[:, 1])
        w = jnp.sin(3.0 * state.weights["w"]) + self.config.learning_rate * noise
        if self.action == "break":
            w = jnp.where(state.count == self.at, jnp.inf, w)
        weights = {**state.weights, "w": w, "half": state.weights["half"] * jnp.bfloat16(0.99)}
        episodes = jnp.stack([jnp.full(SEEDS, 7), jnp.round(jnp.abs(3 * w[:, 0])), jnp.zeros(SEEDS)], 1)
        metrics = {
            "episodes": episodes,
            "successes": jnp.round(episodes * jax.nn.sigmoid(w[:, :1])),
            "return_sum": episodes * w[:, 1:2],
            "loss": w[:, 2],
            "nothing": jnp.full(SEEDS, jnp.nan),
        }
        return ToyState(pairs[:, 0], weights, state.count + 1), metrics

    def steps_per_update(self, env):
        return STEPS

    def policy(self, state, seed):
        return state.weights["w"][seed]

    def learnt(self, state):
        return state.weights

    def _act(self, count):
        if count == self.at and self.action == "die":
            os._exit(9)
        if count == self.at:
            os.kill(os.getpid(), getattr(signal, self.action.split()[0]))
        if count == self.at and "twice" in self.action:
            time.sleep(0.7)  # a person's second Ctrl-C; the update itself would go on for a minute
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)


def run(run_dir, algorithm=None, **options):
    given = {"total_steps": UPDATES * STEPS, "description": SUITE, "checkpoint_updates": 4, "log_updates": 3}
    return train(algorithm or Toy(), ToyEnv(), run_dir=run_dir, **(given | options))


def run_on_terminal(run_dir, algorithm=None, **options):
    """The same as a command does it, with its signals and its output."""
    with Terminal() as terminal:
        return run(run_dir, algorithm, watcher=terminal, **options)


def child(run_dir, action, at, **options):
    """The same in another process, which does `action` during the update after `at`."""
    call = f"t.run_on_terminal({str(run_dir)!r}, t.Toy(at={at}, action={action!r}), **{options!r})"
    return python(f"import sys, {Path(__file__).stem} as t; sys.exit(int({call}.interrupted))")


def python(code):
    """Runs code in another process, where this file can be imported."""
    paths = [str(Path(__file__).parent), *sys.path]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"}
    return subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=env)


def lines(run_dir):
    """The lines of metrics.jsonl without what a clock says."""
    read = [json.loads(line) for line in (Path(run_dir) / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "steps_per_second")} for line in read]


def leaves(state):
    state = state._replace(key=jax.random.key_data(state.key))
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def assert_same_run(folder, result, reference):
    for mine, theirs in zip(leaves(result.state), leaves(reference.state), strict=True):
        assert mine.dtype == theirs.dtype and mine.tobytes() == theirs.tobytes()
    assert lines(folder) == lines(reference.run_dir)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """An uninterrupted run."""
    return run(tmp_path_factory.mktemp("reference") / "run")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original") / "run"
    run(folder, total_steps=15 * STEPS, checkpoint_updates=5)
    return folder


@pytest.fixture
def half_way(tmp_path, original):
    """A run of 15 updates, with checkpoints at the updates 5, 10 and 15."""
    return shutil.copytree(original, tmp_path / "run")


# ------------------------------------------------------------------------------------------- what is recorded


def test_run_folder(reference):
    recorded = read_run(reference.run_dir)
    assert (recorded["suite"], recorded["algorithm"], recorded["config"]) == (
        "toy",
        "toy",
        {"learning_rate": 0.1, "hidden": [4]},
    )
    read = lines(reference.run_dir)
    assert [line["update"] for line in read] == [3, 6, 9, 12, 15, 18, 21, 23]
    assert read[-1]["env_steps"] == reference.env_steps == UPDATES * STEPS
    assert read[0]["episodes"][0] >= 21 and len(read[0]["train"]["loss"]) == SEEDS
    assert read[-1]["success"]["never"] == read[-1]["train"]["nothing"] == [None] * SEEDS
    assert reference.compile_seconds > 0 and reference.steps_per_second > 0 and not reference.interrupted
    events = list((reference.run_dir / "tensorboard").iterdir())
    assert len(events) == 1 and b"success/reach" in events[0].read_bytes()


def test_running_success_forgets_old_episodes():
    meter = Meter(("a",), window=10)
    counts = {"episodes": np.full((1, 1), 5), "return_sum": np.full((1, 1), 10)}
    for successes in (0, 0, 5):
        meter.add({**counts, "successes": np.full((1, 1), successes)})
    success, returns = meter.rates()
    assert success[0, 0] == pytest.approx(5 / (5 + 0.5 * (5 + 0.5 * 5))) and returns[0, 0] == 2


def test_plain_output_without_a_terminal(tmp_path, capsys):
    run_on_terminal(tmp_path / "run")
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "compiling …"
    assert re.fullmatch(r"8/184 steps, success 0\.\d\d \(reach 0\.\d\d, push .+, never –\)", last)


# --------------------------------------------------------------------------------------------------- resuming


def test_resume_after_kill(tmp_path, reference):
    died = child(tmp_path / "run", "die", at=14)
    assert died.returncode == 9, died.stderr
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"env_steps": 1')  # a line cut short by the kill
    result = run(tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", result, reference)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_resume_after_signal(tmp_path, reference, name):
    stopped = child(tmp_path / "run", name, at=9, checkpoint_updates=1000)
    assert stopped.returncode == 1, stopped.stderr
    assert "stopping: finishing the running update, then saving" in stopped.stdout
    assert load_state(tmp_path / "run", Toy(), ToyEnv()).count == 10, "the running update is finished and saved"
    result = run(tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", result, reference)


def test_second_ctrl_c_stops_at_once(tmp_path):
    stopped = child(tmp_path / "run", "SIGINT twice", at=9)
    assert stopped.returncode == 130, stopped.stderr
    assert load_state(tmp_path / "run", Toy(), ToyEnv()).count == 8


def test_resume_after_kill_before_the_first_checkpoint(tmp_path, half_way, reference):
    for seal in half_way.glob("checkpoints/*/seal.json"):
        seal.rename(seal.with_name(".seal.7.partial.json"))  # killed while a checkpoint was completed
    with pytest.raises(MtbenchError, match="has no checkpoint") as caught:  # not this run: it has metrics
        run(half_way, resume=True)
    assert not isinstance(caught.value, UsageError) and len(lines(half_way)) == 5
    (half_way / "metrics.jsonl").unlink()
    assert_same_run(half_way, run(half_way, resume=True), reference)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".run.7.partial.json").write_text('{"sche')  # killed while run.json was written
    assert run(tmp_path / "new", total_steps=STEPS).updates == 1


def test_resuming_a_finished_run_changes_nothing(half_way):
    before = lines(half_way)
    assert run(half_way, total_steps=15 * STEPS, resume=True).updates == 15
    assert lines(half_way) == before


def test_load_state(half_way, reference):
    assert load_state(half_way, Toy(), ToyEnv()).count == 15
    assert load_state(half_way, Toy(), ToyEnv(), step=5 * STEPS).count == 5
    with pytest.raises(UsageError, match=r"no checkpoint of step 3, but of \[120, 80, 40\]"):
        load_state(half_way, Toy(), ToyEnv(), step=3)
    with pytest.raises(UsageError, match=r"config.learning_rate is 0.1 there and 0.2 here"):
        load_state(half_way, Toy(ToyConfig(learning_rate=0.2)), ToyEnv())


# -------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_infinite_hyper_parameter(tmp_path, value):
    with pytest.raises(UsageError, match=f"learning_rate = {value}: must be finite"):
        run(tmp_path / "run", Toy(ToyConfig(learning_rate=value)))
    assert not (tmp_path / "run").exists()


def test_training_that_stops_being_finite(tmp_path):
    with pytest.raises(MtbenchError, match=r"update 10: .* no longer finite; .*checkpoints/64 is the last sound"):
        run(tmp_path / "run", Toy(at=9, action="break"))
    state = load_state(tmp_path / "run", Toy(), ToyEnv())
    assert state.count == 8 and np.isfinite(state.weights["w"]).all()


def test_folder_that_holds_a_run(half_way):
    with pytest.raises(UsageError, match="holds a run of toy: --resume continues it, --force replaces it"):
        run(half_way)
    assert run(half_way, force=True, total_steps=STEPS).updates == 1
    assert len(lines(half_way)) == 1


def test_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="will not be replaced"):
        run(tmp_path, force=True)
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"description": {**SUITE, "digest": "xyz"}}, "digest is abc there and xyz here"),
        ({"algorithm": Toy(ToyConfig(hidden=(5,)))}, r"config.hidden is \[4\] there and \[5\] here"),
        ({"algorithm": replace(Toy(), name="other")}, "algorithm is toy there and other here"),
        ({"seed": 1}, "seed is 0 there and 1 here"),
    ],
)
def test_resuming_another_training(half_way, change, message):
    with pytest.raises(UsageError, match=message):
        run(half_way, resume=True, **change)


def test_resuming_with_other_versions_warns(half_way, capsys):
    run(half_way, resume=True, description={**SUITE, "versions": {"jax": "2"}})
    assert "versions.jax is 1 there and 2 here" in capsys.readouterr().err


def test_another_schema(half_way):
    (half_way / "run.json").write_text(json.dumps({**read_run(half_way), "schema": 99}))
    with pytest.raises(UsageError, match="schema is 99 there and 1 in this version"):
        run(half_way, resume=True)


def test_nothing_to_resume(tmp_path):
    with pytest.raises(UsageError, match=r"cannot resume .*No such file"):
        run(tmp_path / "run", resume=True)
    with pytest.raises(UsageError, match=r"holds no run: cannot read run.json"):
        run(tmp_path, resume=True)
    with pytest.raises(UsageError, match="give one of them"):
        run(tmp_path, resume=True, force=True)


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write to .*Not a directory"):
        run(tmp_path / "file" / "run")


def test_folder_in_use(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(UsageError, match="another process trains in"):
        run(tmp_path)
    os.close(handle)


# ----------------------------------------------------------------------------------------------------- damage


def damage(run_dir, update, how):
    """Damages a checkpoint: the largest file of its arrays, or what it says about progress."""
    folder = run_dir / "checkpoints" / str(update * STEPS)
    files = [path for path in (folder / "state").rglob("*") if path.is_file()]
    path = max(files, key=lambda path: path.stat().st_size)
    raw = bytearray(path.read_bytes())
    if how == "truncate":
        path.write_bytes(raw[: len(raw) // 2])
    elif how == "flip a bit":
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    elif how == "delete":
        path.unlink()
    else:
        path = folder / "seal.json"
        path.write_text(path.read_text().replace('"update": 15', '"update": 14'))
    return path.name


@pytest.mark.parametrize("how", ["truncate", "flip a bit", "delete", "change the progress"])
def test_damaged_checkpoint(half_way, reference, capfd, how):
    name = damage(half_way, 15, how)
    with pytest.raises(MtbenchError, match=rf"checkpoints/120 is damaged: .*{name}.*; step 80 is intact"):
        load_state(half_way, Toy(), ToyEnv())
    result = run(half_way, resume=True)
    error = capfd.readouterr().err
    assert error.startswith("warning: ") and len(error.splitlines()) == 1
    assert "checkpoints/120 is damaged" in error and "going on from step 80" in error
    assert_same_run(half_way, result, reference)


def test_kill_while_saving(half_way, reference):
    (half_way / "checkpoints" / "120" / "seal.json").unlink()  # as if killed before the checkpoint was complete
    (half_way / "checkpoints" / "160" / "state.orbax-checkpoint-tmp").mkdir(parents=True)
    assert load_state(half_way, Toy(), ToyEnv()).count == 10
    assert_same_run(half_way, run(half_way, resume=True), reference)


def test_no_intact_checkpoint(half_way):
    for update in (5, 10, 15):
        damage(half_way, update, "truncate")
    with pytest.raises(MtbenchError, match=r"120 is damaged: .*; no other in .* is intact"):
        run(half_way, resume=True)


def test_checkpoint_of_another_state(half_way, monkeypatch):
    monkeypatch.setattr(Toy, "init", lambda self, key, env: {"w": jnp.zeros(3)})
    with pytest.raises(MtbenchError, match=r"120 does not fit .*: \['w'\] is absent there and float32\[3\] here"):
        run(half_way, resume=True)


def test_full_disk(tmp_path, reference, monkeypatch):
    import orbax.checkpoint as ocp

    save = ocp.Checkpointer.save

    def full(checkpointer, directory, arrays):
        if directory.parent.name == str(12 * STEPS):
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(checkpointer, directory, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(ocp.Checkpointer, "save", full)
        with pytest.raises(MtbenchError, match=r"cannot save .*96: the disk is full; --resume goes on from step 64"):
            run(tmp_path / "run")
    result = run(tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", result, reference)


def test_damaged_metrics_line(half_way):
    read = (half_way / "metrics.jsonl").read_text().splitlines(keepends=True)
    (half_way / "metrics.jsonl").write_text("".join([read[0], "garbage\n", *read[1:]]))
    with pytest.raises(MtbenchError, match="line 2 is damaged"):
        run(half_way, resume=True)


def test_import_is_light():
    code = "import sys, mtbench.training; print([m for m in ('orbax', 'tensorboardX', 'rich') if m in sys.modules])"
    assert python(code).stdout.strip() == "[]"
