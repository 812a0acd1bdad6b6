"""Plain Python or NumPy functions as policies."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.experimental.buffer_callback import buffer_callback
from jaxtyping import Array, Float, Int

from .errors import UsageError, why
from .policy import NOT_FINITE, PolicyInput, Sizes


class Reasons:
    """What went wrong so far, each reason once; their numbers travel through the program."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.texts: list[str] = []

    def number(self, text: str) -> int:
        """The number of a reason."""
        if text not in self.texts:
            self.texts.append(text)
        return NOT_FINITE + 1 + self.texts.index(text)


@struct.dataclass
class Thought:
    """The carry of a `FunctionPolicy`."""

    memory: Any
    failure: Int[Array, ""]
    """Number of the reason for which the function could not act in this lane; it is not asked again there."""


@struct.dataclass
class FunctionPolicy:
    """A function that acts on NumPy arrays in many lanes at once, as a policy. It runs on the host, at every step.

        function(seen) ─► actions [lane, a]
        function(seen, memory) ─► actions [lane, a], memory          (if there is a memory)

    `seen` is a `PolicyInput` of arrays with a leading axis of lanes, whose length may differ from call to call. All
    that the function knows of a lane must come from its arguments: where it raises it is called anew, with fewer lanes,
    until it is known in which. Those have failed; the others go on.
    """

    function: Callable[..., Any] = struct.field(pytree_node=False)
    action_size: int = struct.field(pytree_node=False)
    memory: Any = ()
    """Of one lane at the start of a task: arrays, in any pytree; by default there is none."""
    reasons: Reasons = struct.field(pytree_node=False, default_factory=Reasons)

    @property
    def remembers(self) -> bool:
        """Whether there is a memory."""
        return bool(jax.tree.leaves(self.memory))

    def init_carry(self, key: jax.Array) -> Thought:
        """The memory at the start of a task."""
        return Thought(jax.tree.map(jnp.asarray, self.memory), jnp.zeros((), jnp.int32))

    def act(self, key: jax.Array, carry: Thought, seen: PolicyInput) -> tuple[Thought, Float[Array, " a"]]:
        """What the function returns for this lane; NaN where it fails."""
        inputs, outputs = (seen, carry), (jnp.zeros(self.action_size), carry)
        leaves, structure = jax.tree.flatten(inputs)
        shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(outputs)]

        def call(_, out, *buffers) -> None:
            lanes = prod(np.shape(buffers[0])[:-1])  # whatever axes are mapped over
            arrays = [np.asarray(b).reshape(lanes, *leaf.shape) for b, leaf in zip(buffers, leaves, strict=True)]
            results = self._acted(*jax.tree.unflatten(structure, arrays))
            for buffer, result in zip(out, jax.tree.leaves(results), strict=True):
                np.asarray(buffer)[...] = result.reshape(np.shape(buffer))

        results = buffer_callback(call, shapes, vmap_method="broadcast_all")(*jax.lax.stop_gradient(leaves))
        action, thought = jax.tree.unflatten(jax.tree.structure(outputs), results)
        return thought, action

    def failure(self, carry: Thought) -> Int[Array, ""]:
        """See `Fallible`."""
        return jnp.maximum(carry.failure, NOT_FINITE)

    def failure_reason(self, number: int) -> str:
        """See `Fallible`."""
        return self.reasons.texts[number - NOT_FINITE - 1]

    def probe(self, sizes: Sizes, name: str) -> None:
        """Calls the function once, on zeros. What it raises there is no reason to refuse it.

        Raises:
          UsageError: it returns something of another form than it should.
        """
        no, zero = jnp.zeros((), bool), jnp.zeros(())
        one = PolicyInput(jnp.zeros(sizes.observation), jnp.zeros(sizes.context), zero, no, no)
        seen, memory = jax.tree.map(lambda leaf: np.asarray(jnp.asarray(leaf))[None], (one, self.memory))
        try:
            self._called(seen, memory)
        except _WrongForm as error:
            raise UsageError(f"{name}: the function {error}") from error
        except Exception:  # zeros may be no observation that it can act on
            pass

    def _acted(self, seen: PolicyInput, thought: Thought) -> tuple[np.ndarray, Thought]:
        """Actions and memories of all lanes."""
        actions = np.full((len(seen.reward), self.action_size), np.nan, np.float32)
        memory, failure = jax.tree.map(np.array, (thought.memory, thought.failure))

        def attempt(lanes: np.ndarray) -> None:
            try:
                acted, after = self._called(*jax.tree.map(lambda leaf: leaf[lanes], (seen, thought.memory)))
            except Exception as error:  # whatever a function that somebody wrote may raise
                if len(lanes) == 1:
                    failure[lanes] = self.reasons.number(f"{type(error).__name__}: {why(error)}")
                else:
                    for half in np.array_split(lanes, 2):
                        attempt(half)
                return
            actions[lanes] = acted
            for old, new in zip(jax.tree.leaves(memory), jax.tree.leaves(after), strict=True):
                old[lanes] = new

        if (sound := np.flatnonzero(failure == 0)).size:
            attempt(sound)
        return actions, Thought(memory, failure)

    def _called(self, seen: PolicyInput, memory: Any) -> tuple[np.ndarray, Any]:
        """What the function returns for some lanes, if it has the right form."""
        returned = self.function(seen, memory) if self.remembers else (self.function(seen), ())
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise _WrongForm("returns no pair of actions and memory")
        actions, after = np.asarray(returned[0]), jax.tree.map(np.asarray, returned[1])
        expected = (len(seen.reward), self.action_size)
        if actions.shape != expected or not np.issubdtype(actions.dtype, np.floating):
            raise _WrongForm(
                f"returns actions {actions.dtype}{list(actions.shape)}, expected floating-point {list(expected)}"
            )
        if jax.tree.map(np.shape, after) != jax.tree.map(np.shape, memory):
            raise _WrongForm("returns a memory of another structure or shape than it was given")
        return actions, after


class _WrongForm(ValueError):
    """What a function returns is no action."""
