"""The arena protocol: a topology with slots, a robot, and what can be seen and judged in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import jax
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from .physics import Causes, Command, Sensors
from .task import Task

Carry = TypeVar("Carry")


@struct.dataclass
class Outcome:
    """What one step achieved."""

    reward: Float[Array, ""]
    """Dense reward in [0, 1]."""
    success: Bool[Array, ""]
    """Whether the goal is reached now."""
    failed: Bool[Array, ""]
    """Whether the episode is over for good (a fall); most arenas never say so."""
    progress: Float[Array, ""]
    """How much of the task is done, in [0, 1]; 1 exactly at success."""
    stage: Int[Array, ""]
    """Leading stages that hold."""


class Arena[Carry](Protocol):
    """One compiled topology. Every method is written for one lane and is pure."""

    name: str
    model: Any
    """The compiled `mujoco.MjModel`."""
    edits: tuple[str, ...]
    """Model fields that `causes` sets."""
    substeps: int
    timestep: float
    """Seconds of one control step."""
    action_size: int
    observation_size: int
    quantities: tuple[str, ...]
    """Names of the rows of `TimeStep.quantities`."""

    def causes(self, task: Task) -> Causes:
        """Model fields, each of full shape, that the task's scene sets."""
        ...

    def initial_state(self, key: jax.Array, task: Task) -> tuple[Array, Array]:
        """A draw of (qpos, qvel) from the task's distribution of initial states."""
        ...

    def init_carry(self, task: Task, sensors: Sensors) -> Carry:
        """What the arena remembers from step to step, at the start of an episode."""
        ...

    def control(self, task: Task, carry: Carry, action: Float[Array, " a"]) -> tuple[Command, Carry]:
        """What acts on the bodies in a step, for an action in [-1, 1]."""
        ...

    def remember(self, task: Task, carry: Carry, sensors: Sensors) -> Carry:
        """The memory after a step that led to these readings."""
        ...

    def measure(self, task: Task, sensors: Sensors, carry: Carry) -> Float[Array, "q 3"]:
        """The named quantities that stages and experts speak of."""
        ...

    def observe(self, task: Task, sensors: Sensors, carry: Carry) -> Float[Array, " o"]:
        """What the policy sees."""
        ...

    def outcome(self, task: Task, sensors: Sensors, carry: Carry) -> Outcome:
        """Reward, success and failure at the present state."""
        ...

    def dress(self, compiled: Any, task: Task) -> None:
        """Prepares a `mujoco.MjModel` for a picture of one task: colours, the goal's mark, what is not drawn."""
        ...


class ArenaKind(Protocol):
    """Builds an arena with the slots that some tasks need."""

    name: str
    horizon: int
    """Control steps of an episode, unless a suite says otherwise."""

    def __call__(self, tasks: Sequence[Task] | Task, *, show_goal: bool = True) -> Arena:
        """Compiles the topology with the union of the slots that `tasks` (stacked rows) use."""
        ...

    def check(self, tasks: Task, names: Sequence[str]) -> None:
        """Makes sure that stacked tasks can begin.

        Args:
          tasks: rows [task, …].
          names: what an error is to call them.

        Raises:
          UsageError: one cannot; names it and what is wrong.
        """
        ...

    def expert(self, scripts: Sequence[Any]) -> Any:
        """A policy that plays solutions (`Family.expert`), one per family of a suite."""
        ...
