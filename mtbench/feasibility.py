"""Can the tasks of a family be done at all? What a family's author wants to know before anybody trains on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import mujoco
import numpy as np

from . import registry
from .errors import UsageError
from .evaluate import play_jobs
from .render import task_model
from .suite import Suite, reset_key
from .task import Family, TaskId

SEEDS = 4_000_000
"""Where the seeds of the tasks that are tried begin: outside every suite."""
DEEPEST = 0.004
"""Metres by which two bodies may overlap as an episode begins; more throws them apart."""


@dataclass(frozen=True)
class Feasibility:
    """What trying some tasks of a family showed."""

    tasks: int
    faults: dict[str, str]
    """Task id to what is wrong with how it begins."""
    solved: int | None
    """Tasks that the family's expert solves; `None` where it has none."""

    @property
    def possible(self) -> bool | None:
        """Whether tasks begin soundly and an expert solves most; `None` where no expert could show it."""
        if self.faults:
            return False
        return None if self.solved is None else self.solved > self.tasks / 2


def check(family: Family, *, tasks: int = 16, on_progress: Callable[[int, int], None] | None = None) -> Feasibility:
    """Begins some tasks of a family and lets its expert play them.

    Args:
      family: one that the registry knows.
      tasks: how many.
      on_progress: called with (episodes played, episodes in all).

    Raises:
      UsageError: no task can be drawn: the family accepts no combination of its factors.
    """
    seeds = range(SEEDS, SEEDS + tasks)
    accepted = [bool(family.accepts(family.sample(seed))) for seed in seeds]
    if not any(accepted):
        raise UsageError(f"{family.name}: no draw of its factors is accepted: widen their ranges")
    ids = [TaskId(family.name, family.version, seed) for seed, kept in zip(seeds, accepted, strict=True) if kept]
    horizon = registry.arena(family.arena).horizon
    suite = Suite("feasibility", 1, "", (family.name,), horizon, True, {"train": {family.name: ()}})
    (env,) = (envs := suite.envs("mujoco")).values()
    rows = suite.rows(ids)
    params = np.asarray(env.params_of(rows))
    keys = jax.vmap(jax.random.key)(np.array([reset_key(task_id, 0) for task_id in ids], np.uint32))
    states, timesteps = jax.jit(jax.vmap(env.begin))(keys, rows, params)
    faults = {}
    for index, task_id in enumerate(ids):
        row = jax.tree.map(lambda leaf, index=index: np.asarray(leaf)[index], rows)
        if timesteps.progress[index] == 1.0:
            faults[str(task_id)] = "is solved before anything is done"
        elif told := _overlap(task_model(env, row, params[index]), np.asarray(states.physics.qpos[index])):
            faults[str(task_id)] = told
    if family.expert is None:
        return Feasibility(len(ids), faults, None)
    jobs = [(task_id, 0) for task_id in ids]
    table = play_jobs(envs, suite, suite.expert(), jobs, name="expert", split="train", on_progress=on_progress)
    return Feasibility(len(ids), faults, int(table["success"].sum()))


def _overlap(model: mujoco.MjModel, qpos: np.ndarray) -> str:
    """Which bodies overlap at a configuration, and how deeply; empty if none does."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    deepest = min(range(data.ncon), key=lambda i: data.contact.dist[i], default=None)
    if deepest is None or data.contact.dist[deepest] > -DEEPEST:
        return ""
    names = " and ".join(model.geom(int(geom)).name for geom in data.contact.geom[deepest])
    return f"begins with {names} {-1000 * data.contact.dist[deepest]:.0f} mm inside each other"
