"""Task files: families that are written in TOML, in the language of their arena."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from . import registry
from .errors import UsageError, why

if TYPE_CHECKING:
    from .task import Family


def load(path: str | Path) -> Family:
    """The family of a task file, known by its name from now on; a suite that has it keeps the file's text.

    Raises:
      UsageError: names every fault of the file with its place.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"task file {path}: {why(error)}") from error
    return define(text, f"task file {path}")


def define(text: str, where: str) -> Family:
    """As `load`, for the text of a file; errors call it `where`."""
    try:
        arena = tomllib.loads(text).get("arena", "tabletop")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where}: no TOML: {error}") from None
    kind = registry.arena(str(arena))
    if not hasattr(kind, "family"):
        raise UsageError(f"{where}: arena '{arena}' has no task files, expected arena = \"tabletop\"")
    family = kind.family(text, where)
    registry.define(family, text)
    return family
