"""Conditions over an arena's named quantities, and the reward and success that a table of them gives.

A quantity is a 3-vector (a point in metres, unless its arena says otherwise). Fifty families need gates and
conjunctions ("grasped and moved"), so a goal is a short table of stages, not a formula per family.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

NEAR, BEYOND = 0, 1
MAX_STAGES = 5
SUCCESS_SHARE = 0.25
"""Part of the reward that only success gives."""
NARROW = 0.2
"""The narrow scale of progress, relative to the wide one."""


@struct.dataclass
class Conditions:
    """A table of K conditions: does `subject` stand in a relation to `anchor + offset`?"""

    subject: Int[Array, " k"]
    """Index of the quantity that is judged."""
    anchor: Int[Array, " k"]
    """Index of the quantity that it is compared with."""
    offset: Float[Array, "k 3"]
    weights: Float[Array, "k 3"]
    """Axis mask and weights of the difference."""
    relation: Int[Array, " k"]
    """`NEAR`: the weighted distance counts. `BEYOND`: how far Σ w·difference falls short of zero."""
    tolerance: Float[Array, " k"]

    def errors(self, quantities: Float[Array, "q 3"]) -> Float[Array, " k"]:
        """How far each condition is from holding exactly, metres; 0 is perfect."""
        difference = quantities[self.subject] - quantities[self.anchor] - self.offset
        weighted = self.weights * difference
        near = jnp.sqrt((weighted**2).sum(-1))
        return jnp.where(self.relation == NEAR, near, jnp.maximum(-weighted.sum(-1), 0.0))


@struct.dataclass
class Stages:
    """The table that defines a task's reward and success."""

    conditions: Conditions
    scale: Float[Array, " k"]
    """Metres over which progress within a stage is measured."""
    required: Bool[Array, " k"]
    """Success is when all required stages hold at once."""
    active: Bool[Array, " k"]
    """Rows in use; the rest is padding."""

    def met(self, quantities: Float[Array, "q 3"]) -> Bool[Array, ""]:
        """Whether all required stages hold."""
        return jnp.all((self._excess(quantities) <= 0.0) | ~self.required)

    def passed(
        self, quantities: Float[Array, "q 3"], in_turn: Bool[Array, " k"], before: Int[Array, ""] | int
    ) -> Int[Array, ""]:
        """The number of leading stages that count as held for good.

        Args:
          quantities: the arena's, now.
          in_turn: stages that so count, with all before them, once they and all before them hold.
          before: the number a step ago.
        """
        number = jnp.arange(in_turn.shape[0]) + 1
        holds = (self._excess(quantities) <= 0.0) | (number <= before)
        leading = jnp.cumprod(jnp.where(self.active, holds, True)) > 0
        return jnp.maximum(before, jnp.max(jnp.where(in_turn & leading, number, 0)))

    def judge(
        self,
        quantities: Float[Array, "q 3"],
        passed: Int[Array, ""] | int = 0,
        ready: Bool[Array, ""] | bool = True,
    ) -> tuple[Float[Array, ""], Bool[Array, ""], Int[Array, ""]]:
        """Progress in [0, 1], success, and the number of leading stages that hold.

        Progress is (stages reached + progress in the next) / K, scaled so that success itself is worth the last
        quarter: without that step, to hover outside the tolerance pays nearly as well. It is 1 exactly at success.
        Progress in a stage falls with the error at two scales, a wide one that shows the way from afar and a
        narrow one that still pulls within the last centimetres.

        Args:
          quantities: the arena's, now.
          passed: leading stages that count as held, whether they hold now or not.
          ready: whether all that success needs beside the required stages is there.
        """
        excess = self._excess(quantities)
        holds = excess <= 0.0
        success = jnp.all(holds | ~self.required) & ready
        holds |= jnp.arange(holds.shape[0]) < passed
        leading = jnp.cumprod(jnp.where(self.active, holds, True))
        count = self.active.sum()
        # The last stage may hold while a gate before it does not: then the first gate that fails is the next stage.
        reached = jnp.minimum((leading * self.active).sum(), count - 1)
        scale = jnp.where(self.active, self.scale, 1.0)
        within = 1.0 - 0.5 * (jnp.tanh(excess / scale) + jnp.tanh(excess / (NARROW * scale)))
        progress = (1.0 - SUCCESS_SHARE) * (reached + within[reached]) / count
        return jnp.where(success, 1.0, progress), success, reached

    def _excess(self, quantities: Float[Array, "q 3"]) -> Float[Array, " k"]:
        """How far each stage is from holding."""
        return jnp.maximum(self.conditions.errors(quantities) - self.conditions.tolerance, 0.0)
