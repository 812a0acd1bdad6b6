"""Gymnasium: one family as a `gymnasium.Env`, a suite as a `gymnasium.vector.VectorEnv` over one batched program.

    import mtbench.adapters.gymnasium  # registers the ids
    env = gymnasium.make("mtbench/reach")
    envs = gymnasium.make_vec("mtbench/STARTER", num_envs=512)

JAX is imported when the first environment is made.
"""

from __future__ import annotations

try:
    import gymnasium as _installed  # noqa: F401
except ImportError as error:
    raise ImportError(
        "mtbench.adapters.gymnasium needs gymnasium 1.1 or newer: pip install 'mtbench-mjx[gymnasium]'"
    ) from error

from .family_env import FamilyEnv
from .info import INFO_KEYS
from .registration import NAMESPACE, register
from .spaces import BOUND
from .suite_env import SuiteVectorEnv

__all__ = ["BOUND", "INFO_KEYS", "NAMESPACE", "FamilyEnv", "SuiteVectorEnv", "register"]

register()
