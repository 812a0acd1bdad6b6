"""The environment of one lane: pure `reset` and `step`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from . import physics as physics_lib
from .arena import Arena
from .batching import batches
from .physics import Command, Physics, Sensors, State
from .task import Task

_CHUNK = 64
"""Rows whose parameters are derived at once."""


@struct.dataclass
class TimeStep:
    """What a step returns, for one lane.

    Where an episode begins, `observation`, `context` and `quantities` are the new episode's first, and all the rest
    tells of the step that ended the one before: a policy sees the reward of its last action beside what it acts on
    next, within an episode and from one to the next.
    """

    observation: Float[Array, " o"]
    """What the policy acts on next."""
    context: Float[Array, " c"]
    """What the policy is told of the task: the one-hot of its family in the suite, or zeros where that is hidden."""
    quantities: Float[Array, "q 3"]
    """The arena's named quantities: privileged knowledge, for experts and diagnosis."""
    family: Int[Array, ""]
    """Index of the family in the suite: for experts and metrics, not for the policy."""
    arena: Int[Array, ""]
    """Index of the arena in the suite: for metrics."""
    episode_begins: Bool[Array, ""]
    """`observation` is the first of an episode."""
    task_begins: Bool[Array, ""]
    """`observation` is the first of a task that has just been drawn (a trial): memory of the last one is worthless."""
    reward: Float[Array, ""]
    success: Bool[Array, ""]
    """Whether the goal is reached now."""
    success_any: Bool[Array, ""]
    """Whether it has been reached in this episode: the field's usual figure."""
    progress: Float[Array, ""]
    """How much of the task is done, in [0, 1]."""
    terminated: Bool[Array, ""]
    """The episode is over and its future is worth nothing (a fall, a simulation that broke down)."""
    truncated: Bool[Array, ""]
    """The horizon is reached: the future would go on, so bootstrap from `final_observation`."""
    diverged: Bool[Array, ""]
    """The simulation of this lane broke down."""
    episode_return: Float[Array, ""]
    episode_length: Int[Array, ""]
    final_observation: Float[Array, " o"]
    """What the step really led to. It differs from `observation` where a new episode has begun."""

    def then(self, first: TimeStep, task_begins: Bool[Array, ""] | bool) -> TimeStep:
        """This step, the last of its episode, with the first observation of the next one.

        Args:
          first: what the reset of the next episode showed.
          task_begins: whether the next episode is of a newly drawn task.
        """
        return replace(
            self,
            observation=first.observation,
            context=first.context,
            quantities=first.quantities,
            episode_begins=jnp.ones_like(self.episode_begins),
            task_begins=jnp.broadcast_to(jnp.asarray(task_begins), self.task_begins.shape),
        )


class Sizes(NamedTuple):
    """Lengths to which a lane's arrays are padded with zeros, so that lanes of several arenas share their shapes."""

    observation: int
    action: int
    """Entries beyond the arena's own are ignored."""
    quantities: int


@struct.dataclass
class EnvState:
    """Everything of one lane that the next step needs."""

    task: Task
    """The row, without its scene: what it says about the model is in `params`."""
    params: Float[Array, " p"]
    physics: State
    carry: Any
    """The arena's memory."""
    elapsed: Int[Array, ""]
    """Control steps since the start of the episode."""
    episode_return: Float[Array, ""]
    success_any: Bool[Array, ""]


