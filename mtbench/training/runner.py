"""The training loop: compile once, update, report, save, stop when asked, go on where it stopped."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import MtbenchError, UsageError
from .checkpoint import SCHEMA, Checkpoints, check_same, create_run, differences, hold, is_key, read_run
from .metrics import Meter, Metrics, MetricsLog, mean

type JSON = bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None


class TrainEnv(Protocol):
    """What the runner must know of an environment; the rest is between it and the algorithm."""

    @property
    def family_names(self) -> tuple[str, ...]:
        """Names of the families, in the order of the metrics' last axis."""


class Algorithm[S](Protocol):
    """A learner of several seeds at once, written as pure functions of a state.

    The state is any pytree of arrays, typed random keys included. All that the next update depends on is in it, the
    environment's state too: that makes a resumed run equal to an uninterrupted one.
    """

    @property
    def name(self) -> str:
        """Registered name."""

    @property
    def config(self) -> Any:
        """Frozen dataclass of hyper-parameters."""

    def init(self, key: jax.Array, env: Any) -> S:
        """The state before the first update. Pure: it is jitted, and traced alone to learn shapes."""

    def train_step(self, env: Any, state: S) -> tuple[S, Metrics]:
        """One update. Pure: it is jitted, and the old state's memory is reused."""

    def steps_per_update(self, env: Any) -> int:
        """Environment steps that one update takes in each seed."""

    def policy(self, state: S, seed: int) -> Any:
        """The policy that one of the seeds has learnt."""

    def learnt(self, state: S) -> Any:
        """What must stay finite for the training to go on: parameters, the optimiser's state, statistics."""


class Status(NamedTuple):
    """How far a training is."""

    env_steps: int
    """Of each seed."""
    total_steps: int
    steps_per_second: float
    """Over all seeds; 0 while unknown."""
    seconds_left: float
    families: tuple[str, ...]
    success: np.ndarray
    """Running success rate [seed, family]; NaN where no episode has ended."""


class Watcher(Protocol):
    """Follows a training, and may stop it."""

    def say(self, text: str) -> None:
        """Told of what happens once, in a line."""

    def update(self, status: Status) -> None:
        """Told after every update."""

    def stop(self) -> bool:
        """Asked before every update whether to stop: what is done is saved."""


class Unwatched:
    """Says nothing and goes on to the end."""

    def say(self, text: str) -> None:
        """Nothing."""

    def update(self, status: Status) -> None:
        """Nothing."""

    def stop(self) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class TrainResult[S]:
    """What a training came to."""

    state: S
    run_dir: Path
    env_steps: int
    """Steps of each seed since the run began, over all continuations."""
    updates: int
    interrupted: bool
    """Stopped by its watcher before the end; `state` is saved."""
    compile_seconds: float
    """The first update of this process, most of it compilation; 0 if no update was left to do."""
    steps_per_second: float
    """Over all seeds, in this process, without that first update and without saving; 0 if unknown."""
    success: dict[str, float]
    """Running success rate of each family, averaged over seeds; NaN where no episode has ended."""


