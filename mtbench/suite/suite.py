"""What a suite is, and what can be had from it: ids, rows, environments, experts, its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .. import registry
from ..errors import MtbenchError, UsageError, unknown_name
from ..region import WHOLE, Region
from ..taskfile import define
from .check import check, check_regions
from .rows import digest, factor_values, fingerprint, rows, specimens

if TYPE_CHECKING:
    from ..env import Env
    from ..mixed import MixedVectorEnv
    from ..policy import Expert
    from ..task import Family, Task, TaskId
    from ..vector import VectorEnv


@dataclass(frozen=True)
class EvaluationProtocol:
    """How the tasks of a suite are played for a score."""

    name: str
    splits: tuple[str, ...]
    """Splits to play."""
    tasks_per_family: int
    """The first so many tasks of each family."""
    episodes: int
    """Scored episodes per task, each with its own initial state."""
    adaptation_episodes: int
    """Episodes per task that a policy plays before them and remembers; they are not scored."""
    horizon: int | None = None
    """Control steps of an episode; by default those of the suite's arenas."""
    headline: tuple[str, ...] = ()
    """Splits whose mean is the headline; by default the first of `splits` that is not `train`."""

    @property
    def headlines(self) -> tuple[str, ...]:
        """The splits that the headline is about."""
        named = tuple(split for split in self.headline if split in self.splits)
        return named or tuple(split for split in self.splits if split != "train")[:1] or self.splits[:1]

    def table(self) -> dict[str, Any]:
        """Its entries by name, its own name and what is not set left out: what its digest and its file hold."""
        entries = {key: value for key, value in asdict(self).items() if key != "name"}
        if not self.headline:
            del entries["headline"]
        return entries

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
    regions: Mapping[str, Mapping[str, Region]] = field(default_factory=dict)
    """Split to family to the region that its tasks are drawn from, where that is not the whole factor space."""
    uncertified: tuple[str, ...] = ()
    """Families that no expert has played."""
    open: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Family to seeds of tasks that its expert did not solve: they may be trained on, and no score counts them."""
    horizons: Mapping[str, int] = field(default_factory=dict)
    """Control steps of an episode by arena, where they are not `horizon`."""
    definitions: Mapping[str, str] = field(default_factory=dict)
    """Family to the text of the task file that defines it, for those that are not installed."""
    path: str = field(default="", compare=False)

    def __post_init__(self):
        for name, text in self.definitions.items():
            define(text, f"suite {self.name}, family {name}")

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
            "splits": {split: {f: list(seeds) for f, seeds in table.items()} for split, table in self.splits.items()},
            "regions": {split: {f: r.table() for f, r in table.items()} for split, table in self.regions.items()},
            "protocols": {name: {"name": name, **protocol.table()} for name, protocol in self.protocols.items()},
            "digests": dict(self.digests),
        }
        if self.open:
            content["open"] = {family: list(seeds) for family, seeds in self.open.items()}
        if self.definitions:
            content["definitions"] = dict(self.definitions)
        return fingerprint(content)

    @property
    def arenas(self) -> tuple[str, ...]:
        """The arenas of its families, each once, in the families' order."""
        return tuple(dict.fromkeys(registry.family(name).arena for name in self.families))

    def horizon_of(self, arena: str) -> int:
        """Control steps of an episode in an arena, in training."""
        return self.horizons.get(arena, self.horizon)

    def family(self, name: str) -> Family:
        """One of its families."""
        return registry.family(name)

    def task_id(self, split: str, family: str, seed: int) -> TaskId:
        """The id of the task with a seed, drawn as a split draws it."""
        from ..task import TaskId

        return TaskId(family, self.family(family).version, seed, self.regions.get(split, {}).get(family, WHOLE))

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
        if split not in self.splits:
            raise unknown_name(f"split of {self.name}", split, self.splits)
        places = [
            (index, position, seed)
            for position, name in enumerate(self.families)
            for index, seed in enumerate(self.splits[split].get(name, ()))
        ]
        return [self.task_id(split, self.families[position], seed) for _, position, seed in sorted(places)]

    def scored_ids(self, split: str, tasks_per_family: int) -> list[TaskId]:
        """Ids of the first so many tasks of each family that a score counts: those that are not open."""
        counts: Counter[str] = Counter()
        chosen = []
        for task_id in self.task_ids(split):
            if task_id.seed not in self.open.get(task_id.family, ()) and counts[task_id.family] < tasks_per_family:
                counts[task_id.family] += 1
                chosen.append(task_id)
        return chosen

    def arena_ids(self, split: str) -> dict[str, list[TaskId]]:
        """The ids of `task_ids` by arena; an arena without tasks in the split is left out."""
        found: dict[str, list[TaskId]] = {}
        for task_id in self.task_ids(split):
            found.setdefault(self.family(task_id.family).arena, []).append(task_id)
        return found

    def rows(self, ids: Sequence[TaskId]) -> Task:
        """Rows of task ids of one arena [task, …], in their order."""
        return rows(ids, self.families)

    def tables(self, split: str) -> dict[str, Task]:
        """Rows of a split by arena [task, …], in the order of `arena_ids`.

        Raises:
          MtbenchError: they are not what the suite froze: a family has changed without a new version.
        """
        tables = {arena: self.rows(ids) for arena, ids in self.arena_ids(split).items()}
        if split in self.digests and (found := digest(tables)) != self.digests[split]:
            raise MtbenchError(
                f"suite {self.name}, split {split}: rows have digest {found}, {self.path or 'the suite'} says "
                f"{self.digests[split]}: scores would not be comparable; install the version of mtbench that froze it, "
                "or freeze it anew under another name"
            )
        return tables

    def factors(self, split: str) -> dict[TaskId, dict[str, float]]:
        """Factor values of a split's tasks."""
        ids = self.task_ids(split)
        return dict(zip(ids, factor_values(ids), strict=True))

    def filtered(self, name: str, split: str, regions: Mapping[str, Region]) -> Suite:
        """The suite with those tasks of a split alone that lie in their family's region; see `divided`."""
        return self.divided(name, split, {split: regions})

    def divided(self, name: str, split: str, parts: Mapping[str, Mapping[str, Region]]) -> Suite:
        """The suite with a split divided by factor values.

        Tasks keep their ids and certificates. Protocols that play the split play its parts.

        Args:
          name: of the new suite.
          split: the split that is replaced.
          parts: name of a new split to region by family; a family that is not named stays whole in this part.

        Raises:
          MtbenchError: a region does not fit its family, a part is empty, or a task lies in two parts.
        """
        factors = self.factors(split)
        new: dict[str, dict[str, tuple[int, ...]]] = {}
        for part, regions in parts.items():
            for family, region in regions.items():
                self.family(family).check(region)
            kept: dict[str, tuple[int, ...]] = {}
            for task_id, values in factors.items():
                if bool(regions.get(task_id.family, WHOLE).contains(values)):
                    kept[task_id.family] = (*kept.get(task_id.family, ()), task_id.seed)
            if not kept:
                raise UsageError(f"{self.name}: no task of {split} lies in part {part}: choose wider regions")
            if part != split and part in self.splits:
                raise UsageError(f"{self.name} has a split {part} already: choose another name for the part")
            new[part] = kept
        protocols = dict(self.protocols)
        most = max(len(seeds) for table in new.values() for seeds in table.values())
        for key, protocol in protocols.items():
            if split in protocol.splits:
                played, headline = (
                    tuple(s for old in splits for s in (new if old == split else (old,)))
                    for splits in (protocol.splits, protocol.headline)
                )
                count = min(most, protocol.tasks_per_family)
                protocols[key] = replace(protocol, splits=played, headline=headline, tasks_per_family=count)
        own = self.regions.get(split, {})
        splits = {s: t for s, t in self.splits.items() if s != split} | new
        listed = {(family, seed) for table in splits.values() for family, seeds in table.items() for seed in seeds}
        still_open = {f: tuple(seed for seed in seeds if (f, seed) in listed) for f, seeds in self.open.items()}
        draft = replace(
            self,
            name=name,
            splits=splits,
            open={family: seeds for family, seeds in still_open.items() if seeds},
            regions={s: t for s, t in self.regions.items() if s != split} | ({s: own for s in new} if own else {}),
            protocols=protocols,
            digests={},
            path="",
        )
        return draft.frozen()

    def frozen(self) -> Suite:
        """A draft with the digests of its rows.

        Raises:
          MtbenchError: it is no sound suite, or a task cannot begin; names the entry.
        """
        draft = replace(self, digests={})
        check_regions(draft)
        digests = {}
        for split in draft.splits:
            tables, ids = draft.tables(split), draft.arena_ids(split)
            for arena, table in tables.items():
                registry.arena(arena).check(table, [str(task_id) for task_id in ids[arena]])
            digests[split] = digest(tables)
        frozen = replace(draft, digests=digests)
        check(frozen)
        return frozen

    def certificate(self, task_id: TaskId) -> int | None:
        """The episode in which the family's expert solves a task; `None` where no expert has."""
        if task_id.family in self.uncertified or task_id.seed in self.open.get(task_id.family, ()):
            return None
        return self.certificates.get(task_id.family, {}).get(task_id.seed, 0)

    def envs(self, backend: str | None = None) -> dict[str, Env]:
        """The one-lane environments by arena, padded to common sizes where there are several.

        A model holds the slots that all splits use, so splits share a program.
        """
        from ..env import Sizes, make_env

        envs = {}
        for index, arena in enumerate(self.arenas):
            env = make_env(
                registry.arena(arena),
                specimens([f for f in map(self.family, self.families) if f.arena == arena]),
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
        self,
        num_lanes: int,
        split: str = "train",
        backend: str | None = None,
        arena_shares: Mapping[str, int] | None = None,
        **more: Any,
    ) -> VectorEnv | MixedVectorEnv:
        """Many lanes with auto-reset.

        Args:
          num_lanes: of all arenas together.
          split: whose tasks are played.
          backend: physics.
          arena_shares: see `MixedVectorEnv.of`.
          more: goes to `VectorEnv`, or to that of each arena.

        Raises:
          UsageError: no such split, lanes that do not divide, or shares of arenas that the suite has not.
        """
        from ..mixed import MixedVectorEnv
        from ..vector import VectorEnv

        envs, tables = self.envs(backend), self.tables(split)
        if len(envs) == 1:
            if arena_shares is not None:
                raise UsageError(f"arena shares: suite '{self.name}' has one arena, {next(iter(envs))}; leave them out")
            ((env, table),) = zip(envs.values(), tables.values(), strict=True)
            return VectorEnv(env, table, num_lanes, self.families, **more)
        arenas = tuple(self.family(name).arena for name in self.families if self.splits[split].get(name))
        return MixedVectorEnv.of(envs, tables, num_lanes, self.families, arenas, arena_shares=arena_shares, **more)

    def expert(self) -> Expert:
        """The experts of its families.

        Raises:
          UsageError: a family has none.
        """
        from ..policy import Expert

        families = [self.family(name) for name in self.families]
        if missing := [family.name for family in families if family.expert is None]:
            raise UsageError(f"no expert for {', '.join(missing)}: train a policy instead")
        scripts = {}
        for arena in self.arenas:
            own = [family.expert for family in families if family.arena == arena]
            # A script is found by its family's index in the suite; the places of other arenas are never looked at.
            scripts[arena] = registry.arena(arena).expert([f.expert if f.arena == arena else own[0] for f in families])
        return Expert(scripts)
