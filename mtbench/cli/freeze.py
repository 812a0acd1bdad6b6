"""`mtbench freeze`: a suite of one's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from .common import claim, parse, progress, start_jax

if TYPE_CHECKING:
    from ..region import Region


@dataclass(frozen=True)
class Arguments:
    """Write a suite of families of your choice to a file, which train, eval, render and bench take for a name."""

    out: tyro.conf.Positional[Path]
    """File to write, ending in .toml; its stem names the suite."""
    families: tuple[str, ...]
    """Families (`mtbench tasks` lists them), of any arenas, and task files (ending in .toml) of one's own."""
    tasks: tuple[str, ...] = ()
    """Splits and their tasks per family, as SPLIT=COUNT; train=50 and iid=50 are there anyway."""
    held_out: tuple[str, ...] = ()
    """Families that are only played, in split `family`."""
    factors: tuple[str, ...] = ()
    """What tasks are drawn from, as FAMILY.FACTOR=VALUE, LOW:HIGH or LOW:HIGH,LOW:HIGH, e.g. push.object_mass=0.6:0.7;
    SPLIT/FAMILY.FACTOR=… for one split alone."""
    withhold: tuple[str, ...] = ()
    """Combinations of factors that are not drawn, as FACTORS joined by +, all of one family, e.g.
    train/push.object_mass=0.7:0.8+push.goal_x=0:0.1."""
    horizon: int | None = None
    """Control steps of an episode; by default each arena's own: 200 on the tabletop, 500 or 600 of legs."""
    show_goal: bool = True
    """Tell the policy its goal and family (multi-task), or hide both (meta-RL)."""
    certify: bool = True
    """Keep only tasks that the family's expert solves, where it has one."""
    keep_open: bool = False
    """Where it solves too few, keep the others too, marked open: they are trained on, no score counts them."""
    force: bool = False
    """Overwrite the file."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "freeze", argv)
    from ..errors import UsageError

    if arguments.out.suffix != ".toml":
        raise UsageError(f"{arguments.out}: the file's name must end in .toml")
    path = claim(arguments.out, force=arguments.force)
    start_jax()
    from .. import files, plan, suite, taskfile

    def known(names: tuple[str, ...]) -> list[str]:
        return [taskfile.load(name).name if name.endswith(".toml") else name for name in names]

    wanted = plan.custom(
        known(arguments.families),
        name=path.stem,
        tasks=_counts(arguments.tasks),
        held_out=known(arguments.held_out),
        regions=_regions(arguments.factors, arguments.withhold),
        horizon=arguments.horizon,
        show_goal=arguments.show_goal,
        keep_open=arguments.keep_open,
    )
    certified = None
    if arguments.certify:
        with progress("certifying") as told:
            certified = plan.certify([wanted], lambda what, done, total: told(done, total))
    frozen = plan.freeze(wanted, certified)
    files.write(path, suite.to_toml(frozen))
    if frozen.uncertified:
        print(f"not certified: {', '.join(frozen.uncertified)}")
    if frozen.open:
        print(f"open: {', '.join(f'{len(seeds)} of {family}' for family, seeds in frozen.open.items())}")
    print(f"suite {path}, digest {frozen.digest}\nnext: mtbench train {path} --run-dir runs/{path.stem}")
    return 0


def _counts(words: Iterable[str]) -> dict[str, int]:
    """Split to tasks per family of words such as `train=100`."""
    from ..errors import UsageError

    found = {}
    for word in words:
        split, _, count = word.partition("=")
        if not split.isidentifier() or not count.isdecimal():
            raise UsageError(f"--tasks {word}: expected SPLIT=COUNT, e.g. train=100")
        found[split] = int(count)
    return found


def _regions(factors: Iterable[str], withhold: Iterable[str]) -> dict[str, dict[str, Region]]:
    """Split (`*` for all) to family to region of the words of `--factors` and `--withhold`."""
    from ..errors import UsageError
    from ..region import Region

    within: dict[tuple[str, str], dict[str, Any]] = {}
    withheld: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for word in factors:
        place, factor, intervals = _factor(word, "--factors")
        within.setdefault(place, {})[factor] = intervals
    for word in withhold:
        split = word.partition("/")[0] if "/" in word else "*"
        parts = [_factor(part if "/" in part else f"{split}/{part}", "--withhold") for part in word.split("+")]
        if len({place for place, _, _ in parts}) != 1:
            raise UsageError(f"--withhold {word}: expected factors of one family")
        withheld.setdefault(parts[0][0], []).append({factor: intervals for _, factor, intervals in parts})
    found: dict[str, dict[str, Region]] = {}
    for split, family in {**within, **withheld}:
        # What holds in all splits holds in one that says more, too.
        keys = dict.fromkeys([("*", family), (split, family)])
        box = {factor: value for key in keys for factor, value in within.get(key, {}).items()}
        combinations = [one for key in keys for one in withheld.get(key, [])]
        found.setdefault(split, {})[family] = Region.of(box, combinations)
    return dict(sorted(found.items(), key=lambda item: item[0] != "*"))


def _factor(word: str, flag: str) -> tuple[tuple[str, str], str, list[tuple[float, float]]]:
    """(split, family), factor and intervals of a word such as `train/push.object_mass=0.6:0.7`."""
    from ..errors import UsageError

    name, _, text = word.partition("=")
    split, _, name = name.rpartition("/")
    family, _, factor = name.partition(".")
    try:
        pairs = [[float(bound) for bound in interval.split(":")] for interval in text.split(",")]
    except ValueError:
        pairs = []
    if not family or not factor or not pairs or not all(len(pair) in (1, 2) for pair in pairs):
        raise UsageError(f"{flag} {word}: expected FAMILY.FACTOR=VALUE, LOW:HIGH or LOW:HIGH,LOW:HIGH")
    return (split or "*", family), factor, [(pair[0], pair[-1]) for pair in pairs]
