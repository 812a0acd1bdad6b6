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

import jax
import pytest

from mtbench import render

# MuJoCo reads its choice of OpenGL when it is imported.
render.choose_gl()


@pytest.fixture(scope="module", autouse=True)
def programs_of_one_file() -> Iterator[None]:
    """A file's compiled programs go with it: Linux gives a process 65,530 memory maps, and past them XLA crashes."""
    yield
    jax.clear_caches()
    gc.collect()
