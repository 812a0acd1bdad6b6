"""Specialists: a learner of its own for each family, all in one program, scored as one policy.

What multi-task learning is compared with: nothing is shared between families, and each has an equal share of the lanes
and of the steps. Learners are the seeds of an algorithm, `num_seeds` times as many as there are families; lanes keep
their family for ever (`VectorEnv.fixed_families`), so that a learner's are all of one. The policy that comes of it
looks up, by the context, which specialist acts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from mtbench.errors import UsageError
from mtbench.policy import PolicyInput, Sizes

from .mt_ppo import MTPPO, MTPPOConfig
from .parts.actors import GaussianPolicy
from .parts.networks import NetworkName


@dataclass(frozen=True)
class LanesByLearner:
    """An environment whose lanes keep their family, seen with the lanes of each learner side by side:
    [seed * family * lane]."""

    env: Any
    num_seeds: int

    def __getattr__(self, name: str) -> Any:
        """Everything else is the environment's own."""
        return getattr(self.env, name)

    @property
    def _order(self) -> Int[np.ndarray, " lane"]:
        families = range(self.env.num_families)
        own = [np.flatnonzero(self.env.lane_families == family).reshape(self.num_seeds, -1) for family in families]
        return np.stack(own, axis=1).ravel()

    @property
    def lane_families(self) -> Int[np.ndarray, " lane"]:
        """See `VectorEnv.lane_families`."""
        return self.env.lane_families[self._order]

    def reset(self, key: jax.Array) -> tuple[Any, Any]:
        """See `VectorEnv.reset`."""
        state, timestep = self.env.reset(key)
        return state, jax.tree.map(lambda x: x[self._order], timestep)

    def step(self, state: Any, action: Float[Array, "lane a"]) -> tuple[Any, Any]:
        """See `VectorEnv.step`."""
        state, timestep = self.env.step(state, action[np.argsort(self._order)])
        return state, jax.tree.map(lambda x: x[self._order], timestep)


@struct.dataclass
class SpecialistsPolicy:
    """The policies of all families, of which the context chooses one; a pytree."""

    policies: Any
    """Of one kind, leaves [family, …]."""
    Kind: ClassVar[Any]

    @property
    def architecture(self) -> dict[str, Any]:
        """That of each policy."""
        return self.policies.architecture

    @classmethod
    def blank(cls, sizes: Sizes, **architecture: Any) -> SpecialistsPolicy:
        """Policies that have learnt nothing."""
        return cls(jax.vmap(lambda _: cls.Kind.blank(sizes, **architecture))(jnp.arange(sizes.context)))

    def init_carry(self, key: jax.Array) -> Any:
        """A specialist's memory at the start of a task."""
        return jax.tree.map(lambda x: x[0], self.policies).init_carry(key)

    def act(self, key: jax.Array, carry: Any, seen: PolicyInput) -> tuple[Any, Float[Array, " action"]]:
        """The action of the family's specialist."""
        family = jnp.argmax(seen.context)
        return jax.tree.map(lambda x: x[family], self.policies).act(key, carry, seen)


