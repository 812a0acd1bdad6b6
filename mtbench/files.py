"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A file beside `path` to write, with the same suffix. It takes the name `path` when the block ends without an
    error, so that a reader, or a crash, finds the old file or the new one and nothing between."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        with partial.open("r+b") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write(path: str | Path, content: str | bytes) -> None:
    """Writes a file, whole or not at all; text in UTF-8."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def is_partial(path: Path) -> bool:
    """Whether a file is what a killed process has left of `replacing`."""
    return path.name.startswith(".") and ".partial" in path.name
