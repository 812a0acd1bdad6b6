"""Environment steps per second of envpool's C++ legged tasks, each in the configuration that suits it best.

    .venv-peers/bin/python benchmarks/peers/envpool_legged.py --seconds 10 --num-envs 16 64 128

Gymnasium's four tasks, the two of the DeepMind Control Suite and the two of MuJoCo Playground that are nearest to
mtbench's. A JSON line per task is printed: the fastest configuration, and all of them under "configurations".
A configuration is how many environments there are, how many of them a step waits for, and the threads. Each is
measured in a fresh process, as mtbench measures itself: uniform actions drawn beforehand, resets included, one
warm-up chunk, and the median over chunks of 50 steps of every environment. All are tried for a fifth of the
seconds, and the fastest is then measured for all of them. envpool carries its own MuJoCo.

Steps differ in what they hold, so each line says it: substeps, seconds per substep, and how often the dynamics are
evaluated per step, which RK4 does four times a substep.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import envpool_metaworld as metaworld
from metaworld_vector import CHUNK, MEGABYTE, in_fresh_process, peak_memory, versions

_GO1 = "playground/assets/mujoco_playground/_src/locomotion/go1/xmls/go1_mjx_feetonly.xml"
TASKS = {
    "Ant-v4": ("quadruped", "assets_gym/ant_envpool.xml"),
    "Walker2d-v4": ("walker", "assets_gym/walker2d_envpool.xml"),
    "HalfCheetah-v4": ("walker", "assets_gym/half_cheetah_envpool.xml"),
    "Humanoid-v4": ("humanoid", "assets_gym/humanoid_envpool.xml"),
    "WalkerRun-v1": ("walker", "assets_dmc/walker.xml"),
    "HumanoidWalk-v1": ("humanoid", "assets_dmc/humanoid.xml"),
    "Go1JoystickFlatTerrain-v1": ("quadruped", _GO1),
    "Go1JoystickRoughTerrain-v1": ("quadruped", _GO1),
}
"""Tasks: the arena of mtbench's whose robot is nearest, and the model file."""

EVALUATIONS = {"Euler": 1, "implicitfast": 1, "RK4": 4}
"""Of the dynamics, per substep."""


class Pool(metaworld.Pool):
    """A running pool of one legged task, with actions from the whole of its action space at hand."""

    def __init__(self, task_id: str, num_envs: int, batch_size: int, threads: int, seed: int) -> None:
        """Builds the environments and has them reset; `answer` waits for the first of them."""
        import envpool
        import numpy as np

        self.pool = envpool.make_gymnasium(
            task_id, num_envs=num_envs, batch_size=batch_size, num_threads=threads, seed=seed
        )
        space = self.pool.action_space
        shape = (CHUNK, batch_size, *space.shape)
        self.actions = np.random.default_rng(seed).uniform(space.low, space.high, shape).astype(space.dtype)
        self.turn = 0
        self.pool.async_reset()


def measure(
    task_id: str, num_envs: int, batch_size: int, threads: int, seconds: float, seed: int = 0
) -> dict[str, Any]:
    """Steps one task with uniform actions from the whole of its action space.

    Args:
      task_id: one of TASKS.
      num_envs: environments that exist at once.
      batch_size: of them, how many a step waits for.
      threads: that step them.
      seconds: least time to measure, after the warm-up.
      seed: of initial states and actions.

    Returns:
      Figures by name; rates count single environments' steps.
    """
    warnings.simplefilter("ignore")
    found, elapsed = metaworld.rate([Pool(task_id, num_envs, batch_size, threads, seed)], num_envs, seconds)
    return {
        "num_envs": num_envs,
        "batch_size": batch_size,
        "threads": threads,
        "env_steps_per_second": found,
        "seconds": elapsed,
        "peak_memory_mb": peak_memory() / MEGABYTE,
    }


def settings(task_id: str) -> dict[str, Any]:
    """What a step holds, as envpool's specification and the task's model file say."""
    warnings.simplefilter("ignore")
    import envpool

    arena, file = TASKS[task_id]
    spec = envpool.make_spec(task_id)
    config = spec.config
    options = [o.attrib for o in ElementTree.parse(Path(config.base_path) / "mujoco" / file).iter("option")]
    told = {key: value for option in options for key, value in option.items()}
    integrator = told.get("integrator", "Euler")
    if hasattr(config, "sim_dt"):
        timestep, substeps = config.sim_dt, round(config.ctrl_dt / config.sim_dt)
    else:
        timestep, substeps = float(told["timestep"]), config.frame_skip
    return {
        "arena": arena,
        "actions": spec.action_space.shape[0],
        "substeps": substeps,
        "timestep": timestep,
        "control_seconds": round(substeps * timestep, 9),
        "control_hz": round(1.0 / (substeps * timestep), 3),
        "integrator": integrator,
        "evaluations": substeps * EVALUATIONS[integrator],
    }


def main() -> None:
    """Prints a JSON line per task."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    cores = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()) or 1
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--arenas", nargs="*", help="only the tasks whose robots are nearest to these arenas'")
    parser.add_argument("--num-envs", nargs="*", type=int, default=[16, 64, 128])
    parser.add_argument("--threads", nargs="*", type=int, default=[cores, 2 * cores])
    parser.add_argument("--parts", nargs="*", type=int, default=[1, 2], help="a step waits for 1/part of all")
    parser.add_argument("--seconds", type=float, default=10.0, help="least time to measure the fastest configuration")
    arguments = parser.parse_args()
    for task_id in arguments.tasks:
        if arguments.arenas is not None and TASKS[task_id][0] not in arguments.arenas:
            continue
        found = [
            in_fresh_process(measure, task_id, num_envs, max(1, num_envs // part), threads, arguments.seconds / 5)
            for num_envs in arguments.num_envs
            for part in arguments.parts
            for threads in arguments.threads
        ]
        fastest = max(found, key=lambda row: row["env_steps_per_second"])
        chosen = [fastest[name] for name in ("num_envs", "batch_size", "threads")]
        best = in_fresh_process(measure, task_id, *chosen, arguments.seconds)
        out = {"peer": f"envpool {task_id}", **best, **in_fresh_process(settings, task_id)}
        out |= {"versions": versions("envpool", "gymnasium", "numpy"), "configurations": found}
        print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
