"""What is installed: arenas, families and algorithms, found through entry points, so that a plug-in adds its own."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from .errors import MtbenchError, UsageError, unknown_name

if TYPE_CHECKING:
    from .arena import ArenaKind
    from .task import Family


@cache
def _load(group: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for point in entry_points(group=group):
        if point.name in found and found[point.name] != point:
            raise MtbenchError(f"two packages register {group} '{point.name}': uninstall one of them")
        found[point.name] = point
    if not found:
        raise MtbenchError("no arenas, families or algorithms are registered: install the package (pip install .)")
    return found


@cache
def families() -> dict[str, Family]:
    """All families by name. An entry point of the group `mtbench.families` names a tuple of them."""
    return {family.name: family for point in _load("mtbench.families").values() for family in point.load()}


def family(name: str) -> Family:
    """A family by name.

    Raises:
      UsageError: no such family; names the nearest.
    """
    if name in _DEFINED:
        return _DEFINED[name][0]
    if name not in families():
        raise unknown_name("family", name, {*families(), *_DEFINED}, "mtbench tasks lists them")
    return families()[name]


_DEFINED: dict[str, tuple[Family, str]] = {}
"""Families of task files in use in this process, with their files' texts."""


def define(family: Family, text: str) -> None:
    """Makes the family of a task file known in this process.

    Raises:
      UsageError: another family has its name.
    """
    known = _DEFINED.get(family.name)
    if family.name in families() or (known and known[1] != text):
        whose = "an installed family has" if family.name in families() else "another task file has"
        raise UsageError(f"family '{family.name}': {whose} this name: choose another one")
    if not known:
        _DEFINED[family.name] = family, text


def definition(name: str) -> str | None:
    """The text of the task file that defines a family; `None` for one that is installed."""
    return _DEFINED[name][1] if name in _DEFINED else None


@cache
def arena(name: str) -> ArenaKind:
    """An arena by name (group `mtbench.arenas`).

    Raises:
      UsageError: no such arena; names the families that need it.
    """
    points = _load("mtbench.arenas")
    if name not in points:
        needing = ", ".join(sorted(family.name for family in families().values() if family.arena == name)) or "nothing"
        raise unknown_name("arena", name, points, f"needed by {needing}: install the package that has it")
    return points[name].load()


def algorithms() -> tuple[str, ...]:
    """Names of the registered algorithms (group `mtbench.algorithms`), without importing them."""
    return tuple(sorted(_load("mtbench.algorithms")))


def algorithm(name: str) -> Any:
    """The algorithm class of a name; its `Config` attribute is its configuration.

    Raises:
      UsageError: no such algorithm; names the nearest.
    """
    points = _load("mtbench.algorithms")
    if name not in points:
        raise unknown_name("algorithm", name, points)
    point = points[name]
    return getattr(import_module(point.module), point.attr)
