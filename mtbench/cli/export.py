"""`mtbench export`: what a run has learnt, as a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from .common import claim, parse, start_jax


@dataclass(frozen=True)
class Arguments:
    """Write what a run has learnt, and nothing else, to a folder that eval, render and load_policy take."""

    run_dir: tyro.conf.Positional[Path]
    """Folder of a training run."""
    out: tyro.conf.Positional[Path]
    """Folder to write."""
    step: int | None = None
    """Which checkpoint, in environment steps; the newest by default."""
    seed: tuple[int, ...] | None = None
    """Which training seeds; all by default."""
    force: bool = False
    """Overwrite an earlier export."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    arguments = parse(Arguments, "export", argv)
    start_jax()
    from .. import stored

    found = stored.find(arguments.run_dir, arguments.step)
    seeds = sorted(found.arrays) if arguments.seed is None else arguments.seed
    for name in (stored.RECORD, stored.SUITE, *(f"seed-{seed}.safetensors" for seed in seeds)):
        claim(arguments.out / name, force=arguments.force)
    names = found.export(arguments.out, seeds)
    print(f"policy {arguments.out}: {', '.join(names)}\nnext: mtbench eval {arguments.out}")
    return 0
