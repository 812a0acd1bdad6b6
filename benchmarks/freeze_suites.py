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
from fnmatch import fnmatchcase
from pathlib import Path

import mtbench.suite as suites
from mtbench import files, registry
from mtbench.ladder import SPLITS, ladder
from mtbench.plan import Draw, Plan, certify, freeze
from mtbench.region import Region
from mtbench.suite import EvaluationProtocol


def names(text: str) -> tuple[str, ...]:
    """The words of a list of families."""
    return tuple(text.split())


def varied(families: tuple[str, ...]) -> tuple[str, ...]:
    """The varied families of these."""
    return tuple(f"varied-{family}" for family in families)


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
QUADRUPED = tuple(
    f"quadruped-{name}"
    for name in names("""
    flat rough slope turn backward sideways stand-up pushed payload broken-joint slippery crouch push-ball push-box
""")
)
PARKOUR = names("""
    jump_on_and_off_box forward_ramp_lips sphere_bump_lips forward_ramp_no_lips flush_a_frame sphere_bump box_jump_even
    box_jump_uneven flat_circle_jump bump_jump sideways_ramp stepping_stones_cylinder stepping_stones_randomly_arranged
    staircase_walking_full_width staircase_walking staircase_climbing staircase_spiral squeeze agility_poles
    balance_beam
""")
WALKER = tuple(f"walker-{name}" for name in names("stand walk run hurdles stairs"))
HUMANOID = tuple(f"humanoid-{name}" for name in names("stand walk run hurdles stairs"))
LEGGED = (*QUADRUPED, *PARKOUR, *WALKER, *HUMANOID)
# What cannot be seen before it is felt, and courses that need what none of the training families trains.
ML_LOCO_TEST = names("""
    quadruped-payload quadruped-broken-joint quadruped-slippery quadruped-pushed sideways_ramp box_jump_uneven
    stepping_stones_cylinder staircase_climbing agility_poles balance_beam
""")
ML_LOCO_TRAIN = tuple(name for name in (*QUADRUPED, *PARKOUR) if name not in ML_LOCO_TEST)
GOALS = names("""
    drawer-open-to door-open-to dial-turn-to lever-lift-to faucet-turn-to handle-press-to
    place-left-of place-behind stack put-in-box put-in-drawer press-then-push push-and-return
    reach-in-order touch-in-order push-in-order sort-two
    reach-switch push-switch pick-place-switch reach-relay
    reach-avoid push-avoid pick-place-avoid push-among pick-one-of-two
""")

PROC_TEST = (
    *varied(names("push-back door-unlock shelf-place lever-pull window-close")),
    *names("dial-turn-to stack touch-in-order"),
)
PROC_TRAIN = (
    *varied(
        names("""
        reach push pick-place door-open drawer-open button-press-topdown peg-insert-side window-open coffee-pull
        disassemble pick-place-wall basketball stick-push faucet-open hand-insert sweep-into bin-picking box-close
        plate-slide soccer
        """)
    ),
    *names("""
    drawer-open-to door-open-to faucet-turn-to place-left-of put-in-box press-then-push reach-in-order push-in-order
    push-switch pick-place-switch push-avoid pick-one-of-two
    """),
)
PROC_LOCO_TEST = names("""
    quadruped-payload quadruped-slippery quadruped-push-box box_jump_uneven stepping_stones_cylinder staircase_climbing
    agility_poles balance_beam walker-hurdles humanoid-stairs sideways_ramp stepping_stones_randomly_arranged
""")
PROC_LOCO_TRAIN = tuple(name for name in LEGGED if name not in PROC_LOCO_TEST)
BODY = names("""
    hand_speed hand_stiffness grip_force finger_length finger_width pad_friction palm_size
    base_mass limb_mass thigh_length shin_length strength
""")
"""Factors that make the robot another one."""
SHUFFLES = names("layout joint side second_x second_y third_x third_y")
"""Factors whose values are no matter of more or less, and where what stands about needs all the room that there is."""


