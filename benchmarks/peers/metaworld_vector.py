"""Environment steps per second of Meta-World's own MT10 vector environment, one process or one per task.

    .venv-peers/bin/python benchmarks/peers/metaworld_vector.py --seconds 10

Runs in the peers' environment, and prints a JSON line per strategy. Each is measured in a fresh process, as
mtbench measures itself: uniform actions drawn beforehand, resets included, one warm-up chunk, and the median
over chunks of 50 vector steps.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

CHUNK = 50
"""Vector steps per timed chunk, as in mtbench's own measurement."""

MEGABYTE = 1024.0**2


def measure(strategy: str, seconds: float, seed: int = 0) -> dict[str, Any]:
    """Steps MT10 with uniform actions.

    Args:
      strategy: "sync" steps the ten environments in turn, "async" keeps a process for each.
      seconds: least time to measure, after the warm-up.
      seed: of goals and actions.

    Returns:
      Figures by name; rates count single environments' steps.
    """
    warnings.simplefilter("ignore")
    import gymnasium
    import metaworld  # noqa: F401  (registers Meta-World/MT10)
    import numpy as np

    gymnasium.logger.min_level = gymnasium.logger.ERROR
    envs = gymnasium.make_vec("Meta-World/MT10", vector_strategy=strategy, seed=seed)
    try:
        random = np.random.default_rng(seed)
        actions = random.uniform(-1.0, 1.0, (CHUNK, *envs.action_space.shape)).astype(np.float32)
        substeps, control_seconds = _one(envs.get_attr("frame_skip")), _one(envs.get_attr("dt"))
        envs.reset(seed=seed)
        for action in actions:
            envs.step(action)
        rates: list[float] = []
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds or len(rates) < 3:
            start = time.perf_counter()
            for action in actions:
                envs.step(action)
            rates.append(CHUNK * envs.num_envs / (time.perf_counter() - start))
        elapsed = time.perf_counter() - begin
        workers = [process.pid for process in getattr(envs, "processes", [])]
        memory = peak_memory() + sum(_private_memory(pid) for pid in workers)
        num_envs = envs.num_envs
    finally:
        envs.close()
    return {
        "peer": f"metaworld-mt10-{strategy}",
        "env_steps_per_second": statistics.median(rates),
        "mean": CHUNK * num_envs * len(rates) / elapsed,
        "slowest": min(rates),
        "fastest": max(rates),
        "num_envs": num_envs,
        "processes": 1 + len(workers),
        "substeps": int(substeps),
        "timestep": round(control_seconds / substeps, 9),
        "seconds": elapsed,
        "peak_memory_mb": memory / MEGABYTE,
        "versions": versions("metaworld", "gymnasium", "mujoco", "numpy"),
    }


def peak_memory() -> int:
    """Bytes that this process held at its peak."""
    # Linux counts in kilobytes, macOS in bytes.
    unit = 1024 if sys.platform.startswith("linux") else 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def versions(*packages: str) -> dict[str, str]:
    """Versions of the interpreter and of installed packages, by name."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def in_fresh_process(function: Any, *arguments: Any) -> Any:
    """What a module-level function returns when a new interpreter calls it, so that memory is its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def _one(values: tuple[float, ...]) -> float:
    """The one value that all environments share."""
    (value,) = set(values)
    return value


def _private_memory(pid: int) -> int:
    """Bytes that a worker process shares with no other; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def main() -> None:
    """Prints a JSON line per strategy."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--strategies", nargs="*", default=["sync", "async"], choices=["sync", "async"])
    parser.add_argument("--seconds", type=float, default=10.0, help="least time to measure, per strategy")
    arguments = parser.parse_args()
    for strategy in arguments.strategies:
        print(json.dumps(in_fresh_process(measure, strategy, arguments.seconds)), flush=True)


if __name__ == "__main__":
    main()
