"""Environment steps per second, compile time and memory, beside Meta-World's vector env and envpool's tasks.

    make bench                                                   (sets the peers up in an environment of their own)
    python benchmarks/throughput.py --backends mjx --lanes 8192  (on a GPU, without peers)

Every measurement runs in a process of its own, one after the other, so that memory is each one's and nothing
shares the cores. All figures of a file come from one run on one machine; ratios are taken within it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from machine import describe
from rich.console import Console
from rich.table import Table

from mtbench import files

HERE = Path(__file__).parent
MEASURE = (
    "import json,sys; from mtbench.cli.common import start_jax; start_jax(); import mtbench.suite as s; "
    "from mtbench.throughput import measure; n,b,l,t=sys.argv[1:]; "
    "print(json.dumps(measure(s.load(n),b,int(l),float(t))))"
)


def last_json(command: list[str]) -> list[dict]:
    """Runs a command, which compiles anew, and returns the JSON objects among the lines that it prints."""
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not found:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="STARTER")
    parser.add_argument("--backends", nargs="*", default=["mujoco", "mjx"])
    parser.add_argument("--lanes", nargs="*", type=int, default=[64, 512, 2048], help="lane counts of mujoco")
    parser.add_argument("--mjx-lanes", nargs="*", type=int, default=[256], help="lane counts of mjx")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--peers", help="interpreter of the peers' environment; they are left out without it")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "throughput.json")
    arguments = parser.parse_args()

    ours = []
    for backend in arguments.backends:
        for lanes in arguments.lanes if backend == "mujoco" else arguments.mjx_lanes:
            ours += last_json(
                [sys.executable, "-c", MEASURE, arguments.suite, backend, str(lanes), str(arguments.seconds)]
            )
            print(f"{backend} {lanes} lanes: {ours[-1]['env_steps_per_second']:,.0f} env-steps/s", flush=True)
    peers = []
    if arguments.peers:
        for script in ("metaworld_vector.py", "envpool_metaworld.py"):
            peers += last_json([arguments.peers, str(HERE / "peers" / script), "--seconds", str(arguments.seconds)])
            print(f"{peers[-1]['peer']}: {peers[-1]['env_steps_per_second']:,.0f} env-steps/s", flush=True)

    table = Table("who", "lanes", "substeps", "env-steps/s", "compile s", "peak memory MB", title=arguments.suite)
    for row in ours:
        table.add_row(
            f"mtbench {row['backend']}",
            str(row["lanes"]),
            ", ".join(map(str, row["substeps"].values())),
            f"{row['env_steps_per_second']:,.0f}",
            f"{row['compile_seconds']:.1f}",
            f"{row['peak_memory_mb']:,.0f}",
        )
    best = max(
        (r["env_steps_per_second"] for r in ours if r["backend"] == "mujoco" and r["lanes"] == 512), default=None
    )
    for row in peers:
        ratio = f"  (mtbench × {best / row['env_steps_per_second']:.1f})" if best else ""
        table.add_row(
            row["peer"], str(row["num_envs"]), str(row["substeps"]), f"{row['env_steps_per_second']:,.0f}{ratio}", "–",
            f"{row.get('peak_memory_mb', 0):,.0f}",
        )  # fmt: skip
    Console().print(table)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    files.write(arguments.out, json.dumps({"machine": describe(), "mtbench": ours, "peers": peers}, indent=2) + "\n")
    print(f"written {arguments.out}")


if __name__ == "__main__":
    main()
