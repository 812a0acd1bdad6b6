"""`mtbench tasks`: what there is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from .common import parse

if TYPE_CHECKING:
    from rich.console import Console


MOST_REGIONS = 12
"""Regions that a person may want to read."""


@dataclass(frozen=True)
class Arguments:
    """List families, their factors, and suites."""

    name: Annotated[str | None, tyro.conf.Positional] = None
    """A family, a suite or a suite's file to describe; all are listed if it is left out."""
    json: bool = False
    """Print JSON for other programs."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "tasks", argv)
    from .. import registry, suite
    from ..errors import unknown_name

    families = registry.families()
    chosen, known = arguments.name, suite.catalogue()
    if chosen is None:
        suites = {name: suite.load(name) for name in sorted(known)}
    elif chosen in families:
        families, suites = {chosen: families[chosen]}, {}
    elif chosen in known or chosen.endswith(".toml"):
        families, suites = {}, {chosen: suite.load(chosen)}
    else:
        raise unknown_name("family or suite", chosen, {*families, *known})
    listing = {
        "families": [
            {
                "name": family.name,
                "arena": family.arena,
                "version": family.version,
                "description": family.description,
                "base": family.base,
                "factors": [asdict(factor) for factor in family.factors],
            }
            for family in families.values()
        ],
        "suites": [
            {
                "name": s.name,
                "description": s.description,
                "families": list(s.families),
                "horizon": s.horizon,
                "horizons": dict(s.horizons),
                "splits": {split: sum(map(len, table.values())) for split, table in s.splits.items()},
                "protocols": {name: {"name": name, **protocol.table()} for name, protocol in s.protocols.items()},
                "regions": {split: {f: r.table() for f, r in t.items()} for split, t in s.regions.items()},
                "open": {family: len(seeds) for family, seeds in s.open.items()},
                "digest": s.digest,
            }
            for s in suites.values()
        ],
    }
    if arguments.json:
        print(json.dumps(listing, indent=2))
    else:
        _print(listing, chosen or "STARTER")
    return 0


def _print(listing: dict, example: str) -> None:
    """Shows families and suites; `example` is a suite to go on with."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if len(listing["families"]) == 1:
        _print_family(console, listing["families"][0])
    elif listing["families"]:
        table = Table("family", "arena", "factors (low to high)", "a task in words", title="Families", show_lines=True)
        for family in listing["families"]:
            if not family["base"]:
                factors = "\n".join(f"{f['name']} {_range(f)}" for f in family["factors"])
                table.add_row(family["name"], family["arena"], factors, family["description"])
        console.print(table)
        if varied := [family["name"] for family in listing["families"] if family["base"]]:
            console.print(f"{len(varied)} families vary one of these further, e.g. mtbench tasks {varied[0]}")
    suites = listing["suites"]
    if len(suites) == 1:
        _print_suite(console, suites[0])
    elif suites:
        table = Table("suite", "families", "tasks per split", "protocols", "what it is", title="Suites")
        # MT1/reach, MT1/push … are a line together.
        groups: dict[str, list[dict]] = {}
        for row in suites:
            group, _, single = row["name"].partition("/")
            groups.setdefault(f"{group}/FAMILY" if single else group, []).append(row)
        for name, (first, *others) in groups.items():
            splits = ", ".join(f"{split} {count}" for split, count in first["splits"].items())
            about = f"{1 + len(others)} suites, e.g. {first['name']}" if "/" in name else first["description"]
            table.add_row(name, str(len(first["families"])), splits, ", ".join(first["protocols"]), about)
        console.print(table)
    if suites:
        console.print(f"next: mtbench tasks MT10 (one suite), mtbench train {example} --run-dir runs/first")


def _range(factor: dict) -> str:
    """The levels of a factor, or its range."""
    if factor["levels"]:
        return ", ".join(factor["levels"])
    return f"{factor['low']:g} to {factor['high']:g} {factor['unit']}".rstrip()


def _print_family(console: Console, family: dict) -> None:
    from rich.table import Table

    console.print(f"[bold]{family['name']}[/bold]  {family['description']}")
    varies = f", varies {family['base']} further" if family["base"] else ""
    console.print(f"version {family['version']}, arena {family['arena']}{varies}")
    table = Table("factor", "low to high", "meaning")
    for factor in family["factors"]:
        table.add_row(factor["name"], _range(factor), factor["meaning"])
    console.print(table)


def _print_suite(console: Console, suite: dict) -> None:
    from ..region import Region

    console.print(f"[bold]{suite['name']}[/bold]  {suite['description']}  (digest {suite['digest']})")
    console.print(f"families   {', '.join(suite['families'])}")
    console.print(f"splits     {', '.join(f'{split} {count} tasks' for split, count in suite['splits'].items())}")
    if suite["open"]:
        console.print(f"open       {', '.join(f'{family} {count}' for family, count in suite['open'].items())}")
    for name, protocol in suite["protocols"].items():
        adaptation = protocol["adaptation_episodes"]
        steps = protocol["horizon"] or ", ".join(
            [str(suite["horizon"]), *(f"{arena} {count}" for arena, count in suite["horizons"].items())]
        )
        console.print(
            f"protocol   {name}: {' and '.join(protocol['splits'])}, {protocol['tasks_per_family']} tasks per family, "
            f"{f'{adaptation} episodes to adapt, then ' if adaptation else ''}{protocol['episodes']} scored per task, "
            f"{steps} steps"
        )
    regions = [(split, *entry) for split, table in suite["regions"].items() for entry in table.items()]
    for split, family, region in regions if len(regions) <= MOST_REGIONS else ():
        console.print(f"region     {split}, {family}: {Region.from_table(region)}")
    if len(regions) > MOST_REGIONS:
        console.print(f"regions    {len(regions)}, of {', '.join(suite['regions'])} (--json tells them)")
