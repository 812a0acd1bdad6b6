"""Freezes suites: draws tasks, certifies each with its expert, writes the suite's file.

    python benchmarks/freeze_suites.py --only STARTER

A task is kept when its family's expert succeeds in one of a few episodes; that episode's number is its certificate.
A frozen file is not overwritten without --force: published scores refer to it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mtbench.suite as suites
from mtbench import registry
from mtbench.evaluate import play_jobs
from mtbench.task import TaskId, digest

TRIES = 3
TABLETOP = ("reach", "push", "pick-place", "drawer-open", "button-press-topdown")
SUITES: dict[str, tuple[str, tuple[str, ...], int]] = {
    "STARTER": ("Five tabletop families, goals shown", TABLETOP, 200),
    **{f"MT1/{name}": (f"One family: {name}", (name,), 200) for name in TABLETOP},
    "MT1/walk": ("One family: walk", ("walk",), 500),
}
FIRST_SEED = {"train": 0, "iid": 1_000_000}
TASKS = {"train": 100, "iid": 50}
"""Tasks per family."""


def freeze(name: str) -> suites.Suite:
    """Draws and certifies the tasks of a suite."""
    description, families, horizon = SUITES[name]
    draft = suites.Suite(name, 1, description, families, horizon, True, {"train": {}}, {}, {})
    splits: dict[str, dict[str, tuple[int, ...]]] = {}
    certificates: dict[str, dict[str, tuple[int, ...]]] = {}
    for split, first in FIRST_SEED.items():
        splits[split], certificates[split] = {}, {}
        for family in families:
            seeds, episodes = certify(draft, family, first, TASKS[split])
            splits[split][family] = seeds
            if episodes:
                certificates[split][family] = episodes
    certificates = {split: table for split, table in certificates.items() if table}
    frozen = suites.Suite(name, 1, description, families, horizon, True, splits, certificates, {})
    digests = {split: digest(frozen.tasks(split)) for split in splits}
    return suites.Suite(name, 1, description, families, horizon, True, splits, certificates, digests)


def certify(draft: suites.Suite, name: str, first: int, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The first `count` solvable seeds from `first` on, and the episodes that prove it."""
    family = registry.family(name)
    if family.expert is None:
        return tuple(range(first, first + count)), ()
    alone = suites.Suite(name, 1, "", (name,), draft.horizon, True, {"train": {name: ()}}, {}, {})
    env, expert = alone.env("train", "mujoco"), alone.expert()
    proven: dict[int, int] = {}
    start = first
    while len(proven) < count:
        jobs = [(TaskId(name, family.version, s), e) for s in range(start, start + count) for e in range(TRIES)]
        table = play_jobs(env, alone, expert, jobs, name="expert", split="train")
        for (task_id, episode), solved in zip(jobs, table["success"], strict=True):
            if solved:
                proven.setdefault(task_id.seed, episode)
        dropped = [s for s in range(start, start + count) if s not in proven]
        if dropped:
            print(f"  {name}: not certified and left out: {dropped}")
        start += count
    kept = sorted(proven)[:count]
    return tuple(kept), tuple(proven[s] for s in kept)


def to_toml(suite: suites.Suite) -> str:
    """A suite as the text of its file."""
    quoted = ", ".join(f'"{name}"' for name in suite.families)
    lines = [
        f'name = "{suite.name}"',
        f"version = {suite.version}",
        f'description = "{suite.description}"',
        f"families = [{quoted}]",
        f"horizon = {suite.horizon}",
        f"show_goal = {str(suite.show_goal).lower()}",
        "",
        "[digests]",
        *[f'{split} = "{value}"' for split, value in suite.digests.items()],
    ]
    for title, tables in (("splits", suite.splits), ("certificates", suite.certificates)):
        for split, table in tables.items():
            lines += ["", f"[{title}.{split}]", *[f'"{name}" = {list(seeds)}' for name, seeds in table.items()]]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(SUITES), choices=list(SUITES), metavar="SUITE")
    parser.add_argument("--out", type=Path, default=Path("tasks/suites"))
    parser.add_argument("--force", action="store_true", help="overwrite a frozen file")
    arguments = parser.parse_args()
    for name in arguments.only:
        path = arguments.out / suites.file_name(name)
        if path.exists() and not arguments.force:
            print(f"{path} is frozen: --force overwrites it")
            continue
        path.write_text(to_toml(freeze(name)))
        print(f"{path} written")


if __name__ == "__main__":
    main()
