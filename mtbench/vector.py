"""Many lanes of one arena: `vmap`, auto-reset, trials, task resampling, sharding over devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from .env import Env, EnvState, TimeStep
from .errors import UsageError
from .physics import State
from .task import Task

_AGE = 2**32 - 1  # beside the episode numbers, which are folded into the same key
_START = 2  # beside 1, which draws the next task


@struct.dataclass
class TaskTable:
    """The tasks that lanes play, with the model parameters derived once."""

    tasks: Task
    """[task, …], without scenes."""
    params: Float[Array, "task p"]


@struct.dataclass
class Starts:
    """States in which an episode of a task may begin, [task, start, …]; see `mtbench.demonstrations`."""

    physics: State
    carry: Any
    """The arena's memory."""
    observation: Float[Array, "task start o"]
    quantities: Float[Array, "task start q 3"]
    count: Int[Array, " task"]
    """How many a task has."""


@struct.dataclass
class VectorState:
    """State of all lanes."""

    table: TaskTable
    env: EnvState
    """[lane, …]"""
    task_index: Int[Array, " lane"]
    """Row of the table that each lane plays."""
    keys: jax.Array
    """[lane] keys, one per lane for ever: a lane's episode e draws from `fold_in(key, e)`."""
    episode: Int[Array, " lane"]
    """Episodes that a lane has ended, whatever their tasks."""


def lane_specs(lane: PartitionSpec) -> VectorState:
    """How a state lies on the devices: its lanes are shared out, its table is whole on each."""
    specs: dict[str, Any] = {name: lane for name in ("env", "task_index", "keys", "episode")}
    return VectorState(table=cast(Any, PartitionSpec()), **specs)


def sharded[S](step: Callable[..., Any], mesh: Mesh, specs: Callable[[PartitionSpec], S]) -> Callable[..., Any]:
    """A step whose lanes are shared out over the devices of a one-axis mesh."""
    lane = PartitionSpec(mesh.axis_names[0])
    both = (specs(lane), lane)
    return jax.shard_map(step, mesh=mesh, in_specs=both, out_specs=both, check_vma=False)


