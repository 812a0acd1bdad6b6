"""The jitted programs of many lanes of a suite, of one arena or of several side by side."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ... import suite as suites
from ...env import Env, EnvState, TimeStep
from ...suite import Suite
from ...task import TaskId
from ...vector import TaskTable, VectorEnv, VectorState
from . import tasks
from .info import INFO_KEYS
from .step import Fixed, bounded, diagnosis, jit, joined, parted, step


class LaneState(NamedTuple):
    """The lanes of one arena; each array has the lane's axis first."""

    fixed: Fixed
    moving: EnvState
    task_index: Int[Array, " lane"]
    """Row of the arena's table of tasks that a lane plays."""
    keys: jax.Array
    """A lane's episode e draws from `fold_in(key, e)`."""
    episode: Int[Array, " lane"]


class Lanes:
    """Many lanes of a suite: lane i plays family i mod n of the split. Their state, one `LaneState` for each arena, is
    an argument and a result, and the host sees only arrays of all lanes."""

    def __init__(self, suite: str, split: str, num_envs: int, backend: str | None, horizon: int | None):
        """Derives the parameters of the split's tasks; nothing else is compiled yet.

        Args:
          suite: its name.
          split: where tasks are drawn from.
          num_envs: lanes, at least one per family.
          backend: physics.
          horizon: control steps of an episode; by default each arena's own.
        """
        loaded = suites.load(suite)
        played = [index for index, name in enumerate(loaded.families) if loaded.splits[split].get(name)]
        self.family = np.array(played)[np.arange(num_envs) % len(played)]
        """Index of each lane's family in the suite [lane]."""
        self.horizons = np.zeros(num_envs, int)
        """Control steps of an episode [lane]."""
        self._parts = []
        arenas = np.array([loaded.family(name).arena for name in loaded.families])[self.family]
        for arena, env in tasks.envs(suite, backend).items():
            mine = np.flatnonzero(arenas == arena)
            if mine.size:
                self.horizons[mine] = steps = horizon or loaded.horizon_of(arena)
                self._parts.append(_Part(loaded, split, replace(env, horizon=steps), mine, self.family[mine]))
        self._order = np.argsort(np.concatenate([part.lanes for part in self._parts]))
        self.env = self._parts[0].vector.env
        """One lane of the first arena; all agree about the lengths of observations and actions."""
        knows = {key: [part.lanes for part in self._parts if key in part.known] for key in INFO_KEYS}
        self.tells = {k: np.isin(np.arange(num_envs), np.concatenate(own)) for k, own in knows.items() if own}
        """By key of the information the lanes [lane] that tell it."""
        self._begin, self._step = jit(self._begin_parts), jit(self._step_parts)
        # As an argument: as constants of a program, the tables would be folded and copied by the compiler.
        self._tables = tuple(part.table for part in self._parts)

    def blank(self) -> tuple[LaneState, ...]:
        """The state before any lane has begun."""
        return tuple(part.blank() for part in self._parts)

    def begin(
        self,
        states: tuple[LaneState, ...],
        due: Bool[np.ndarray, " lane"],
        sample: bool,
        seeds: Int[np.ndarray, " lane"] | None = None,
    ) -> tuple[tuple[LaneState, ...], Float[np.ndarray, "lane o"]]:
        """Begins an episode in the lanes that are due.

        Args:
          states: before.
          due: the lanes.
          sample: whether to draw a new task of the lane's family, or to keep the one it has.
          seeds: if given, the lanes that are due draw from these from here on, and count their episodes from 0.

        Returns:
          The states, and the lanes' first observations; zeros for the other lanes.
        """
        given = np.zeros(len(due), np.uint32) if seeds is None else seeds
        states, observation = self._begin(self._tables, states, given, due & (seeds is not None), due, np.bool_(sample))
        return states, np.asarray(observation)

    def step(
        self, states: tuple[LaneState, ...], actions: Float[np.ndarray, "lane a"]
    ) -> tuple[tuple[LaneState, ...], Float[np.ndarray, "lane n"]]:
        """One control step of every lane; nobody begins anew.

        Returns:
          The states; the observation of each lane and `FIGURES` behind it.
        """
        moving, seen = self._step([state.fixed for state in states], [state.moving for state in states], actions)
        states = tuple(state._replace(moving=new) for state, new in zip(states, moving, strict=True))
        return states, np.asarray(seen)

    def task_ids(self, states: tuple[LaneState, ...]) -> tuple[TaskId, ...]:
        """What the lanes play."""
        parts = zip(self._parts, states, strict=True)
        found = [part.ids[index] for part, state in parts for index in np.asarray(state.task_index)]
        return tuple(found[place] for place in self._order)

    def _begin_parts(self, tables, states, seeds, seeded, due, sample) -> tuple[Any, Array]:
        done = [
            part.begin(table, state, seeds[part.lanes], seeded[part.lanes], due[part.lanes], sample)
            for part, table, state in zip(self._parts, tables, states, strict=True)
        ]
        states, observations = zip(*done, strict=True)
        return states, self._together(observations)

    def _step_parts(self, fixed, moving, actions) -> tuple[Any, Array]:
        done = [
            jax.vmap(partial(step, part.vector.env))(stays, moves, actions[part.lanes])
            for part, stays, moves in zip(self._parts, fixed, moving, strict=True)
        ]
        moving, seen = zip(*done, strict=True)
        return moving, self._together(seen)

    def _together(self, pieces: tuple[Array, ...]) -> Array:
        """The parts' arrays on one lane axis."""
        return jnp.concatenate(pieces)[self._order] if len(pieces) > 1 else pieces[0]


