"""Success of scripted experts: ours on both backends, Meta-World's own, unchanged, on our environments and at home.

    python benchmarks/experts.py                                                      (ours)
    python benchmarks/experts.py --peers .venv-peers/bin/python                       (all, after `make bench`)
    python benchmarks/experts.py --columns "ours, mjx" --tasks 20 --missing           (one, where it stopped)
    python benchmarks/experts.py --varied --columns "ours, mujoco"                    (ours on the varied families)

Tasks are sampled outside every suite. On our environments Meta-World's experts get what they get at home: the 39
numbers with the goal shown, 500 steps, and success at any step. Each column is merged into the results file as it is
measured, so that columns can be measured one after another; docs/compatibility.md shows them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from machine import describe
from rich.console import Console
from rich.table import Table

import mtbench.suite as suites
from mtbench import files, registry
from mtbench.batching import batches
from mtbench.cli.common import progress, start_jax
from mtbench.env import TimeStep
from mtbench.score.statistics import wilson
from mtbench.task import TaskId

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "experts.json"
VARIED_RESULTS = HERE / "results" / "experts-varied.json"
FIRST_SEED = 2_000_000
OURS, METAWORLD, HOME = "ours", "Meta-World's", "at home"
COLUMNS = {f"{who}, {where}": (who, where) for who in (OURS, METAWORLD) for where in ("mujoco", "mjx")}
COLUMNS[f"{METAWORLD}, {HOME}"] = (METAWORLD, HOME)
METAWORLD_STEPS = 500

Jobs = list[tuple[TaskId, int]]
Solved = Iterator[tuple[str, int, int]]
"""Families, one by one as they are done: name, tasks solved, tasks played."""


def sampled(families: list[str], tasks: int) -> Jobs:
    """(Task, episode) pairs, family by family."""
    return [
        (TaskId(name, registry.family(name).version, FIRST_SEED + seed), 0)
        for name in families
        for seed in range(tasks)
    ]


def starts(suite: suites.Suite, jobs: Jobs) -> tuple[jax.Array, Any]:
    """Keys and rows of (task, episode) pairs; the initial states are those of an evaluation."""
    seeds = np.array([suites.reset_key(*job) for job in jobs], np.uint32)
    keys = jax.vmap(lambda seed: jax.random.split(jax.random.key(seed))[0])(seeds)
    return keys, jax.tree.map(jnp.asarray, suite.rows([task_id for task_id, _ in jobs]))


def varied_suite() -> suites.Suite:
    """All varied families of the tabletop; no suite lists them."""
    names = tuple(f.name for f in registry.families().values() if f.base and f.arena == "tabletop")
    horizon = registry.arena("tabletop").horizon
    return suites.Suite("varied", 1, "", names, horizon, True, {"train": {name: () for name in names}}, {}, {})


@contextmanager
def our_policy(suite: suites.Suite) -> Iterator[Callable[[TimeStep], jax.Array]]:
    expert = suite.expert()
    script = expert.scripts["tabletop"]
    yield jax.jit(jax.vmap(lambda timestep: script.act(None, (), timestep)[1]))


@contextmanager
def metaworld_policy(interpreter: str, families: list[str]) -> Iterator[Callable[[TimeStep], jax.Array]]:
    """Meta-World's experts, asked for every action over a pipe."""
    sys.path.insert(0, str(HERE / "peers"))
    from client import ExpertServer

    with ExpertServer(interpreter, families) as server:
        yield lambda timestep: jnp.asarray(server.actions(np.asarray(timestep.observation, np.float64)), jnp.float32)


def here(suite: suites.Suite, who: str, backend: str, jobs: Jobs, lanes: int, interpreter: str) -> Solved:
    """Plays jobs on our environments, `lanes` at once."""
    env = suite.envs(backend)["tabletop"]
    reset, step = jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))
    tally: dict[str, list[bool]] = {}
    wanted = {name: sum(task_id.family == name for task_id, _ in jobs) for name in suite.families}
    for filled, fresh in batches(jobs, lanes):
        names = [task_id.family for task_id, _ in filled]
        state, timestep = reset(*starts(suite, filled))
        with our_policy(suite) if who == OURS else metaworld_policy(interpreter, names) as act:
            for _ in range(suite.horizon if who == OURS else METAWORLD_STEPS):
                state, timestep = step(state, act(timestep))
                if np.asarray(timestep.success_any).all():
                    break
        for (task_id, _), solved in zip(filled[:fresh], np.asarray(timestep.success_any), strict=False):
            outcomes = tally.setdefault(task_id.family, [])
            outcomes.append(bool(solved))
            if len(outcomes) == wanted[task_id.family]:
                yield task_id.family, sum(outcomes), len(outcomes)


