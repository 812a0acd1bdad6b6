"""Loading what a run has learnt, for `eval` and `render`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..suite import Suite

SUITE_FILE = "suite.toml"
"""A run's copy of its suite: a suite of one's own may be gone or changed by the time of an evaluation."""


class Run:
    """A trained run, opened for scoring."""

    def __init__(self, run_dir: Path, backend: str | None = None, step: int | None = None):
        """Opens a run's folder.

        Raises:
          UsageError: no run is there, or its copy of the suite is not what it was trained on.
        """
        from .. import registry, suite
        from ..training import load_state, read_run

        self.dir, self.record = run_dir, read_run(run_dir)
        self.suite: Suite = suite.read(run_dir / SUITE_FILE)
        if self.suite.digest != self.record["digest"]:
            raise UsageError(
                f"{run_dir} was trained on {self.record['suite']} with digest {self.record['digest']}, its "
                f"{SUITE_FILE} has {self.suite.digest}: put the suite's file of that training there, or train again"
            )
        kind = registry.algorithm(self.record["algorithm"])
        self.algorithm = kind(_config(kind.Config, self.record["config"]))
        self.num_seeds = self.algorithm.config.num_seeds
        lanes = self.algorithm.config.lanes * self.num_seeds
        self.backend = backend or self.record["backend"]
        env = self.suite.vector_env(lanes, self.record["split"], self.backend)
        self.envs = {one.arena.name: one for one in env.envs}
        self.state = load_state(run_dir, self.algorithm, env, step=step)

    def policies(self) -> Iterator[tuple[int, Any]]:
        """(training seed, policy) of every seed in the run."""
        for seed in range(self.num_seeds):
            yield seed, self.algorithm.policy(self.state, seed)


def _config(kind: type, saved: dict[str, Any]) -> Any:
    known = {f.name for f in fields(kind)}
    if unknown := set(saved) - known:
        raise UsageError(f"the run's configuration has unknown entries {sorted(unknown)}: another version trained it")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()})
