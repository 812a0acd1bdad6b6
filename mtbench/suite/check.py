"""What makes a suite sound."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ..errors import MtbenchError, UsageError, unknown_name
from .rows import draws, grouped

if TYPE_CHECKING:
    from .suite import EvaluationProtocol, Suite


def check(suite: Suite) -> None:
    """Checks what can be checked without the families.

    Raises:
      MtbenchError: names the entry that is wrong and what was expected.
    """
    where = f"suite file {suite.path}" if suite.path else f"suite {suite.name}"
    if repeated := [name for name, count in Counter(suite.families).items() if count > 1]:
        raise MtbenchError(f"{where}: family {repeated[0]} is named twice")
    for split, table in suite.splits.items():
        if unknown := set(table) - set(suite.families):
            raise MtbenchError(f"{where}: split {split} has {sorted(unknown)}, which families does not list")
    if idle := [name for name in suite.families if not any(table.get(name) for table in suite.splits.values())]:
        raise MtbenchError(f"{where}: no split has tasks of {', '.join(idle)}")
    for family in suite.families:
        owners: dict[int, str] = {}
        for split, table in suite.splits.items():
            for seed in table.get(family, ()):
                if seed in owners:
                    raise MtbenchError(f"{where}: task {family}/{seed} is in {owners[seed]} and in {split}")
                owners[seed] = split
    held_out = suite.splits.get("family", {})
    for split, table in suite.splits.items():
        if split != "family" and (shared := set(table) & set(held_out)):
            raise MtbenchError(f"{where}: held-out family {min(shared)} is in split {split} too")
    for family, seeds in suite.open.items():
        listed = {seed for table in suite.splits.values() for seed in table.get(family, ())}
        if strangers := sorted(set(seeds) - listed):
            raise MtbenchError(f"{where}: open task {family}/{strangers[0]} is in no split")
    if set(suite.digests) != set(suite.splits):
        raise MtbenchError(f"{where}: digests are of {sorted(suite.digests)}, expected of {sorted(suite.splits)}")
    for protocol in suite.protocols.values():
        _check_protocol(suite, protocol, f"{where}: protocols.{protocol.name}")


def _check_protocol(suite: Suite, protocol: EvaluationProtocol, where: str) -> None:
    for entry, least in (("tasks_per_family", 1), ("episodes", 1), ("adaptation_episodes", 0), ("horizon", 1)):
        if (value := getattr(protocol, entry)) is not None and value < least:
            raise MtbenchError(f"{where}.{entry} = {value}: expected at least {least}")
    if not protocol.splits:
        raise MtbenchError(f"{where}.splits: expected at least one")
    for split in protocol.splits:
        if split not in suite.splits:
            raise MtbenchError(f"{where}: split {split} does not exist, expected one of {', '.join(suite.splits)}")
    for split in protocol.headline:
        if split not in protocol.splits:
            raise MtbenchError(f"{where}.headline: {split} is not played, expected of {', '.join(protocol.splits)}")
    # Families and splits may differ: one that was filtered by factors has what is left.
    most = max(len(seeds) for split in protocol.splits for seeds in suite.splits[split].values())
    if most < protocol.tasks_per_family:
        raise MtbenchError(f"{where}.tasks_per_family = {protocol.tasks_per_family}: no family has more than {most}")


def check_regions(suite: Suite) -> None:
    """Checks that every split's regions lie in their families' factor spaces and that tasks can be drawn from them.

    Raises:
      UsageError: names the family, the factor or the task, and what was expected.
    """
    for split, regions in suite.regions.items():
        if split not in suite.splits:
            raise unknown_name(f"split with regions in suite {suite.name}", split, suite.splits)
        for family, region in regions.items():
            if family not in suite.splits[split]:
                raise unknown_name(f"family with a region in split {split}", family, suite.splits[split])
            suite.family(family).check(region)
    for split in suite.splits:
        for name, region, _, seeds in grouped(suite.task_ids(split)):
            _, accepted = draws(suite.family(name), seeds, region)
            if not accepted.all():
                raise UsageError(
                    f"{name}: region {region} of split {split}: no draw for task {seeds[accepted.argmin()]} is a "
                    "task at all (too near to its goal, say, or all of it is withheld): allow a wider region"
                )
