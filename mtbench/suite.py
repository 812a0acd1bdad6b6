"""Suites: frozen lists of tasks with splits, evaluation protocols, digests and certificates of solvability."""

from __future__ import annotations

import hashlib
import json
import tomllib
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import MtbenchError, UsageError, unknown_name

if TYPE_CHECKING:
    from .env import Env
    from .mixed import MixedVectorEnv
    from .policy import Expert
    from .task import Family, Task, TaskId
    from .vector import VectorEnv

FIRST_SEED = {"train": 0, "iid": 1_000_000, "family": 3_000_000}
"""Where the task seeds of each split begin. Benchmarks sample from 2,000,000 on, outside every suite."""
MOST_SEEDS = 1_000_000
"""Tasks of a family in a split, at most."""

_CHUNK = 64
_ENTRIES: dict[str, type] = {
    "name": str,
    "version": int,
    "description": str,
    "families": list,
    "horizon": int,
    "show_goal": bool,
    "uncertified": list,
    "digest": str,
    "digests": dict,
    "protocols": dict,
    "splits": dict,
}
_OPTIONAL: dict[str, type] = {"factors": dict, "certificates": dict, "horizons": dict}


@dataclass(frozen=True)
class EvaluationProtocol:
    """How the tasks of a suite are played for a score."""

    name: str
    splits: tuple[str, ...]
    """Splits to play; the headline is about the first that is not `train`."""
    tasks_per_family: int
    """The first so many tasks of each family."""
    episodes: int
    """Scored episodes per task, each with its own initial state."""
    adaptation_episodes: int
    """Episodes per task that a policy plays before them and remembers; they are not scored."""
    horizon: int | None = None
    """Control steps of an episode; by default those of the suite's arenas."""

    @property
    def episodes_per_task(self) -> int:
        """Length of the trial that is scored: the adaptation episodes and the scored one after them."""
        return self.adaptation_episodes + 1


