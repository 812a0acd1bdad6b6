"""Ranges of all 39 entries of the observation, here and in Meta-World, under the same experts on the same goals.

    python benchmarks/observations.py --peers .venv-peers/bin/python

Meta-World's experts play the first goals of every family's MT1 in Meta-World, and here on rows with the same random
vectors and everything else at its middle. Episodes are looked at up to their success. The page on compatibility shows
the result; see compatibility.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from compatibility import METAWORLD, RESULTS, indented, placed
from machine import describe
from rich.progress import track

from mtbench import files, registry
from mtbench.env import make_env

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from client import ExpertServer, HomeServer

Step = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Actions [lane, 4] to observations [lane, 39] and success [lane]."""


def episode(first: np.ndarray, step: Step, experts: ExpertServer, steps: int) -> np.ndarray:
    """Observations [step, lane, 39] of one episode in every lane, NaN after its success."""
    frames, seen, over = [first], first, np.zeros(len(first), bool)
    for _ in range(steps):
        observation, success = step(np.clip(experts.actions(seen), -1.0, 1.0))
        frames.append(np.where(over[:, None], np.nan, observation))
        seen, over = observation, over | success
        if over.all():
            break
    return np.stack(frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers/bin/python"), help="the peers' interpreter")
    parser.add_argument("--goals", type=int, default=4, help="per family, at most 50")
    parser.add_argument("--steps", type=int, default=150, help="control steps of an episode, at most")
    parser.add_argument("--out", type=Path, default=RESULTS / "observations.json")
    arguments = parser.parse_args()
    facts = json.loads(METAWORLD.read_text())["families"]
    families = sorted(facts)
    ends = {where: np.full((2, len(families), 39), np.nan) for where in ("here", "there")}
    firsts: dict[str, np.ndarray] = {}
    with (
        HomeServer(arguments.peers, families, seed=0) as home,
        ExpertServer(arguments.peers, families) as experts,
    ):
        vectors = home.greeting["vectors"]
        tables = [
            [placed(registry.family(name), facts[name], of[goal]) for name, of in zip(families, vectors, strict=True)]
            for goal in range(arguments.goals)
        ]
        rows = [jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks) for tasks in tables]
        env = make_env(registry.arena("tabletop"), rows[0], horizon=10**6, backend="mujoco")
        reset, step = jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))
        for goal in track(range(arguments.goals), "goals"):
            state, timestep = reset(jax.random.split(jax.random.key(0), len(families)), rows[goal])

            def here(actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                nonlocal state
                state, after = step(state, jnp.asarray(actions, jnp.float32))
                return np.asarray(after.observation, np.float64), np.asarray(after.success)

            began = {"there": home.reset(), "here": np.asarray(timestep.observation, np.float64)}
            for where, play in (("there", home.step), ("here", here)):
                frames = episode(began[where], play, experts, arguments.steps)
                low, high = np.nanmin(frames, axis=0), np.nanmax(frames, axis=0)
                ends[where] = np.stack([np.fmin(ends[where][0], low), np.fmax(ends[where][1], high)])
                firsts.setdefault(where, began[where])
        versions = home.versions

    def numbers(values: np.ndarray) -> list[float]:
        return [round(float(value), 4) + 0.0 for value in values]

    result = {
        "goals": arguments.goals,
        "steps": arguments.steps,
        "peers": versions,
        "machine": describe(),
        "families": {
            name: {
                "vector": numbers(np.array(vectors[place][0])),
                **{
                    where: {
                        "first": numbers(firsts[where][place]),
                        "min": numbers(ends[where][0, place]),
                        "max": numbers(ends[where][1, place]),
                    }
                    for where in ("here", "there")
                },
            }
            for place, name in enumerate(families)
        },
    }
    files.write(arguments.out, indented(result))
    print(f"written {arguments.out}")


if __name__ == "__main__":
    main()
