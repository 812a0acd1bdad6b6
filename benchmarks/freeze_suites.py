"""Freezes suites: draws tasks, certifies each with its expert, writes the suites' files and their golden digests.

    python benchmarks/freeze_suites.py                          (all that are not frozen yet)
    python benchmarks/freeze_suites.py --only STARTER 'ML1/*'
    python benchmarks/freeze_suites.py --digests tests/golden/digests.json

A task is kept when its family's expert succeeds within the suite's horizon in one of a few episodes; that episode's
number is its certificate. Families are certified together in one program per arena, each task once for all suites.
A frozen file is not overwritten without --force: published scores refer to it.

The lists are those of Meta-World 3.1.1. Its ML25 has basketball both in training and in test; here basketball is
held out only. So the score is over Meta-World's own five test families, and the training families are 24.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import mtbench.suite as suites
from mtbench import files, registry
from mtbench.cli.common import start_jax
from mtbench.evaluate import play_jobs
from mtbench.suite import EvaluationProtocol, Suite
from mtbench.task import TaskId

TRIES = 3
"""Episodes in which an expert may solve a task."""
SPARE = 1.2
"""Candidates drawn per task wanted; a family that needs more is too hard for its expert to be frozen."""


def names(text: str) -> tuple[str, ...]:
    """The words of a list of families."""
    return tuple(text.split())


MT10 = names("""
    reach push pick-place door-open drawer-open drawer-close button-press-topdown peg-insert-side window-open
    window-close
""")
MT25 = MT10 + names("""
    coffee-pull pick-out-of-hole disassemble pick-place-wall basketball stick-pull button-press-wall faucet-open
    door-lock lever-pull sweep-into faucet-close coffee-button button-press-topdown-wall dial-turn
""")
MT50 = names("""
    assembly basketball bin-picking box-close button-press-topdown button-press-topdown-wall button-press
    button-press-wall coffee-button coffee-pull coffee-push dial-turn disassemble door-close door-lock door-open
    door-unlock hand-insert drawer-close drawer-open faucet-open faucet-close hammer handle-press-side handle-press
    handle-pull-side handle-pull lever-pull pick-place-wall pick-out-of-hole pick-place plate-slide plate-slide-side
    plate-slide-back plate-slide-back-side peg-insert-side peg-unplug-side soccer stick-push stick-pull push push-wall
    push-back reach reach-wall shelf-place sweep-into sweep window-open window-close
""")
ML10_TRAIN = names("""
    reach push pick-place door-open drawer-close button-press-topdown peg-insert-side window-open sweep basketball
