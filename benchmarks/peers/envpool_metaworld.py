"""Environment steps per second of envpool's C++ Meta-World tasks, in the configuration that suits it best.

    .venv-peers/bin/python benchmarks/peers/envpool_metaworld.py --seconds 10 --num-envs 16 64 128

A pool of envpool holds one task only. So the five tasks (reach, push, pick-place, drawer-open and
button-press-topdown) are stepped in three ways, each with every count of environments:

  sync   one task after the other, all environments in one pool; a step waits for every environment.
  async  one task after the other, all environments in one pool; a step waits for the first half to be ready.
  mixed  five pools side by side, the environments shared out among them; each is sent its actions as soon as
         it has answered, while the threads work on the other four. The nearest to one mixed batch.

When tasks are taken in turn, the combined rate is the harmonic mean: equally many steps of each task. Every
configuration runs in a fresh process, as mtbench measures itself: uniform actions drawn beforehand, resets
included, one warm-up chunk, and the median over chunks of 50 steps of every environment. One JSON line is
printed: the fastest configuration, and all of them under "configurations". envpool carries its own MuJoCo.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from metaworld_vector import CHUNK, MEGABYTE, in_fresh_process, peak_memory, versions

TASKS = {
    "reach": "MetaWorld/Reach-v3",
    "push": "MetaWorld/Push-v3",
    "pick-place": "MetaWorld/PickPlace-v3",
    "drawer-open": "MetaWorld/DrawerOpen-v3",
    "button-press-topdown": "MetaWorld/ButtonPressTopdown-v3",
}
MODES = ("sync", "async", "mixed")


class Pool:
    """A running pool of one task, with uniform actions at hand."""

    def __init__(self, task_id: str, num_envs: int, batch_size: int, threads: int, seed: int) -> None:
        """Builds the environments and has them reset; `answer` waits for the first of them."""
        import envpool
        import numpy as np

        self.pool = envpool.make_gymnasium(
            task_id,
            num_envs=num_envs,
            batch_size=batch_size,
            num_threads=threads,
            seed=seed,
            partially_observable=False,
        )
        shape = (CHUNK, batch_size, *self.pool.action_space.shape)
        self.actions = np.random.default_rng(seed).uniform(-1.0, 1.0, shape).astype(np.float32)
        self.turn = 0
        self.pool.async_reset()

    def answer(self) -> int:
        """Waits for one batch, sends it actions, and returns how many environments have stepped."""
        *_, info = self.pool.recv()
        ids = info["env_id"]
        self.pool.send(self.actions[self.turn % CHUNK, : len(ids)], ids)
        self.turn += 1
        return len(ids)


def rate(pools: list[Pool], num_envs: int, seconds: float) -> tuple[float, float]:
    """Median steps per second of all pools together over chunks, after a warm-up, and how long they took."""
    found: list[float] = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(found) < 3 + 1:
        start, steps = time.perf_counter(), 0
        while steps < CHUNK * num_envs:
            steps += sum(pool.answer() for pool in pools)
        found.append(steps / (time.perf_counter() - start))
        if len(found) == 1:
            begin = time.perf_counter()
    return statistics.median(found[1:]), time.perf_counter() - begin


def measure(mode: str, num_envs: int, threads: int, seconds: float, seed: int = 0) -> dict[str, Any]:
    """Steps the five tasks with uniform actions.

    Args:
      mode: one of MODES.
      num_envs: environments that exist at once; in "mixed", those of all tasks together.
      threads: of each pool.
      seconds: least time to measure, after the warm-up; shared by the tasks where they run in turn.
      seed: of goals and actions.

    Returns:
      Figures by name; rates count single environments' steps.
    """
    warnings.simplefilter("ignore")
    per_task: dict[str, float] = {}
    if mode == "mixed":
        sizes = [num_envs // len(TASKS) + (i < num_envs % len(TASKS)) for i in range(len(TASKS))]
        shares = dict(zip(TASKS, sizes, strict=True))
        pools = [Pool(TASKS[task], size, size, threads, seed) for task, size in shares.items()]
        combined, elapsed = rate(pools, num_envs, seconds)
        per_task = {task: combined * size / num_envs for task, size in shares.items()}
    else:
        elapsed = 0.0
        batch = num_envs if mode == "sync" else max(1, num_envs // 2)
        for task, task_id in TASKS.items():
            pool = Pool(task_id, num_envs, batch, threads, seed)
            per_task[task], took = rate([pool], num_envs, seconds / len(TASKS))
            elapsed += took
            del pool  # before the next one is built
        combined = statistics.harmonic_mean(per_task.values())
    return {
        "mode": mode,
        "num_envs": num_envs,
        "threads": threads,
        "env_steps_per_second": combined,
        "per_task": per_task,
        "seconds": elapsed,
        "peak_memory_mb": peak_memory() / MEGABYTE,
    }


def settings() -> dict[str, Any]:
    """Substeps per step and seconds per substep, as envpool's specification and its model files say."""
    warnings.simplefilter("ignore")
    import envpool

    configs = [envpool.make_spec(task_id).config for task_id in TASKS.values()]
    (substeps,) = {config.frame_skip for config in configs}
    scenes = Path(configs[0].base_path) / "mujoco" / "metaworld" / "assets" / "scene"
    options = [option for file in scenes.glob("*.xml") for option in ElementTree.parse(file).iter("option")]
    (timestep,) = {float(option.attrib["timestep"]) for option in options}
    return {"substeps": substeps, "timestep": timestep}


def main() -> None:
    """Prints one JSON line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("--num-envs", nargs="*", type=int, default=[16, 64, 128], help="at least 5 each")
    parser.add_argument("--modes", nargs="*", default=list(MODES), choices=MODES)
    parser.add_argument("--threads", type=int, default=cores, help="of a pool; the cores at hand by default")
    parser.add_argument("--seconds", type=float, default=10.0, help="least time to measure a configuration")
    arguments = parser.parse_args()
    if min(arguments.num_envs) < len(TASKS):
        parser.error(f"--num-envs: {min(arguments.num_envs)} is fewer than the {len(TASKS)} tasks")
    found = [
        in_fresh_process(measure, mode, num_envs, arguments.threads, arguments.seconds)
        for num_envs in arguments.num_envs
        for mode in arguments.modes
    ]
    best = max(found, key=lambda row: row["env_steps_per_second"])
    out = {"peer": "envpool-metaworld", **best, **in_fresh_process(settings)}
    out |= {"versions": versions("envpool", "gymnasium", "numpy"), "configurations": found}
    print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
