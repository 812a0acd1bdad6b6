"""How fast an environment steps on this machine."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .suite import Suite

CHUNK = 50
"""Steps per timed call."""


def measure(
    suite: Suite, backend: str, lanes: int, seconds: float = 10.0, ready: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """Whole environment steps per second: physics, sensors, observation, reward, auto-reset with new tasks.

    Args:
      suite: its families are mixed over the lanes; actions are uniform.
      backend: physics.
      lanes: environments stepped at once.
      seconds: least time to measure, after compilation and one warm-up call.
      ready: called when all is compiled, before anything is timed.

    Returns:
      Figures by name; memory is the process's peak, and an accelerator's (0 without one), in MB.
    """
    env = suite.vector_env(lanes, "train", backend)
    begin = time.perf_counter()
    reset = jax.jit(env.reset).lower(jax.random.key(0)).compile()
    reset_seconds = time.perf_counter() - begin
    state, _ = reset(jax.random.key(0))

    def chunk(state, key):
        def step(state, key):
            action = jax.random.uniform(key, (lanes, env.action_size), minval=-1.0, maxval=1.0)
            state, timestep = env.step(state, action)
            return state, (timestep.reward.mean(), timestep.diverged.sum())

        state, (reward, diverged) = jax.lax.scan(step, state, jax.random.split(key, CHUNK))
        return state, reward.mean(), diverged.sum()

    begin = time.perf_counter()
    compiled = jax.jit(chunk, donate_argnums=0).lower(state, jax.random.key(0)).compile()
    compile_seconds = time.perf_counter() - begin
    ready()
    state, _, _ = compiled(state, jax.random.key(1))
    jax.block_until_ready(state)
    rates, diverged, begin, calls = [], 0, time.perf_counter(), 0
    while time.perf_counter() - begin < seconds or calls < 3:
        start = time.perf_counter()
        state, reward, broken = compiled(state, jax.random.key(2 + calls))
        jax.block_until_ready(reward)
        rates.append(lanes * CHUNK / (time.perf_counter() - start))
        diverged += int(broken)
        calls += 1
    # Linux counts in kilobytes, macOS in bytes.
    unit = 1024.0 if sys.platform.startswith("linux") else 1024.0**2
    nbytes = [
        (jax.tree_util.keystr(path), _raw(leaf).nbytes) for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    ]
    table_bytes = sum(size for path, size in nbytes if ".table" in path)
    arenas = {one.arena.name: one.arena for one in env.envs}
    return {
        "suite": suite.name,
        "backend": backend,
        "lanes": lanes,
        "env_steps_per_second": float(jnp.median(jnp.array(rates))),
        "slowest": min(rates),
        "fastest": max(rates),
        "compile_seconds": compile_seconds,
        "reset_compile_seconds": reset_seconds,
        "substeps": {name: arena.substeps for name, arena in arenas.items()},
        "control_seconds": {name: arena.timestep for name, arena in arenas.items()},
        "bytes_per_lane": (sum(size for _, size in nbytes) - table_bytes) // lanes,
        "task_table_bytes": table_bytes,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        "device_peak_memory_mb": (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 1024.0**2,
        "diverged": diverged,
        "device": jax.devices()[0].device_kind,
    }


def _raw(leaf: jax.Array) -> jax.Array:
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