def ours(*splits: str) -> EvaluationProtocol:
    """Held-out tasks, one episode each."""
    return EvaluationProtocol("ours", splits, 50, episodes=1, adaptation_episodes=0, horizon=200)


def multi_task(name: str, description: str, families: tuple[str, ...]) -> Plan:
    """A suite that shows goal and family."""
    # 50 episodes per family, one for each training goal.
    theirs = EvaluationProtocol("metaworld-mt", ("train",), 50, episodes=1, adaptation_episodes=0, horizon=500)
    return Plan(name, description, {"train": Draw(families), "iid": Draw(families)}, (ours("iid"), theirs))


def meta(
    name: str,
    description: str,
    train: tuple[str, ...],
    test: tuple[str, ...] = (),
    *,
    horizons: tuple[int, int] = (200, 500),
    keep_open: bool = False,
) -> Plan:
    """A suite that hides goal and family; episodes of our protocol and of Meta-World's are so long."""
    held_out = ("family",) if test else ()
    own = EvaluationProtocol("ours", (*held_out, "iid"), 50, episodes=1, adaptation_episodes=0, horizon=horizons[0])
    # 40 goals per test family: ten rounds of a meta-batch of 20.
    played = held_out or ("iid",)
    theirs = EvaluationProtocol("metaworld-ml", played, 40, episodes=3, adaptation_episodes=10, horizon=horizons[1])
    splits = {"train": Draw(train), "iid": Draw(train)} | ({"family": Draw(test)} if test else {})
    return Plan(name, description, splits, (own, theirs), show_goal=False, keep_open=keep_open)


def shown(name: str, description: str, families: tuple[str, ...], *, train: int = 50) -> Plan:
    """A suite that shows goal and family, with tasks that no oracle solves marked open."""
    return Plan(name, description, {"train": Draw(families, train), "iid": Draw(families)}, keep_open=True)


def procedural(
    name: str, description: str, train: tuple[str, ...], test: tuple[str, ...], count: int, held_out: int
) -> Plan:
    """A suite whose splits are the rungs of a ladder; `count` tasks per family to train on, `held_out` in each rung."""

    def regions(families: tuple[str, ...], split: str) -> dict[str, Region]:
        found = {}
        for family in families:
            own = [factor.name for factor in registry.family(family).factors]
            body, fixed = ([f for f in own if f in those] for those in (BODY, SHUFFLES))
            found[family] = ladder(registry.family(family), body=body, fixed=fixed).get(split)
        return {family: region for family, region in found.items() if region}

    splits = {}
    for split in SPLITS:
        own = regions(train, split)
        tasks = count if split == "train" else held_out // 2 if split[-1].isdigit() else held_out
        splits[split] = Draw(tuple(own), tasks, own)
    splits["family"] = Draw(test, held_out, regions(test, "train"))
    scored = ("extrapolation", "combination", "embodiment", "novelty", "family")
    played = (*scored, "interpolation", "iid", "train", *(split for split in SPLITS if split[-1].isdigit()))
    protocol = EvaluationProtocol("ours", played, held_out, episodes=1, adaptation_episodes=0, headline=scored)
    return Plan(name, description, splits, (protocol,), keep_open=True)


ML25_SAYS = (
    "Twenty-four families to train on, five held out, goals hidden; basketball, which Meta-World lists in both, is "
    "held out"
)
ML_LOCO_SAYS = "Twenty-four families of the quadruped to train on, ten held out, goals hidden"
PROC_SAYS = (
    "Thirty-two tabletop families to train on, twenty varied and twelve of further kinds of goal, splits ever further "
    "from training, eight families held out"
)
PROC_LOCO_SAYS = "Thirty-two legged families to train on, splits ever further from training, twelve held out"
PROC_ALL_SAYS = "Sixty-four families of all arenas to train on, splits ever further from training, twenty held out"


