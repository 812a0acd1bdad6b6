"""Plans: what a suite shall be, and the suite that comes of it, drawn, certified and frozen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import compress

from . import registry
from .errors import MtbenchError, UsageError, unknown_name
from .evaluate import play_jobs
from .region import Region
from .suite import EvaluationProtocol, Suite, catalogue
from .suite.file import MOST_SEEDS
from .suite.rows import draws
from .task import TaskId

FIRST_SEED = {"train": 0, "iid": 1_000_000, "family": 3_000_000}
"""Where the task seeds of these splits begin. Benchmarks sample from 2,000,000 on, outside every suite."""
OTHER_SEEDS = 10_000_000
"""Where those of the first other split begin; each has a million."""
TRIES = 3
"""Episodes in which an expert may solve a task."""
SPARE = 1.2
"""Candidates drawn per task wanted; a family that needs more is too hard for its expert to be certified."""

_DRAWN = 2
"""Seeds looked at for a candidate."""


@dataclass(frozen=True)
class Draw:
    """What a split shall be."""

    families: tuple[str, ...]
    tasks: int = 50
    """Per family."""
    regions: Mapping[str, Region] = field(default_factory=dict)
    """By family, what its tasks are drawn from, where that is not the whole factor space."""


@dataclass(frozen=True)
class Plan:
    """What a suite shall be."""

    name: str
    description: str
    splits: Mapping[str, Draw]
    """Families take their places in the suite in the order in which splits name them."""
    protocols: tuple[EvaluationProtocol, ...] = ()
    """By default each split but `train` is played once, in the suite's horizons."""
    show_goal: bool = True
    horizon: int | None = None
    """Control steps of an episode; by default each arena's own."""
    keep_open: bool = False
    """Whether a family whose expert solves too few tasks keeps those that it does not solve, marked open."""

    @property
    def families(self) -> tuple[str, ...]:
        """Training families first."""
        return tuple(dict.fromkeys(name for draw in self.splits.values() for name in draw.families))

    def horizon_of(self, family: str) -> int:
        """Control steps of a family's episode."""
        own = registry.arena(registry.family(family).arena).horizon
        return own if self.horizon is None else self.horizon

    def first_seed(self, split: str) -> int:
        """Where a split's task seeds begin."""
        others = [name for name in self.splits if name not in FIRST_SEED]
        return OTHER_SEEDS + others.index(split) * MOST_SEEDS if split in others else FIRST_SEED[split]

    def candidates(self, split: str, family: str, count: int) -> list[TaskId]:
        """The first so many tasks of a family that a split may have."""
        region = self.splits[split].regions.get(family, Region())
        seeds = _drawable(family, region, self.first_seed(split), count)
        return [TaskId(family, registry.family(family).version, seed, region) for seed in seeds]

    def check(self) -> None:
        """Checks a plan before anything is played.

        Raises:
          UsageError: names the entry and what was expected.
        """
        if not self.families:
            raise UsageError("a suite needs at least one family (mtbench tasks lists them)")
        for split, draw in self.splits.items():
            if not 1 <= draw.tasks <= MOST_SEEDS:
                raise UsageError(f"{split} = {draw.tasks}: expected a whole number from 1 to {MOST_SEEDS:,}")
            for name in draw.families:
                registry.family(name)
                if draw.families.count(name) > 1:
                    raise UsageError(f"suite {self.name}: family {name} is named twice")
            for name, region in draw.regions.items():
                if name not in draw.families:
                    raise unknown_name(f"family with a region in split {split}", name, draw.families)
                registry.family(name).check(region)
        if self.horizon is not None and not 1 <= self.horizon <= 10**6:
            raise UsageError(f"horizon = {self.horizon}: expected a whole number from 1 to 1,000,000")


@cache
def _drawable(family: str, region: Region, first: int, count: int) -> tuple[int, ...]:
    """The first seeds that name a task: where a region leaves two objects little room, some find no place for them.

    The very first ones, where there are too few: the suite's check says what is wrong with the region.
    """
    source, plain = registry.family(family), tuple(range(first, first + count))
    if source.accept is None and not region.withheld:
        return plain
    tried = range(first, first + _DRAWN * count)
    _, accepted = draws(source, tuple(tried), region)
    found = tuple(compress(tried, accepted))[:count]
    return found if len(found) == count else plain


Certified = Mapping[tuple[TaskId, int], int]
"""(task, horizon) to the episode in which its expert solves it; tasks that it does not solve are left out."""


def certify(plans: Sequence[Plan], on_progress: Callable[[str, int, int], None] | None = None) -> Certified:
    """Lets experts play the tasks that plans may have: all families of an arena in one program, each task once.

    A task is certified when its family's expert succeeds within the horizon in one of `TRIES` episodes.

    Args:
      plans: of any number of suites.
      on_progress: called with (what is played, episodes played, episodes in all).
    """
    wanted: dict[tuple[str, int], dict[TaskId, None]] = defaultdict(dict)
    for plan in plans:
        for split, draw in plan.splits.items():
            for name in draw.families:
                if registry.family(name).expert is not None:
                    tried = plan.candidates(split, name, round(SPARE * draw.tasks))
                    wanted[registry.family(name).arena, plan.horizon_of(name)].update(dict.fromkeys(tried))
    solved: dict[tuple[TaskId, int], int] = {}
    for (arena, horizon), ids in wanted.items():
        families = tuple(dict.fromkeys(task_id.family for task_id in ids))
        suite = Suite("certification", 1, "", families, horizon, True, {"train": dict.fromkeys(families, (0,))})
        envs, expert = suite.envs("mujoco"), suite.expert()
        for episode in range(TRIES):
            jobs = [(task_id, episode) for task_id in ids if (task_id, horizon) not in solved]
            if not jobs:
                break
            title = f"{arena}, {horizon} steps, episode {episode}"
            told = (lambda done, total, title=title: on_progress(title, done, total)) if on_progress else None
            table = play_jobs(envs, suite, expert, jobs, name="expert", split="train", on_progress=told)
            solved |= {(job[0], horizon): episode for job, s in zip(jobs, table["success"], strict=True) if s}
    return solved