""")
ML10_TEST = names("drawer-open door-close shelf-place sweep-into lever-pull")
ML25_TEST = names("basketball door-close shelf-place sweep button-press")
ML25_TRAIN = tuple(name for name in MT25 if name not in ML25_TEST)
ML45_TEST = names("bin-picking box-close hand-insert door-lock door-unlock")
ML45_TRAIN = tuple(name for name in MT50 if name not in ML45_TEST)
STARTER = names("reach push pick-place drawer-open button-press-topdown")


@dataclass(frozen=True)
class Plan:
    """What a suite shall be."""

    description: str
    train: tuple[str, ...]
    protocols: tuple[EvaluationProtocol, ...]
    test: tuple[str, ...] = ()
    show_goal: bool = True
    horizon: int = 200
    horizons: Mapping[str, int] = field(default_factory=dict)
    """Of arenas whose episodes have another length than `horizon`."""
    train_tasks: int = 50
    """Training tasks per family, as many as Meta-World has goals; the other splits have 50 too."""

    @property
    def families(self) -> tuple[str, ...]:
        """Training families first."""
        return self.train + self.test

    def wanted(self) -> dict[str, tuple[tuple[str, ...], int]]:
        """Families and tasks per family of each split."""
        splits = {"train": (self.train, self.train_tasks), "iid": (self.train, 50)}
        return splits | ({"family": (self.test, 50)} if self.test else {})


def ours(*splits: str, horizon: int | None = 200) -> EvaluationProtocol:
    """Held-out tasks, one episode each."""
    return EvaluationProtocol("ours", splits, 50, episodes=1, adaptation_episodes=0, horizon=horizon)


def multi_task(description: str, families: tuple[str, ...]) -> Plan:
    """A suite that shows goal and family."""
    # 50 episodes per family, one for each training goal.
    theirs = EvaluationProtocol("metaworld-mt", ("train",), 50, episodes=1, adaptation_episodes=0, horizon=500)
    return Plan(description, families, (ours("iid"), theirs))


def meta(description: str, train: tuple[str, ...], test: tuple[str, ...] = ()) -> Plan:
    """A suite that hides goal and family."""
    split = "family" if test else "iid"
    # 40 goals per test family: ten rounds of a meta-batch of 20.
    theirs = EvaluationProtocol("metaworld-ml", (split,), 40, episodes=3, adaptation_episodes=10, horizon=500)
    own = ours("family", "iid") if test else ours("iid")
    return Plan(description, train, (own, theirs), test, show_goal=False)


PLANS = {
    "STARTER": Plan("Five tabletop families, goals shown", STARTER, (ours("iid"),), train_tasks=100),
    "STARTER-ALL": Plan(
        "The families of STARTER and walk: arms and legs",
        (*STARTER, "walk"),
        (ours("iid", horizon=None),),
        horizons={"walker": 500},
        train_tasks=100,
    ),
    "MT1/walk": Plan("One family: walk", ("walk",), (ours("iid", horizon=500),), horizon=500),
    **{f"MT1/{name}": multi_task(f"One family, goals shown: {name}", (name,)) for name in MT50},
    **{f"ML1/{name}": meta(f"One family, goals hidden: {name}", (name,)) for name in MT50},
    "MT10": multi_task("Ten families, goals shown", MT10),
    "MT25": multi_task("Twenty-five families, goals shown", MT25),
    "MT50": multi_task("All fifty families of Meta-World v3, goals shown", MT50),
    "ML10": meta("Ten families to train on, five held out, goals hidden", ML10_TRAIN, ML10_TEST),
    "ML25": meta(
        "Twenty-four families to train on, five held out, goals hidden; basketball, which Meta-World lists in both, "
        "is held out",
        ML25_TRAIN,
        ML25_TEST,
    ),
    "ML45": meta("Forty-five families to train on, five held out, goals hidden", ML45_TRAIN, ML45_TEST),
}

Wanted = dict[tuple[str, int, str], int]
"""(family, horizon, split) to the number of tasks."""
Proven = dict[tuple[str, int, str], dict[int, int]]
"""The same to task seed to the episode that the expert solves."""


def wanted(plans: dict[str, Plan]) -> Wanted:
    """The most tasks that any of the plans asks for."""
    most: Wanted = defaultdict(int)
    for plan in plans.values():
        for split, (families, count) in plan.wanted().items():
            for name in families:
                if registry.family(name).expert is not None:
                    most[name, plan.horizon, split] = max(count, most[name, plan.horizon, split])
    return most


def certify(most: Wanted) -> Proven:
    """The first so many solvable seeds of each family and split, in one program per arena and horizon.

    Raises:
      SystemExit: an expert solves too few tasks.
    """
    proven: Proven = {place: {} for place in most}
    programs = defaultdict(list)
    for place in most:
        programs[registry.family(place[0]).arena, place[1]].append(place)
    for (arena, horizon), places in programs.items():
        families = tuple(dict.fromkeys(name for name, _, _ in places))
        splits = {"train": {name: (0,) for name in families}}
        suite = Suite("certification", 1, "", families, horizon, True, splits)
        envs, expert = suite.envs("mujoco"), suite.expert()
        for episode in range(TRIES):
            jobs = {}
            for place in places:
                name, _, split = place
                first = suites.FIRST_SEED[split]
                for seed in range(first, first + round(SPARE * most[place])):
                    if seed not in proven[place]:
                        jobs[TaskId(name, registry.family(name).version, seed)] = place
            if not jobs:
                break
            print(f"{arena}, {horizon} steps, episode {episode}: {len(jobs)} tasks", flush=True)
            pairs = [(task_id, episode) for task_id in jobs]
            table = play_jobs(envs, suite, expert, pairs, name="expert", split="train")
            for (task_id, place), solved in zip(jobs.items(), table["success"], strict=True):
                if solved:
                    proven[place][task_id.seed] = episode
    for place, count in most.items():
        found = sorted(proven[place].items())[:count]
        if len(found) < count:
            tried = round(SPARE * count)
            raise SystemExit(f"{place[0]}: the expert solves {len(found)} of {tried} tasks of {place[2]}")
        proven[place] = dict(found)
        first = suites.FIRST_SEED[place[2]]
        if dropped := sorted(set(range(first, found[-1][0])) - set(proven[place])):
            print(f"  {place[0]}: not certified and left out: {dropped}")
    return proven


def build(name: str, plan: Plan, proven: Proven) -> Suite:
    """The frozen suite of a plan."""
    splits: dict[str, dict[str, tuple[int, ...]]] = {}
    certificates: dict[str, dict[int, int]] = {}
    uncertified = tuple(family for family in plan.families if registry.family(family).expert is None)
    for split, (families, count) in plan.wanted().items():
        splits[split] = {}
        for family in families:
            first = suites.FIRST_SEED[split]
            episodes = proven.get((family, plan.horizon, split), dict.fromkeys(range(first, first + count), 0))
            splits[split][family] = tuple(episodes)[:count]
            later = {seed: e for seed, e in episodes.items() if e and seed in splits[split][family]}
            if later:
                certificates.setdefault(family, {}).update(later)
    draft = Suite(
        name, 1, plan.description, plan.families, plan.horizon, plan.show_goal, splits, certificates,
        protocols={protocol.name: protocol for protocol in plan.protocols},
        uncertified=uncertified, horizons=plan.horizons,
    )  # fmt: skip
    return suites.freeze(draft)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="SUITE", help="names or patterns, e.g. 'MT1/*'")
    parser.add_argument("--out", type=Path, default=Path("tasks/suites"))
    parser.add_argument("--force", action="store_true", help="overwrite frozen files")
    parser.add_argument("--digests", type=Path, help="JSON file of all suites' digests to bring up to date")
    arguments = parser.parse_args()
    start_jax()
    for pattern in arguments.only:
        if not any(fnmatchcase(name, pattern) for name in PLANS):
            parser.error(f"--only {pattern}: no such suite; known: {', '.join(PLANS)}")
    plans = {}
    for name, plan in PLANS.items():
        path = arguments.out / f"{name}.toml"
        if not any(fnmatchcase(name, pattern) for pattern in arguments.only):
            continue
        if missing := [family for family in plan.families if family not in registry.families()]:
            print(f"{name}: skipped, not registered: {', '.join(missing)}")
        elif path.exists() and not arguments.force:
            print(f"{path} is frozen: --force overwrites it")
        else:
            plans[name] = plan
    proven = certify(wanted(plans))
    for name, plan in plans.items():
        path = arguments.out / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, build(name, plan, proven).to_toml())
        print(f"{path} written")
    if arguments.digests:
        frozen = [suites.read(path) for path in sorted(arguments.out.rglob("*.toml"))]
        digests = {suite.name: suite.digest for suite in sorted(frozen, key=lambda suite: suite.name)}
        files.write(arguments.digests, json.dumps(digests, indent=2) + "\n")
        print(f"{arguments.digests} written: {len(digests)} suites")


if __name__ == "__main__":
    main()