@dataclass(frozen=True)
class Suite:
    """A frozen list of tasks."""

    name: str
    version: int
    description: str
    families: tuple[str, ...]
    """Training families first."""
    horizon: int
    """Control steps of an episode in training, unless `horizons` says otherwise."""
    show_goal: bool
    """Whether a policy is told its task, by the goal in the observation and the family in the context (multi-task),
    or finds zeros in both (meta-RL)."""
    splits: Mapping[str, Mapping[str, tuple[int, ...]]]
    """Split to family to task seeds. A split may leave families out; those of `family` are in no other."""
    certificates: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Family to task seed to the episode in which the expert succeeds, where that is not episode 0."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Fingerprint of the rows of each split; a draft has none."""
    protocols: Mapping[str, EvaluationProtocol] = field(default_factory=dict)
    factors: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    """Family to factor to the (low, high) that its tasks are drawn from, where that is not the whole range."""
    uncertified: tuple[str, ...] = ()
    """Families whose tasks no expert has solved."""
    horizons: Mapping[str, int] = field(default_factory=dict)
    """Control steps of an episode by arena, where they are not `horizon`."""
    path: str = field(default="", compare=False)

    @property
    def digest(self) -> str:
        """One fingerprint of all that a score depends on."""
        content = {
            "name": self.name,
            "version": self.version,
            "families": self.families,
            "horizon": self.horizon,
            "horizons": dict(self.horizons),
            "show_goal": self.show_goal,
            "splits": {split: {f: _ranges(seeds) for f, seeds in t.items()} for split, t in self.splits.items()},
            "factors": {f: {name: list(map(float, r)) for name, r in t.items()} for f, t in self.factors.items()},
            "protocols": {name: asdict(protocol) for name, protocol in self.protocols.items()},
            "digests": dict(self.digests),
        }
        return _fingerprint(content)

    @property
    def arenas(self) -> tuple[str, ...]:
        """The arenas of its families, each once, in the families' order."""
        return tuple(dict.fromkeys(self.family(name).arena for name in self.families))

    def horizon_of(self, arena: str) -> int:
        """Control steps of an episode in an arena, in training."""
        return self.horizons.get(arena, self.horizon)

    def family(self, name: str) -> Family:
        """One of its families, with the factors narrowed as the suite says."""
        return _family(name, self.factors)

    def protocol(self, name: str) -> EvaluationProtocol:
        """A protocol by name.

        Raises:
          UsageError: the suite has no such protocol; names the nearest.
        """
        if name not in self.protocols:
            raise unknown_name(f"protocol of {self.name}", name, self.protocols)
        return self.protocols[name]

    def task_ids(self, split: str) -> list[TaskId]:
        """Ids of a split's tasks, families interleaved.

        Raises:
          UsageError: the suite has no such split; names the nearest.
        """
        from .task import TaskId

        if split not in self.splits:
            raise unknown_name(f"split of {self.name}", split, self.splits)
        ids = [
            (index, position, TaskId(name, self.family(name).version, seed))
            for position, name in enumerate(self.families)
            for index, seed in enumerate(self.splits[split].get(name, ()))
        ]
        return [task_id for _, _, task_id in sorted(ids)]

    def arena_ids(self, split: str) -> dict[str, list[TaskId]]:
        """The ids of `task_ids` by arena; an arena without tasks in the split is left out."""
        found: dict[str, list[TaskId]] = {}
        for task_id in self.task_ids(split):
            found.setdefault(self.family(task_id.family).arena, []).append(task_id)
        return found

    def rows(self, ids: Sequence[TaskId]) -> Task:
        """Rows of task ids of one arena [task, …], in their order."""
        return rows(ids, self.families, self.factors)

    def tables(self, split: str) -> dict[str, Task]:
        """Rows of a split by arena [task, …], in the order of `arena_ids`.

        Raises:
          MtbenchError: they are not what the suite froze: a family has changed without a new version.
        """
        tables = {arena: self.rows(ids) for arena, ids in self.arena_ids(split).items()}
        if split in self.digests and (found := _digest(tables)) != self.digests[split]:
            raise MtbenchError(
                f"suite {self.name}, split {split}: rows have digest {found}, {self.path or 'the suite'} says "
                f"{self.digests[split]}: scores would not be comparable; install the version of mtbench that froze it, "
                "or freeze it anew under another name"
            )
        return tables

    def certificate(self, task_id: TaskId) -> int | None:
        """The episode in which the family's expert solves a task; `None` where no expert has."""
        if task_id.family in self.uncertified:
            return None
        return self.certificates.get(task_id.family, {}).get(task_id.seed, 0)

    def envs(self, backend: str | None = None) -> dict[str, Env]:
        """The one-lane environments by arena, padded to common sizes where there are several.

        A model holds the slots that all splits use, so splits share a program.
        """
        from . import registry
        from .env import Sizes, make_env
        from .task import TaskId

        envs = {}
        for index, arena in enumerate(self.arenas):
            # One row per family is enough to know which slots a suite uses.
            ids = [TaskId(f.name, f.version, 0) for f in map(self.family, self.families) if f.arena == arena]
            env = make_env(
                registry.arena(arena),
                self.rows(ids),
                horizon=self.horizon_of(arena),
                num_families=len(self.families),
                backend=backend,
                show_goal=self.show_goal,
            )
            envs[arena] = replace(env, arena_index=index)
        if len(envs) == 1:
            return envs
        lengths = [(e.observation_size, e.action_size, len(e.arena.quantities)) for e in envs.values()]
        sizes = Sizes(*map(max, zip(*lengths, strict=True)))
        return {arena: replace(env, sizes=sizes) for arena, env in envs.items()}

    def vector_env(
        self, num_lanes: int, split: str = "train", backend: str | None = None, **more: Any
    ) -> VectorEnv | MixedVectorEnv:
        """Many lanes with auto-reset. `more` goes to `VectorEnv`, or to that of each arena."""
        from .mixed import MixedVectorEnv
        from .vector import VectorEnv

        envs, tables = self.envs(backend), self.tables(split)
        if len(envs) == 1:
            ((env, table),) = zip(envs.values(), tables.values(), strict=True)
            return VectorEnv(env, table, num_lanes, self.families, **more)
        arenas = tuple(self.family(name).arena for name in self.families if self.splits[split].get(name))
        return MixedVectorEnv.of(envs, tables, num_lanes, self.families, arenas, **more)

    def expert(self) -> Expert:
        """The scripted experts of its families.

        Raises:
          UsageError: a family has none.
        """
        from . import registry
        from .policy import Expert

        families = [self.family(name) for name in self.families]
        if missing := [family.name for family in families if family.expert is None]:
            raise UsageError(f"no scripted expert for {', '.join(missing)}: train a policy instead")
        scripts = {}
        for arena in self.arenas:
            own = [family.expert for family in families if family.arena == arena]
            # A script is found by its family's index in the suite; the places of other arenas are never looked at.
            scripts[arena] = registry.arena(arena).expert([f.expert if f.arena == arena else own[0] for f in families])
        return Expert(scripts)

    def to_toml(self) -> str:
        """The text of its file."""

        def inline(table: Mapping[Any, Any]) -> str:
            return f"{{ {', '.join(f'{name} = {json.dumps(value)}' for name, value in table.items())} }}"

        top = {
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "families": list(self.families),
            "horizon": self.horizon,
            "show_goal": self.show_goal,
            "uncertified": list(self.uncertified),
            "digest": self.digest,
        }
        tables = {
            "horizons": {arena: json.dumps(steps) for arena, steps in self.horizons.items()},
            "digests": {split: json.dumps(value) for split, value in self.digests.items()},
            "protocols": {
                name: inline({k: v for k, v in asdict(protocol).items() if k != "name" and v is not None})
                for name, protocol in self.protocols.items()
            },
            **{
                f"factors.{family}": {name: json.dumps(list(bounds)) for name, bounds in ranges.items()}
                for family, ranges in self.factors.items()
            },
            **{
                f"splits.{split}": {family: json.dumps(_ranges(seeds)) for family, seeds in table.items()}
                for split, table in self.splits.items()
            },
            "certificates": {family: inline(episodes) for family, episodes in self.certificates.items() if episodes},
        }
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in top.items()]
        for title, table in tables.items():
            if table:
                lines += ["", f"[{title}]", *(f"{name} = {value}" for name, value in table.items())]
        return "\n".join(lines) + "\n"


