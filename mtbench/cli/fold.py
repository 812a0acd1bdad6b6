"""`mtbench fold`: a suite's families held out in turn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from .common import claim, parse, progress, start_jax


@dataclass(frozen=True)
class Arguments:
    """Write a suite for each fold of another's training families: what it holds out is split `family`."""

    suite: tyro.conf.Positional[str]
    """Suite, or a suite's file."""
    out: tyro.conf.Positional[Path]
    """Folder to write the folds' files to."""
    folds: int = 5
    """How many; every family is held out in one."""
    force: bool = False
    """Overwrite files."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "fold", argv)
    start_jax()
    from .. import files
    from .. import suite as suites
    from ..suite.folds import fold

    suite = suites.load(arguments.suite)
    name = suite.name.replace("/", "-")
    paths = [
        claim(arguments.out / f"{name}-fold-{number}-of-{arguments.folds}.toml", force=arguments.force)
        for number in range(1, arguments.folds + 1)
    ]
    with progress(f"folds of {suite.name}") as told:
        for number, path in enumerate(paths, 1):
            files.write(path, suites.to_toml(fold(suite, number, arguments.folds)))
            told(number, len(paths))
    for path in paths:
        print(path)
    print(f"next: mtbench train {paths[0]} --run-dir runs/{paths[0].stem}")
    return 0
