"""What a policy is shown, the policy protocol, and the policies that learn nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

from .env import Env, TimeStep
from .errors import UsageError, why

Carry = TypeVar("Carry")


@struct.dataclass
class PolicyInput:
    """What a policy is shown of one lane. What else a `TimeStep` holds is for experts and metrics."""

    observation: Float[Array, " o"]
    context: Float[Array, " c"]
    """What the policy is told of the task; zeros where that is hidden."""
    reward: Float[Array, ""]
    """Of the last step, also where that was the last of an episode; 0 at the very first."""
    episode_begins: Bool[Array, ""]
    task_begins: Bool[Array, ""]


def shown(timestep: TimeStep) -> PolicyInput:
    """Cuts what a policy may see from what a step returned; any leading axes."""
    return PolicyInput(
        timestep.observation, timestep.context, timestep.reward, timestep.episode_begins, timestep.task_begins
    )


class Policy(Protocol[Carry]):
    """Acts in one lane; a pytree, so that it can be passed into `jit`."""

    def init_carry(self, key: jax.Array) -> Carry:
        """The memory at the start of a task; `()` for a memoryless policy. It lasts through a task's episodes."""
        ...

    def act(self, key: jax.Array, carry: Carry, seen: PolicyInput) -> tuple[Carry, Float[Array, " a"]]:
        """The action in [-1, 1] for what a lane shows now."""
        ...


class Sizes(NamedTuple):
    """Lengths of what a policy reads and writes."""

    observation: int
    context: int
    action: int

    @classmethod
    def of(cls, env: Env) -> Sizes:
        """Those of an environment."""
        return cls(env.observation_size, env.num_families, env.action_size)


class StoredPolicy(Policy[Carry], Protocol):
    """A policy that can be kept in a file (`mtbench.stored`): its arrays, and what to build around them."""

    @property
    def architecture(self) -> dict[str, Any]:
        """JSON with which `blank` builds the same policy, its numbers apart."""

    @classmethod
    def blank(cls, sizes: Sizes, **architecture: Any) -> Self:
        """A policy with any numbers in its arrays. It is only traced, for its leaves' paths, shapes and types."""


def check(policy: Any, sizes: Sizes, name: str) -> None:
    """Makes sure, without running it, that a policy acts on observations of these sizes.

    Args:
      policy: anything.
      sizes: of the environment.
      name: what the error calls it.

    Raises:
      UsageError: says what is missing, or which shape was returned and which expected.
    """
    for method in ("init_carry", "act"):
        if not callable(getattr(policy, method, None)):
            raise UsageError(f"{name}: {type(policy).__name__} has no method {method}: see docs/policies.md")
    if not all(hasattr(leaf, "dtype") or isinstance(leaf, int | float) for leaf in jax.tree.leaves(policy)):
        raise UsageError(f"{name}: {type(policy).__name__} is no pytree of arrays: make it a flax.struct.dataclass")
    key, no = jax.random.key(0), jnp.zeros((), bool)
    seen = PolicyInput(jnp.zeros(sizes.observation), jnp.zeros(sizes.context), jnp.zeros(()), no, no)
    try:
        carry = jax.eval_shape(policy.init_carry, key)
        after, action = jax.eval_shape(policy.act, key, carry, seen)
        shape = action.shape
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"{name} does not act on {sizes}: {type(error).__name__}: {why(error)}") from error
    if shape != (sizes.action,) or not jnp.issubdtype(action.dtype, jnp.floating):
        raise UsageError(
            f"{name}: act returns an action {action.dtype}{list(shape)}, expected floating-point [{sizes.action}]"
        )
    if _form(after) != _form(carry):
        raise UsageError(f"{name}: act returns a carry of another structure, shape or type than init_carry")


def _form(tree: Any) -> Any:
    return jax.tree.structure(tree), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


@struct.dataclass
class RandomPolicy:
    """Uniform actions: the lower control of every scorecard."""

    action_size: int = struct.field(pytree_node=False)

    def init_carry(self, key: jax.Array) -> tuple[()]:
        """Nothing is remembered."""
        return ()

    def act(self, key: jax.Array, carry: tuple[()], seen: PolicyInput) -> tuple[tuple[()], Float[Array, " a"]]:
        """A uniform draw from [-1, 1]."""
        return carry, jax.random.uniform(key, (self.action_size,), minval=-1.0, maxval=1.0)


@struct.dataclass
class Expert:
    """Solutions of each arena, which read the whole `TimeStep`: the upper control of every scorecard."""

    scripts: Mapping[str, Any]
    """By arena: `init_carry(key)` and `act(key, carry, timestep)`, as `ArenaKind.expert` makes them."""

    def init_carry(self, key: jax.Array) -> dict[str, Any]:
        """The memory of each arena's script."""
        return {arena: script.init_carry(key) for arena, script in self.scripts.items()}


def act(
    env: Env, policy: Policy | Expert, key: jax.Array, carry: Any, timestep: TimeStep
) -> tuple[Any, Float[Array, " a"]]:
    """Lets a policy, or an expert, act in one lane of an environment on what it may see.

    Args:
      env: tells an expert which of its scripts to play.
      policy: who acts.
      key: for the policy's randomness.
      carry: its memory.
      timestep: what the environment showed last.
    """
    if not isinstance(policy, Expert):
        return policy.act(key, carry, shown(timestep))
    arena = env.arena.name
    memory, action = policy.scripts[arena].act(key, carry[arena], timestep)
    return {**carry, arena: memory}, jnp.pad(action, (0, env.action_size - action.shape[0]))
