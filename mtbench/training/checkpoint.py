"""The run folder and its checkpoints: who may write, what may be resumed, what is still intact."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import files
from ..errors import MtbenchError, UsageError, why

SCHEMA = 1
"""Version of the run folder's layout; raised when an older program could misread a newer folder."""
KEPT = 3
"""Checkpoints kept: a damaged newest one leaves two."""
MAY_DIFFER = ("versions", "machine", "created", "command")
"""Keys of `run.json` that may change between a run and its continuation."""


def read_run(run_dir: str | Path) -> dict[str, Any]:
    """The contents of a run's `run.json`.

    Raises:
      UsageError: the folder holds no run, or one of another schema.
      MtbenchError: the file is damaged.
    """
    path = Path(run_dir) / "run.json"
    try:
        run = json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"{run_dir} holds no run: cannot read run.json ({why(error)})") from None
    except ValueError as error:
        raise MtbenchError(f"{path} is damaged: {why(error)}: restore it, or train in another folder") from None
    if not isinstance(run, dict) or not {"schema", "algorithm", "config", "reporting"} <= run.keys():
        raise MtbenchError(f"{path} was not written by a training of mtbench: restore it, or train in another folder")
    if run["schema"] != SCHEMA:
        raise UsageError(f"{path}: schema is {run['schema']} there and {SCHEMA} in this version of mtbench")
    return run


def create_run(folder: Path, run: Mapping[str, Any], more: Mapping[str, str], *, force: bool) -> None:
    """Begins a run in a folder that is new, empty or, with `force`, holds a run to be replaced.

    Args:
      folder: an existing folder.
      run: the contents of `run.json`.
      more: name to text of further files.
      force: whether to replace a run.

    Raises:
      UsageError: the folder holds something else, or cannot be written.
    """
    if not all(files.is_partial(path) for path in folder.iterdir()):
        try:
            old = read_run(folder)
        except MtbenchError as error:
            raise UsageError(f"{folder} is not empty and will not be replaced: {error}") from None
        if not force:
            raise UsageError(f"{folder} holds a run of {old['algorithm']}: --resume continues it, --force replaces it")
    try:
        # run.json goes last and comes first: a replacement cut short leaves a folder that is still known as a run.
        for path in sorted(folder.iterdir(), key=lambda path: path.name == "run.json"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for name, text in {"run.json": json.dumps(run, indent=2) + "\n", **more}.items():
            files.write(folder / name, text)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {why(error)}") from None


@contextmanager
def hold(folder: Path, *, create: bool) -> Iterator[None]:
    """Keeps other trainings out of a folder; makes it first with `create`.

    Raises:
      UsageError: there is no such folder, it cannot be made, or another process trains in it.
    """
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"cannot {'write to' if create else 'resume'} {folder}: {why(error)}") from None
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UsageError(f"another process trains in {folder}: stop it or choose another folder") from None
    except (ImportError, OSError):
        pass  # a system or a disk without locks: trust the user
    try:
        yield
    finally:
        os.close(handle)


def differences(old: Any, new: Any, name: str) -> Iterator[str]:
    """Each leaf that differs between two JSON values, e.g. `config.lanes is 64 there and 128 here`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old | new:
            yield from differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield f"{name} is {str(old)[:80]} there and {str(new)[:80]} here"


def check_same(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuses to go on with another suite, algorithm or configuration than the folder's.

    Raises:
      UsageError: names the first key that differs with both values, and how many more differ.
    """
    old, new = ({k: v for k, v in run.items() if k not in MAY_DIFFER} for run in (old, new))
    if found := list(differences(old, new, "")):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UsageError(f"{folder} is another training: {found[0]}{more}")


# ------------------------------------------------------------------------------------------ checkpoints


class DamagedCheckpoint(MtbenchError):
    """A checkpoint that cannot be read back as it was written."""


def is_key(leaf: Any) -> bool:
    """Whether an array holds typed random keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _named(tree: Any) -> dict[str, Any]:
    """The leaves by their path, e.g. `params['dense']['kernel']`."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path).lstrip(".") or "state": leaf for path, leaf in leaves}


def _checksum(path: Path) -> int:
    with path.open("rb") as file:
        return reduce(lambda total, block: zlib.crc32(block, total), iter(lambda: file.read(1 << 24), b""), 0)


def _seal(record: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())


@contextmanager
def _orbax() -> Iterator[Any]:
    """A reader and writer of arrays. Orbax tells in many lines, some of them from threads, what our errors say in one:
    it is silenced."""
    import orbax.checkpoint as ocp

    logger, hook = logging.getLogger("absl"), sys.unraisablehook
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    sys.unraisablehook = lambda *_: None
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            yield checkpointer
    except Exception:
        time.sleep(0.5)  # the threads of a failed save complain after it
        raise
    finally:
        logger.setLevel(level)
        sys.unraisablehook = hook


