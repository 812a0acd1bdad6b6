"""What may decide a task beside its stages: their order, goals that change, places not to enter, and time.

A row says it in numbers, and what has happened in an episode is a few numbers too, so that a task needs no code of its
own in the step. Zeros throughout are no rules at all.
"""

from __future__ import annotations

from dataclasses import field
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from mtbench.stages import MAX_STAGES, Conditions, Stages
from mtbench.task import Deviations

MAX_ROWS = 2 * MAX_STAGES
"""Stages of a task: those of its table, and those of its rules."""


def blank(*shape: int, dtype: Any = np.float32) -> Any:
    """Zeros of NumPy's, typed as if they were an array of JAX's, which they become in use."""
    return np.zeros(shape, dtype)


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    """A field that is zero by default."""
    return field(default_factory=partial(blank, *shape, dtype=dtype))


def no_stages() -> Stages:
    """A table without an active row, all zeros."""
    k = MAX_STAGES
    none = Conditions(
        subject=blank(k, dtype=np.int32),
        anchor=blank(k, dtype=np.int32),
        offset=blank(k, 3),
        weights=blank(k, 3),
        relation=blank(k, dtype=np.int32),
        tolerance=blank(k),
    )
    return Stages(none, blank(k), blank(k, dtype=bool), blank(k, dtype=bool))


@struct.dataclass
class Rules(Deviations):
    """The rules of a task."""

    stages: Stages = field(default_factory=no_stages)
    """Stages behind those of `Goal.stages`, where a task has more."""
    in_turn: Bool[Array, 10] = zeros(MAX_ROWS, dtype=bool)
    """Stages that count for good once they hold while all before them do or did. Success needs all of them."""
    order: Int[Array, ""] = zeros(dtype=np.int32)
    """Which free object leads: the first (0) or the second (1)."""
    next: Float[Array, 3] = zeros(3)
    """A second goal."""
    switch_step: Int[Array, ""] = zeros(dtype=np.int32)
    """Control step from which on the second goal is shown in place of the first; 0 for never."""
    switch_stage: Int[Array, ""] = zeros(dtype=np.int32)
    """Stages passed from which on it is; 0 for never."""
    relative: Bool[Array, ""] = zeros(dtype=bool)
    """Whether the first goal is an offset from the second free object, and moves with it."""
    hold: Int[Array, ""] = zeros(dtype=np.int32)
    """Control steps for which the required stages must have held before it is a success."""
    zone: Float[Array, "2 3"] = zeros(2, 3)
    """Centre and half sizes of a box that may not be entered; who has entered it succeeds no more in the episode."""
    zone_of: Int[Array, 2] = zeros(2, dtype=np.int32)
    """Quantities that may not enter it."""
    zone_ends: Bool[Array, ""] = zeros(dtype=bool)
    """Whether to enter it ends the episode."""
    seen: Int[Array, ""] = zeros(dtype=np.int32)
    """A third quantity that is observed; 0 for none."""

    def switched(self, past: Past) -> Bool[Array, ""]:
        """Whether the second goal is shown."""
        by_time = (self.switch_step > 0) & (past.steps >= self.switch_step)
        return by_time | ((self.switch_stage > 0) & (past.passed >= self.switch_stage))

    def entered(self, quantities: Float[Array, "q 3"]) -> Bool[Array, ""]:
        """Whether something is in the zone that may not be there."""
        centre, half = self.zone
        return (jnp.abs(quantities[self.zone_of] - centre) < half).all(-1).any()


@struct.dataclass
class Past:
    """What has happened in an episode."""

    steps: Int[Array, ""]
    """Control steps since its start."""
    passed: Int[Array, ""]
    """Leading stages that count for good."""
    held: Int[Array, ""]
    """Control steps in a row, up to now, at which the required stages held."""
    void: Bool[Array, ""]
    """Whether the zone has been entered."""

    @classmethod
    def none(cls) -> Past:
        """Before an episode's first state."""
        zero = jnp.zeros((), jnp.int32)
        return cls(zero, zero, zero, jnp.zeros((), bool))

    def with_now(self, table: Stages, rules: Rules, quantities: Float[Array, "q 3"]) -> Past:
        """What has happened once the present state belongs to it.

        Args:
          table: all stages.
          rules: of the task.
          quantities: the arena's, now.
        """
        passed = table.passed(quantities, rules.in_turn, self.passed)
        last = jnp.max(jnp.where(rules.in_turn, jnp.arange(MAX_ROWS) + 1, 0))
        met = table.met(quantities) & (passed >= last)
        held = jnp.where(met, self.held + 1, 0)
        return Past(self.steps, passed, held, self.void | rules.entered(quantities))

    def ready(self, rules: Rules) -> Bool[Array, ""]:
        """Whether nothing but the required stages is missing for success."""
        return (self.held > rules.hold) & ~self.void
