"""The jitted program of many lanes of a suite, of one arena or of several side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ... import suite as suites
from ...env import Env, TimeStep
from ...suite import Suite
from ...task import TaskId
from ...vector import TaskTable, VectorEnv, VectorState
from . import tasks
from .diagnosis import diagnosis
from .info import INFO_KEYS
from .packing import Packing
from .spaces import BOUND

FIGURES = ("reward", "terminated", "truncated", "episode_return", "episode_length")
"""What a step tells of each lane, before the information."""


class Step(NamedTuple):
    """What a step of all lanes returns."""

    states: Any
    observation: Float[Array, "lane o"]
    """The new episode's first where one has begun."""
    figures: Float[Array, "lane n"]
    """`FIGURES`, then `INFO_KEYS`."""
    final_observation: Float[Array, "lane o"]
    """What the step really led to."""


@dataclass(frozen=True, eq=False)
class Lanes:
    """Many lanes, jitted. A state holds a row of words and the model's parameters for each lane, arena by arena.

    The tables of tasks are arguments apart: as results they would be copied at every step.
    """

    env: Env
    """Of the first arena; all agree about the lengths of observations and actions."""
    tables: tuple[TaskTable, ...]
    blank: Any
    """The state before any lane has begun."""
    family: Int[np.ndarray, " lane"]
    """Index of each lane's family among those that are played."""
    horizons: Int[np.ndarray, " lane"]
    """Control steps of an episode."""
    tells: dict[str, np.ndarray]
    """By key of the information the lanes [lane] that tell it."""
    begin: Callable[..., tuple[Any, Array]]
    """(tables, states, seeds [lane], lanes that get them, lanes that begin, whether to draw tasks) to (states,
    observations). Lanes with a new seed count their episodes from 0."""
    step: Callable[..., Step]
    """(tables, states, actions, lanes that begin an episode in place of a step, (end with success, draw tasks, begin
    at once where an episode ends))."""
    task_ids: Callable[[Any], tuple[TaskId, ...]]
    """What the lanes of a state play."""


class _Part:
    """The lanes of one arena."""

    def __init__(self, suite: Suite, split: str, env: Env, lanes: np.ndarray, family: np.ndarray):
        """Derives the parameters of the split's tasks.

        Args:
          suite: whose families are played.
          split: where tasks are drawn from.
          env: one lane.
          lanes: numbers of the arena's lanes among all.
          family: for each of them the index of its family in the suite.
        """
        arena = env.arena.name
        self.lanes, self.ids = lanes, suite.arena_ids(split)[arena]
        # Lanes that end keep the table's row that the state names, which is set here: `VectorEnv` itself would draw
        # from all families.
        self.vector = VectorEnv(
            env, tasks.tables(suite.name, split)[arena], len(lanes), suite.families, resample=False, stagger=False
        )
        # Only the table is computed: every lane is begun by `begin`, so a second program for it need not be compiled.
        self.table: TaskTable = jax.jit(lambda key: self.vector.reset(key)[0].table)(jax.random.key(0))
        names, inverse = np.unique(family, return_inverse=True)
        places = [[i for i, t in enumerate(self.ids) if t.family == suite.families[name]] for name in names]
        self.counts = np.array([len(found) for found in places], np.int32)[inverse]
        rows = np.zeros((len(places), max(map(len, places))), np.int32)
        for row, found in zip(rows, places, strict=True):
            row[: len(found)] = found
        self.rows = rows[inverse]
        state, self.timestep = jax.eval_shape(self.vector.reset, jax.random.key(0))
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), self._bare(state))
        self.packing = Packing(one)
        self.tells = jax.eval_shape(jax.vmap(diagnosis), state.env.task, self.timestep)
        self.blank = np.zeros((len(lanes), self.packing.size), np.int32), np.zeros(state.env.params.shape, np.float32)

    @staticmethod
    def _bare(state: VectorState) -> VectorState:
        """Without the table and the parameters, which stay as they are."""
        env = replace(state.env, params=cast(Any, ()))
        return replace(state, table=cast(Any, ()), env=env, keys=jax.eval_shape(jax.random.key_data, state.keys))

    def pack(self, state: VectorState) -> tuple[Array, Array]:
        bare = replace(state, table=cast(Any, ()), keys=jax.random.key_data(state.keys))
        return jax.vmap(self.packing.pack)(replace(bare, env=replace(state.env, params=cast(Any, ())))), state.env.params

    def unpack(self, table: TaskTable, packed: tuple[Array, Array]) -> VectorState:
        words, params = packed
        state = jax.vmap(self.packing.unpack)(words)
        env = replace(state.env, params=params)
        return replace(state, table=table, env=env, keys=jax.random.wrap_key_data(state.keys))

    def begin(
        self, state: VectorState, timestep: TimeStep, due: Bool[Array, " lane"], sample: Array
    ) -> tuple[Any, Array]:
        """Begins episodes in the lanes that are due, of new tasks of their families if `sample`."""
        drawn = jax.vmap(tasks.draw_index)(state.keys, state.episode + 1, self.counts)
        drawn = jnp.take_along_axis(jnp.asarray(self.rows), drawn[:, None], axis=1)[:, 0]
        state = replace(state, task_index=jnp.where(due & sample, drawn, state.task_index))
        ends = replace(timestep, terminated=due, truncated=jnp.zeros_like(due))
        state, seen = self.vector.auto_reset(state, ends)
        return self.pack(state), jnp.clip(seen.observation, -BOUND, BOUND)

    def reset(self, table: TaskTable, packed: Any, seeds: Array, seeded: Array, due: Array, sample: Array) -> Any:
        """See `Lanes.begin`."""
        state = self.unpack(table, packed)
        keys = jnp.where(seeded, jax.vmap(jax.random.key)(seeds), state.keys)
        state = replace(state, keys=keys, episode=jnp.where(seeded, 0, state.episode))
        blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.timestep)
        return self.begin(state, blank, due, sample)

    def step(self, table: TaskTable, packed: Any, action: Array, pending: Array, flags: Array) -> Step:
        """See `Lanes.step`."""
        state = self.unpack(table, packed)
        env_state, timestep = jax.vmap(self.vector.env.step)(state.env, action)
        told = jax.vmap(diagnosis)(env_state.task, timestep)
        terminated = timestep.terminated | (flags[0] & timestep.success)
        truncated = timestep.truncated & ~terminated
        figures = [timestep.reward, terminated, truncated, timestep.episode_return, timestep.episode_length]
        figures += [told.get(key, jnp.zeros_like(timestep.reward)) for key in INFO_KEYS]
        due = jnp.where(flags[2], terminated | truncated, pending)
        packed, observation = self.begin(replace(state, env=env_state), timestep, due, flags[1])
        final = jnp.clip(timestep.final_observation, -BOUND, BOUND)
        seen = jnp.stack([figure.astype(jnp.float32) for figure in figures], axis=1)
        return Step(packed, observation, jnp.where(pending[:, None], 0.0, seen), final)


