"""Cross-validation over families: each of them is held out once."""

from __future__ import annotations

from dataclasses import replace

from ..errors import UsageError
from .suite import Suite


def fold(suite: Suite, number: int, folds: int) -> Suite:
    """The suite with every `folds`-th training family held out, from family `number` on.

    Split `family` holds the `iid` tasks of the families that are held out, in the place of what the suite itself holds
    out; all other splits are without them. So the folds of a suite play each of its families once as one that was
    never trained on. Tasks keep their ids and certificates. The protocol `ours` plays `family`, alone in its headline.

    Args:
      suite: with splits `train` and `iid`.
      number: of the fold, from 1.
      folds: how many there are, at least 2.

    Raises:
      UsageError: the suite has fewer families than folds, or a split is missing.
    """
    trained = tuple(suite.splits.get("train", ()))
    if missing := {"train", "iid"} - set(suite.splits):
        raise UsageError(f"{suite.name} has no split {min(missing)}: folds need train and iid")
    if not 2 <= folds <= len(trained) or not 1 <= number <= folds:
        raise UsageError(
            f"fold {number} of {folds}: {suite.name} trains on {len(trained)} families, expected 2 to {len(trained)} "
            "folds, counted from 1"
        )
    held_out = trained[number - 1 :: folds]
    kept = tuple(name for name in trained if name not in held_out)

    def of[T](table: dict[str, T], names: tuple[str, ...]) -> dict[str, T]:
        return {name: table[name] for name in names if name in table}

    splits = {split: of(dict(table), kept) for split, table in suite.splits.items() if split != "family"}
    regions = {split: of(dict(table), kept) for split, table in suite.regions.items() if split != "family"}
    splits["family"] = of(dict(suite.splits["iid"]), held_out)
    regions["family"] = of(dict(suite.regions.get("iid", {})), held_out)
    listed = {(name, seed) for table in splits.values() for name, seeds in table.items() for seed in seeds}
    still_open = {name: tuple(s for s in seeds if (name, s) in listed) for name, seeds in suite.open.items()}
    protocol = suite.protocol("ours")
    played = ("family", *(split for split in protocol.splits if split != "family"))
    return replace(
        suite,
        name=f"{suite.name}-fold-{number}-of-{folds}",
        description=f"{suite.description}; {', '.join(held_out)} held out",
        families=(*kept, *held_out),
        splits={split: table for split, table in splits.items() if table},
        regions={split: table for split, table in regions.items() if table},
        certificates=of(dict(suite.certificates), (*kept, *held_out)),
        uncertified=tuple(name for name in suite.uncertified if name in trained),
        open={name: seeds for name, seeds in still_open.items() if seeds},
        definitions=of(dict(suite.definitions), (*kept, *held_out)),
        protocols={"ours": replace(protocol, splits=played, headline=("family",))},
        path="",
    ).frozen()
