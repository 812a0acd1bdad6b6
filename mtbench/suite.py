"""Suites: frozen lists of tasks with splits, digests and certificates of solvability."""

from __future__ import annotations

import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import MtbenchError, UsageError, unknown_name

if TYPE_CHECKING:
    from .env import Env
    from .task import Task, TaskId
    from .vector import VectorEnv


@dataclass(frozen=True)
class Suite:
    """A frozen list of tasks."""

    name: str
    version: int
    description: str
    families: tuple[str, ...]
    horizon: int
    """Control steps of an episode."""
    show_goal: bool
    """Whether observations hold the goal (multi-task) or not (meta-RL)."""
    splits: Mapping[str, Mapping[str, tuple[int, ...]]]
    """Split to family to task seeds."""
    certificates: Mapping[str, Mapping[str, tuple[int, ...]]]
    """As `splits`: for each task the episode number in which the family's expert succeeds; empty without an expert."""
    digests: Mapping[str, str]
    """Fingerprint of the rows of each split."""
    path: str = field(default="", compare=False)

    @property
    def digest(self) -> str:
        """One fingerprint of all splits."""
        import hashlib

        text = ";".join(f"{split}={self.digests[split]}" for split in sorted(self.digests))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def arena(self) -> str:
        """The arena of all its families."""
        from . import registry

        arenas = {registry.family(name).arena for name in self.families}
        if len(arenas) > 1:
            raise MtbenchError(f"suite {self.name} mixes the arenas {sorted(arenas)}: a suite has one")
        return arenas.pop()

    def task_ids(self, split: str) -> list[TaskId]:
        """Ids of a split's tasks, families interleaved.

        Raises:
          UsageError: the suite has no such split; names the nearest.
        """
        from . import registry
        from .task import TaskId

        if split not in self.splits:
            raise unknown_name(f"split of {self.name}", split, self.splits)
        ids = [
            (index, position, TaskId(name, registry.family(name).version, seed))
            for position, name in enumerate(self.families)
            for index, seed in enumerate(self.splits[split][name])
        ]
        return [task_id for _, _, task_id in sorted(ids)]

    def tasks(self, split: str) -> Task:
        """Rows of a split [task, …], in the order of `task_ids`."""
        return rows(self.task_ids(split), self.families)

    def env(self, split: str = "train", backend: str | None = None) -> Env:
        """The one-lane environment; its model holds the slots that all splits use, so splits share a program."""
        from . import registry
        from .env import make_env

        self.task_ids(split)
        return make_env(
            registry.arena(self.arena),
            _representatives(self),
            horizon=self.horizon,
            num_families=len(self.families),
            backend=backend,
            show_goal=self.show_goal,
        )

    def vector_env(self, num_lanes: int, split: str = "train", backend: str | None = None, **more: Any) -> VectorEnv:
        """Many lanes with auto-reset. `more` goes to `VectorEnv`."""
        from .vector import VectorEnv

        return VectorEnv(self.env(split, backend), self.tasks(split), num_lanes, self.families, **more)

    def expert(self) -> Any:
        """The scripted experts of its families as one policy.

        Raises:
          UsageError: a family has none.
        """
        from . import registry

        scripts = [registry.family(name).expert for name in self.families]
        missing = [name for name, script in zip(self.families, scripts, strict=True) if script is None]
        if missing:
            raise UsageError(f"no scripted expert for {', '.join(missing)}: train a policy instead")
        return registry.arena(self.arena).expert(scripts)

    def verify(self) -> None:
        """Checks that the rows are what the suite froze.

        Raises:
          MtbenchError: a split's rows have another digest: a family has changed without a new version.
        """
        from .task import digest

        for split, expected in self.digests.items():
            found = digest(self.tasks(split))
            if found != expected:
                raise MtbenchError(
                    f"suite {self.name}, split {split}: rows have digest {found}, the file says {expected}; "
                    "scores would not be comparable (a changed family needs a new version and a new suite)"
                )


def make(suite: str, *, num_lanes: int = 512, split: str = "train", backend: str | None = None) -> VectorEnv:
    """A vector environment of a suite: the shortest way in.

    Args:
      suite: a name, e.g. `"STARTER"` or `"MT1/reach"`.
      num_lanes: environments stepped at once.
      split: which tasks, e.g. `"train"` or `"iid"`.
      backend: `"mujoco"`, `"mjx"`, or `None` for the best on this machine.
    """
    return load(suite).vector_env(num_lanes, split, backend)


