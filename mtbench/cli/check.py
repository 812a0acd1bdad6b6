"""`mtbench check`: is a task file sound, and can its tasks be done?"""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from .common import parse, progress, start_jax


@dataclass(frozen=True)
class Arguments:
    """Check a task file, or an installed family: every fault with its place, then whether its tasks can be done."""

    family: tyro.conf.Positional[str]
    """A task file, ending in .toml, or a family's name."""
    tasks: int = 16
    """Tasks to try."""


def run(argv: list[str]) -> int:
    """Runs the command. Exit codes: 0 sound and not shown to be impossible, 1 tasks cannot be done, 2 faults."""
    arguments = parse(Arguments, "check", argv)
    from ..errors import UsageError

    if arguments.tasks < 1:
        raise UsageError(f"--tasks {arguments.tasks}: expected at least 1")
    start_jax()
    from .. import feasibility, registry, taskfile

    name = arguments.family
    family = taskfile.load(name) if name.endswith(".toml") else registry.family(name)
    with progress(family.name) as told:
        found = feasibility.check(family, tasks=arguments.tasks, on_progress=told)
    for task, fault in found.faults.items():
        print(f"{task}: {fault}")
    if found.solved is None:
        print(f"{family.name}: {found.tasks} tasks tried; it has no expert, so nothing shows that they can be done")
    else:
        print(f"{family.name}: its expert solves {found.solved} of {found.tasks} tasks")
    if found.possible is False:
        print("not feasible as it is: mend what is named above" if found.faults else "not feasible for its expert")
        return 1
    print(f"next: mtbench freeze own.toml --families {name}" + ("" if found.solved else " --no-certify"))
    return 0