@dataclass(frozen=True, eq=False)
class Env:
    """One lane of an arena. Map over lanes with `jax.vmap`, or use `VectorEnv` for auto-reset."""

    arena: Arena
    physics: Physics
    horizon: int
    num_families: int = 1
    """Length of the context."""
    show_family: bool = True
    """Whether the context is the family's one-hot or zeros."""
    arena_index: int = 0
    """What `TimeStep.arena` says."""
    sizes: Sizes | None = None
    """What to pad to; by default the arena's own lengths."""

    @property
    def observation_size(self) -> int:
        """Length of the observation."""
        return self.sizes.observation if self.sizes else self.arena.observation_size

    @property
    def action_size(self) -> int:
        """Length of the action; each entry lies in [-1, 1] and is clipped to it."""
        return self.sizes.action if self.sizes else self.arena.action_size

    def params(self, task: Task) -> Float[Array, " p"]:
        """The model parameters of a task; the same for every episode of it."""
        return self.physics.params(self.arena.causes(task))

    def params_of(self, tasks: Task) -> Float[Array, "task p"]:
        """`params` of concrete rows [task, …].

        Computed at once, also while something else is traced, by one small program: as a part of every program that
        resets it would be a third of what there is to compile.
        """
        parts = []
        with jax.ensure_compile_time_eval():
            for chosen, fresh in batches(range(np.shape(tasks.family)[0]), _CHUNK, fill=True):
                part = jax.tree.map(lambda leaf, chosen=chosen: np.asarray(leaf)[np.array(chosen)], tasks)
                parts.append(_params(self.arena, self.physics, part)[:fresh])
            return jnp.concatenate(parts)

    def reset(self, key: jax.Array, task: Task) -> tuple[EnvState, TimeStep]:
        """Begins an episode of a task.

        Args:
          key: draws the initial state.
          task: one row.
        """
        return self.begin(key, task, self.params(task))

    def begin(self, key: jax.Array, task: Task, params: Float[Array, " p"]) -> tuple[EnvState, TimeStep]:
        """As `reset`, with the task's parameters given."""
        qpos, qvel = self.arena.initial_state(key, task)
        state, sensors = self.physics.init(params, qpos, qvel)
        task = replace(task, scene=())
        carry = self.arena.init_carry(task, sensors)
        observation = _padded(self.arena.observe(task, sensors, carry), self.observation_size)
        zero, false = jnp.zeros(()), jnp.zeros((), bool)
        env_state = EnvState(task, params, state, carry, jnp.zeros((), jnp.int32), zero, false)
        return env_state, TimeStep(
            observation=observation,
            context=self._context(task),
            quantities=self._quantities(task, sensors, carry),
            family=task.family,
            arena=jnp.int32(self.arena_index),
            episode_begins=~false,
            task_begins=~false,
            reward=zero,
            success=false,
            success_any=false,
            progress=self.arena.outcome(task, sensors, carry).progress,
            terminated=false,
            truncated=false,
            diverged=false,
            episode_return=zero,
            episode_length=env_state.elapsed,
            final_observation=observation,
        )

    def step(self, state: EnvState, action: Float[Array, " a"]) -> tuple[EnvState, TimeStep]:
        """One control step. After the horizon it goes on if asked; `VectorEnv` begins a new episode instead.

        Args:
          state: where the lane is.
          action: clipped to [-1, 1]; an action that is not finite ends the episode as diverged.

        Raises:
          ValueError: the action's shape is not `(action_size,)`.
        """
        command, carry, usable = self.command(state, action)
        physics_state, sensors = self.physics.step(state.params, state.physics, command)
        return self.judge(state, carry, usable, physics_state, sensors)

    def command(self, state: EnvState, action: Float[Array, " a"]) -> tuple[Command, Any, Bool[Array, ""]]:
        """The part of a step before the physics: what acts on the bodies, the arena's memory, whether to go on at all.

        Raises:
          ValueError: the action's shape is not `(action_size,)`.
        """
        if action.shape != (self.action_size,):
            raise ValueError(f"an action of this arena has shape ({self.action_size},), got {tuple(action.shape)}")
        action = action[: self.arena.action_size]
        usable = jnp.isfinite(action).all()
        action = jnp.where(usable, jnp.clip(action, -1.0, 1.0), 0.0)
        command, carry = self.arena.control(state.task, state.carry, action)
        return command, carry, usable

    def judge(
        self, state: EnvState, carry: Any, usable: Bool[Array, ""], physics_state: State, sensors: Sensors
    ) -> tuple[EnvState, TimeStep]:
        """The part of a step after the physics: what is seen, and what it is worth.

        Args:
          state: before the step.
          carry: the arena's memory, from `command`.
          usable: whether the action was, from `command`.
          physics_state: after the step.
          sensors: what is read there.
        """
        task = state.task
        diverged = physics_lib.diverged(physics_state) | ~usable
        # A lane that broke down shows where it was last sound: zeros, never NaN.
        sensors = jax.tree.map(lambda x: jnp.where(diverged, jnp.zeros_like(x), x), sensors)
        carry = self.arena.remember(task, carry, sensors)
        outcome = self.arena.outcome(task, sensors, carry)
        observation = _padded(self.arena.observe(task, sensors, carry), self.observation_size)

        reward = jnp.where(diverged, 0.0, outcome.reward)
        success = outcome.success & ~diverged
        elapsed = state.elapsed + 1
        terminated = outcome.failed | diverged
        false = jnp.zeros((), bool)
        new = replace(
            state,
            physics=physics_state,
            carry=carry,
            elapsed=elapsed,
            episode_return=state.episode_return + reward,
            success_any=state.success_any | success,
        )
        return new, TimeStep(
            observation=observation,
            context=self._context(task),
            quantities=self._quantities(task, sensors, carry),
            family=task.family,
            arena=jnp.int32(self.arena_index),
            episode_begins=false,
            task_begins=false,
            reward=reward,
            success=success,
            success_any=new.success_any,
            progress=jnp.where(diverged, 0.0, outcome.progress),
            terminated=terminated,
            truncated=(elapsed >= self.horizon) & ~terminated,
            diverged=diverged,
            episode_return=new.episode_return,
            episode_length=elapsed,
            final_observation=observation,
        )

    def _quantities(self, task: Task, sensors: Sensors, carry: Any) -> Float[Array, "q 3"]:
        quantities = self.arena.measure(task, sensors, carry)
        return _padded(quantities, self.sizes.quantities) if self.sizes else quantities

    def _context(self, task: Task) -> Float[Array, " c"]:
        # Hidden, it keeps its length: networks stay the same, and XLA's CPU compiler crashes on arrays of size zero.
        return jax.nn.one_hot(task.family, self.num_families) * float(self.show_family)


@partial(jax.jit, static_argnums=(0, 1))
def _params(arena: Arena, physics: Physics, tasks: Task) -> Float[Array, "task p"]:
    return jax.vmap(lambda task: physics.params(arena.causes(task)))(tasks)


def _padded(x: Array, size: int) -> Array:
    """`x` with zeros up to a length of its first axis."""
    return x if x.shape[0] == size else jnp.pad(x, [(0, size - x.shape[0]), *[(0, 0)] * (x.ndim - 1)])


def make_env(
    kind,
    tasks: Task,
    *,
    horizon: int,
    num_families: int = 1,
    backend: str | None = None,
    show_goal: bool = True,
) -> Env:
    """Compiles an arena for some tasks.

    Args:
      kind: an `ArenaKind`, e.g. `registry.arena("tabletop")`.
      tasks: stacked rows; the model gets the union of the slots they use.
      horizon: control steps of an episode.
      num_families: length of the context.
      backend: see `physics.make`.
      show_goal: whether the observation holds the goal and the context the family (multi-task), or both hold zeros
        (meta-RL).
    """
    arena = kind(tasks, show_goal=show_goal)
    engine = physics_lib.make(arena.model, backend, substeps=arena.substeps, edits=arena.edits)
    return Env(arena, engine, horizon, num_families, show_family=show_goal)


__all__ = ["Env", "EnvState", "Sensors", "Sizes", "TimeStep", "make_env"]
