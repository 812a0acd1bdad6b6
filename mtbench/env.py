"""The environment of one lane: pure `reset` and `step`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from . import physics as physics_lib
from .arena import Arena
from .physics import Physics, Sensors, State
from .task import Task


@struct.dataclass
class TimeStep:
    """What a step returns, for one lane."""

    observation: Float[Array, " o"]
    """What the policy acts on next."""
    context: Float[Array, " c"]
    """What the policy is told of the task: the one-hot of its family in the suite, or zeros where that is hidden."""
    quantities: Float[Array, "q 3"]
    """The arena's named quantities: privileged knowledge, for experts and diagnosis."""
    family: Int[Array, ""]
    """Index of the family in the suite: for experts and metrics, not for the policy."""
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

    @property
    def observation_size(self) -> int:
        """Length of the observation."""
        return self.arena.observation_size

    @property
    def action_size(self) -> int:
        """Length of the action; each entry lies in [-1, 1] and is clipped to it."""
        return self.arena.action_size

    def params(self, task: Task) -> Float[Array, " p"]:
        """The model parameters of a task; the same for every episode of it."""
        return self.physics.params(self.arena.causes(task))

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
        observation, carry = self.arena.observe(task, sensors, carry)
        zero, false = jnp.zeros(()), jnp.zeros((), bool)
        env_state = EnvState(task, params, state, carry, jnp.zeros((), jnp.int32), zero, false)
        quantities = self.arena.measure(task, sensors)
        return env_state, TimeStep(
            observation=observation,
            context=self._context(task),
            quantities=quantities,
            family=task.family,
            reward=zero,
            success=false,
            success_any=false,
            progress=self.arena.outcome(task, quantities).progress,
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
        if action.shape != (self.action_size,):
            raise ValueError(f"an action of this arena has shape ({self.action_size},), got {tuple(action.shape)}")
        task = state.task
        usable = jnp.isfinite(action).all()
        action = jnp.where(usable, jnp.clip(action, -1.0, 1.0), 0.0)
        ctrl, carry = self.arena.control(task, state.carry, action)
        physics_state, sensors = self.physics.step(state.params, state.physics, ctrl)
        diverged = physics_lib.diverged(physics_state) | ~usable
        # A lane that broke down shows where it was last sound: zeros, never NaN.
        sensors = jax.tree.map(lambda x: jnp.where(diverged, jnp.zeros_like(x), x), sensors)
        quantities = self.arena.measure(task, sensors)
        outcome = self.arena.outcome(task, quantities)
        observation, carry = self.arena.observe(task, sensors, carry)

        reward = jnp.where(diverged, 0.0, outcome.reward)
        success = outcome.success & ~diverged
        elapsed = state.elapsed + 1
        terminated = outcome.failed | diverged
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
            quantities=quantities,
            family=task.family,
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

    def _context(self, task: Task) -> Float[Array, " c"]:
        # Hidden, it keeps its length: networks stay the same, and XLA's CPU compiler crashes on arrays of size zero.
        return jax.nn.one_hot(task.family, self.num_families) * float(self.show_family)


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


__all__ = ["Env", "EnvState", "Sensors", "TimeStep", "make_env"]