lanes = lru_cache(maxsize=8)(Lanes)
"""Shared by environments that differ in their seed or mode alone, e.g. one for training and one for evaluation."""


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
        self.table: TaskTable = self.vector.table
        names, inverse = np.unique(family, return_inverse=True)
        places = [[i for i, t in enumerate(self.ids) if t.family == suite.families[name]] for name in names]
        rows = np.zeros((len(places), max(map(len, places))), np.int32)
        for row, found in zip(rows, places, strict=True):
            row[: len(found)] = found
        self._rows = rows[inverse]
        """The table's rows that a lane may draw [lane, …], filled up with zeros."""
        self._counts = jnp.array([len(found) for found in places], jnp.int32)[inverse]
        self._shapes, self._timestep = jax.eval_shape(self.vector.reset, jax.random.key(0))
        self.known = jax.eval_shape(jax.vmap(diagnosis), self._shapes.env.task, self._timestep)
        """The information that the arena knows."""

    def blank(self) -> LaneState:
        """The state before any lane has begun."""
        shapes = self._shapes
        shapes = LaneState(*parted(shapes.env), shapes.task_index, shapes.keys, shapes.episode)
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def begin(
        self, table: TaskTable, state: LaneState, seeds: Array, seeded: Array, due: Array, sample: Array
    ) -> tuple[LaneState, Array]:
        """See `Lanes.begin`; `seeded` lanes get their seeds."""
        keys = jnp.where(seeded, jax.vmap(jax.random.key)(seeds), state.keys)
        episode = jnp.where(seeded, 0, state.episode)
        drawn = jax.vmap(tasks.draw_index)(keys, episode + 1, self._counts)
        drawn = jnp.take_along_axis(jnp.asarray(self._rows), drawn[:, None], axis=1)[:, 0]
        task_index = jnp.where(due & sample, drawn, state.task_index)
        vector = VectorState(table, joined(state.fixed, state.moving), task_index, keys, episode)
        ends: TimeStep = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self._timestep)
        vector, seen = self.vector.auto_reset(vector, replace(ends, terminated=due))
        new = LaneState(*parted(vector.env), vector.task_index, vector.keys, vector.episode)
        return new, bounded(seen.observation)
