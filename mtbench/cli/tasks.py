"""`mtbench tasks`: what there is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import tyro

from .common import parse


@dataclass(frozen=True)
class Arguments:
    """List families, their factors, and suites."""

    name: Annotated[str | None, tyro.conf.Positional] = None
    """A family or a suite to describe; all are listed if it is left out."""
    json: bool = False
    """Print JSON for other programs."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "tasks", argv)
    from .. import registry, suite
    from ..errors import unknown_name

    families = registry.families()
    suites = {name: suite.load(name) for name in sorted(suite.catalogue())}
    if arguments.name is not None:
        if arguments.name not in families and arguments.name not in suites:
            raise unknown_name("family or suite", arguments.name, {*families, *suites})
        families = {k: v for k, v in families.items() if k == arguments.name}
        suites = {k: v for k, v in suites.items() if k == arguments.name}
    listing = {
        "families": [
            {
                "name": family.name,
                "arena": family.arena,
                "version": family.version,
                "description": family.description,
                "factors": [
                    {"name": f.name, "low": f.low, "high": f.high, "unit": f.unit, "meaning": f.meaning}
                    for f in family.factors
                ],
            }
            for family in families.values()
        ],
        "suites": [
            {
                "name": s.name,
                "splits": {split: sum(map(len, table.values())) for split, table in s.splits.items()},
                "digest": s.digest,
            }
            for s in suites.values()
        ],
    }
    if arguments.json:
        print(json.dumps(listing, indent=2))
    else:
        _print(listing, suites)
    return 0


def _print(listing: dict, suites: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if listing["families"]:
        table = Table("family", "arena", "factors (low to high)", "a task in words", title="Families", show_lines=True)
        for family in listing["families"]:
            factors = "\n".join(
                f"{f['name']} {f['low']:g} to {f['high']:g} {f['unit']}".rstrip() for f in family["factors"]
            )
            table.add_row(family["name"], family["arena"], factors, family["description"])
        console.print(table)
    if listing["suites"]:
        table = Table("suite", "tasks per split", "families", "digest", title="Suites")
        for row in listing["suites"]:
            splits = ", ".join(f"{split} {count}" for split, count in row["splits"].items())
            table.add_row(row["name"], splits, ", ".join(suites[row["name"]].families), row["digest"])
        console.print(table)
        console.print(f"next: mtbench train {listing['suites'][0]['name']} --run-dir runs/first")
