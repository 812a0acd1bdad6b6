"""What goes in and what comes out: spaces of actions and observations, and the options that are understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from ...errors import UsageError, unknown_name

if TYPE_CHECKING:
    from ...env import Env

BOUND = 1000.0
"""Observations are clipped to ±this (metres, metres per second, radians): far beyond anything that occurs, yet finite,
as wrappers that rescale ask."""


def observation_space(env: Env, one_hot: int = 0) -> Box:
    """Of one lane, with the one-hot of so many families behind it."""
    size = env.observation_size
    low = np.concatenate([np.full(size, -BOUND), np.zeros(one_hot)])
    high = np.concatenate([np.full(size, BOUND), np.ones(one_hot)])
    return Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


def action_space(env: Env) -> Box:
    """Of one lane."""
    return Box(-1.0, 1.0, (env.action_size,), np.float32)


def checked_action(action: Any, space: gymnasium.Space[Any]) -> np.ndarray:
    """The action, once it has the space's shape.

    Raises:
      UsageError: it has another, or holds no numbers.
    """
    try:
        action = np.asarray(action, np.float32)
    except (TypeError, ValueError):
        raise UsageError(f"an action that is no array of numbers: expected {space.shape} of them") from None
    if action.shape != space.shape:
        raise UsageError(f"an action of shape {action.shape}: expected {space.shape}, as action_space.sample() gives")
    return action


def is_whole(value: Any, *, least: int) -> bool:
    """Whether it is a whole number, not below the least."""
    return isinstance(value, int | np.integer) and int(value) >= least


def refuse_unknown(kind: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Names the first option that is not known, and the nearest that is.

    Raises:
      UsageError: there is one.
    """
    for name in given:
        if name not in known:
            raise unknown_name(kind, name, known)