class Specialists:
    """Specialists of an algorithm whose state has a leading axis of seeds and whose environment has one axis of lanes,
    seed after seed."""

    name: ClassVar[str]
    Inner: ClassVar[Any]
    """The algorithm."""
    Policy: ClassVar[Any]
    lane_options: ClassVar[dict[str, Any]] = {"fixed_families": True}
    """What it asks of the environment."""
    config: Any

    def init(self, key: jax.Array, env: Any) -> Any:
        """The state before the first update.

        Raises:
          UsageError: families have unequal numbers of lanes, or cannot be told apart.
        """
        config, families = self.config, env.num_families
        if not all(one.show_family for one in env.envs):
            raise UsageError(f"{self.name}: the suite hides the family, by which a specialist is chosen: take another")
        if config.lanes % families:
            near = max(1, round(config.lanes / families)) * families
            raise UsageError(f"lanes = {config.lanes}: must be a multiple of the {families} families, e.g. {near}")
        if env.lane_families is None or len(set(np.bincount(env.lane_families, minlength=families))) > 1:
            raise UsageError(
                f"{self.name}: needs lanes that keep their family (VectorEnv.fixed_families), as many of each: leave "
                "out arena shares, and train on a split that has tasks of every family"
            )
        return self._inner(families).init(key, self._seen(env))

    def steps_per_update(self, env: Any) -> int:
        """Environment steps that one update takes in each seed, of all its specialists."""
        return env.num_families * self._inner(env.num_families).steps_per_update(self._seen(env))

    def train_step(self, env: Any, state: Any) -> tuple[Any, dict[str, Array]]:
        """One update of every specialist. Metrics are those of the algorithm, [seed] or [seed, family]."""
        state, metrics = self._inner(env.num_families).train_step(self._seen(env), state)

        def of_seeds(x: Array) -> Array:
            x = x.reshape(self.config.num_seeds, env.num_families, *x.shape[1:])
            return x.sum(1) if x.ndim == 3 else x.mean(1)  # a specialist has episodes of its own family alone

        return state, jax.tree.map(of_seeds, metrics)

    def learnt(self, state: Any) -> Any:
        """What must stay finite."""
        return self._inner(1).learnt(state)

    def policy(self, state: Any, seed: int, **how: Any) -> Any:
        """What the specialists of one of the seeds have learnt."""
        learners = jax.tree.leaves(self.learnt(state))[0].shape[0]
        families = learners // self.config.num_seeds
        inner = self._inner(families)
        own = [inner.policy(state, seed * families + family, **how) for family in range(families)]
        return self.Policy(jax.tree.map(lambda *leaves: jnp.stack(leaves), *own))

    def _inner(self, families: int) -> Any:
        """The algorithm, of which each seed is a specialist."""
        fields = {name: getattr(self.config, name) for name in self.Inner.Config.__dataclass_fields__}
        config = self.Inner.Config(**fields)
        return self.Inner(
            replace(
                config,
                num_seeds=config.num_seeds * families,
                lanes=max(1, config.lanes // families),
                total_steps=-(-config.total_steps // families),
            )
        )

    def _seen(self, env: Any) -> LanesByLearner:
        return LanesByLearner(env, self.config.num_seeds)


# ── Of MT-PPO ──


@dataclass(frozen=True)
class MTPPOSpecialistsConfig(MTPPOConfig):
    """Hyper-parameters of PPO for each family alone."""

    total_steps: int = 10_000_000
    """Environment steps of each seed, of all its specialists together, rounded up to whole updates."""
    lanes: int = 500
    """Environments that each seed steps at once, shared out equally to its specialists."""
    minibatches: int = 4
    """Gradient steps in a pass; must divide lanes * rollout_length of a specialist."""
    network: NetworkName = "mlp"
    """Of each specialist; it has one family, so that nothing must be told apart."""


@struct.dataclass
class MTPPOSpecialistsPolicy(SpecialistsPolicy):
    """Specialists trained with PPO."""

    Kind: ClassVar[Any] = GaussianPolicy


@dataclass(frozen=True)
class MTPPOSpecialists(Specialists):
    """PPO for each family alone."""

    config: MTPPOSpecialistsConfig = MTPPOSpecialistsConfig()
    name: ClassVar[str] = "mt-ppo-specialists"
    Config: ClassVar[type[MTPPOSpecialistsConfig]] = MTPPOSpecialistsConfig
    Inner: ClassVar[type[MTPPO]] = MTPPO
    Policy: ClassVar[type[MTPPOSpecialistsPolicy]] = MTPPOSpecialistsPolicy

    def __post_init__(self) -> None:
        """Rejects a bad configuration."""
        self.config.validate()
