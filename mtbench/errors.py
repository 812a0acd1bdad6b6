"""Errors that a user can act on, each told in one line: the thing, what was expected, the next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MtbenchError(Exception):
    """A failed run, told in one line."""


class UsageError(MtbenchError):
    """Bad use: an unknown name, a value out of range, a folder that exists. The command line exits with 2."""


def why(error: BaseException) -> str:
    """The reason of a failure in one short line."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return "the disk is full" if "No space left" in text else text.splitlines()[0][:160]


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> UsageError:
    """The error for a name that is not registered, with the nearest ones.

    Args:
      kind: what the name should name, e.g. `"suite"`.
      name: the name given.
      known: the names that exist.
      hint: where to find the whole list.
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    lowered = {k.lower(): k for k in known}
    if not near and name.lower() in lowered:
        near = [lowered[name.lower()]]
    choice = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known[:12])}"
    return UsageError(f"unknown {kind} '{name}': {choice}{f' ({hint})' if hint else ''}")
