"""Environment steps per second of the legged arenas, beside envpool's legged tasks and MJX's.

    python benchmarks/legged.py --peers .venv-peers/bin/python --playground .venv-playground/bin/python

peers/requirements.txt and peers/requirements-playground.txt set the two environments up. Without --peers envpool is
left out; without --playground the tasks on MJX run in this environment, which has brax's alone.

Every measurement runs in a process of its own, one after the other, and compiles anew, all on the CPU unless
JAX_PLATFORMS says otherwise. All figures of a file come from one run on one machine; ratios are taken within it. A
step of one task is not one of another, so three ratios are told: of environment steps, of evaluations of the dynamics
(substeps, times four under RK4), and of simulated seconds. None of them knows how many bodies and contacts a step has.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from machine import describe
from rich.console import Console
from rich.table import Column, Table
from throughput import MEASURE, last_json

from mtbench import files
from mtbench.suite import load

HERE = Path(__file__).parent
SUITES = {"quadruped": "LOCO20", "walker": "MT1/walker-run", "humanoid": "MT1/humanoid-walk"}
"""What is measured of each arena; the quadruped's is mixed terrain."""


def ours(arena: str, suite: str, backend: str, lanes: int, seconds: float) -> dict[str, Any]:
    """A row of mtbench's, with what the peers' rows say of a step."""
    (row,) = last_json([sys.executable, "-c", MEASURE, suite, backend, str(lanes), str(seconds)])
    (substeps,), (control_seconds,) = row["substeps"].values(), row["control_seconds"].values()
    return {
        **row,
        "arena": arena,
        "substeps": substeps,
        "timestep": round(control_seconds / substeps, 9),
        "control_seconds": control_seconds,
        "control_hz": round(1.0 / control_seconds, 3),
        # No arena uses RK4.
        "evaluations": substeps,
    }


def ratios(mtbench: list[dict[str, Any]], peers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times as fast each of ours is as each peer with a robot of its kind."""
    found = []
    for row in mtbench:
        for peer in peers:
            if peer["arena"] != row["arena"] or "error" in peer:
                continue
            steps = row["env_steps_per_second"] / peer["env_steps_per_second"]
            found.append(
                {
                    "arena": row["arena"],
                    "backend": row["backend"],
                    "peer": peer["peer"],
                    "lanes": [row["lanes"], peer["num_envs"]],
                    "substeps": [row["substeps"], peer["substeps"]],
                    "evaluations": [row["evaluations"], peer["evaluations"]],
                    "control_hz": [row["control_hz"], peer["control_hz"]],
                    "env_steps": steps,
                    "dynamics_evaluations": steps * row["evaluations"] / peer["evaluations"],
                    "simulated_seconds": steps * row["control_seconds"] / peer["control_seconds"],
                }
            )
    return found


def table(mtbench: list[dict[str, Any]], peers: list[dict[str, Any]], compared: list[dict[str, Any]]) -> list[Table]:
    """The figures and the ratios, for people."""
    who, over = Column("who", overflow="fold"), Column("over", overflow="fold")
    figures = Table("arena", who, "lanes", "substeps", "Hz", "env-steps/s", "compile s", title="Legged tasks")
    rows = [{**r, "who": f"mtbench {r['backend']} {r['suite']}", "num_envs": r["lanes"]} for r in mtbench]
    rows += [{**r, "who": r["peer"]} for r in peers]
    for row in sorted(rows, key=lambda row: list(SUITES).index(row["arena"])):
        if "error" in row:
            figures.add_row(row["arena"], row["who"], "–", "–", "–", row["error"], "–")
            continue
        compiling = row.get("compile_seconds")
        figures.add_row(
            row["arena"],
            row["who"],
            str(row["num_envs"]),
            f"{row['substeps']} × {1e3 * row['timestep']:g} ms{' RK4' if row.get('integrator') == 'RK4' else ''}",
            f"{row['control_hz']:g}",
            f"{row['env_steps_per_second']:,.0f}",
            "–" if compiling is None else f"{compiling + row['reset_compile_seconds']:.0f}",
        )
    times = Table("arena", "mtbench", over, "env steps", "evaluations", "simulated time", title="Times as fast")
    for row in compared:
        numbers = (row[name] for name in ("env_steps", "dynamics_evaluations", "simulated_seconds"))
        times.add_row(row["arena"], row["backend"], row["peer"], *(f"{number:.2f}" for number in numbers))
    return [figures, times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arenas", nargs="*", default=list(SUITES), choices=list(SUITES))
    parser.add_argument("--lanes", type=int, default=512, help="of mujoco; 0 leaves it out")
    parser.add_argument("--mjx-lanes", type=int, default=64, help="of mjx; 0 leaves it out")
    parser.add_argument("--peer-lanes", type=int, default=256, help="of the peers on MJX; 0 leaves them out")
    parser.add_argument("--seconds", type=float, default=10.0, help="least time to measure each")
    parser.add_argument("--peers", help="interpreter of the peers' environment; envpool is left out without it")
    parser.add_argument("--playground", default=sys.executable, help="interpreter of Playground's environment")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "legged.json")
    arguments = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    suites = {arena: SUITES[arena] for arena in arguments.arenas}
    for suite in suites.values():
        load(suite)  # before the first minute is spent: an unknown name ends it here

    mtbench = []
    for arena, suite in suites.items():
        for backend, lanes in (("mujoco", arguments.lanes), ("mjx", arguments.mjx_lanes)):
            if lanes:
                mtbench.append(ours(arena, suite, backend, lanes, arguments.seconds))
                print(f"{suite} on {backend}: {mtbench[-1]['env_steps_per_second']:,.0f} env-steps/s", flush=True)
    scripts = []
    if arguments.peers:
        scripts.append([arguments.peers, str(HERE / "peers" / "envpool_legged.py")])
    if arguments.peer_lanes:
        scripts.append(
            [arguments.playground, str(HERE / "peers" / "mjx_legged.py"), "--lanes", str(arguments.peer_lanes)]
        )
    peers = []
    for script in scripts:
        for row in last_json([*script, "--seconds", str(arguments.seconds), "--arenas", *suites]):
            peers.append(row)
            said = row.get("error") or f"{row['env_steps_per_second']:,.0f} env-steps/s"
            print(f"{row['peer']}: {said}", flush=True)

    compared = ratios(mtbench, peers)
    Console().print(*table(mtbench, peers, compared))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    out = {"machine": describe(), "mtbench": mtbench, "peers": peers, "ratios": compared}
    files.write(arguments.out, json.dumps(out, indent=2) + "\n")
    print(f"written {arguments.out}")


if __name__ == "__main__":
    main()
