"""mtbench: a benchmark of multi-task and meta reinforcement learning in jitted MuJoCo.

import mtbench
env = mtbench.make("STARTER", num_lanes=512)
state, timestep = env.reset(jax.random.key(0))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .function_policy import FunctionPolicy
    from .stored import load_policy
    from .suite import Suite, make
    from .suite import load as load_suite
    from .vector import VectorEnv

__version__ = "0.1.0"
__all__ = ["FunctionPolicy", "Suite", "VectorEnv", "__version__", "load_policy", "load_suite", "make"]


def __getattr__(name: str):
    # JAX and MuJoCo take seconds to import: `import mtbench` and `mtbench --help` do without.
    if name in ("load_suite", "make", "Suite"):
        from . import suite

        return getattr(suite, {"load_suite": "load"}.get(name, name))
    if name == "load_policy":
        from .stored import load_policy

        return load_policy
    if name == "FunctionPolicy":
        from .function_policy import FunctionPolicy

        return FunctionPolicy
    if name == "VectorEnv":
        from .vector import VectorEnv

        return VectorEnv
    raise AttributeError(f"module 'mtbench' has no attribute '{name}'")