def at_home(families: list[str], tasks: int, interpreter: str) -> Solved:
    """Meta-World's experts in Meta-World."""
    command = [interpreter, "-W", "ignore", str(HERE / "peers" / "metaworld_home.py"), "play", str(tasks), *families]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            row = json.loads(line) if line.startswith("{") else {}
            if "family" in row:
                yield row["family"], row["solved"], row["tasks"]
    if process.returncode:
        raise SystemExit(f"{interpreter} failed: its error is printed above")


def load(path: Path) -> dict[str, Any]:
    """The results so far: columns by name."""
    return json.loads(path.read_text())["columns"] if path.exists() else {}


def save(path: Path, columns: dict[str, Any]) -> None:
    """Writes the columns in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = {name: columns[name] for name in COLUMNS if name in columns}
    files.write(path, json.dumps({"columns": ordered}, indent=2) + "\n")


def show(columns: dict[str, Any], families: tuple[str, ...]) -> None:
    """Prints the results of some families."""
    table = Table("family", *[f"{name} ({column['tasks_per_family']})" for name, column in columns.items()])
    for family in families:
        cells = []
        for column in columns.values():
            rate = column["success"].get(family)
            if rate is None:
                cells.append("–")
            else:
                interval = wilson(rate, column["tasks_per_family"])
                cells.append(f"{rate:.1%} [{float(interval.low):.0%}, {float(interval.high):.0%}]")
        table.add_row(family, *cells)
    table.add_row("mean", *[f"{np.mean(list(column['success'].values())):.1%}" for column in columns.values()])
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="MT50", help="whose families and slots")
    parser.add_argument("--varied", action="store_true", help="the varied families in place of a suite's")
    parser.add_argument("--families", nargs="*", help="only these of its families")
    parser.add_argument("--columns", nargs="*", choices=list(COLUMNS), help="by default all that --peers allows")
    parser.add_argument("--tasks", type=int, default=50, help="tasks per family")
    parser.add_argument("--lanes", type=int, default=250, help="tasks played at once")
    parser.add_argument("--peers", help="interpreter of an environment with metaworld")
    parser.add_argument("--missing", action="store_true", help="measure only families that the column lacks")
    parser.add_argument("--out", type=Path, help="by default benchmarks/results/experts.json, or experts-varied.json")
    arguments = parser.parse_args()
    chosen = arguments.columns or [name for name in COLUMNS if arguments.peers or name.startswith(OURS)]
    if not arguments.peers and any(name.startswith(METAWORLD) for name in chosen):
        parser.error("Meta-World's experts need --peers")
    start_jax()
    suite = varied_suite() if arguments.varied else suites.load(arguments.suite)
    out = arguments.out or (VARIED_RESULTS if arguments.varied else RESULTS)
    columns = load(out)
    for name in chosen:
        who, where = COLUMNS[name]
        old = columns.get(name, {})
        same = old.get("suite") == suite.name and old.get("tasks_per_family") == arguments.tasks
        if old and not same:
            print(f"{name}: measured anew, the results so far are of another suite or number of tasks")
        success = dict(old["success"]) if same else {}
        families = [f for f in arguments.families or suite.families if not (arguments.missing and f in success)]
        if where == HOME:
            played = at_home(families, arguments.tasks, arguments.peers)
        else:
            jobs = sampled(families, arguments.tasks)
            played = here(suite, who, where, jobs, arguments.lanes, arguments.peers) if jobs else iter(())
        with progress(name) as told:
            for done, (family, solved, tasks) in enumerate(played, 1):
                success[family] = round(solved / tasks, 4)
                columns[name] = {
                    "machine": describe(),
                    "suite": suite.name,
                    "tasks_per_family": arguments.tasks,
                    "success": dict(sorted(success.items())),
                }
                save(out, columns)
                told(done, len(families))
    show({name: columns[name] for name in chosen if name in columns}, suite.families)
    print(f"written {out}")


if __name__ == "__main__":
    main()
