"""Evaluations that go on where they were interrupted: finished parts, and a fingerprint of what they are parts of."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from .. import files

_PACKAGES = ("mtbench", "mtbench.tasks", "mtbench.baselines")
_CODE = {".py", ".json", ".safetensors"}
"""Suffixes of what decides how an episode goes: code, oracles, constant actions."""


def fingerprint(content: Mapping[str, Any]) -> str:
    """Fingerprint of JSON that says what is evaluated, and of the installed code that evaluates it."""
    total = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in _PACKAGES:
        root = Path(str(import_module(name).__file__)).parent
        for path in sorted(root.rglob("*")):
            if path.suffix in _CODE:
                total.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return total.hexdigest()[:16]


class Parts:
    """Finished parts of one evaluation in a folder, a file for each. Those of any other evaluation are removed."""

    def __init__(self, folder: Path, fingerprint: str):
        """The parts that are there.

        Args:
          folder: made where it is missing, and of no other use.
          fingerprint: of the evaluation.
        """
        self.folder, mark = folder, folder / "evaluation.txt"
        if not mark.exists() or mark.read_text() != fingerprint:
            self.remove()
            files.write(mark, fingerprint)
        self.kept = sum(1 for path in folder.glob("*.parquet") if not files.is_partial(path))

    def of(self, player: int) -> Callable[[str, Callable[[], pl.DataFrame]], pl.DataFrame]:
        """Keeps the parts of one of the players; see `mtbench.evaluate.Keep`."""

        def keep(name: str, play: Callable[[], pl.DataFrame]) -> pl.DataFrame:
            path = self.folder / f"{player:03}-{name}.parquet"
            try:
                return pl.read_parquet(path, glob=False)
            except (OSError, pl.exceptions.PolarsError):  # none, or one that a full disk has cut short
                rows = play()
            with files.replacing(path) as partial:
                rows.write_parquet(partial)
            return rows

        return keep

    def remove(self) -> None:
        """Removes all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)
