"""One policy for all arenas, beside chance and beside a specialist for each arena.

    python benchmarks/one_policy.py --steps 24000000 --seeds 3

Trains MT-PPO on ALL, its lanes shared out among arenas (`SHARES`): by families, legs would have less than half of them
and two-legged robots too few to learn to walk. Then trains a specialist on each arena's part of ALL for as many steps
as the one policy had in that arena, with as many lanes. All are scored on the same held-out tasks, arena by arena:
success, and the paired difference to chance. Trainings go on where they were interrupted, and what is known by then
is written after each.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from learning import HERE, metrics, mtbench, train_or_resume
from machine import describe

import mtbench.suite as suites
from mtbench import files
from mtbench.score import read_episodes, scorecard
from mtbench.score.scorecard import format_estimate

SHARES = {"tabletop": 4, "quadruped": 5, "walker": 5, "humanoid": 10}
FLAGS = [
    *("--network", "mlp", "--epochs", "3", "--initial-std", "0.7"),
    *("--policy-hidden", "256", "128", "--critic-hidden", "256", "128"),
]


def part(whole: suites.Suite, arena: str) -> suites.Suite:
    """The suite with the families of one arena alone: the same tasks."""
    own = tuple(name for name in whole.families if whole.family(name).arena == arena)
    return replace(
        whole,
        name=f"{whole.name}-{arena}",
        families=own,
        horizon=whole.horizon_of(arena),
        horizons={},
        splits={
            split: {name: seeds for name, seeds in table.items() if name in own}
            for split, table in whole.splits.items()
        },
        certificates={name: episodes for name, episodes in whole.certificates.items() if name in own},
        open={name: seeds for name, seeds in whole.open.items() if name in own},
        path="",
    ).frozen()


def train(suite: str, run: Path, steps: int, seeds: int, lanes: int, flags: list[str]) -> float:
    """Trains and scores; minutes of training."""
    size = ["--total-steps", str(steps), "--num-seeds", str(seeds), "--lanes", str(lanes)]
    train_or_resume(suite, run, *size, *FLAGS, *flags)
    card, checkpoints = run / "eval" / "scorecard.json", (run / "checkpoints").glob("*")
    if not card.exists() or card.stat().st_mtime < max(folder.stat().st_mtime for folder in checkpoints):
        mtbench("eval", str(run), "--force")
    return metrics(run)[-1]["seconds"] / 60


def scores(run: Path, families: tuple[str, ...]) -> dict[str, Any]:
    """Success of a run on some families, of chance and of the experts, and the paired differences."""
    episodes = read_episodes(run / "eval" / "episodes.parquet")
    card = scorecard(episodes.filter(episodes["family"].is_in(families)))
    block = card["pooled"]
    return {
        **{name: {"tasks": own["tasks"], **own["success"]} for name, own in block["policies"].items()},
        **{
            difference["name"]: {k: difference[k] for k in ("value", "low", "high")}
            for difference in block["differences"]
        },
        "families": {name: own["success"] for name, own in block["policies"]["mt-ppo"]["families"].items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=24_000_000, help="environment steps of each seed on ALL")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lanes", type=int, default=576, help="of each seed on ALL")
    parser.add_argument("--runs", type=Path, default=Path("runs/one-policy"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "one-policy.json")
    arguments, flags = parser.parse_known_args()
    whole = suites.load("ALL")
    shares = ["--arena-shares", *(word for name, share in SHARES.items() for word in (name, str(share)))]
    run, wanted = arguments.runs / "ALL", (arguments.steps, arguments.seeds, arguments.lanes)
    minutes = {"ALL": train("ALL", run, *wanted, [*shares, *flags])}
    parts = {arena: part(whole, arena) for arena in whole.arenas}
    arenas = {arena: {"one policy": scores(run, own.families)} for arena, own in parts.items()}

    def write() -> None:
        record = {
            "machine": describe(),
            "env_steps": arguments.steps,
            "seeds": arguments.seeds,
            "minutes": minutes,
            "flags": [*FLAGS, *shares, *flags],
            "arenas": arenas,
        }
        files.write(arguments.out, json.dumps(record) + "\n")

    write()
    for arena, own in parts.items():
        share = SHARES[arena] / sum(SHARES.values())
        path = arguments.runs / f"{own.name}.toml"
        files.write(path, suites.to_toml(own))
        lanes = round(share * arguments.lanes)
        steps = round(share * arguments.steps)
        minutes[arena] = train(str(path), arguments.runs / arena, steps, arguments.seeds, lanes, flags)
        arenas[arena] |= {"steps": steps, "specialist": scores(arguments.runs / arena, own.families)}
        write()
    for arena, found in arenas.items():
        one, alone = found["one policy"], found["specialist"]
        print(
            f"{arena:10} one policy {format_estimate(one['mt-ppo'])}, over chance "
            f"{format_estimate(one['mt-ppo − random'])}; specialist {format_estimate(alone['mt-ppo'])}"
        )
    print(f"written {arguments.out}")


if __name__ == "__main__":
    main()
