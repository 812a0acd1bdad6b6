"""Success of scripted experts: ours on both backends, and Meta-World's own, unchanged, on our environments.

    python benchmarks/experts.py                                   (ours)
    python benchmarks/experts.py --peers .venv-peers/bin/python    (and Meta-World's, after `make bench`)

Tasks are sampled outside every suite. Meta-World's experts get what they get at home: the 39 numbers with the goal
shown, 500 steps, and success at any step.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from machine import describe
from rich.console import Console
from rich.table import Table

import mtbench.suite as suites
from mtbench import registry
from mtbench.cli.common import start_jax
from mtbench.evaluate import play_jobs
from mtbench.score.statistics import wilson
from mtbench.task import TaskId

HERE = Path(__file__).parent
FIRST_SEED = 2_000_000


def own(suite: suites.Suite, backend: str, jobs: list[tuple[TaskId, int]]) -> dict[str, float]:
    """Success per family of our experts."""
    env = suite.env("train", backend)
    table = play_jobs(env, suite, suite.expert(), jobs, name="expert", split="train")
    return {str(name[0]): float(part["success"].mean()) for name, part in table.group_by("family")}


def metaworld(suite: suites.Suite, jobs: list[tuple[TaskId, int]], interpreter: str) -> dict[str, float]:
    """Success per family of Meta-World's experts, asked for every action over a pipe."""
    sys.path.insert(0, str(HERE / "peers"))
    from client import ExpertServer

    env = suite.env("train", "mujoco")
    ids = [task_id for task_id, _ in jobs]
    rows = jax.tree.map(jnp.asarray, suites.rows(ids, suite.families))
    keys = jax.vmap(jax.random.key)(np.array([suites.reset_key(t, e) for t, e in jobs], np.uint32))
    state, timestep = jax.jit(jax.vmap(env.reset))(keys, rows)
    step = jax.jit(jax.vmap(env.step))
    with ExpertServer(interpreter, [task_id.family for task_id in ids]) as server:
        for _ in range(500):
            actions = server.actions(np.asarray(timestep.observation, np.float64))
            state, timestep = step(state, jnp.asarray(actions, jnp.float32))
    solved = np.asarray(timestep.success_any)
    families = np.array([task_id.family for task_id in ids])
    return {name: float(solved[families == name].mean()) for name in suite.families}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="STARTER")
    parser.add_argument("--tasks", type=int, default=100, help="tasks per family")
    parser.add_argument("--backends", nargs="*", default=["mujoco", "mjx"])
    parser.add_argument("--peers", help="interpreter of an environment with metaworld; left out without it")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "experts.json")
    arguments = parser.parse_args()
    start_jax()
    suite = suites.load(arguments.suite)
    jobs = [
        (TaskId(name, registry.family(name).version, FIRST_SEED + seed), 0)
        for name in suite.families
        for seed in range(arguments.tasks)
    ]
    results = {f"ours, {backend}": own(suite, backend, jobs) for backend in arguments.backends}
    if arguments.peers:
        results["Meta-World's, mujoco"] = metaworld(suite, jobs, arguments.peers)
    table = Table("family", *results, title=f"success on {arguments.tasks} sampled tasks per family")
    for name in suite.families:
        cells = []
        for figures in results.values():
            interval = wilson(figures[name], arguments.tasks)
            cells.append(f"{figures[name]:.1%} [{float(interval.low):.0%}, {float(interval.high):.0%}]")
        table.add_row(name, *cells)
    table.add_row("mean", *[f"{np.mean(list(figures.values())):.1%}" for figures in results.values()])
    Console().print(table)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    out = {"machine": describe(), "tasks_per_family": arguments.tasks, "success": results}
    arguments.out.write_text(json.dumps(out, indent=2) + "\n")
    print(f"written {arguments.out}")


if __name__ == "__main__":
    main()