class Checkpoints:
    """The checkpoints of a run, a folder for each step: `state/`, which Orbax writes, and `seal.json`.

    The seal holds the progress and a checksum of every file, since Orbax notices files that are cut short but not
    every flipped bit. It is written last: a folder without it was never finished, and does not count.
    """

    def __init__(self, run_dir: Path):
        """Those of a run; nothing is read or written yet."""
        self.folder = run_dir / "checkpoints"

    @property
    def steps(self) -> list[int]:
        """The steps saved, newest first."""
        return sorted((int(path.parent.name) for path in self.folder.glob("[0-9]*/seal.json")), reverse=True)

    def save(
        self, step: int, state: Any, progress: Mapping[str, Any], export: Callable[[Path], None] = lambda folder: None
    ) -> None:
        """Writes a checkpoint, and once it is whole removes what is too old.

        Args:
          step: its name.
          state: a pytree of arrays.
          progress: JSON that `verify` gives back.
          export: writes to the checkpoint's folder what else it is to hold.

        Raises:
          MtbenchError: it could not be written; names the last good one, which stays valid.
        """
        named = {name: jax.random.key_data(x) if is_key(x) else x for name, x in _named(state).items()}
        arrays = {name: np.asarray(x) for name, x in named.items() if x.size}  # Orbax refuses empty arrays
        folder = self.folder / str(step)
        good = f"--resume goes on from step {self.steps[0]}, which is intact" if self.steps else "none is saved yet"
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            with _orbax() as orbax:
                orbax.save((folder / "state").absolute(), arrays)
            export(folder)
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            record = {"progress": progress, "files": {p.relative_to(folder).as_posix(): _checksum(p) for p in paths}}
            files.write(folder / "seal.json", json.dumps({**record, "seal": _seal(record)}))
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise MtbenchError(f"cannot save checkpoint {folder}: {why(error)}; {good}") from error
        kept = {str(step) for step in self.steps[:KEPT]}
        for other in self.folder.glob("[0-9]*"):
            if other.name not in kept:  # too old, or left unfinished by a killed process
                shutil.rmtree(other)

    def verify(self, step: int) -> dict[str, Any]:
        """The progress saved at one of `steps`.

        Raises:
          DamagedCheckpoint: files are missing, cut short or changed; names the first.
        """
        folder, name = self.folder / str(step), "seal.json"
        try:
            record = json.loads((folder / name).read_text())
            intact = record.pop("seal") == _seal(record)
            for name, checksum in record["files"].items() if intact else ():
                if not (intact := _checksum(folder / name) == checksum):
                    break
        except (ValueError, AttributeError, KeyError):
            intact = False
        except OSError as error:
            raise DamagedCheckpoint(f"checkpoint {folder} is damaged: {name}: {why(error)}") from error
        if not intact:
            raise DamagedCheckpoint(f"checkpoint {folder} is damaged: {name} has been changed or cut short")
        return record["progress"]

    def newest(self) -> tuple[int, dict[str, Any], dict[int, DamagedCheckpoint]]:
        """The newest intact checkpoint's step and progress, and what is wrong with newer ones.

        Raises:
          MtbenchError: there is none.
        """
        damaged: dict[int, DamagedCheckpoint] = {}
        for step in self.steps:
            try:
                return step, self.verify(step), damaged
            except DamagedCheckpoint as error:
                damaged[step] = error
        if damaged:
            first = next(iter(damaged.values()))
            raise MtbenchError(f"{first}; no other in {self.folder} is intact: train again with --force")
        raise MtbenchError(f"{self.folder.parent} has no checkpoint: train again with --force")

    def choose(self, step: int | None) -> int:
        """A step to evaluate: the one asked for, or the newest.

        A damaged newest checkpoint is an error here, unlike on resuming: no older policy is scored in its name.

        Raises:
          UsageError: no such step.
          MtbenchError: the checkpoint is damaged, or there is none; names the newest intact one.
        """
        if step is None:
            step, _, damaged = self.newest()
            if damaged:
                first = next(iter(damaged.values()))
                raise MtbenchError(f"{first}; step {step} is intact: ask for that step, or resume the training")
        elif step not in self.steps:
            raise UsageError(f"{self.folder.parent} has no checkpoint of step {step}, but of {self.steps}")
        else:
            self.verify(step)
        return step

    def restore(self, step: int, template: Any) -> Any:
        """The state saved at an intact step.

        Args:
          step: one of `steps`.
          template: a pytree of `jax.ShapeDtypeStruct` like the state.

        Raises:
          MtbenchError: it is of a state with other arrays.
        """
        folder = self.folder / str(step)
        with _orbax() as orbax:
            restored = orbax.restore((folder / "state").absolute())
        leaves = [_fit(folder, name, like, restored.get(name)) for name, like in _named(template).items()]
        return jax.tree.unflatten(jax.tree.structure(template), leaves)

    def set_aside(self, step: int) -> str:
        """Moves a damaged checkpoint out of the way, so that its step can be saved again; the new name."""
        aside = self.folder / f"damaged-{step}"
        shutil.rmtree(aside, ignore_errors=True)
        (self.folder / str(step)).rename(aside)
        return aside.name


def _fit(folder: Path, name: str, like: Any, saved: Any) -> jax.Array:
    """The saved array for one leaf of the state, checked for shape and type."""
    raw = jax.eval_shape(jax.random.key_data, like) if is_key(like) else like
    array = np.zeros(raw.shape, raw.dtype) if saved is None and raw.size == 0 else saved
    if array is None or (array.shape, array.dtype) != (raw.shape, raw.dtype):
        there = "absent" if array is None else f"{array.dtype}{list(array.shape)}"
        what = f"{name} is {there} there and {raw.dtype}{list(raw.shape)} here"
        raise MtbenchError(f"checkpoint {folder} does not fit this algorithm and environment: {what}")
    leaf = jnp.array(array)  # a copy: memory that NumPy owns must not be donated
    return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(jnp.empty(0, like.dtype))) if is_key(like) else leaf