def make(
    suite: str, *, num_lanes: int = 512, split: str = "train", backend: str | None = None
) -> VectorEnv | MixedVectorEnv:
    """A vector environment of a suite: the shortest way in.

    Args:
      suite: a name, e.g. `"STARTER"` or `"MT1/reach"`, or the path of a suite's file.
      num_lanes: environments stepped at once.
      split: which tasks, e.g. `"train"` or `"iid"`.
      backend: `"mujoco"`, `"mjx"`, or `None` for the best on this machine.
    """
    return load(suite).vector_env(num_lanes, split, backend)


def custom(
    families: Sequence[str],
    *,
    name: str = "custom",
    train: int = 50,
    iid: int = 50,
    horizon: int = 200,
    show_goal: bool = True,
    factors: Mapping[str, Mapping[str, float | Sequence[float]]] | None = None,
) -> Suite:
    """A suite of any families, frozen but not certified. `Path.write_text(suite.to_toml())` keeps it.

    Args:
      families: their names.
      name: not that of an installed suite.
      train: training tasks per family.
      iid: held-out tasks per family.
      horizon: control steps of an episode.
      show_goal: see `Suite.show_goal`.
      factors: family to factor to the value, or the (low, high), that its tasks are drawn from, e.g.
        `{"push": {"object_mass": (0.6, 0.7)}}`.

    Raises:
      UsageError: names the argument that is wrong and what was expected.
    """
    from . import registry

    families = (families,) if isinstance(families, str) else tuple(families)
    if not families:
        raise UsageError("a suite needs at least one family (mtbench tasks lists them)")
    _refuse_repeated(families, UsageError, f"suite {name}")
    for family in families:
        registry.family(family)
    if name in catalogue():
        raise UsageError(f"suite '{name}' is installed and frozen: choose another name")
    for argument, value, most in (("train", train, MOST_SEEDS), ("iid", iid, MOST_SEEDS), ("horizon", horizon, 10**6)):
        if not 1 <= value <= most:
            raise UsageError(f"{argument} = {value}: expected a whole number from 1 to {most:,}")
    ranges = {family: _as_ranges(family, table) for family, table in (factors or {}).items()}
    for family in ranges:
        if family not in families:
            raise unknown_name(f"family with factors in suite {name}", family, families)
    counts = {"train": train, "iid": iid}
    splits = {
        split: {family: tuple(range(FIRST_SEED[split], FIRST_SEED[split] + count)) for family in families}
        for split, count in counts.items()
    }
    protocol = EvaluationProtocol("ours", ("iid",), iid, episodes=1, adaptation_episodes=0, horizon=horizon)
    described = f"{len(families)} chosen families, goals {'shown' if show_goal else 'hidden'}; not certified"
    suite = Suite(
        name, 1, described, families, horizon, show_goal, splits, protocols={"ours": protocol}, factors=ranges,
        uncertified=families,
    )  # fmt: skip
    for family in ranges:
        _check_accepted(suite, family)
    return freeze(suite)


