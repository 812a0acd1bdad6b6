"""What an environment tells of a step besides observation and reward, under Meta-World's names.

| key | meaning |
| --- | --- |
| `success` | 1.0 where the goal is reached now |
| `near_object` | 1.0 where the first row of the stage table holds: in most families the hand is at the object |
| `grasp_success` | 1.0 where all rows that lead to the goal hold (contact is not looked at), or there are none |
| `grasp_reward` | progress through the rows that lead to the goal, [0, 1]; 1.0 where there are none |
| `in_place_reward` | progress of the goal's own rows, [0, 1], whatever the others say; 1 exactly at success |
| `obj_to_target` | error of the goal's last row: metres, weighted as the row weights it (radians for a hinge) |
| `unscaled_reward` | the reward, [0, 1] (Meta-World: up to 10); nothing here scales it |

An arena without a stage table has no counterpart to most of them: it tells `success`, `in_place_reward` (its progress)
and `unscaled_reward`. A simulation that broke down reports zeros and terminates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

INFO_KEYS = (
    "success",
    "near_object",
    "grasp_success",
    "grasp_reward",
    "in_place_reward",
    "obj_to_target",
    "unscaled_reward",
)

FIGURES = (*INFO_KEYS, "reward", "terminated", "truncated", "episode_return", "episode_length")
"""What a step's program tells of a lane behind its observation."""


def batched(figures: Mapping[str, np.ndarray], tells: Mapping[str, np.ndarray], lanes: np.ndarray) -> dict[str, Any]:
    """The information of some lanes, as gymnasium batches it.

    Args:
      figures: [lane], by name.
      tells: by key the lanes [lane] that tell it at all; keys that none tells are left out.
      lanes: [lane], bool; the others tell nothing, and zeros stand in their place.

    Returns:
      Values [lane] by key, and the mask [lane] of the lanes that have them by `_key`.
    """
    told: dict[str, Any] = {}
    for key, own in tells.items():
        told |= masked({key: np.where(lanes, figures[key], 0.0)}, own & lanes)
    return told


def masked(values: Mapping[str, Any], mask: np.ndarray) -> dict[str, Any]:
    """Values by name, each with the same mask of the lanes that have it."""
    return {key: item for name, value in values.items() for key, item in ((name, value), (f"_{name}", mask.copy()))}