@cache
def catalogue() -> dict[str, Path]:
    """Suite files by suite name, from the packages that entry points of the group `mtbench.suites` name."""
    found = {}
    for point in entry_points(group="mtbench.suites"):
        for item in files(point.value).iterdir():
            if item.name.endswith(".toml"):
                found[item.name.removesuffix(".toml").replace("--", "/")] = Path(str(item))
    return found


def file_name(suite: str) -> str:
    """The file of a suite's name: `MT1/reach` lies in `MT1--reach.toml`."""
    return suite.replace("/", "--") + ".toml"


def load(name: str) -> Suite:
    """A suite by name.

    Raises:
      UsageError: no such suite; names the nearest.
      MtbenchError: its file is damaged; names the entry.
    """
    known = catalogue()
    if name not in known:
        raise unknown_name("suite", name, known, "mtbench tasks lists them")
    return read(known[name])


def read(path: Path) -> Suite:
    """Reads a suite's file and checks its structure.

    Raises:
      MtbenchError: names the entry that is wrong and what was expected.
    """
    try:
        data = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise MtbenchError(f"suite file {path.name}: {error}") from error
    missing = {"name", "version", "description", "families", "horizon", "show_goal", "splits", "digests"} - set(data)
    if missing:
        raise MtbenchError(f"suite file {path.name}: lacks {', '.join(sorted(missing))}")
    families = tuple(data["families"])
    if len(set(families)) != len(families):
        raise MtbenchError(f"suite file {path.name}: a family is named twice")
    splits = {split: {f: tuple(seeds) for f, seeds in table.items()} for split, table in data["splits"].items()}
    for split, table in splits.items():
        if set(table) != set(families):
            raise MtbenchError(f"suite file {path.name}: split {split} must list the families {', '.join(families)}")
    for family in families:
        seen: dict[int, str] = {}
        for split, table in splits.items():
            for seed in table[family]:
                if seed in seen:
                    raise MtbenchError(f"suite file {path.name}: {family}/{seed} is in {seen[seed]} and in {split}")
                seen[seed] = split
    certificates = {
        split: {f: tuple(e) for f, e in table.items()} for split, table in data.get("certificates", {}).items()
    }
    for split, table in certificates.items():
        for family, episodes in table.items():
            if len(episodes) != len(splits[split][family]):
                raise MtbenchError(f"suite file {path.name}: certificates of {split}/{family} do not match its tasks")
    return Suite(
        data["name"],
        data["version"],
        data["description"],
        families,
        data["horizon"],
        data["show_goal"],
        splits,
        certificates,
        data["digests"],
        str(path),
    )


def rows(ids: list[TaskId], families: tuple[str, ...]) -> Task:
    """Rows of task ids [task, …]; `families` gives each its index."""
    import jax
    import numpy as np

    from . import registry

    tables, order = [], []
    for position, name in enumerate(families):
        places = [i for i, task_id in enumerate(ids) if task_id.family == name]
        if places:
            seeds = np.array([ids[i].seed for i in places], np.int32)
            table = _sampler(registry.family(name))(seeds)
            table = jax.tree.map(np.asarray, table)
            tables.append(table.replace(family=np.full(len(places), position, np.int32)))
            order += places
    inverse = np.argsort(np.array(order))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[inverse], *tables)


@cache
def _sampler(family: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def sample(seeds):
        table = jax.vmap(family.task)(seeds)
        return table.replace(family=jnp.zeros(seeds.shape, jnp.int32))

    # On the CPU always: the same digits on every machine.
    return jax.jit(sample, device=jax.devices("cpu")[0])


def _representatives(suite: Suite) -> Task:
    """One row per family: enough to know which slots a suite uses."""
    from . import registry
    from .task import TaskId

    ids = [TaskId(name, registry.family(name).version, 0) for name in suite.families]
    return rows(ids, suite.families)


def reset_key(task_id: TaskId, episode: int) -> int:
    """Seed of an evaluation's initial state: the same for every policy, whatever else is evaluated."""
    return zlib.crc32(f"{task_id}#{episode}".encode())
