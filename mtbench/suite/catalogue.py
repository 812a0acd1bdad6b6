"""The installed suites, and those in files of one's own."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from ..errors import unknown_name
from .file import read
from .suite import Suite


@cache
def catalogue() -> dict[str, Path]:
    """Suite files by suite name, from the packages that entry points of the group `mtbench.suites` name.

    `MT1/reach` lies in `MT1/reach.toml`.
    """
    found = {}
    for point in entry_points(group="mtbench.suites"):
        folder = Path(str(files(point.value)))
        for path in sorted(folder.rglob("*.toml")):
            found[path.relative_to(folder).with_suffix("").as_posix()] = path
    return found


def load(name: str | Path) -> Suite:
    """A suite by name, or by the path of its file.

    Raises:
      UsageError: no such suite; names the nearest.
      MtbenchError: its file is damaged; names the entry.
    """
    known, name = catalogue(), str(name)
    if name in known:
        return read(known[name])
    if name.endswith(".toml"):
        return read(Path(name))
    raise unknown_name("suite", name, known, "mtbench tasks lists them; a suite's own file ends in .toml")
