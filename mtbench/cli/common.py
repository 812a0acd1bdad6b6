"""What several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import tyro

from ..errors import UsageError

Arguments = TypeVar("Arguments")


def parse[Arguments](kind: Callable[..., Arguments], command: str, arguments: list[str]) -> Arguments:
    """Reads a command's arguments into its dataclass; help and errors come from its fields."""
    return tyro.cli(kind, prog=f"mtbench {command}", args=arguments)


def start_jax() -> None:
    """Keeps compiled programs between runs, and silences what users can do nothing about."""
    import logging

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import jax

    logging.getLogger("absl").setLevel(logging.ERROR)
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mtbench" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, told (done, total); plain silence where the output is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        job = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(job, completed=done, total=total)


def claim(path: Path, *, force: bool) -> Path:
    """Makes sure that writing `path` overwrites nothing unasked, and that its folder can be written.

    Raises:
      UsageError: it exists and `force` is not given, or its folder cannot be made or written.
    """
    if path.exists() and not force:
        raise UsageError(f"{path} exists: --force overwrites it, or choose another with --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.parent / f".{path.name}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"cannot write to {path.parent}: {error.strerror}") from error
    return path


def check_backend(name: str | None) -> None:
    """Refuses an unknown physics backend before anything is compiled."""
    from ..errors import unknown_name
    from ..physics import BACKENDS

    if name is not None and name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)


def versions() -> dict[str, Any]:
    """Versions that travel with every result."""
    from importlib.metadata import version

    names = ("mtbench-mjx", "jax", "jaxlib", "mujoco", "mujoco-mjx", "flax", "optax", "numpy")
    return {name: version(name) for name in names}
