"""Environment steps per second through gymnasium's interface, beside Meta-World's own environments.

    python benchmarks/gymnasium_speed.py --peers .venv-peers/bin/python

One loop steps all of them (gymnasium_steps.py), each in a process of its own, one after the other. The cases take
turns, round by round, so that what else the machine does falls on all alike. Episodes have 500 steps everywhere.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from machine import describe
from rich.console import Console
from rich.table import Table
from throughput import last_json

from mtbench import files

HERE = Path(__file__).parent
STEPS = {"max_episode_steps": 500}
# Who, how many, the id, whether it is a vector, options of make.
OURS = [
    ("mtbench", "1", "mtbench.adapters.gymnasium:mtbench/reach", False, STEPS),
    ("mtbench", "10", "mtbench.adapters.gymnasium:mtbench/MT10", True, STEPS),
    ("mtbench", "512", "mtbench.adapters.gymnasium:mtbench/MT10", True, STEPS | {"num_envs": 512}),
]
PEERS = [
    ("Meta-World", "1", "metaworld:Meta-World/MT1", False, {"env_name": "reach-v3"}),
    ("Meta-World sync", "10", "metaworld:Meta-World/MT10", True, {"vector_strategy": "sync"}),
    ("Meta-World async", "10", "metaworld:Meta-World/MT10", True, {"vector_strategy": "async"}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="interpreter of the peers' environment")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="per case and round")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gymnasium.json")
    arguments = parser.parse_args()

    cases = [(case, sys.executable, ["mtbench-mjx", "jax", "mujoco"]) for case in OURS]
    cases += [(case, arguments.peers, ["metaworld", "mujoco"]) for case in PEERS]
    found: dict[tuple[str, str], list[dict]] = {(case[0], case[1]): [] for case, *_ in cases}
    for _ in range(arguments.rounds):
        for (who, lanes, identifier, vector, options), python, packages in cases:
            command = [python, str(HERE / "gymnasium_steps.py"), identifier, "--options", json.dumps(options)]
            command += ["--seconds", str(arguments.seconds), "--packages", *packages, *["--vector"] * vector]
            found[who, lanes] += last_json(command)
            print(f"{who}, {lanes}: {statistics.median(found[who, lanes][-1]['rates']):,.0f} env-steps/s", flush=True)

    rows = []
    for (who, lanes, identifier, _, options), *_ in cases:
        rounds = found[who, lanes]
        rates = [rate for one in rounds for rate in one["rates"]]
        rows.append(
            {
                "who": who,
                "num_envs": rounds[0]["num_envs"],
                "id": identifier.rpartition(":")[2],
                "options": options,
                "env_steps_per_second": statistics.median(rates),
                "slowest": min(rates),
                "fastest": max(rates),
                "medians_of_rounds": [statistics.median(one["rates"]) for one in rounds],
                "seconds_to_first_step": statistics.median(one["seconds_to_first_step"] for one in rounds),
                "versions": rounds[0]["versions"],
            }
        )
    table = Table("who", "environments", "env-steps/s", "slowest", "fastest", "seconds to first step")
    for row in rows:
        figures = [row[name] for name in ("env_steps_per_second", "slowest", "fastest", "seconds_to_first_step")]
        table.add_row(row["who"], str(row["num_envs"]), *(f"{figure:,.0f}" for figure in figures))
    Console().print(table)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    files.write(arguments.out, json.dumps({"machine": describe(), "gymnasium": rows}, indent=2) + "\n")
    print(f"written {arguments.out}")


if __name__ == "__main__":
    main()
