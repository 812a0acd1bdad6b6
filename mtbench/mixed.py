"""Lanes of several arenas side by side in one program, with the interface of `VectorEnv`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from .env import Env, TimeStep
from .errors import UsageError
from .task import Task
from .vector import VectorEnv, VectorState, lane_specs, sharded


@struct.dataclass
class MixedState:
    """State of all lanes."""

    parts: tuple[VectorState, ...]
    """Of each arena's lanes."""


@dataclass(frozen=True, eq=False)
class MixedVectorEnv:
    """Several `VectorEnv`s as one: a flat lane axis on which the arenas alternate in a fixed pattern.

    By default lane i belongs to the arena of family i mod F, so an arena's share is that of its families, in every
    block of F lanes: several trainings may split the lanes into blocks of their own, and devices too. A lane keeps
    its arena for ever and draws from that arena's tasks. Observations, actions and quantities are padded
    (`Env.sizes`).
    """

    parts: tuple[VectorEnv, ...]
    """One for each arena."""
    pattern: tuple[int, ...]
    """The part of each lane of a block, repeated without end."""
    num_lanes: int
    mesh: Mesh | None = None
    """See `VectorEnv.mesh`."""

    @classmethod
    def of(
        cls,
        envs: Mapping[str, Env],
        tables: Mapping[str, Task],
        num_lanes: int,
        family_names: tuple[str, ...],
        family_arenas: tuple[str, ...],
        *,
        arena_shares: Mapping[str, int] | None = None,
        mesh: Mesh | None = None,
        **more: Any,
    ) -> MixedVectorEnv:
        """Shares lanes out to arenas.

        Args:
          envs: by arena, padded to common sizes.
          tables: stacked rows by arena.
          num_lanes: of all arenas together.
          family_names: of the suite.
          family_arenas: the arena of each family that is played.
          arena_shares: lanes of each arena in a block, in place of one for each of its families.
          mesh: devices to shard lanes over.
          more: goes to each `VectorEnv`.

        Raises:
          UsageError: there are too few lanes for the arenas, or they do not divide over the devices, or an arena has
            no share.
        """
        arenas = tuple(dict.fromkeys(family_arenas))
        pattern = tuple(arenas.index(name) for name in family_arenas)
        if arena_shares is not None:
            pattern = _spread(_checked(arena_shares, arenas))
        block, devices = len(pattern), mesh.size if mesh else 1
        if num_lanes < block:
            raise UsageError(f"lanes = {num_lanes}: a block of all arenas has {block}, at least as many are needed")
        if mesh and num_lanes % (block * devices):
            raise UsageError(
                f"lanes = {num_lanes}: must divide over {devices} devices in blocks of {block}: "
                f"expected a multiple of {block * devices}"
            )
        owner = np.resize(pattern, num_lanes)
        parts = []
        for index, name in enumerate(arenas):
            numbers = np.flatnonzero(owner == index)
            part = VectorEnv(
                envs[name], tables[name], len(numbers), family_names, numbers=tuple(numbers.tolist()), **more
            )
            parts.append(part)
        return cls(tuple(parts), pattern, num_lanes, mesh)

    @property
    def envs(self) -> tuple[Env, ...]:
        """See `VectorEnv.envs`."""
        return tuple(part.env for part in self.parts)

    @property
    def family_names(self) -> tuple[str, ...]:
        """Names of the suite's families, in the context's order."""
        return self.parts[0].family_names

    @property
    def num_families(self) -> int:
        """Families of the suite, also the context's length."""
        return self.parts[0].num_families

    @property
    def lane_families(self) -> Int[np.ndarray, " lane"] | None:
        """See `VectorEnv.lane_families`."""
        own = [part.lane_families for part in self.parts if part.lane_families is not None]
        if len(own) < len(self.parts):
            return None
        return np.concatenate(own)[np.argsort(np.concatenate(self._shares(self.num_lanes)))]

    @property
    def observation_size(self) -> int:
        """Length of one lane's observation, padding included."""
        return self.parts[0].observation_size

    @property
    def context_size(self) -> int:
        """Length of one lane's context."""
        return self.parts[0].context_size

    @property
    def action_size(self) -> int:
        """Length of one lane's action, padding included."""
        return self.parts[0].action_size

    @property
    def num_tasks(self) -> int:
        """Rows of all tables."""
        return sum(part.num_tasks for part in self.parts)

    @property
    def task_families(self) -> Int[np.ndarray, " task"]:
        """The family of each row, one table after the other."""
        return np.concatenate([part.task_families for part in self.parts])

    def lane_tasks(self, state: MixedState) -> Int[Array, " lane"]:
        """The row that each lane plays, counted as in `task_families`."""
        first = np.cumsum([0] + [part.num_tasks for part in self.parts])
        own = [start + part.lane_tasks(s) for start, part, s in zip(first, self.parts, state.parts, strict=False)]
        return jnp.concatenate(own)[np.argsort(np.concatenate(self._shares(self.num_lanes)))]

    @property
    def family_layouts(self) -> tuple[int, ...]:
        """See `VectorEnv.family_layouts`: each arena has a layout of its own."""
        layouts = np.zeros(self.num_families, int)
        for index, part in enumerate(self.parts):
            layouts[part.families] = index
        return tuple(layouts.tolist())

    @property
    def action_mask(self) -> Float[np.ndarray, "family a"]:
        """See `VectorEnv.action_mask`."""
        mask = np.ones((self.num_families, self.action_size), np.float32)
        for part in self.parts:
            mask[part.families] = part.action_mask[part.families]
        return mask

    def reset(self, key: jax.Array, tasks: Int[Array, " lane"] | None = None) -> tuple[MixedState, TimeStep]:
        """See `VectorEnv.reset`; a task's number is one of its lane's arena."""
        own = [None if tasks is None else tasks[mine] for mine in self._shares(self.num_lanes)]
        states, timesteps = zip(*(part.reset(key, of) for part, of in zip(self.parts, own, strict=True)), strict=True)
        return MixedState(states), self._merged(timesteps, self.num_lanes)

    def step(self, state: MixedState, action: Float[Array, "lane a"]) -> tuple[MixedState, TimeStep]:
        """One control step of every lane; lanes whose episode ends begin the next one.

        Raises:
          ValueError: the actions' shape is not `(num_lanes, action_size)`.
        """
        if action.shape != (self.num_lanes, self.action_size):
            raise ValueError(f"actions have shape ({self.num_lanes}, {self.action_size}), got {tuple(action.shape)}")
        if self.mesh is None:
            return self._local_step(state, action)
        return sharded(self._local_step, self.mesh, self._specs)(state, action)

    def _specs(self, lane: PartitionSpec) -> MixedState:
        return MixedState(tuple(lane_specs(lane) for _ in self.parts))

    def _local_step(self, state: MixedState, action: Array) -> tuple[MixedState, TimeStep]:
        lanes = action.shape[0]
        stepped = [
            part.local_step(own, action[mine])
            for part, own, mine in zip(self.parts, state.parts, self._shares(lanes), strict=True)
        ]
        states, timesteps = zip(*stepped, strict=True)
        return MixedState(states), self._merged(timesteps, lanes)

    def _shares(self, lanes: int) -> list[np.ndarray]:
        """The lanes of each part among the first `lanes`, or among those of one device."""
        owner = np.resize(self.pattern, lanes)
        return [np.flatnonzero(owner == index) for index in range(len(self.parts))]

    def _merged(self, timesteps: tuple[TimeStep, ...], lanes: int) -> TimeStep:
        """The parts' time steps on one lane axis."""
        place = np.argsort(np.concatenate(self._shares(lanes)))
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[place], *timesteps)


def _checked(shares: Mapping[str, int], arenas: tuple[str, ...]) -> list[int]:
    """The shares in the order of the arenas."""
    if set(shares) != set(arenas) or min(shares.values()) < 1:
        told = ", ".join(f"{name} {share}" for name, share in shares.items()) or "none"
        raise UsageError(f"arena shares: expected a number of at least 1 for each of {', '.join(arenas)}, got {told}")
    return [shares[name] for name in arenas]


def _spread(shares: list[int]) -> tuple[int, ...]:
    """A block in which every part has its share, as evenly spread as can be."""
    places = [((turn + 0.5) / share, part) for part, share in enumerate(shares) for turn in range(share)]
    return tuple(part for _, part in sorted(places))
