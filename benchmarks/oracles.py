"""Oracles: trains the policies that certify the tasks of the legged arenas, and puts them where the arenas find them.

    python benchmarks/oracles.py                     # all, two hours on two cores
    python benchmarks/oracles.py --only walker

Each is MT-PPO on families of its arena, more tasks of each than any suite has, told which family it plays. Training
goes on where it was interrupted. Suites are frozen anew afterwards (benchmarks/freeze_suites.py).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from learning import mtbench, train_or_resume

from mtbench import files, plan, registry, suite

OUT = Path("tasks/legged/oracles")
TASKS = 200
"""Training tasks of each family. Their seeds are those of other suites' training splits, not of their held-out ones."""
FLAGS = [
    *("--network", "mlp", "--epochs", "3"),
    *("--policy-hidden", "256", "128", "--critic-hidden", "256", "128"),
]


@dataclass(frozen=True)
class Oracle:
    """What an oracle is trained on, and for how long."""

    what: str
    """An arena, whose families it learns all, or one family."""
    steps: int
    lanes: int
    initial_std: float = 0.7

    @property
    def families(self) -> list[str]:
        """Their names."""
        return [f.name for f in registry.families().values() if self.what in (f.arena, f.name)]


ORACLES = {
    oracle.what: oracle
    for oracle in (
        Oracle("quadruped", 40_000_000, 1020),
        Oracle("walker", 15_000_000, 510),
        Oracle("humanoid", 30_000_000, 510),
        # Among walks it is not learnt: nothing that they ask for turns a robot over.
        Oracle("quadruped-stand-up", 8_000_000, 510, initial_std=1.0),
    )
}


def train(oracle: Oracle, runs: Path, out: Path) -> None:
    """Trains an oracle and exports it."""
    run, path = runs / oracle.what, runs / f"oracle-{oracle.what}.toml"
    if not path.exists():
        wanted = plan.custom(oracle.families, name=path.stem, tasks={"train": TASKS, "iid": 20})
        runs.mkdir(parents=True, exist_ok=True)
        files.write(path, suite.to_toml(plan.freeze(wanted)))
    size = ["--total-steps", str(oracle.steps), "--lanes", str(oracle.lanes)]
    size += ["--initial-std", str(oracle.initial_std)]
    train_or_resume(str(path), run, *size, *FLAGS)
    mtbench("export", str(run), str(out / oracle.what), "--force")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(ORACLES), choices=list(ORACLES), metavar="ORACLE")
    parser.add_argument("--runs", type=Path, default=Path("runs/oracles"))
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    for name in arguments.only:
        train(ORACLES[name], arguments.runs, arguments.out)


if __name__ == "__main__":
    main()
