"""Says on which machine, with which versions and by which command a result came about."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mtbench-mjx", "jax", "jaxlib", "mujoco", "mujoco-mjx", "numpy")


def describe(accelerators: bool | None = None) -> dict[str, Any]:
    """What a result file says about where it came from; neither the host's name nor its folders are in it.

    Args:
      accelerators: name JAX's devices, which starts JAX; by default, only where JAX has been imported.
    """
    out: dict[str, Any] = {
        "command": command(sys.orig_argv),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }
    if accelerators or (accelerators is None and "jax" in sys.modules):
        out["accelerators"] = _accelerators()
    return out


def command(argv: list[str]) -> str:
    """A command line as one would type it at the repository's root.

    Args:
      argv: the interpreter, its options, the script and the arguments.
    """
    return shlex.join(["python", *map(_portable, argv[1:])])


def _portable(argument: str) -> str:
    """A path is told from the repository's root on, or by its last part where it lies elsewhere."""
    flag, equals, value = argument.rpartition("=") if argument.startswith("-") else ("", "", argument)
    if os.sep not in value or any(c.isspace() for c in value):
        return argument
    path = Path(os.path.abspath(value))
    if not Path(value).is_absolute() and not path.exists():
        return argument  # the name of a suite, say
    return flag + equals + (str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _accelerators() -> list[str]:
    """Kinds of JAX's devices other than the CPU; none where JAX is not installed."""
    try:
        import jax
    except ImportError:
        return []
    return [device.device_kind for device in jax.devices() if device.platform != "cpu"]