@dataclass(frozen=True, eq=False)
class VectorEnv:
    """An environment with a flat lane axis and auto-reset.

    Lane i begins with task i mod T of the table, so families are mixed evenly. At an episode's end a lane draws a new
    initial state and, after `episodes_per_task` of them, with `resample`, a new task of the table. Only the lanes that
    end are reset, in chunks: a reset of every lane at every step would halve the speed.
    """

    env: Env
    tasks: Task
    """Stacked rows [task, …]."""
    num_lanes: int
    family_names: tuple[str, ...]
    resample: bool = True
    stagger: bool = True
    """Begin the first episodes at different ages, so that lanes do not end all at once."""
    episodes_per_task: int = 1
    """Episodes that a lane plays of a task, a trial, before it turns to another one. Where a policy is scored after k
    adaptation episodes (`EvaluationProtocol.adaptation_episodes`), k + 1 trains it on what is scored."""
    mesh: Mesh | None = None
    """Shards lanes over the devices of a one-axis mesh; the result is the same as on one device."""
    numbers: Sequence[int] | None = None
    """Numbers of the lanes [lane], from which their keys are folded; by default 0, 1, 2, …"""
    fixed_families: bool = False
    """Lane i plays tasks of one family alone, the i-th of those that the table has, in turn."""
    starts: Starts | None = None
    """Where episodes may begin in place of their task's start."""
    start_share: float = 0.0
    """Of the episodes that do."""

    def __post_init__(self):
        if self.num_lanes < 1:
            raise UsageError(f"lanes = {self.num_lanes}: at least 1 is needed")
        if self.episodes_per_task < 1:
            raise UsageError(f"episodes_per_task = {self.episodes_per_task}: at least 1 is needed")
        if self.mesh is not None and self.num_lanes % self.mesh.size:
            raise UsageError(f"lanes = {self.num_lanes} do not divide over {self.mesh.size} devices")

    @property
    def envs(self) -> tuple[Env, ...]:
        """The environments of one lane, one per arena."""
        return (self.env,)

    @property
    def num_families(self) -> int:
        """Families of the suite, also the context's length."""
        return len(self.family_names)

    @property
    def families(self) -> Int[np.ndarray, " n"]:
        """Indices of the families that the table has tasks of."""
        return np.unique(self.task_families)

    @property
    def lane_families(self) -> Int[np.ndarray, " lane"] | None:
        """The family that each lane plays, where lanes keep it."""
        return np.resize(self.families, self.num_lanes) if self.fixed_families else None

    @property
    def observation_size(self) -> int:
        """Length of one lane's observation."""
        return self.env.observation_size

    @property
    def context_size(self) -> int:
        """Length of one lane's context."""
        return self.env.num_families

    @property
    def action_size(self) -> int:
        """Length of one lane's action."""
        return self.env.action_size

    @property
    def family_layouts(self) -> tuple[int, ...]:
        """For each family the index of its observation's layout: within one, an entry means the same."""
        return (0,) * self.num_families

    @property
    def action_mask(self) -> Float[np.ndarray, "family a"]:
        """1 where an entry of the action has an effect in a family, 0 where it is padding."""
        used = np.arange(self.action_size) < self.env.arena.action_size
        return np.tile(used.astype(np.float32), (self.num_families, 1))

    @property
    def num_tasks(self) -> int:
        """Rows of the table."""
        return int(np.shape(self.tasks.family)[0])

    @property
    def task_families(self) -> Int[np.ndarray, " task"]:
        """The family of each row of the table."""
        return np.asarray(self.tasks.family)

    def lane_tasks(self, state: VectorState) -> Int[Array, " lane"]:
        """The row of the table that each lane plays."""
        return state.task_index

    @cached_property
    def table(self) -> TaskTable:
        """The tasks with their parameters."""
        return TaskTable(replace(self.tasks, scene=()), self.env.params_of(self.tasks))

    def reset(self, key: jax.Array, tasks: Int[Array, " lane"] | None = None) -> tuple[VectorState, TimeStep]:
        """Begins an episode in every lane.

        Args:
          key: root of all randomness.
          tasks: number of the task that each lane plays, in place of its own number i; counted modulo T.
        """
        lanes = jnp.arange(self.num_lanes, dtype=jnp.int32)
        numbers = lanes if self.numbers is None else jnp.asarray(self.numbers, jnp.int32)
        return self.begin(jax.vmap(partial(jax.random.fold_in, key))(numbers), tasks)

    def begin(self, keys: jax.Array, tasks: Int[Array, " lane"] | None = None) -> tuple[VectorState, TimeStep]:
        """As `reset`, with the key of each lane given."""
        table = self.table
        lanes = jnp.arange(self.num_lanes, dtype=jnp.int32)
        number = lanes if tasks is None else tasks
        task_index = number % self.num_tasks
        if self.fixed_families:
            rows, count, _ = self._family_rows
            family, turn = lanes % len(count), number // len(count)
            task_index = jnp.asarray(rows)[family, turn % jnp.asarray(count)[family]]
        episode = jnp.zeros_like(lanes)
        env_state, timestep = jax.vmap(self._begin, in_axes=(None, 0, 0, 0))(table, keys, task_index, episode)
        if self.stagger:
            # The age of a trial: its episodes, and the steps of the one that is played.
            most = self.env.horizon * self.episodes_per_task
            age = jax.vmap(lambda k: jax.random.randint(jax.random.fold_in(k, _AGE), (), 0, most))(keys)
            env_state = replace(env_state, elapsed=(age % self.env.horizon).astype(jnp.int32))
            episode = (age // self.env.horizon).astype(jnp.int32)
        return VectorState(table, env_state, task_index, keys, episode), timestep

    def step(self, state: VectorState, action: Float[Array, "lane a"]) -> tuple[VectorState, TimeStep]:
        """One control step of every lane; lanes whose episode ends begin the next one.

        Raises:
          ValueError: the actions' shape is not `(num_lanes, action_size)`.
        """
        if action.shape != (self.num_lanes, self.action_size):
            raise ValueError(f"actions have shape ({self.num_lanes}, {self.action_size}), got {tuple(action.shape)}")
        if self.mesh is None:
            return self.local_step(state, action)
        return sharded(self.local_step, self.mesh, lane_specs)(state, action)

    def local_step(self, state: VectorState, action: Array) -> tuple[VectorState, TimeStep]:
        """`step` of the lanes that one device holds."""
        env_state, timestep = jax.vmap(self.env.step)(state.env, action)
        return self.auto_reset(replace(state, env=env_state), timestep)

    def _begin(self, table: TaskTable, key: jax.Array, index: Array, episode: Array) -> tuple[EnvState, TimeStep]:
        task = jax.tree.map(lambda rows: jnp.asarray(rows)[index], table.tasks)
        key = jax.random.fold_in(key, episode)
        state, first = self.env.begin(key, task, table.params[index])
        return (state, first) if self.starts is None else self._elsewhere(self.starts, key, index, state, first)

    def _elsewhere(
        self, starts: Starts, key: jax.Array, index: Array, state: EnvState, first: TimeStep
    ) -> tuple[EnvState, TimeStep]:
        """An episode that has just begun, or in so many of them one that begins in another state."""
        share_key, key = jax.random.split(jax.random.fold_in(key, _START))
        count = jnp.asarray(starts.count)[index]
        taken = (jax.random.uniform(share_key) < self.start_share) & (count > 0)
        chosen = jax.random.randint(key, (), 0, jnp.maximum(count, 1))

        def put(rows: Array, old: Array) -> Array:
            return jnp.where(taken, jnp.asarray(rows)[index, chosen], old)

        state = replace(
            state,
            physics=jax.tree.map(put, starts.physics, state.physics),
            carry=jax.tree.map(put, starts.carry, state.carry),
        )
        observation = put(starts.observation, first.observation)
        return state, replace(
            first,
            observation=observation,
            final_observation=observation,
            quantities=put(starts.quantities, first.quantities),
        )

    def auto_reset(self, state: VectorState, timestep: TimeStep) -> tuple[VectorState, TimeStep]:
        """Begins new episodes where one has ended, a chunk of lanes at a time."""
        lanes = state.task_index.shape[0]
        chunk = -(-lanes // 64)
        over = timestep.terminated | timestep.truncated

        def reset_chunk(loop: tuple[Array, Any]) -> tuple[Array, Any]:
            pending, (state, observation, context, quantities) = loop
            # Lanes to reset first; where fewer are left the index is out of bounds and its write is dropped.
            which = jnp.nonzero(pending, size=chunk, fill_value=lanes)[0]
            safe = jnp.minimum(which, lanes - 1)
            episode = state.episode[safe] + 1
            keys, index = state.keys[safe], state.task_index[safe]
            if self.resample:
                drawn = jax.vmap(self._draw_task)(keys, episode, index)
                index = jnp.where(self._task_begins(episode), drawn, index)
            fresh_state, fresh = jax.vmap(self._begin, in_axes=(None, 0, 0, 0))(state.table, keys, index, episode)

            def put(old: Array, new: Array) -> Array:
                return old.at[which].set(new, mode="drop")

            state = replace(
                state,
                env=jax.tree.map(put, state.env, fresh_state),
                task_index=put(state.task_index, index),
                episode=put(state.episode, episode),
            )
            seen = (
                put(observation, fresh.observation),
                put(context, fresh.context),
                put(quantities, fresh.quantities),
            )
            return pending.at[which].set(False, mode="drop"), (state, *seen)

        first_seen = (timestep.observation, timestep.context, timestep.quantities)
        _, (state, *seen) = jax.lax.while_loop(lambda loop: loop[0].any(), reset_chunk, (over, (state, *first_seen)))
        observation, context, quantities = seen
        # Reward, success and `family` stay those of the episode that has just ended, as `TimeStep.then` says.
        return state, replace(
            timestep,
            observation=observation,
            context=context,
            quantities=quantities,
            episode_begins=over,
            task_begins=over & self._task_begins(state.episode),
        )

    def _task_begins(self, episode: Int[Array, " lane"]) -> Bool[Array, " lane"]:
        """Whether an episode is its trial's first."""
        return episode % self.episodes_per_task == 0

    def _draw_task(self, key: jax.Array, episode: Array, index: Array) -> Array:
        task_key = jax.random.fold_in(jax.random.fold_in(key, episode), 1)
        if not self.fixed_families:
            return jax.random.randint(task_key, (), 0, self.num_tasks, dtype=jnp.int32)
        rows, count, family = self._family_rows
        own = jnp.asarray(family)[index]
        return jnp.asarray(rows)[own, jax.random.randint(task_key, (), 0, jnp.asarray(count)[own])]

    @cached_property
    def _family_rows(self) -> tuple[Int[np.ndarray, "family n"], Int[np.ndarray, " family"], Int[np.ndarray, " task"]]:
        """The table's rows of each family, filled up with repeats; how many there are; and each row's family."""
        family = np.searchsorted(self.families, np.asarray(self.tasks.family))
        count = np.bincount(family)
        rows = [np.resize(np.flatnonzero(family == f), count.max()) for f in range(len(count))]
        return np.stack(rows).astype(np.int32), count, family
