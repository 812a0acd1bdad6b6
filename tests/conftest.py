"""Four virtual devices and kept compilations for all tests."""

from __future__ import annotations

import os

# Before JAX is imported. Sharding is tested on virtual devices, everything else uses the first one. Programs are
# compiled for one short run each: without LLVM's optimisations that takes a quarter less time.
os.environ["XLA_FLAGS"] = " ".join(
    ["--xla_force_host_platform_device_count=4", "--xla_backend_optimization_level=0", os.environ.get("XLA_FLAGS", "")]
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import gc
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from mtbench import render

# MuJoCo reads its choice of OpenGL when it is imported.
render.choose_gl()


MAPS = Path("/proc/self/maps")
"""Where Linux lists a process's memory maps, of which it gives it 65,530 at most: past them XLA crashes."""
ENOUGH = 30_000


@pytest.fixture(scope="module", autouse=True)
def programs_come_and_go() -> Iterator[None]:
    """Compiled programs take several maps each, and are dropped between files once there are many."""
    yield
    if MAPS.exists() and MAPS.read_text().count("\n") > ENOUGH:
        jax.clear_caches()
        gc.collect()
