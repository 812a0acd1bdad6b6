"""Serves Meta-World's own environments to a process that cannot import them.

Runs in the peers' environment; client.py starts it. A frame of actions [lanes, 4] steps every lane, an empty one begins
an episode of the next goal in each. The answer is [lanes, 40]: the observation, and whether the goal is reached now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from frames import serve


def start(request: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Meta-World's environment for each lane, with the goals of MT1 for a seed."""
    import metaworld

    lanes, goals = [], []
    for family in request["families"]:
        benchmark = metaworld.MT1(f"{family}-v3", seed=request["seed"])
        lanes.append(benchmark.train_classes[f"{family}-v3"]())
        goals.append(iter(benchmark.train_tasks))

    def answer(actions: np.ndarray) -> np.ndarray:
        if actions.size:
            stepped = [env.step(action) for env, action in zip(lanes, actions, strict=True)]
            return np.stack([np.append(step[0], step[4]["success"]) for step in stepped])
        seen = []
        for env, tasks in zip(lanes, goals, strict=True):
            env.set_task(next(tasks))
            # The time limit is the caller's.
            env.max_path_length = 10**9
            seen.append(np.append(env.reset()[0], 0.0))
        return np.stack(seen)

    return answer


if __name__ == "__main__":
    serve(start)