@lru_cache(maxsize=8)
def lanes(suite: str, split: str, num_envs: int, backend: str | None, horizon: int | None) -> Lanes:
    """Shared by environments that differ in their seed alone, e.g. one for training and one for evaluation.

    Args:
      suite: its name.
      split: where tasks are drawn from.
      num_envs: lanes; lane i plays family i mod n.
      backend: physics.
      horizon: control steps of an episode; by default each arena's own.
    """
    loaded = suites.load(suite)
    indices = [i for i, name in enumerate(loaded.families) if loaded.splits[split].get(name)]
    place = np.arange(num_envs) % len(indices)
    family = np.array(indices)[place]
    arenas = np.array([loaded.family(name).arena for name in loaded.families])[family]
    horizons = np.zeros(num_envs, int)
    parts = []
    for arena, env in tasks.envs(suite, backend).items():
        mine = np.flatnonzero(arenas == arena)
        if mine.size:
            horizons[mine] = horizon or loaded.horizon_of(arena)
            parts.append(_Part(loaded, split, replace(env, horizon=int(horizons[mine[0]])), mine, family[mine]))
    back = np.argsort(np.concatenate([part.lanes for part in parts]))

    def together(pieces: tuple[Array, ...]) -> Array:
        return jnp.concatenate(pieces)[back] if len(pieces) > 1 else pieces[0]

    @jax.jit
    def begin(tables, states, seeds, seeded, due, sample):
        done = [
            part.reset(table, state, seeds[part.lanes], seeded[part.lanes], due[part.lanes], sample)
            for part, table, state in zip(parts, tables, states, strict=True)
        ]
        states, observations = zip(*done, strict=True)
        return states, together(observations)

    @jax.jit
    def step(tables, states, action, pending, flags):
        done = [
            part.step(table, state, action[part.lanes], pending[part.lanes], flags)
            for part, table, state in zip(parts, tables, states, strict=True)
        ]
        states, *seen = zip(*done, strict=True)
        return Step(states, *map(together, seen))

    def task_ids(states: Any) -> tuple[TaskId, ...]:
        found = []
        for part, (words, _) in zip(parts, states, strict=True):
            found += [part.ids[i] for i in jax.vmap(part.packing.unpack)(words).task_index.tolist()]
        return tuple(found[i] for i in back)

    told = {
        key: np.isin(np.arange(num_envs), np.concatenate([part.lanes for part in parts if key in part.tells] or [[]]))
        for key in INFO_KEYS
    }
    return Lanes(
        parts[0].vector.env,
        tuple(part.table for part in parts),
        tuple(part.blank for part in parts),
        place,
        horizons,
        {key: lanes for key, lanes in told.items() if lanes.any()},
        begin,
        step,
        task_ids,
    )
