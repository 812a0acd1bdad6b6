"""`mtbench freeze`: a suite of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from .common import claim, parse, start_jax


@dataclass(frozen=True)
class Arguments:
    """Write a suite of families of your choice to a file, which train, eval, render and bench take for a name."""

    out: tyro.conf.Positional[Path]
    """File to write, ending in .toml; its stem names the suite."""
    families: tuple[str, ...]
    """Families of one arena (`mtbench tasks` lists them)."""
    train: int = 50
    """Training tasks per family."""
    iid: int = 50
    """Held-out tasks per family."""
    horizon: int = 200
    """Control steps of an episode."""
    show_goal: bool = True
    """Tell the policy its goal and family (multi-task), or hide both (meta-RL)."""
    factors: tuple[str, ...] = ()
    """Factors to narrow, as FAMILY.FACTOR=VALUE or FAMILY.FACTOR=LOW:HIGH, e.g. push.object_mass=0.6:0.7."""
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
    from .. import files, suite

    frozen = suite.custom(
        arguments.families,
        name=path.stem,
        train=arguments.train,
        iid=arguments.iid,
        horizon=arguments.horizon,
        show_goal=arguments.show_goal,
        factors=_factors(arguments.factors),
    )
    files.write(path, frozen.to_toml())
    print(f"suite {path}, digest {frozen.digest}\nnext: mtbench train {path} --run-dir runs/{path.stem}")
    return 0


def _factors(words: tuple[str, ...]) -> dict[str, dict[str, list[float]]]:
    """Family to factor to [low, high] of words such as `push.object_mass=0.6:0.7`."""
    from ..errors import UsageError

    found: dict[str, dict[str, list[float]]] = {}
    for word in words:
        name, _, text = word.partition("=")
        family, _, factor = name.partition(".")
        try:
            bounds = [float(bound) for bound in text.split(":")]
        except ValueError:
            bounds = []
        if not family or not factor or len(bounds) not in (1, 2):
            raise UsageError(f"--factors {word}: expected FAMILY.FACTOR=VALUE or FAMILY.FACTOR=LOW:HIGH")
        found.setdefault(family, {})[factor] = [bounds[0], bounds[-1]]
    return found
