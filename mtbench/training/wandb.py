"""Training runs at Weights & Biases, beside what their folder holds."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import files
from ..errors import MtbenchError, UsageError, why
from .checkpoint import read_run
from .metrics import scalars

ID = "wandb.id"
"""File of a run's folder with its id there: a run that is resumed goes on there too."""


@contextmanager
def wandb_log(run_dir: Path, project: str = "mtbench") -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Sends lines of `metrics.jsonl`, for `train`'s `on_line`. What it is configured by are Weights & Biases' own
    variables, e.g. `WANDB_MODE=offline`.

    Args:
      run_dir: the run's folder, which need not exist yet.
      project: where the run is listed.

    Raises:
      UsageError: the package is missing.
      MtbenchError: Weights & Biases refuses the run.
    """
    try:
        import wandb
    except ImportError:
        raise UsageError("--wandb needs the package wandb: pip install 'mtbench-mjx[wandb]', or leave it out") from None
    opened: list[Any] = []

    def on_line(line: Mapping[str, Any]) -> None:
        if not opened:
            opened.append(_open(wandb, run_dir, project))
        numbers = {name: value for name, value in scalars(line).items() if math.isfinite(value)}
        opened[0].log({"env_steps": line["env_steps"], **numbers}, step=line["update"])

    try:
        yield on_line
    finally:
        for run in opened:
            run.finish()


def _open(wandb: Any, run_dir: Path, project: str) -> Any:
    path = run_dir / ID
    if not path.exists():
        files.write(path, secrets.token_hex(4))
    try:
        return wandb.init(
            project=project,
            name=run_dir.name,
            id=path.read_text(),
            resume="allow",
            dir=str(run_dir),
            config=read_run(run_dir),
            settings=wandb.Settings(silent=True),
        )
    except wandb.Error as error:
        hint = "wandb login, set WANDB_MODE=offline, or leave out --wandb"
        raise MtbenchError(f"Weights & Biases refuses {run_dir}: {why(error)}: {hint}") from error
