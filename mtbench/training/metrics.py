"""What a training reports: running success, lines of `metrics.jsonl`, TensorBoard events."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import MtbenchError, why

type Metrics = Mapping[str, Any]
"""What `train_step` reports: `episodes`, `successes` and `return_sum`, each [seed, family], summed over the
episodes that ended in the update; every other entry is a number per seed, [seed]."""

COUNTS = ("episodes", "successes", "return_sum")


class Meter:
    """Averages what updates report. It is saved in checkpoints, so that a resumed run reports the same.

    Success and return are running means over about the last `window` episodes of a family: new episodes push out
    as much weight of old ones. Three sums per family suffice for that, however long episodes take.
    """

    def __init__(self, families: tuple[str, ...], window: int):
        """A meter that has seen nothing."""
        self.families, self.window = families, window
        self.sums: dict[str, np.ndarray] = {}
        """`recent` [3, seed, family]: weight, successes, returns; `episodes` [seed] of the whole run; since the
        last line: `updates` [], and `train/<name>` [seed] for all other numbers."""

    def add(self, metrics: Metrics) -> None:
        """Takes in one update.

        Raises:
          ValueError: an entry has another shape than documented in `Metrics`.
        """
        new = np.stack([np.asarray(metrics[name], np.float64) for name in COUNTS])
        if new.ndim != 3 or new.shape[2] != len(self.families):
            raise ValueError(f"{COUNTS} must be [seed, {len(self.families)} families], got {new.shape[1:]}")
        add = {f"train/{k}": np.asarray(v, np.float64) for k, v in metrics.items() if k not in COUNTS}
        for name, value in add.items():
            if value.shape != new.shape[1:2]:
                raise ValueError(f"metric {name} must be [seed] = {new.shape[1:2]}, got {value.shape}")
        faded = self.sums.get("recent", np.zeros_like(new)) * np.maximum(0.0, 1.0 - new[0] / self.window)
        add |= {"episodes": new[0].sum(1), "updates": np.ones(())}
        self.sums |= {name: self.sums.get(name, 0.0) + value for name, value in add.items()}
        self.sums["recent"] = faded + new

    def rates(self) -> tuple[np.ndarray, np.ndarray]:
        """Running success rate and return, [seed, family]; NaN before a family's first episode has ended."""
        weight, *sums = self.sums.get("recent", np.zeros((3, 1, len(self.families))))
        success, returns = (
            np.divide(total, weight, out=np.full(weight.shape, np.nan), where=weight > 0) for total in sums
        )
        return success, returns

    def line(self) -> dict[str, Any]:
        """The numbers of a line of `metrics.jsonl`; begins the next interval."""
        success, returns = self.rates()
        updates = self.sums.pop("updates")
        train = {name: self.sums.pop(name) / updates for name in sorted(self.sums) if name.startswith("train/")}
        return {
            "episodes": [int(n) for n in self.sums["episodes"]],
            "success_mean": _row([mean(row) for row in success]),
            "success": {name: _row(success[:, f]) for f, name in enumerate(self.families)},
            "return": {name: _row(returns[:, f]) for f, name in enumerate(self.families)},
            "train": {name.removeprefix("train/"): _row(values) for name, values in train.items()},
        }


def mean(values: Any) -> float:
    """Mean of the finite values; NaN if there are none."""
    known = [value for value in np.ravel(np.asarray(values, np.float64)).tolist() if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def scalars(line: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a line of `metrics.jsonl`, averaged over seeds, by name, e.g. `success/reach`."""
    tags = {name: line[name] for name in ("steps_per_second", "success_mean")}
    for group in ("success", "return", "train"):
        tags |= {f"{group}/{name}": values for name, values in line[group].items()}
    return {tag: mean(value) for tag, value in tags.items()}


def _row(values: Any) -> list[float | None]:
    """Six digits of each; JSON knows no NaN."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]


class MetricsLog:
    """Writes `metrics.jsonl` and TensorBoard events; drops what lies beyond the checkpoint resumed from."""

    def __init__(self, folder: Path, *, update: int, env_steps: int):
        """Opens the files of a run of which `update` updates are done.

        Raises:
          MtbenchError: they cannot be written, or a line of `metrics.jsonl` is damaged.
        """
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self.path = folder / "metrics.jsonl"
        try:
            self._keep_until(update)
            self._file = self.path.open("a")
            (folder / "tensorboard").mkdir(exist_ok=True)
            # Not SummaryWriter: its thread dies on a full disk, and then its queue blocks for ever.
            self._events = EventsWriter(str(folder / "tensorboard" / "events"), f".{time.time_ns()}")
            if update:  # tells TensorBoard to hide earlier events from this step on
                start = SessionLog(status=SessionLog.START)
                self._events.write_event(Event(wall_time=time.time(), step=env_steps + 1, session_log=start))
        except OSError as error:
            raise MtbenchError(f"cannot write to {folder}: {why(error)}") from error

    def _keep_until(self, update: int) -> None:
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        kept = []
        for number, line in enumerate(lines, 1):
            try:
                kept += [line] if json.loads(line)["update"] <= update else []
            except (ValueError, KeyError, TypeError):
                if number < len(lines):  # a kill cuts the last line short; no other
                    raise MtbenchError(f"{self.path}, line {number} is damaged: delete that line") from None
        files.write(self.path, "".join(kept))

    def write(self, line: Mapping[str, Any]) -> None:
        """Appends a line.

        Raises:
          MtbenchError: it cannot be written, e.g. because the disk is full.
        """
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars(line).items()]
        event = Event(wall_time=time.time(), step=line["env_steps"], summary=Summary(value=values))
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            self._events.write_event(event)
            self._events.flush()
        except OSError as error:
            hint = "--resume goes on from the last checkpoint"
            raise MtbenchError(f"cannot write to {self.path.parent}: {why(error)}; {hint}") from error

    def close(self) -> None:
        """Closes the files; `write` has reported what could not be written."""
        for file in (self._file, self._events):
            with suppress(OSError):
                file.close()
