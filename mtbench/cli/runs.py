"""Loading what a run has learnt, for `eval` and `render`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..suite import Suite


class Run:
    """A trained run, opened for scoring."""

    def __init__(self, run_dir: Path, backend: str | None = None, step: int | None = None):
        """Opens a run's folder.

        Raises:
          UsageError: no run is there, or it was trained on a suite that is not the installed one.
        """
        from .. import registry, suite
        from ..training import load_state, read_run

        self.dir, self.record = run_dir, read_run(run_dir)
        self.suite: Suite = suite.load(self.record["suite"])
        if self.suite.digest != self.record["digest"]:
            raise UsageError(
                f"{run_dir} was trained on {self.suite.name} with digest {self.record['digest']}, the installed suite "
                f"has {self.suite.digest}: install the version of mtbench that trained it, or train again"
            )
        kind = registry.algorithm(self.record["algorithm"])
        self.algorithm = kind(_config(kind.Config, self.record["config"]))
        self.num_seeds = self.algorithm.config.num_seeds
        lanes = self.algorithm.config.lanes * self.num_seeds
        self.env = self.suite.vector_env(lanes, self.record["split"], backend or self.record["backend"])
        self.state = load_state(run_dir, self.algorithm, self.env, step=step)

    def policies(self) -> Iterator[tuple[int, Any]]:
        """(training seed, policy) of every seed in the run."""
        for seed in range(self.num_seeds):
            yield seed, self.algorithm.policy(self.state, seed)


def _config(kind: type, saved: dict[str, Any]) -> Any:
    known = {f.name for f in fields(kind)}
    if unknown := set(saved) - known:
        raise UsageError(f"the run's configuration has unknown entries {sorted(unknown)}: another version trained it")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()})
