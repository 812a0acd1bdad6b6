"""Oracles: policies that were trained here and are kept with the arenas, which play the part of experts.

`benchmarks/oracles.py` trains them. What they solve is certified; what they do not is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from mtbench import stored
from mtbench.env import TimeStep
from mtbench.errors import MtbenchError
from mtbench.policy import PolicyInput

from . import observation
from .observation import GOAL_PARTS, HEIGHT, NEXT_TARGET, TARGET, WANTED, goal_parts
from .robots import Robot

FOLDER = Path(__file__).parent / "oracles"
_AGAIN = "train it again (benchmarks/oracles.py)"


@dataclass(frozen=True)
class Script:
    """Which oracle plays a family, and as which family of its training."""

    oracle: str
    """A folder of `FOLDER`."""
    family: str


@struct.dataclass
class Oracle:
    """Some oracles as one player. See `mtbench.policy.Expert`."""

    policies: tuple[Any, ...]
    contexts: tuple[Float[Array, "family c"], ...]
    """What each policy is told of each family of the suite that is played."""
    chosen: Int[Array, " family"]
    """The policy that plays each family."""
    robot: Robot = struct.field(pytree_node=False)

    @staticmethod
    def of(scripts: Sequence[Script], robot: Robot) -> Oracle:
        """The players of several families, in the suite's order."""
        size = observation.size(robot)
        names = tuple(dict.fromkeys(script.oracle for script in scripts))
        policies, contexts = zip(*(_load(name, size) for name in names), strict=True)
        for script in scripts:
            if script.family not in contexts[names.index(script.oracle)]:
                raise MtbenchError(f"oracle {script.oracle} has not learnt {script.family}: {_AGAIN}")
        known = [
            [families.index(script.family) if script.oracle == name else 0 for script in scripts]
            for name, families in zip(names, contexts, strict=True)
        ]
        told_of = [jax.nn.one_hot(jnp.array(k), len(f)) for k, f in zip(known, contexts, strict=True)]
        return Oracle(policies, tuple(told_of), jnp.array([names.index(s.oracle) for s in scripts]), robot)

    def init_carry(self, key: jax.Array) -> tuple[()]:
        """Nothing is remembered."""
        return ()

    def act(self, key: jax.Array, carry: tuple[()], timestep: TimeStep) -> tuple[tuple[()], Float[Array, " a"]]:
        """What the family's oracle does; it knows the goal also where that is hidden."""
        rows, size = timestep.quantities, observation.size(self.robot)
        goal = goal_parts(self.robot, rows[WANTED], rows[HEIGHT, 1], [rows[TARGET], rows[NEXT_TARGET]])
        tail = jnp.concatenate([goal[part] for part in GOAL_PARTS])
        told = timestep.observation[:size].at[size - tail.size :].set(tail)
        no = jnp.zeros((), bool)
        actions = []
        for policy, contexts in zip(self.policies, self.contexts, strict=True):
            seen = PolicyInput(told, contexts[timestep.family], timestep.reward, no, no)
            actions.append(policy.act(key, (), seen)[1])
        return carry, jnp.stack(actions)[self.chosen[timestep.family]]


@cache
def _load(name: str, observation_size: int) -> tuple[Any, tuple[str, ...]]:
    """An oracle, and the families that it was trained on."""
    found = stored.find(FOLDER / name)
    if found.sizes.observation != observation_size:
        raise MtbenchError(
            f"oracle {name} reads {found.sizes.observation} numbers, the arena shows {observation_size}: {_AGAIN}"
        )
    return found.policy(min(found.arrays)), tuple(found.suite().families)