def freeze(draft: Suite) -> Suite:
    """A draft with the digests of its rows.

    Raises:
      MtbenchError: it is no sound suite; names the entry.
    """
    draft = replace(draft, digests={})
    frozen = replace(draft, digests={split: _digest(draft.tables(split)) for split in draft.splits})
    check(frozen)
    return frozen


def _digest(tables: Mapping[str, Task]) -> str:
    """Fingerprint of a split's rows."""
    from .task import digest

    return combined({arena: digest(table) for arena, table in tables.items()})


def combined(digests: Mapping[str, str]) -> str:
    """One fingerprint of those of several arenas' rows."""
    return next(iter(digests.values())) if len(digests) == 1 else _fingerprint(dict(digests))


def _fingerprint(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@cache
def catalogue() -> dict[str, Path]:
    """Suite files by suite name, from the packages that entry points of the group `mtbench.suites` name.

    `MT1/reach` lies in `MT1/reach.toml`.
    """
    found = {}
    for point in entry_points(group="mtbench.suites"):
        folder = Path(str(files(point.value)))
        for path in sorted(folder.rglob("*.toml")):
            found[path.relative_to(folder).with_suffix("").as_posix()] = path
    return found


def load(name: str | Path) -> Suite:
    """A suite by name, or by the path of its file.

    Raises:
      UsageError: no such suite; names the nearest.
      MtbenchError: its file is damaged; names the entry.
    """
    known, name = catalogue(), str(name)
    if name in known:
        return read(known[name])
    if name.endswith(".toml"):
        return read(Path(name))
    raise unknown_name("suite", name, known, "mtbench tasks lists them; a suite's own file ends in .toml")


def read(path: Path) -> Suite:
    """Reads a suite's file and checks it. The digests of the rows are checked by `Suite.tasks`, which has the rows.

    Raises:
      UsageError: there is no such file.
      MtbenchError: names the entry that is wrong and what was expected.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"suite file {path}: {error.strerror}; mtbench freeze writes one") from error
    except ValueError as error:
        raise MtbenchError(f"suite file {path}: {error}; restore it or freeze it anew") from error
    for entry in _ENTRIES:
        if entry not in data:
            raise MtbenchError(f"suite file {path}: lacks {entry}")
    for entry, value in data.items():
        kind = {**_ENTRIES, **_OPTIONAL}.get(entry, type(None))
        if type(value) is not kind:
            expected = "no such entry" if kind is type(None) else f"of type {kind.__name__}"
            raise MtbenchError(f"suite file {path}: {entry} = {str(value)[:40]}: expected {expected}")
    try:
        suite = _from(data, path)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MtbenchError(f"suite file {path}: an entry has an unexpected form ({error})") from error
    check(suite)
    if suite.digest != data["digest"]:
        raise MtbenchError(
            f"suite file {path}: the content has digest {suite.digest}, the file says {data['digest']}: it was changed "
            "by hand or damaged; restore it, or freeze a suite of another name"
        )
    return suite


def _from(data: Mapping[str, Any], path: Path) -> Suite:
    """A suite of a file's entries."""
    return Suite(
        data["name"],
        data["version"],
        data["description"],
        tuple(data["families"]),
        data["horizon"],
        data["show_goal"],
        {
            split: {f: _seeds(text, f"suite file {path}: splits.{split}.{f}") for f, text in table.items()}
            for split, table in data["splits"].items()
        },
        {
            family: {int(seed): int(episode) for seed, episode in table.items()}
            for family, table in data.get("certificates", {}).items()
        },
        data["digests"],
        {
            name: EvaluationProtocol(name, **{**table, "splits": tuple(table["splits"])})
            for name, table in data["protocols"].items()
        },
        {family: _as_ranges(family, table) for family, table in data.get("factors", {}).items()},
        tuple(data["uncertified"]),
        data.get("horizons", {}),
        str(path),
    )


def check(suite: Suite) -> None:
    """Checks what can be checked without the families.

    Raises:
      MtbenchError: names the entry that is wrong and what was expected.
    """
    where = f"suite file {suite.path}" if suite.path else f"suite {suite.name}"
    _refuse_repeated(suite.families, MtbenchError, where)
    for split, table in suite.splits.items():
        if unknown := set(table) - set(suite.families):
            raise MtbenchError(f"{where}: split {split} has {sorted(unknown)}, which families does not list")
    if idle := [name for name in suite.families if not any(table.get(name) for table in suite.splits.values())]:
        raise MtbenchError(f"{where}: no split has tasks of {', '.join(idle)}")
    for family in suite.families:
        owners: dict[int, str] = {}
        for split, table in suite.splits.items():
            for seed in table.get(family, ()):
                if seed in owners:
                    raise MtbenchError(f"{where}: task {family}/{seed} is in {owners[seed]} and in {split}")
                owners[seed] = split
    held_out = suite.splits.get("family", {})
    for split, table in suite.splits.items():
        if split != "family" and (shared := set(table) & set(held_out)):
            raise MtbenchError(f"{where}: held-out family {min(shared)} is in split {split} too")
    if set(suite.digests) != set(suite.splits):
        raise MtbenchError(f"{where}: digests are of {sorted(suite.digests)}, expected of {sorted(suite.splits)}")
    for protocol in suite.protocols.values():
        _check_protocol(suite, protocol, f"{where}: protocols.{protocol.name}")


def _check_protocol(suite: Suite, protocol: EvaluationProtocol, where: str) -> None:
    for entry, least in (("tasks_per_family", 1), ("episodes", 1), ("adaptation_episodes", 0), ("horizon", 1)):
        if (value := getattr(protocol, entry)) is not None and value < least:
            raise MtbenchError(f"{where}.{entry} = {value}: expected at least {least}")
    if not protocol.splits:
        raise MtbenchError(f"{where}.splits: expected at least one")
    for split in protocol.splits:
        if split not in suite.splits:
            raise MtbenchError(f"{where}: split {split} does not exist, expected one of {', '.join(suite.splits)}")
        for family, seeds in suite.splits[split].items():
            if len(seeds) < protocol.tasks_per_family:
                raise MtbenchError(
                    f"{where}.tasks_per_family = {protocol.tasks_per_family}: {split} has {len(seeds)} of {family}"
                )


def _refuse_repeated(families: Sequence[str], kind: type[MtbenchError], where: str) -> None:
    if repeated := [name for name, count in Counter(families).items() if count > 1]:
        raise kind(f"{where}: family {repeated[0]} is named twice")


def _check_accepted(suite: Suite, name: str) -> None:
    """Makes sure that a narrowed family still finds tasks that it accepts."""
    import jax
    import numpy as np

    family = suite.family(name)
    seeds = np.array([seed for table in suite.splits.values() for seed in table[name]], np.int32)
    if family.accept is None:
        return
    accepted = np.asarray(jax.vmap(family.accept)(family.samples(seeds)))
    if not accepted.all():
        raise UsageError(
            f"{name}: with {', '.join(suite.factors[name])} narrowed so far, no draw for task {seeds[~accepted][0]} is "
            "a task at all (too near to its goal, say): allow a wider range"
        )


def _as_ranges(family: str, table: Mapping[str, float | Sequence[float]]) -> dict[str, tuple[float, float]]:
    """(low, high) by factor; a number stands for both."""
    found = {}
    for name, value in table.items():
        bounds = (value, value) if isinstance(value, int | float) else tuple(value)
        if len(bounds) != 2:
            raise UsageError(f"{family}: {name} = {list(bounds)}: expected a number, or low and high")
        found[name] = (float(bounds[0]), float(bounds[1]))
    return found


def _family(name: str, factors: Mapping[str, Mapping[str, tuple[float, float]]]) -> Family:
    from . import registry

    family = registry.family(name)
    return family.narrowed(factors[name]) if name in factors else family


def _ranges(seeds: Sequence[int]) -> str:
    """Seeds as text: 0, 1, 2, 5 is `0-2 5`."""
    runs = [[seed for _, seed in run] for _, run in groupby(enumerate(seeds), lambda item: item[1] - item[0])]
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _seeds(text: str, where: str) -> tuple[int, ...]:
    """The seeds of a text of `_ranges`."""
    seeds: list[int] = []
    for word in text.split():
        first, _, last = word.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal() or "-" in word and not last:
            raise MtbenchError(f"{where}: '{word}' is no seed or range of seeds, expected e.g. 0-49")
        low, high = int(first), int(last or first)
        if not 0 <= high - low < MOST_SEEDS or high >= 2**31:
            raise MtbenchError(f"{where}: '{word}': expected a rising range of at most {MOST_SEEDS:,} seeds below 2^31")
        seeds += range(low, high + 1)
    return tuple(seeds)


def rows(
    ids: Sequence[TaskId],
    families: tuple[str, ...],
    factors: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
) -> Task:
    """Rows of task ids [task, …].

    Args:
      ids: the tasks; their factors are drawn anew from their seeds.
      families: gives each family its index.
      factors: see `Suite.factors`.
    """
    import jax
    import numpy as np

    tables, order = [], []
    # On the CPU always: the same digits on every machine.
    with jax.default_device(jax.devices("cpu")[0]):
        for position, name in enumerate(families):
            places = [i for i, task_id in enumerate(ids) if task_id.family == name]
            if places:
                seeds = np.array([ids[i].seed for i in places], np.int32)
                table = _table(_family(name, factors or {}), seeds)
                tables.append(table.replace(family=np.full(len(places), position, np.int32)))
                order += places
    inverse = np.argsort(np.array(order))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[inverse], *tables)


def _table(family: Family, seeds: Any) -> Any:
    """Rows of one family [task, …].

    Operation by operation, in chunks of one size: all families then share the compiled operations. To compile each
    family's rows as a program of its own takes two seconds a family.
    """
    import jax
    import numpy as np

    whole = np.resize(seeds, -(-len(seeds) // _CHUNK) * _CHUNK).reshape(-1, _CHUNK)
    tables = [jax.tree.map(np.asarray, family.tasks(chunk)) for chunk in whole]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(seeds)], *tables)


def reset_key(task_id: TaskId, episode: int) -> int:
    """Seed of an evaluation's initial state: the same for every policy, whatever else is evaluated."""
    return zlib.crc32(f"{task_id}#{episode}".encode())
