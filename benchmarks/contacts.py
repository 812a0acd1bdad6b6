"""What MJX's pruning of contacts changes: experts' success, and single control steps along their trajectories.

    python benchmarks/contacts.py                              (all families of MT50)
    python benchmarks/contacts.py --families hammer assembly

MJX keeps the nearest pairs of geoms and the nearest contacts of each friction dimension, as many as the model's
numerics `max_geom_pairs` and `max_contact_points` say. Our experts play each task twice, with these caps and without.
From every state of the second run one control step is taken both ways; kept are the largest differences of the
velocities after it, in metres per second (hand, fingers, free object, slides) and radians per second (free object,
hinge). Equal contacts give round-off, some 1e-4.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from experts import Jobs, sampled, starts
from machine import describe
from rich.console import Console
from rich.table import Table

import mtbench.suite as suites
from mtbench import files, physics
from mtbench.cli.common import progress, start_jax
from mtbench.env import Env

RESULTS = Path(__file__).parent / "results" / "contacts.json"
_CAPS = ("max_geom_pairs", "max_contact_points")


def uncapped(env: Env) -> Env:
    """The same environment with all contacts kept."""
    arena = env.arena
    model = copy.copy(arena.model)
    for cap in _CAPS:
        model.numeric(cap).data[:] = -1
    return replace(env, physics=physics.make(model, "mjx", substeps=arena.substeps, edits=arena.edits))


def angular(model: mujoco.MjModel) -> np.ndarray:
    """Which velocities [nv] are radians per second."""
    kind = model.jnt_type[model.dof_jntid]
    turns = (kind == mujoco.mjtJoint.mjJNT_FREE) & (np.arange(model.nv) - model.jnt_dofadr[model.dof_jntid] >= 3)
    return turns | (kind == mujoco.mjtJoint.mjJNT_HINGE)


def compare(suite: suites.Suite, jobs: Jobs, lanes: int) -> Iterator[dict[str, Any]]:
    """Plays jobs, `lanes` at once; yields one row per task."""
    capped = suite.envs("mjx")["tabletop"]
    free, expert, turns = uncapped(capped), suite.expert().scripts["tabletop"], angular(capped.arena.model)

    def action(timestep):
        return expert.act(None, (), timestep)[1]

    @jax.jit
    @jax.vmap
    def advance(with_cap, without):
        (state, timestep), (free_state, free_timestep) = with_cap, without
        ctrl, _ = free.arena.control(free_state.task, free_state.carry, action(free_timestep))
        after, _ = capped.physics.step(free_state.params, free_state.physics, ctrl)
        with_cap = capped.step(state, action(timestep))
        without = free.step(free_state, action(free_timestep))
        difference = jnp.abs(without[0].physics.qvel - after.qvel)
        linear, turning = (jnp.max(jnp.where(mask, difference, 0.0)) for mask in (~turns, turns))
        return with_cap, without, jnp.stack([linear, turning])

    reset = jax.jit(jax.vmap(capped.reset)), jax.jit(jax.vmap(free.reset))
    lanes = min(lanes, len(jobs))
    for start in range(0, len(jobs), lanes):
        chunk = jobs[start : start + lanes]
        # The last chunk is filled up with repeats, so that all share one program.
        keys, rows = starts(suite, chunk + chunk[-1:] * (lanes - len(chunk)))
        with_cap, without = (begin(keys, rows) for begin in reset)
        largest = np.zeros((lanes, 2))
        for _ in range(suite.horizon):
            playing = ~np.asarray(without[1].success_any)
            with_cap, without, difference = advance(with_cap, without)
            # What happens after success is no part of the trajectory.
            largest = np.maximum(largest, np.where(playing[:, None], np.asarray(difference), 0.0))
            solved = [np.asarray(timestep.success_any) for _, timestep in (with_cap, without)]
            if all(s.all() for s in solved):
                break
        for lane, (task_id, _) in enumerate(chunk):
            yield {
                "family": task_id.family,
                "capped": bool(solved[0][lane]),
                "all": bool(solved[1][lane]),
                "metres_per_second": float(largest[lane, 0]),
                "radians_per_second": float(largest[lane, 1]),
            }


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Success and largest differences per family."""
    out = {}
    for family in sorted({row["family"] for row in rows}):
        own = [row for row in rows if row["family"] == family]
        out[family] = {
            "success_capped": round(float(np.mean([row["capped"] for row in own])), 4),
            "success_all_contacts": round(float(np.mean([row["all"] for row in own])), 4),
            "metres_per_second": float(f"{max(row['metres_per_second'] for row in own):.2g}"),
            "radians_per_second": float(f"{max(row['radians_per_second'] for row in own):.2g}"),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="MT50", help="whose families and slots")
    parser.add_argument("--families", nargs="*", help="only these of its families; the file holds no others then")
    parser.add_argument("--tasks", type=int, default=4, help="tasks per family")
    parser.add_argument("--lanes", type=int, default=40, help="tasks played at once")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    start_jax()
    suite = suites.load(arguments.suite)
    jobs = sampled(arguments.families or list(suite.families), arguments.tasks)
    model = suite.envs("mjx")["tabletop"].arena.model
    rows: list[dict[str, Any]] = []
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with progress("contacts") as told:
        for row in compare(suite, jobs, arguments.lanes):
            rows.append(row)
            # Only whole families: a part would look like a result.
            whole = rows[: len(rows) - len(rows) % arguments.tasks]
            result = {
                "machine": describe(),
                "suite": suite.name,
                "caps": {cap: int(model.numeric(cap).data[0]) for cap in _CAPS},
                "tasks_per_family": arguments.tasks,
                "families": summary(whole),
            }
            files.write(arguments.out, json.dumps(result, indent=2) + "\n")
            told(len(rows), len(jobs))
    table = Table("family", "success, capped", "success, all contacts", "m/s", "rad/s")
    for family, figures in summary(rows).items():
        table.add_row(family, *[f"{value:.3g}" for value in figures.values()])
    Console().print(table)
    print(f"written {arguments.out}")


if __name__ == "__main__":
    main()
