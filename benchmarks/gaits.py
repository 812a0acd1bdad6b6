"""How well trained policies move: on held-out tasks, how near they stay to what is asked, and whether they fall.

    python benchmarks/gaits.py runs/learning/MT1-quadruped-flat --out benchmarks/results/gaits-quadruped-flat.json

`track` is the reward's tracking term (tasks/legged/reward.py), averaged over all control steps of an episode; after a
fall it is 0. `upright` is the share of episodes that last to their horizon. Each comes with the 95 % interval of the
training method where a run has several seeds, else of the policy over tasks.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from machine import describe

from mtbench import files
from mtbench.cli.policies import open_policies
from mtbench.evaluate import play
from mtbench.score.scorecard import estimate, format_estimate
from mtbench.score.statistics import population_interval
from mtbench.suite import reset_key


@partial(jax.jit, static_argnums=0)
def episodes(env: Any, policy: Any, keys: jax.Array, rows: Any, params: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean tracking term of each episode, and whether it lasted."""
    which = env.arena.quantities.index("terms")

    def one(key, row, params):
        def seen(state, timestep, carry):
            return timestep.quantities[which, 0], timestep.terminated

        _, _, (track, over) = play(env, policy, key, row, record=seen, params=params)
        alive = jnp.cumsum(over[1:]) == 0
        return (track[1:] * alive).mean(), alive[-1].astype(float)

    return jax.vmap(one)(keys, rows, params)


def measure(source: str, tasks: int) -> dict[str, Any]:
    """Figures by family."""
    opened = open_policies(source, None, "mujoco")
    suite, found = opened.suite, {}
    for arena, env in opened.envs.items():
        ids = [i for i in suite.scored_ids("iid", tasks) if suite.family(i.family).arena == arena]
        rows = suite.rows(ids)
        keys = jax.vmap(jax.random.key)(np.array([reset_key(task_id, 0) for task_id in ids], np.uint32))
        params = env.params_of(rows)
        # [seed, figure, task]
        played = np.array([episodes(env, policy, keys, rows, params) for policy in opened.policies.values()])
        for family in dict.fromkeys(task_id.family for task_id in ids):
            mine = [index for index, task_id in enumerate(ids) if task_id.family == family]
            figures = {}
            for figure, name in enumerate(("track", "upright")):
                values = played[:, figure, mine]
                interval = population_interval(values, np.zeros(len(mine), int))
                figures[name] = {**estimate(interval), "seeds": values.mean(1).tolist()}
            found[family] = {"tasks": len(mine), **figures}
    return {"suite": suite.name, "training": opened.origin["training"], "families": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a run, or of an exported policy")
    parser.add_argument("--tasks", type=int, default=50, help="held-out tasks of each family")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = {"machine": describe(), **measure(arguments.run, arguments.tasks)}
    for family, figures in found["families"].items():
        told = ", ".join(f"{name} {format_estimate(figures[name])}" for name in ("track", "upright"))
        print(f"{family:34} {told}")
    if arguments.out:
        files.write(arguments.out, json.dumps(found) + "\n")
        print(f"written {arguments.out}")


if __name__ == "__main__":
    main()
