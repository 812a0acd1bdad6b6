"""Task files: a family of the tabletop written in TOML, by a person or a language model.

Everything that a family written in Python says is an entry here; numbers may be expressions of factors. `parse` names
every fault of a file with its place, so that whoever wrote it can mend all of them at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import partial
from typing import Any

from pydantic import ValidationError

from mtbench.errors import UsageError
from mtbench.task import Factor, Family

from .build import build, waypoint
from .faults import faults
from .schema import TaskFile

__all__ = ["TaskFile", "parse"]


def parse(text: str, where: str) -> Family:
    """The family of a task file.

    Args:
      text: the file's content.
      where: what errors call it.

    Raises:
      UsageError: names every fault with its place.
    """
    try:
        entries = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where}: no TOML: {error}") from None
    try:
        file = TaskFile.model_validate(entries)
    except ValidationError as error:
        malformed = {_place(fault["loc"]): fault["msg"].removeprefix("Value error, ") for fault in error.errors()}
        raise _told(where, [f"{place or 'file'}: {message}" for place, message in malformed.items()]) from None
    if found := list(faults(file)):
        raise _told(where, found)
    return Family(
        name=file.name,
        arena="tabletop",
        version=file.version,
        description=file.description,
        factors=tuple(Factor(name, f.low, f.high, f.unit, f.meaning) for name, f in file.factors.items()),
        build=partial(build, file),
        expert=tuple(map(waypoint, file.expert)) or None,
    )


def _told(where: str, faults: Sequence[str]) -> UsageError:
    count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
    return UsageError("\n  ".join([f"{where}: {count}", *faults]))


def _place(location: Sequence[Any]) -> str:
    """Where in the file: `stages[1].anchor`. What pydantic adds of its own (which type of a union) is left out."""
    words = [word for word in location if isinstance(word, int) or word.isidentifier() or "-" in word]
    text = ""
    for word in words:
        if word not in ("float", "str", "int"):
            text += f"[{word}]" if isinstance(word, int) else f".{word}"
    return text.removeprefix(".")