def train[S](
    algorithm: Algorithm[S],
    env: TrainEnv,
    *,
    run_dir: str | Path,
    total_steps: int,
    description: Mapping[str, JSON],
    files: Mapping[str, str] | None = None,
    seed: int = 0,
    export: Callable[[S, Path, int], None] | None = None,
    resume: bool = False,
    force: bool = False,
    checkpoint_seconds: float = 300.0,
    checkpoint_updates: int | None = None,
    log_updates: int | None = None,
    window: int = 100,
    watcher: Watcher | None = None,
    on_line: Callable[[Mapping[str, Any]], None] | None = None,
) -> TrainResult[S]:
    """Trains, and records the training in a folder from which it can be resumed.

    A resumed run equals the uninterrupted one bit for bit (state, and metrics apart from times) where the compiled
    program is deterministic: on CPUs, and on GPUs with XLA's deterministic kernels. If the newest checkpoint is
    damaged, resuming warns, sets it aside and computes again from the newest intact one.

    A run that was killed before its first checkpoint begins anew when it is resumed. A training whose parameters are no
    longer finite ends with an error, and nothing of that update is saved.

    Args:
      algorithm: what learns.
      env: what it learns on.
      run_dir: the run's folder; new or empty unless `resume` or `force` is given.
      total_steps: environment steps of each seed, rounded up to whole updates.
      description: what else `run.json` shall say: suite, digest, versions … A continuation must say the same, but
        for `versions`, `machine`, `created` and `command`.
      files: name to text of what else a new run's folder shall hold.
      seed: root of all randomness.
      export: called with (state, folder, environment steps so far); writes more into a checkpoint's folder.
      resume: go on from the newest intact checkpoint.
      force: replace the run in `run_dir`; a folder that is not a run is never replaced.
      checkpoint_seconds: time between checkpoints; one more is saved at the start and at the end.
      checkpoint_updates: save after so many updates instead.
      log_updates: updates per line of `metrics.jsonl`, by default for about 1,000 lines; kept on resuming.
      window: episodes over which success is averaged, for each seed and family; kept on resuming.
      watcher: is told how it goes, and may stop it; warnings go to stderr either way.
      on_line: is told each line that `metrics.jsonl` gets.

    Raises:
      UsageError: the arguments or the folder do not allow it; nothing has been changed.
      MtbenchError: the folder cannot be written any more, its checkpoints are damaged or do not fit, or what is
        learnt is no longer finite.
    """
    folder, per_update = Path(run_dir), int(algorithm.steps_per_update(env))
    if resume and force:
        raise UsageError("--resume continues a run and --force replaces it: give one of them")
    if total_steps < 1 or window < 1 or (log_updates or 1) < 1 or (checkpoint_updates or 1) < 1:
        raise UsageError("total steps, window and updates between log lines or checkpoints must be at least 1")
    if not checkpoint_seconds >= 0:
        raise UsageError(f"{checkpoint_seconds} seconds between checkpoints: must be at least 0")
    _refuse_infinite(dataclasses.asdict(algorithm.config))
    updates = -(-total_steps // per_update)
    run = {"schema": SCHEMA, **description, **_identity(algorithm), "seed": seed, "steps_per_update": per_update}
    run = json.loads(json.dumps({**run, "families": list(env.family_names)}))
    reporting = {"log_updates": log_updates or max(1, updates // 1000), "window": window}
    with hold(folder, create=not resume):
        if resume:
            old = read_run(folder)
            reporting = old.pop("reporting")
            check_same(folder, old, run)
            for change in differences(old.get("versions"), run.get("versions"), "versions"):
                _warn(f"{folder}: {change}: results may differ in the last bits")
            # Metrics come after the first checkpoint: without either, the run was killed as it began.
            resume = bool(Checkpoints(folder).steps) or (folder / "metrics.jsonl").exists()
            force = not resume
        if not resume:
            create_run(folder, {**run, "reporting": reporting}, files or {}, force=force)
        job = _Job(algorithm, env, folder, Meter(env.family_names, reporting["window"]), watcher or Unwatched(), export)
        job.resume() if resume else job.begin(seed)
        due = _due(checkpoint_seconds, checkpoint_updates)
        job.loop(updates, reporting["log_updates"], due, on_line or (lambda line: None))
    return job.result(interrupted=job.update < updates)


def load_state[S](run_dir: str | Path, algorithm: Algorithm[S], env: TrainEnv, *, step: int | None = None) -> S:
    """The state of a run.

    Args:
      run_dir: the run's folder.
      algorithm: the algorithm that was trained, with the same configuration.
      env: an environment like the one it was trained on.
      step: which checkpoint, in `env_steps`; the newest by default.

    Raises:
      UsageError: no run, another algorithm or configuration, or no such checkpoint.
      MtbenchError: the checkpoint is damaged (names the newest intact one) or does not fit.
    """
    folder, identity = Path(run_dir), _identity(algorithm)
    run = read_run(folder)
    check_same(folder, {key: run[key] for key in identity}, identity)
    checkpoints = Checkpoints(folder)
    return checkpoints.restore(checkpoints.choose(step), _template(algorithm, env))


def checkpoint_folder(run_dir: str | Path, step: int | None = None) -> Path:
    """The folder of an intact checkpoint; for its arguments and errors see `load_state`."""
    checkpoints = Checkpoints(Path(run_dir))
    return checkpoints.folder / str(checkpoints.choose(step))


def _identity(algorithm: Algorithm[Any]) -> dict[str, Any]:
    config = json.loads(json.dumps(dataclasses.asdict(algorithm.config), default=str))
    return {"algorithm": algorithm.name, "config": config}


def _refuse_infinite(config: Mapping[str, Any]) -> None:
    for name, value in config.items():
        if any(isinstance(x, float) and not math.isfinite(x) for x in jax.tree.leaves(value)):
            raise UsageError(f"{name} = {value}: must be finite")


def _strong(tree: Any) -> Any:
    """Arrays without weak types, which no checkpoint keeps: with them a resumed run would promote differently."""

    def strong(leaf: Any) -> jax.Array:
        leaf = jnp.asarray(leaf)
        return leaf if is_key(leaf) else jax.lax.convert_element_type(leaf, leaf.dtype)

    return jax.tree.map(strong, tree)


def _template[S](algorithm: Algorithm[S], env: TrainEnv) -> S:
    return jax.eval_shape(lambda key: _strong(algorithm.init(key, env)), jax.random.key(0))


def _due(seconds: float, updates: int | None) -> Callable[[int, float], bool]:
    """Whether a checkpoint is due after an update, so many seconds after the last one."""
    return lambda update, elapsed: elapsed >= seconds if updates is None else update % updates == 0


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


class _Job[S]:
    """A training under way: its state, how far it is, and where it is recorded."""

    def __init__(
        self,
        algorithm: Algorithm[S],
        env: TrainEnv,
        folder: Path,
        meter: Meter,
        watcher: Watcher,
        export: Callable[[S, Path, int], None] | None,
    ):
        self.algorithm, self.env, self.folder, self.meter, self.watcher = algorithm, env, folder, meter, watcher
        self.export = export or (lambda state, folder, env_steps: None)
        self.checkpoints = Checkpoints(folder)
        self.per_update = int(algorithm.steps_per_update(env))
        self.update, self.saved_update, self.seconds = 0, -1, 0.0
        self.compile_seconds, self.busy_seconds, self.busy_steps, self.busy_updates = 0.0, 0.0, 0, 0
        self.state: S
        self._step = jax.jit(lambda state: _strong_step(algorithm, env, state), donate_argnums=0)

    def begin(self, seed: int) -> None:
        """The first state. It is saved at once: a folder that cannot be written fails now, not in an hour."""
        self.state = jax.jit(lambda key: _strong(self.algorithm.init(key, self.env)))(jax.random.key(seed))
        self.save()

    def resume(self) -> None:
        """The newest intact checkpoint's state."""
        step, progress, damaged = self.checkpoints.newest()
        self.state = self.checkpoints.restore(step, _template(self.algorithm, self.env))
        for newer, error in damaged.items():
            _warn(f"{error}; set aside as {self.checkpoints.set_aside(newer)}, going on from step {step}")
        self.update = self.saved_update = progress["update"]
        self.seconds = progress["seconds"]
        self.meter.sums = {name: np.asarray(value, np.float64) for name, value in progress["sums"].items()}
        self.watcher.say(f"going on from step {step:,} of {self.folder}")

    def save(self) -> None:
        """Writes a checkpoint unless this update has one."""
        if self.saved_update != self.update:
            sums = {name: value.tolist() for name, value in self.meter.sums.items()}  # floats survive JSON exactly
            progress = {"update": self.update, "seconds": self.seconds, "sums": sums}
            env_steps, state = self.update * self.per_update, self.state
            self.checkpoints.save(env_steps, state, progress, lambda folder: self.export(state, folder, env_steps))
            self.saved_update = self.update

    def loop(
        self,
        updates: int,
        log_updates: int,
        save_due: Callable[[int, float], bool],
        on_line: Callable[[Mapping[str, Any]], None],
    ) -> None:
        """Updates until all are done or the watcher stops; ends with a checkpoint."""
        log = MetricsLog(self.folder, update=self.update, env_steps=self.update * self.per_update)
        began, saved_at = time.perf_counter() - self.seconds, time.monotonic()
        logged_seconds, logged_steps = 0.0, 0
        try:
            while self.update < updates and not self.watcher.stop():
                self._advance()
                self.seconds, env_steps = time.perf_counter() - began, self.update * self.per_update
                if self.update % log_updates == 0 or self.update == updates:
                    rate = _rate(self.busy_steps - logged_steps, self.busy_seconds - logged_seconds)
                    logged_seconds, logged_steps = self.busy_seconds, self.busy_steps
                    times = {"seconds": round(self.seconds, 3), "steps_per_second": round(rate, 1) or None}
                    line = {"env_steps": env_steps, "update": self.update, **times, **self.meter.line()}
                    log.write(line)
                    on_line(line)
                self.watcher.update(
                    Status(
                        env_steps,
                        updates * self.per_update,
                        _rate(self.busy_steps, self.busy_seconds),
                        (updates - self.update) * self.busy_seconds / max(1, self.busy_updates),
                        self.env.family_names,
                        self.meter.rates()[0],
                    )
                )
                if save_due(self.update, time.monotonic() - saved_at):
                    self.save()
                    saved_at = time.monotonic()
            self.save()
        finally:
            log.close()

    def _advance(self) -> None:
        """One update, timed; the first one compiles."""
        first, types = not self.compile_seconds, _types(self.state)
        if first:
            self.watcher.say("compiling …")
        started = time.perf_counter()
        self.state, metrics, finite = self._step(self.state)
        metrics = jax.device_get(metrics)
        if not finite:
            raise MtbenchError(
                f"update {self.update + 1}: what is learnt is no longer finite; {self.checkpoints.folder}/"
                f"{self.saved_update * self.per_update} is the last sound checkpoint: train anew with smaller steps"
            )
        elapsed = time.perf_counter() - started
        self.meter.add(metrics)
        self.update += 1
        if not first:
            self.busy_seconds, self.busy_updates = self.busy_seconds + elapsed, self.busy_updates + 1
            self.busy_steps += self.per_update * len(metrics["episodes"])
            return
        self.compile_seconds = elapsed
        self.watcher.say(f"compiled and did the first update in {elapsed:.1f} s")
        if _types(self.state) != types:
            raise ValueError("train_step changes the structure, the shapes or the types of its state")

    def result(self, *, interrupted: bool) -> TrainResult[S]:
        """The summary."""
        success = self.meter.rates()[0]
        return TrainResult(
            state=self.state,
            run_dir=self.folder,
            env_steps=self.update * self.per_update,
            updates=self.update,
            interrupted=interrupted,
            compile_seconds=self.compile_seconds,
            steps_per_second=_rate(self.busy_steps, self.busy_seconds),
            success={name: mean(success[:, f]) for f, name in enumerate(self.env.family_names)},
        )


def _strong_step(algorithm: Algorithm[Any], env: TrainEnv, state: Any) -> tuple[Any, Metrics, jax.Array]:
    state, metrics = algorithm.train_step(env, state)
    numbers = [x for x in jax.tree.leaves(algorithm.learnt(state)) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return _strong(state), metrics, jnp.array([jnp.isfinite(x).all() for x in numbers]).all()


def _types(state: Any) -> list[Any]:
    return [jax.tree.structure(state), *((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(state))]


def _rate(steps: int, seconds: float) -> float:
    return steps / seconds if seconds else 0.0
