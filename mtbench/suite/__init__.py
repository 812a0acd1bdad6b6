"""Suites: frozen lists of tasks with splits, evaluation protocols, digests and certificates of solvability."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalogue import catalogue, load
from .check import check
from .file import read, to_toml
from .rows import combined, reset_key, rows
from .suite import EvaluationProtocol, Suite

if TYPE_CHECKING:
    from ..mixed import MixedVectorEnv
    from ..vector import VectorEnv

__all__ = [
    "EvaluationProtocol",
    "Suite",
    "catalogue",
    "check",
    "combined",
    "load",
    "make",
    "read",
    "reset_key",
    "rows",
    "to_toml",
]


def make(
    suite: str, *, num_lanes: int = 512, split: str = "train", backend: str | None = None
) -> VectorEnv | MixedVectorEnv:
    """A vector environment of a suite: the shortest way in.

    Args:
      suite: a name, e.g. `"STARTER"` or `"MT1/reach"`, or the path of a suite's file.
      num_lanes: environments stepped at once.
      split: which tasks, e.g. `"train"` or `"iid"`.
      backend: `"mujoco"`, `"mjx"`, or `None` for the best on this machine.
    """
    return load(suite).vector_env(num_lanes, split, backend)
