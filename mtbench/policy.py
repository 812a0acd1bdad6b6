"""What a policy is shown, the policy protocol, and the policies that learn nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from . import registry
from .env import Env, TimeStep
from .errors import UsageError, why

if TYPE_CHECKING:
    from .suite import Suite

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


@struct.dataclass
class Experience:
    """The adaptation episodes of a task so far, [episode, time, …]."""

    kept: Any
    """What `Adaptive.keep` made of each step."""
    reward: Float[Array, "episode time"]
    """What each step brought."""
    valid: Bool[Array, "episode time"]
    """Whether it was played: not after its episode's end, nor in an episode that is yet to come."""

    @classmethod
    def room(cls, policy: Adaptive, carry: Any, episodes: int, steps: int) -> Experience:
        """Room for so many episodes, of which none is played yet."""
        kept = jax.eval_shape(policy.keep, carry)
        blank = jax.tree.map(lambda leaf: jnp.zeros((episodes, steps, *leaf.shape), leaf.dtype), kept)
        return cls(blank, jnp.zeros((episodes, steps)), jnp.zeros((episodes, steps), bool))

    def put(self, place: Int[Array, ""], kept: Any, reward: Float[Array, " time"], length: Any) -> Experience:
        """With an episode of so many steps in a place; as it is, where there is no such place."""
        episode = Experience(kept, reward, jnp.arange(reward.shape[0]) < length)
        return jax.tree.map(lambda room, new: room.at[place].set(new, mode="drop"), self, episode)


@runtime_checkable
class Adaptive(Protocol):
    """A policy that learns from whole episodes of a task, beside what it remembers from step to step."""

    def keep(self, carry: Any) -> Any:
        """What is to be known later of the step in which it has just acted, after which this is its memory."""
        ...

    def adapt(self, carry: Any, experience: Experience, scored: Bool[Array, ""]) -> Any:
        """The memory with which it begins its next episode of the task.

        Args:
          carry: what it remembers.
          experience: the episodes that it may learn from, and room for those to come.
          scored: whether the next one is scored; otherwise it will be learnt from, too.
        """
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


NOT_FINITE = 1
"""The number of the failure that every policy may have; 0 is none."""


@runtime_checkable
class Fallible(Protocol):
    """A policy that may be unable to act for reasons of its own; its action is then not finite."""

    @property
    def remembers(self) -> bool:
        """Whether its carry holds more than that reason."""
        ...

    def failure(self, carry: Any) -> Int[Array, ""]:
        """The number of the reason for which the last action was not finite."""
        ...

    def failure_reason(self, number: int) -> str:
        """The reason with a number beyond `NOT_FINITE`."""
        ...


@runtime_checkable
class Probed(Protocol):
    """A policy that tracing does not reach into."""

    def probe(self, sizes: Sizes, name: str) -> None:
        """Makes sure that it returns what it should, as `check` does."""
        ...


def failure(policy: Any, carry: Any, action: Float[Array, " a"]) -> Int[Array, ""]:
    """The number of the reason for which a policy cannot act, 0 where it can.

    Args:
      policy: who acted.
      carry: its memory after that.
      action: those entries that the arena uses.
    """
    reason = policy.failure(carry) if isinstance(policy, Fallible) else jnp.int32(NOT_FINITE)
    return jnp.where(jnp.isfinite(action).all(), 0, reason)


def failure_reason(policy: Any, number: int) -> str:
    """A number of `failure` in words; nothing for 0."""
    if number > NOT_FINITE:
        return policy.failure_reason(number)
    return "the action is not finite" if number else ""


def has_memory(policy: Any) -> bool:
    """Whether a policy remembers anything from one step to the next."""
    if isinstance(policy, Fallible):
        return policy.remembers
    return bool(jax.tree.leaves(jax.eval_shape(policy.init_carry, jax.random.key(0))))


def check(policy: Any, sizes: Sizes, name: str) -> None:
    """Makes sure that a policy acts on observations of these sizes. It is traced, and run only if it is `Probed`.

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
        shape, carries = action.shape, {"act": after}
        if isinstance(policy, Adaptive):
            room = Experience.room(policy, carry, 1, 1)
            carries["adapt"] = jax.eval_shape(policy.adapt, carry, room, no)
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"{name} does not act on {sizes}: {type(error).__name__}: {why(error)}") from error
    if shape != (sizes.action,) or not jnp.issubdtype(action.dtype, jnp.floating):
        raise UsageError(
            f"{name}: act returns an action {action.dtype}{list(shape)}, expected floating-point [{sizes.action}]"
        )
    for method, other in carries.items():
        if _form(other) != _form(carry):
            raise UsageError(f"{name}: {method} returns a carry of another structure, shape or type than init_carry")
    if isinstance(policy, Probed):
        policy.probe(sizes, name)


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
class ConstantPolicy:
    """One action for each family, at every step: what a family is worth to somebody who looks at nothing.

    A script of `Expert`, since it is told the family also where that is hidden.
    """

    actions: Float[Array, "family a"]
    """In the order of the suite's families."""

    def init_carry(self, key: jax.Array) -> tuple[()]:
        """Nothing is remembered."""
        return ()

    def act(self, key: jax.Array, carry: tuple[()], timestep: TimeStep) -> tuple[tuple[()], Float[Array, " a"]]:
        """The family's action."""
        return carry, self.actions[timestep.family]


@struct.dataclass
class Expert:
    """Solutions of each arena, which read the whole `TimeStep`: the upper control of every scorecard."""

    scripts: Mapping[str, Any]
    """By arena: `init_carry(key)` and `act(key, carry, timestep)`, as `ArenaKind.expert` makes them."""

    def init_carry(self, key: jax.Array) -> dict[str, Any]:
        """The memory of each arena's script."""
        return {arena: script.init_carry(key) for arena, script in self.scripts.items()}


CONSTANTS = "constants.json"
"""File beside an arena's module: the best constant action of families, as `benchmarks/constants.py` finds them."""


@cache
def constant_actions(arena: str) -> dict[str, dict[str, Any]]:
    """Family to version, action and success on training tasks, for an arena's families that have been searched."""
    module = type(registry.arena(arena)).__module__
    file = resources.files(module.rpartition(".")[0] or module) / CONSTANTS
    return json.loads(file.read_text(encoding="utf-8"))["families"] if file.is_file() else {}


def constants(suite: Suite) -> Expert | None:
    """The best constant action of each family of a suite, a control; `None` where one has not been searched."""
    families = [suite.family(name) for name in suite.families]
    scripts = {}
    for arena in suite.arenas:
        known = constant_actions(arena)
        own = [known.get(family.name, {}) for family in families if family.arena == arena]
        versions = [family.version for family in families if family.arena == arena]
        if [entry.get("version") for entry in own] != versions:
            return None
        idle = [0.0] * len(own[0]["action"])
        actions = [known[family.name]["action"] if family.arena == arena else idle for family in families]
        scripts[arena] = ConstantPolicy(jnp.array(actions, jnp.float32))
    return Expert(scripts)


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
