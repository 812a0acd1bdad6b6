"""Meta-World at home: its scripted policies in its own environments, and what these say about their tasks.

Runs in the peers' environment and prints one JSON line per family, after a line with the packages' versions:

    python metaworld_home.py play 10 reach push     {"family": "reach", "solved": 10, "tasks": 10}
    python metaworld_home.py facts                  {"family": "reach", "low": [...], "high": [...], ...}
"""

from __future__ import annotations

import json
import platform
import sys
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np

STEPS = 500


def play(family: str, goals: int) -> dict[str, Any]:
    """How many of a family's first goals its policy reaches, at any step of an episode."""
    import metaworld
    from metaworld.policies import ENV_POLICY_MAP

    name = f"{family}-v3"
    benchmark = metaworld.MT1(name, seed=0)
    env, policy = benchmark.train_classes[name](), ENV_POLICY_MAP[name]()
    solved = 0
    for task in benchmark.train_tasks[:goals]:
        env.set_task(task)
        observation, _ = env.reset()
        for _ in range(STEPS):
            # Some policies write into what they are given.
            action = np.clip(policy.get_action(observation.copy()), -1.0, 1.0)
            observation, _, _, _, info = env.step(action)
            if info["success"]:
                solved += 1
                break
    return {"family": family, "solved": solved, "tasks": min(goals, len(benchmark.train_tasks))}


def facts(family: str) -> dict[str, Any]:
    """How a family places its task, bounds its hand, and what it observes first in one such placement."""
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    env = ALL_V3_ENVIRONMENTS[f"{family}-v3"]()
    space = env._random_reset_space
    # Opposite corners for object and goal: as far apart as every family asks for.
    vector = np.concatenate([space.low[:3], space.high[3:]])
    env._set_task_called, env._freeze_rand_vec, env._partially_observable = True, True, False
    env._last_rand_vec = vector
    observation, _ = env.reset()

    def numbers(values: Any) -> list[float]:
        return [round(float(value), 4) for value in values]

    return {
        "family": family,
        "low": numbers(space.low),
        "high": numbers(space.high),
        "hand": numbers(env.hand_init_pos),
        "hand_low": numbers(env.mocap_low),
        "hand_high": numbers(env.mocap_high),
        "observation": numbers(observation),
    }


def main() -> None:
    warnings.simplefilter("ignore")
    from metaworld.policies import ENV_POLICY_MAP

    packages = {name: version(name) for name in ("metaworld", "mujoco", "numpy")}
    print(json.dumps({"versions": {"python": platform.python_version(), **packages}}), flush=True)
    mode, *rest = sys.argv[1:]
    if mode == "play":
        for family in rest[1:]:
            print(json.dumps(play(family, int(rest[0]))), flush=True)
    else:
        for name in sorted(ENV_POLICY_MAP):
            print(json.dumps(facts(name.removesuffix("-v3"))), flush=True)


if __name__ == "__main__":
    main()
