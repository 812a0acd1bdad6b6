"""`mtbench plot`: learning curves of runs in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from ..errors import UsageError
from .common import claim, parse


@dataclass(frozen=True)
class Arguments:
    """Draw the success of runs on their training tasks: every family and their mean, with the range of the seeds."""

    runs: tyro.conf.Positional[list[Path]]
    """Folders of runs; several are compared in one picture."""
    axis: Literal["minutes", "steps"] = "minutes"
    """What runs to the right: minutes of training, or environment steps of each seed."""
    out: Path | None = None
    """The picture, .png or .svg; by default curves-<axis>.png in the run's folder, or in this one for several runs."""
    force: bool = False
    """Overwrite it."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "plot", argv)
    if not arguments.runs:
        raise UsageError("no run to draw: give the folders of one or more runs")
    from ..training.curves import Curves, draw

    out = arguments.out
    if out is None:
        folder = arguments.runs[0] if len(arguments.runs) == 1 else Path()
        out = folder / f"curves-{arguments.axis}.png"
    if out.suffix not in (".png", ".svg"):
        raise UsageError(f"{out}: expected a picture's name that ends in .png or .svg")
    curves = [Curves.read(folder) for folder in arguments.runs]
    draw(curves, claim(out, force=arguments.force), axis=arguments.axis)
    print(f"written {out}")
    return 0
