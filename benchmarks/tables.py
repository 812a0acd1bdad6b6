"""How long it takes to draw the tasks of a large suite: their rows, and the model parameters derived from them.

    python benchmarks/tables.py --out benchmarks/results/tables.json

In a new process, nothing compiled before and nothing kept.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import jax
from machine import describe

from mtbench import files, plan, registry

TASKS = 8192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)
    families = [name for name, family in registry.families().items() if family.arena == "tabletop" and not family.base]
    whole = plan.custom(families, tasks={"train": -(-TASKS // len(families))})
    ids = [task_id for name in families for task_id in whole.candidates("train", name, whole.splits["train"].tasks)][
        :TASKS
    ]
    env = plan.freeze(plan.custom(families, tasks={"train": 1, "iid": 1}))
    one_lane = env.envs("mujoco")["tabletop"]
    jax.clear_caches()

    begin = time.perf_counter()
    rows = env.rows(ids)
    rows_seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    params = jax.block_until_ready(one_lane.params_of(rows))
    params_seconds = time.perf_counter() - begin
    result = {
        "tasks": len(ids),
        "families": len(families),
        "rows_seconds": round(rows_seconds, 2),
        "params_seconds": round(params_seconds, 2),
        "seconds": round(rows_seconds + params_seconds, 2),
        "params_megabytes": round(params.nbytes / 1e6, 1),
        "machine": describe(),
    }
    files.write(arguments.out, json.dumps(result, indent=2) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "machine"}))


if __name__ == "__main__":
    main()