LIST = (
    shown("STARTER", "Five tabletop families, goals shown", STARTER, train=100),
    shown(
        "STARTER-ALL", "The families of STARTER and walker-walk: arms and legs", (*STARTER, "walker-walk"), train=100
    ),
    *(shown(f"MT1/{name}", f"One family: {name}", (name,)) for name in (*LEGGED, *GOALS)),
    shown("GOALS26", "Continuous and relative goals, sequences, order, goals that change, places not to enter", GOALS),
    shown("LOCO20", "MTBench's twenty parkour terrains", PARKOUR),
    shown("LOCO-MT", "All forty-four legged families, goals shown", LEGGED),
    meta("ML-LOCO", ML_LOCO_SAYS, ML_LOCO_TRAIN, ML_LOCO_TEST, horizons=(600, 600), keep_open=True),
    shown("ALL", "Every family of every arena: one policy for arms and legs", (*MT50, *LEGGED)),
    *(multi_task(f"MT1/{name}", f"One family, goals shown: {name}", (name,)) for name in MT50),
    *(meta(f"ML1/{name}", f"One family, goals hidden: {name}", (name,)) for name in MT50),
    multi_task("MT10", "Ten families, goals shown", MT10),
    multi_task("MT25", "Twenty-five families, goals shown", MT25),
    multi_task("MT50", "All fifty families of Meta-World v3, goals shown", MT50),
    meta("ML10", "Ten families to train on, five held out, goals hidden", ML10_TRAIN, ML10_TEST),
    meta("ML25", ML25_SAYS, ML25_TRAIN, ML25_TEST),
    procedural("Proc-1K", PROC_SAYS, PROC_TRAIN, PROC_TEST, 32, 8),
    procedural("Proc-8K", PROC_SAYS, PROC_TRAIN, PROC_TEST, 256, 16),
    procedural("Proc-Loco-1K", PROC_LOCO_SAYS, PROC_LOCO_TRAIN, PROC_LOCO_TEST, 32, 8),
    procedural(
        "Proc-All-4K",
        PROC_ALL_SAYS,
        (*PROC_TRAIN, *PROC_LOCO_TRAIN),
        (*PROC_TEST, *PROC_LOCO_TEST),
        64,
        8,
    ),
    meta("ML45", "Forty-five families to train on, five held out, goals hidden", ML45_TRAIN, ML45_TEST),
)
PLANS = {plan.name: plan for plan in LIST}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="SUITE", help="names or patterns, e.g. 'MT1/*'")
    parser.add_argument("--out", type=Path, default=Path("tasks/suites"))
    parser.add_argument("--force", action="store_true", help="overwrite frozen files")
    parser.add_argument("--digests", type=Path, help="JSON file of all suites' digests to bring up to date")
    arguments = parser.parse_args()
    for pattern in arguments.only:
        if not any(fnmatchcase(name, pattern) for name in PLANS):
            parser.error(f"--only {pattern}: no such suite; known: {', '.join(PLANS)}")
    plans = []
    for plan in LIST:
        path = arguments.out / f"{plan.name}.toml"
        if any(fnmatchcase(plan.name, pattern) for pattern in arguments.only):
            if path.exists() and not arguments.force:
                print(f"{path} is frozen: --force overwrites it")
            else:
                plans.append(plan)
    certified = certify(plans, lambda what, done, total: print(f"{what}: {done} of {total} tasks", flush=True))
    for plan in plans:
        path = arguments.out / f"{plan.name}.toml"
        files.write(path, suites.to_toml(freeze(plan, certified)))
        print(f"{path} written")
    if arguments.digests:
        frozen = [suites.read(path) for path in sorted(arguments.out.rglob("*.toml"))]
        digests = {suite.name: suite.digest for suite in sorted(frozen, key=lambda suite: suite.name)}
        files.write(arguments.digests, json.dumps(digests, indent=2) + "\n")
        print(f"{arguments.digests} written: {len(digests)} suites")


if __name__ == "__main__":
    main()