def freeze(plan: Plan, certified: Certified | None = None) -> Suite:
    """The suite of a plan.

    Args:
      plan: what it shall be.
      certified: what `certify` found; without it the suite is uncertified.

    Raises:
      MtbenchError: an expert solves too few tasks, or the plan makes no sound suite.
    """
    plan.check()
    splits: dict[str, dict[str, tuple[int, ...]]] = {}
    certificates: dict[str, dict[int, int]] = {}
    still_open: dict[str, tuple[int, ...]] = {}
    uncertified = [f for f in plan.families if certified is None or registry.family(f).expert is None]
    for split, draw in plan.splits.items():
        splits[split] = {}
        for name in draw.families:
            ids = plan.candidates(split, name, draw.tasks)
            if name not in uncertified and certified is not None:
                tried, horizon = plan.candidates(split, name, round(SPARE * draw.tasks)), plan.horizon_of(name)
                solved = [task_id for task_id in tried if (task_id, horizon) in certified]
                if len(solved) >= draw.tasks:
                    ids = solved[: draw.tasks]
                elif not plan.keep_open:
                    raise MtbenchError(
                        f"{name}: its expert solves {len(solved)} of {len(tried)} tasks of split {split} within "
                        f"{horizon} steps, {draw.tasks} are needed: choose a wider region, keep open tasks, or freeze "
                        "without certificates"
                    )
                found = {task_id.seed: certified.get((task_id, horizon)) for task_id in ids}
                unsolved = tuple(seed for seed, episode in found.items() if episode is None)
                still_open[name] = (*still_open.get(name, ()), *unsolved)
                certificates.setdefault(name, {}).update({seed: later for seed, later in found.items() if later})
            splits[split][name] = tuple(task_id.seed for task_id in ids)
    played = tuple(split for split in splits if split != "train") or ("train",)
    most = max(plan.splits[split].tasks for split in played)
    lengths = {registry.family(name).arena: plan.horizon_of(name) for name in plan.families}
    horizon = plan.horizon_of(plan.families[0])
    horizons = {arena: steps for arena, steps in lengths.items() if steps != horizon}
    common = None if horizons else horizon
    once = EvaluationProtocol("ours", played, most, episodes=1, adaptation_episodes=0, horizon=common)
    return Suite(
        plan.name,
        1,
        plan.description,
        plan.families,
        horizon,
        plan.show_goal,
        splits,
        {name: episodes for name, episodes in certificates.items() if episodes},
        protocols={protocol.name: protocol for protocol in plan.protocols or (once,)},
        regions={split: dict(draw.regions) for split, draw in plan.splits.items() if draw.regions},
        uncertified=tuple(uncertified),
        open={name: seeds for name, seeds in still_open.items() if seeds},
        horizons=horizons,
        definitions={name: text for name in plan.families if (text := registry.definition(name)) is not None},
    ).frozen()


def custom(
    families: Sequence[str],
    *,
    name: str = "custom",
    tasks: Mapping[str, int] | None = None,
    held_out: Sequence[str] = (),
    regions: Mapping[str, Mapping[str, Region]] | None = None,
    horizon: int | None = None,
    show_goal: bool = True,
    keep_open: bool = False,
) -> Plan:
    """The plan of a suite of any families.

    Args:
      families: their names.
      name: not that of an installed suite.
      tasks: split to tasks per family, by default 50 to train on and 50 of `iid`.
      held_out: families that are in split `family` alone.
      regions: split to family to region; the split `*` stands for all. `iid` has those of `train` if it has none of
        its own; a split of another name holds the families that have a region there, or all if none has.
      horizon: control steps of an episode; by default each arena's own.
      show_goal: see `Suite.show_goal`.
      keep_open: see `Plan.keep_open`.

    Raises:
      UsageError: names the argument that is wrong and what was expected.
    """
    if name in catalogue():
        raise UsageError(f"suite '{name}' is installed and frozen: choose another name")
    families, held_out = tuple(families), tuple(held_out)
    tasks = {"train": 50, "iid": 50, **({"family": 50} if held_out else {}), **(tasks or {})}
    if "family" in tasks and not held_out:
        raise UsageError("split family has no families: name those to hold out, or leave it out")
    regions = dict(regions or {})
    for split, table in regions.items():
        if split not in ("*", *tasks):
            raise unknown_name(f"split of suite {name}", split, tasks)
        for family in table:
            if family not in (*families, *held_out):
                raise unknown_name(f"family with a region in suite {name}", family, (*families, *held_out))
    everywhere, splits = regions.pop("*", {}), {}
    for split, count in tasks.items():
        # `iid` is of the training distribution, unless it is said what it is of.
        own = regions.get(split, regions.get("train", {}) if split == "iid" else {})
        chosen = held_out if split == "family" else families
        if own and split not in ("train", "iid", "family"):
            chosen = tuple(family for family in families if family in own)
        fitting = {family: region for family, region in everywhere.items() if family in chosen}
        splits[split] = Draw(chosen, count, {**fitting, **own})
    described = f"{len(families) + len(held_out)} chosen families, goals {'shown' if show_goal else 'hidden'}"
    plan = Plan(name, described, splits, show_goal=show_goal, horizon=horizon, keep_open=keep_open)
    plan.check()
    return plan
