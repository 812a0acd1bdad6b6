"""Plays policies that were trained here in Meta-World itself, unchanged, beside their success here.

    python benchmarks/transfer.py runs/mt10 --peers .venv-peers/bin/python --out benchmarks/results/transfer-MT10.json

The source is what `mtbench eval` takes: a run or an exported policy of a suite of Meta-World's families. There, every
family is played on the first goals of its MT1; here on as many held-out tasks, over the same number of steps. Success
counts at any step, as in Meta-World.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from machine import describe

from mtbench import files, stored
from mtbench.evaluate import evaluate
from mtbench.policy import PolicyInput
from mtbench.suite import Suite

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from client import ACTION, OBSERVATION, HomeServer


def there(policy: Any, suite: Suite, interpreter: Path, goals: int, steps: int) -> tuple[np.ndarray, dict[str, str]]:
    """Success of a policy in Meta-World [goal, family], and the versions of its packages."""
    families = suite.families
    contexts = jnp.eye(len(families)) * float(suite.show_goal)
    keys = jax.random.split(jax.random.key(0), len(families))
    begin = jax.jit(jax.vmap(policy.init_carry))

    @jax.jit
    def act(step, carry, observation, reward, begins):
        own = jax.vmap(jax.random.fold_in, (0, None))(keys, step)
        seen = PolicyInput(observation, contexts, reward, begins, begins)
        return jax.vmap(policy.act)(own, carry, seen)

    none, solved = jnp.zeros(len(families)), np.zeros((goals, len(families)), bool)
    with HomeServer(interpreter, families, seed=0) as home:
        for goal in range(goals):
            observations, carry = home.reset(), begin(keys)
            for step in range(steps):
                seen = jnp.asarray(observations, jnp.float32)
                # Rewards differ there, so a policy is shown none.
                carry, actions = act(step, carry, seen, none, jnp.full(len(families), step == 0))
                observations, success = home.step(np.asarray(actions))
                solved[goal] |= success
            print(f"goal {goal + 1} of {goals}: {solved[: goal + 1].mean():.2f}", file=sys.stderr, flush=True)
        return solved, home.versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of a run or of an exported policy")
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers/bin/python"), help="the peers' interpreter")
    parser.add_argument("--goals", type=int, default=20, help="per family, at most 50")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    found = stored.find(arguments.source)
    suite = found.suite()
    envs = suite.envs("mujoco")
    if found.sizes[0] != OBSERVATION or found.sizes[2] != ACTION or list(envs) != ["tabletop"]:
        parser.error(f"{arguments.source}: {suite.name} is no suite of Meta-World's families alone")
    protocol = replace(
        suite.protocol("ours"), splits=("iid",), tasks_per_family=arguments.goals, horizon=arguments.steps
    )
    seeds: dict[int, dict[str, dict[str, float]]] = {}
    for seed in found.arrays:
        policy = found.policy(seed)
        table = evaluate(envs, suite, policy, name="policy", protocol=protocol, seed=seed)
        home, versions = there(policy, suite, arguments.peers, arguments.goals, arguments.steps)
        seeds[seed] = {
            family: {
                "here": round(float(np.mean(table.filter(family=family)["success"].to_numpy())), 4),
                "there": round(float(home[:, place].mean()), 4),
            }
            for place, family in enumerate(suite.families)
        }

    def mean(where: str, family: str | None = None) -> float:
        return round(float(np.mean([p[where] for s in seeds.values() for f, p in s.items() if family in (None, f)])), 4)

    here, home_mean = mean("here"), mean("there")
    result = {
        "suite": {"name": suite.name, "digest": suite.digest},
        "goals": arguments.goals,
        "steps": arguments.steps,
        "here": here,
        "there": home_mean,
        "share": round(home_mean / here, 4) if here else None,
        "families": {f: {"here": mean("here", f), "there": mean("there", f)} for f in suite.families},
        "seeds": seeds,
        "peers": versions,
        "machine": describe(),
    }
    files.write(arguments.out, json.dumps(result, indent=2) + "\n")
    for family, success in result["families"].items():
        print(f"{family:28} here {success['here']:.2f}  in Meta-World {success['there']:.2f}")
    print(f"{'mean':28} here {here:.2f}  in Meta-World {home_mean:.2f}: {result['share']:.0%}")


if __name__ == "__main__":
    main()
