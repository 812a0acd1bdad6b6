"""The file of a suite: TOML with a digest, checked when it is read."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from ..errors import MtbenchError, UsageError
from ..region import Region
from .check import check
from .suite import EvaluationProtocol, Suite

MOST_SEEDS = 1_000_000
"""Tasks of a family in a split, at most."""

_BARE = re.compile("[A-Za-z0-9_-]+")
_ENTRIES: dict[str, type] = {
    "name": str,
    "version": int,
    "description": str,
    "families": list,
    "horizon": int,
    "show_goal": bool,
    "uncertified": list,
    "digest": str,
    "digests": dict,
    "protocols": dict,
    "splits": dict,
}
_OPTIONAL: dict[str, type] = {
    "open": dict,
    "regions": dict,
    "certificates": dict,
    "horizons": dict,
    "definitions": dict,
}


def to_toml(suite: Suite) -> str:
    """The text of a suite's file."""

    def key(name: str | int) -> str:
        """A key of TOML: a dot in it would begin a table."""
        return str(name) if _BARE.fullmatch(str(name)) else json.dumps(name, ensure_ascii=False)

    def value(content: Any) -> str:
        """In TOML, on one line."""
        if isinstance(content, Mapping):
            return f"{{ {', '.join(f'{key(name)} = {value(entry)}' for name, entry in content.items())} }}"
        if isinstance(content, list | tuple):
            return f"[{', '.join(map(value, content))}]"
        return json.dumps(content, ensure_ascii=False)

    top = {
        "name": suite.name,
        "version": suite.version,
        "description": suite.description,
        "families": list(suite.families),
        "horizon": suite.horizon,
        "show_goal": suite.show_goal,
        "uncertified": list(suite.uncertified),
        "digest": suite.digest,
    }
    tables = {
        "horizons": {arena: value(steps) for arena, steps in suite.horizons.items()},
        "digests": {split: value(text) for split, text in suite.digests.items()},
        "protocols": {
            name: value({k: v for k, v in protocol.table().items() if v is not None})
            for name, protocol in suite.protocols.items()
        },
        **{
            f"regions.{key(split)}": {family: value(region.table()) for family, region in regions.items()}
            for split, regions in suite.regions.items()
        },
        **{
            f"splits.{key(split)}": {family: value(_ranges(seeds)) for family, seeds in table.items()}
            for split, table in suite.splits.items()
        },
        "open": {family: value(_ranges(seeds)) for family, seeds in suite.open.items()},
        "certificates": {family: value(episodes) for family, episodes in suite.certificates.items() if episodes},
        "definitions": {family: value(text) for family, text in suite.definitions.items()},
    }
    lines = [f"{name} = {value(entry)}" for name, entry in top.items()]
    for title, table in tables.items():
        if table:
            lines += ["", f"[{title}]", *(f"{key(name)} = {text}" for name, text in table.items())]
    return "\n".join(lines) + "\n"


def read(path: Path) -> Suite:
    """Reads a suite's file and checks it. The digests of the rows are checked by `Suite.tables`, which has the rows.

    Raises:
      UsageError: there is no such file.
      MtbenchError: names the entry that is wrong and what was expected.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"suite file {path}: {error.strerror}; mtbench freeze writes one") from error
    except ValueError as error:
        raise MtbenchError(f"suite file {path}: {error}; restore it or freeze it anew") from error
    for entry in _ENTRIES:
        if entry not in data:
            raise MtbenchError(f"suite file {path}: lacks {entry}")
    for entry, value in data.items():
        kind = {**_ENTRIES, **_OPTIONAL}.get(entry, type(None))
        if type(value) is not kind:
            expected = "no such entry" if kind is type(None) else f"of type {kind.__name__}"
            raise MtbenchError(f"suite file {path}: {entry} = {str(value)[:40]}: expected {expected}")
    try:
        suite = _from(data, path)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MtbenchError(f"suite file {path}: an entry has an unexpected form ({error})") from error
    check(suite)
    if suite.digest != data["digest"]:
        raise MtbenchError(
            f"suite file {path}: the content has digest {suite.digest}, the file says {data['digest']}: it was changed "
            "by hand or damaged; restore it, or freeze a suite of another name"
        )
    return suite


def _from(data: Mapping[str, Any], path: Path) -> Suite:
    """A suite of a file's entries."""
    return Suite(
        data["name"],
        data["version"],
        data["description"],
        tuple(data["families"]),
        data["horizon"],
        data["show_goal"],
        {
            split: {f: _seeds(text, f"suite file {path}: splits.{split}.{f}") for f, text in table.items()}
            for split, table in data["splits"].items()
        },
        {
            family: {int(seed): int(episode) for seed, episode in table.items()}
            for family, table in data.get("certificates", {}).items()
        },
        data["digests"],
        {
            name: EvaluationProtocol(name, **{key: _tuple(entry) for key, entry in table.items()})
            for name, table in data["protocols"].items()
        },
        {
            split: {family: Region.from_table(table) for family, table in regions.items()}
            for split, regions in data.get("regions", {}).items()
        },
        tuple(data["uncertified"]),
        {family: _seeds(text, f"suite file {path}: open.{family}") for family, text in data.get("open", {}).items()},
        data.get("horizons", {}),
        data.get("definitions", {}),
        str(path),
    )


def _tuple(entry: Any) -> Any:
    return tuple(entry) if isinstance(entry, list) else entry


def _ranges(seeds: Sequence[int]) -> str:
    """Seeds as text: 0, 1, 2, 5 is `0-2 5`."""
    runs = [[seed for _, seed in run] for _, run in groupby(enumerate(seeds), lambda item: item[1] - item[0])]
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _seeds(text: str, where: str) -> tuple[int, ...]:
    """The seeds of a text of `_ranges`."""
    seeds: list[int] = []
    for word in text.split():
        first, _, last = word.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal() or "-" in word and not last:
            raise MtbenchError(f"{where}: '{word}' is no seed or range of seeds, expected e.g. 0-49")
        low, high = int(first), int(last or first)
        if not 0 <= high - low < MOST_SEEDS or high >= 2**31:
            raise MtbenchError(f"{where}: '{word}': expected a rising range of at most {MOST_SEEDS:,} seeds below 2^31")
        seeds += range(low, high + 1)
    return tuple(seeds)
