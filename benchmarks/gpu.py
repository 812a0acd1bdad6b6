"""What two cores cannot say: the `mjx` backend's speed on an accelerator, for several suites and numbers of lanes.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --cases LOCO20:8192 --seconds 20

Every case is a process of its own. All compile side by side, then each is timed while the others wait.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from machine import describe

from mtbench import files

HERE = Path(__file__).parent
CASES = (
    *("STARTER:1024", "STARTER:8192", "STARTER:32768", "MT50:8192"),
    *("MT1/walker-run:8192", "MT1/humanoid-walk:4096", "LOCO20:4096"),
)
CHILD = """
import json, sys
from mtbench.cli.common import start_jax
start_jax()
import mtbench.suite as suites
from mtbench.throughput import measure

def ready():
    print("ready", flush=True)
    sys.stdin.readline()

suite, lanes, seconds = sys.argv[1:]
print(json.dumps(measure(suites.load(suite), "mjx", int(lanes), float(seconds), ready)), flush=True)
"""


def start(case: str, seconds: float) -> subprocess.Popen:
    """A process that compiles a case, says so, and times it once it is told to."""
    suite, _, lanes = case.partition(":")
    # By default each process would take three quarters of the accelerator's memory for itself.
    own = {"JAX_ENABLE_COMPILATION_CACHE": "false", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, suite, lanes, str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **own},
    )


def answer(process: subprocess.Popen) -> str:
    """The next line that starts like one of ours; empty if the process has ended."""
    assert process.stdout is not None
    return next((line for line in process.stdout if line.startswith(("ready", "{"))), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", default=CASES, help="SUITE:LANES")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gpu.json")
    arguments = parser.parse_args()
    processes = {case: start(case, arguments.seconds) for case in arguments.cases}
    compiled = {case: bool(answer(process)) for case, process in processes.items()}
    found, failed = [], []
    for case, process in processes.items():
        line = ""
        if compiled[case]:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            line = answer(process)
        process.kill()
        process.wait()
        if not line:
            failed.append(case)
            continue
        found.append(json.loads(line))
        row = found[-1]
        print(
            f"{case}: {row['env_steps_per_second']:,.0f} env-steps/s, compiled in {row['compile_seconds']:.0f} s, "
            f"{row['device_peak_memory_mb']:,.0f} MB on the device",
            flush=True,
        )
        files.write(arguments.out, json.dumps({"machine": describe(accelerators=True), "mjx": found}, indent=2) + "\n")
    if failed:
        raise SystemExit(f"failed, with the reason above: {', '.join(failed)}")
    print(f"written {arguments.out}")


if __name__ == "__main__":
    main()
