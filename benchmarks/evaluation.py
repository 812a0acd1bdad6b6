"""Evaluation: how fast it is end to end, whether it repeats itself, and whether the backends agree.

    python benchmarks/evaluation.py                                                     (all of it)
    python benchmarks/evaluation.py --tasks 64 --episodes 2 --agreement-tasks 10        (a quick look)

Speed is that of `mtbench.evaluate.evaluate` on `mujoco`: rows, parameters and table included, compilation left out,
with a policy of the size that MT-PPO trains. The target on two idle cores is 40,000 environment steps per second.
Identity asks for equal tables of two evaluations. Agreement plays experts on both backends, from the same initial
states: the mean of the paired differences of success should be zero within its 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import polars as pl
from machine import describe

import mtbench.suite as suites
from mtbench import files, registry
from mtbench.cli.common import progress, start_jax
from mtbench.evaluate import LANES, evaluate
from mtbench.policy import Policy, Sizes

RESULTS = Path(__file__).parent / "results" / "evaluation.json"
TARGET = 40_000
FIRST_SEED = 2_000_000


def sampled(name: str, tasks: int, episodes: int) -> suites.Suite:
    """The families and horizons of a suite, with so many tasks in all, which no suite holds."""
    suite = suites.load(name)
    each = -(-tasks // len(suite.families))
    split = {family: tuple(range(FIRST_SEED, FIRST_SEED + each)) for family in suite.families}
    protocol = suites.EvaluationProtocol("ours", ("iid",), each, episodes, 0)
    return replace(suite, splits={"iid": split}, digests={}, protocols={"ours": protocol}, open={}, regions={}, path="")


def learner(sizes: Sizes) -> Policy[Any]:
    """A policy as MT-PPO trains it, untrained."""
    blank = registry.algorithm("mt-ppo").Policy.blank
    network = {"hidden": (128, 128), "activation": "tanh", "network": "multi-head", "network_options": {}}
    return blank(sizes, **network, layouts=[0] * sizes.context, deterministic=True)


def speed(name: str, tasks: int, episodes: int) -> dict[str, Any]:
    """Environment steps per second, and whether a second evaluation has the same table."""
    suite = sampled(name, tasks, episodes)
    envs = suite.envs("mujoco")
    policy = learner(Sizes.of(next(iter(envs.values()))))
    protocol = suite.protocol("ours")
    started = time.perf_counter()
    # As many lanes as a full batch has, or as there are: the program that is timed.
    fewer = replace(protocol, tasks_per_family=min(protocol.tasks_per_family, -(-LANES // len(suite.families))))
    evaluate(envs, suite, policy, name="learner", protocol=fewer)
    compiled = time.perf_counter() - started
    tables, seconds = [], []
    for _ in range(2):
        started = time.perf_counter()
        with progress("speed") as told:
            tables.append(evaluate(envs, suite, policy, name="learner", protocol=protocol, on_progress=told))
        seconds.append(time.perf_counter() - started)
    # Lanes run to their horizon, also where an episode ends before.
    steps = sum(suite.horizon_of(suite.family(f).arena) for f in tables[0]["family"])
    return {
        "suite": name,
        "tasks": tables[0]["task"].n_unique(),
        "episodes": len(tables[0]),
        "env_steps": steps,
        "first_seconds": round(compiled, 1),
        "seconds": [round(s, 1) for s in seconds],
        "env_steps_per_second": round(steps / min(seconds)),
        "identical": tables[0].equals(tables[1]),
    }


def agreement(name: str, tasks: int) -> dict[str, Any]:
    """Success of the experts on both backends, and the paired difference with its interval."""
    suite = sampled(name, tasks, 1)
    tables = {}
    for backend in ("mujoco", "mjx"):
        with progress(f"agreement, {backend}") as told:
            tables[backend] = evaluate(suite.envs(backend), suite, suite.expert(), name="expert", on_progress=told)
    first, second = (table["success"].cast(pl.Int8).to_numpy().astype(float) for table in tables.values())
    difference = first - second
    margin = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return {
        "suite": name,
        "tasks": len(difference),
        "success": {backend: round(float(table["success"].to_numpy().mean()), 4) for backend, table in tables.items()},
        "difference": [round(float(x), 4) for x in difference.mean() + margin * np.array([0, -1, 1])],
        "other_outcome": int((difference != 0).sum()),
        "agree": bool(abs(difference.mean()) <= margin),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="STARTER")
    parser.add_argument("--tasks", type=int, default=1024)
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--agreement-tasks", type=int, default=100, help="0 leaves this out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    start_jax()
    found: dict[str, Any] = {"machine": describe(), "devices": [d.device_kind for d in jax.devices()]}
    found["speed"] = speed(arguments.suite, arguments.tasks, arguments.episodes)
    print(f"{found['speed']['env_steps_per_second']:,} env-steps/s (target {TARGET:,} on two idle cores)")
    print(f"two evaluations are {'identical' if found['speed']['identical'] else 'DIFFERENT'}")
    if arguments.agreement_tasks:
        found["agreement"] = agreement(arguments.suite, arguments.agreement_tasks)
        print(f"success of experts {found['agreement']['success']}, difference {found['agreement']['difference']}")
    files.write(arguments.out, json.dumps(found, indent=2) + "\n")
    print(f"written {arguments.out}")


if __name__ == "__main__":
    main()
