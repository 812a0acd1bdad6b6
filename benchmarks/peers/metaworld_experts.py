"""Serves the actions of Meta-World's own scripted policies, unchanged, to a process that cannot import them.

Runs in the peers' environment; client.py starts it. A frame of observations [lanes, 39] is answered by the policies'
actions [lanes, 4], which may exceed [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from frames import serve


def start(request: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Meta-World's policy for each lane; lanes of a family share one, since policies keep no state."""
    from metaworld.policies import ENV_POLICY_MAP

    families = request["families"]
    unknown = sorted({name for name in families if f"{name}-v3" not in ENV_POLICY_MAP})
    if unknown:
        known = sorted(name.removesuffix("-v3") for name in ENV_POLICY_MAP)
        raise ValueError(f"Meta-World has no policy for {', '.join(unknown)}; it has {', '.join(known)}")
    made = {name: ENV_POLICY_MAP[f"{name}-v3"]() for name in set(families)}

    def act(observations: np.ndarray) -> np.ndarray:
        pairs = zip(families, observations, strict=True)
        return np.stack([np.asarray(made[name].get_action(seen), "<f8") for name, seen in pairs])

    return act


if __name__ == "__main__":
    serve(start)
