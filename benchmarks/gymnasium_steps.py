"""Environment steps per second of any environment that gymnasium can make, with one loop for all of them.

    python benchmarks/gymnasium_steps.py mtbench.adapters.gymnasium:mtbench/reach --options '{"max_episode_steps": 500}'
    .venv-peers/bin/python benchmarks/gymnasium_steps.py metaworld:Meta-World/MT10 --vector

Needs gymnasium and NumPy alone, so that each environment is measured in the Python environment of its own. Uniform
actions drawn beforehand, resets included, one chunk to warm up. Prints a JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from importlib.metadata import version
from typing import Any

import gymnasium
import numpy as np

CHUNK = 500
"""Steps per timed chunk: an episode of Meta-World's, so that each holds its share of resets."""


def play(env: Any, actions: np.ndarray) -> None:
    """Steps through a chunk; an environment that is no vector is reset where its episode ends."""
    alone = isinstance(env, gymnasium.Env)
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if alone and (terminated or truncated):
            env.reset()


def main() -> None:
    """Prints the rates of one environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("id", help="module:id, as gymnasium.make takes it")
    parser.add_argument("--vector", action="store_true", help="make_vec in place of make")
    parser.add_argument("--options", type=json.loads, default={}, help="further arguments of make, as JSON")
    parser.add_argument("--seconds", type=float, default=5.0, help="least time to measure")
    parser.add_argument("--packages", nargs="*", default=[], help="whose versions to tell")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    gymnasium.logger.min_level = gymnasium.logger.ERROR

    start = time.perf_counter()
    env = (gymnasium.make_vec if arguments.vector else gymnasium.make)(arguments.id, **arguments.options)
    random = np.random.default_rng(0)
    actions = random.uniform(-1.0, 1.0, (CHUNK, *env.action_space.shape)).astype(np.float32)
    env.reset(seed=0)
    play(env, actions[:1])
    ready = time.perf_counter() - start
    play(env, actions)
    num_envs, rates = getattr(env, "num_envs", 1), []
    begin = time.perf_counter()
    while time.perf_counter() - begin < arguments.seconds:
        start = time.perf_counter()
        play(env, actions)
        rates.append(CHUNK * num_envs / (time.perf_counter() - start))
    env.close()
    versions = {name: version(name) for name in ("gymnasium", "numpy", *arguments.packages)}
    print(json.dumps({"num_envs": num_envs, "seconds_to_first_step": ready, "rates": rates, "versions": versions}))


if __name__ == "__main__":
    main()
