"""Policies of one lane: distributions of actions, the networks that make them, and what is stored of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from flax.core import FrozenDict
from jaxtyping import Array, Float

from mtbench.policy import PolicyInput, Sizes

from .networks import Activation, NetworkName, head_weights, make
from .normalization import LayoutMoments


@struct.dataclass
class Gaussian:
    """A normal distribution over actions with independent entries.

    Samples may leave [-1, 1]: the environment clips what it is given, while the density stays that of the
    sample as drawn, so the policy's gradient is exact.
    """

    mean: Float[Array, "*batch action"]
    log_std: Float[Array, "*batch action"]

    def sample(self, noise: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """A draw, made from standard normal `noise`."""
        return self.mean + jnp.exp(self.log_std) * noise

    def act(self, noise: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """A draw as the environment takes it, in [-1, 1]."""
        return jnp.clip(self.sample(noise), -1.0, 1.0)

    def log_prob(
        self, action: Float[Array, "*batch action"], used: Float[Array, "*batch action"] | float = 1.0
    ) -> Float[Array, "*batch"]:
        """Log-density of actions, in nats; entries that are not `used` (0) do not count."""
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return -0.5 * (used * z**2).sum(-1) - (used * (self.log_std + 0.5 * np.log(2 * np.pi))).sum(-1)

    def entropy(self, used: Float[Array, "*batch action"] | float = 1.0) -> Float[Array, "*batch"]:
        """Differential entropy of the entries that are `used`, in nats."""
        return (used * (self.log_std + 0.5 * np.log(2 * np.pi * np.e))).sum(-1)

    def divergence(self, other: Gaussian, used: Float[Array, "*batch action"] | float = 1.0) -> Float[Array, "*batch"]:
        """Kullback–Leibler divergence to another one, KL(self | other), over the entries that are `used`, in nats."""
        ratio = jnp.exp(2.0 * (self.log_std - other.log_std))
        gap = (self.mean - other.mean) * jnp.exp(-other.log_std)
        return (used * (other.log_std - self.log_std + 0.5 * (ratio + gap**2 - 1.0))).sum(-1)


@struct.dataclass
class Squashed:
    """A normal distribution whose samples pass through tanh (Haarnoja et al. 2018, arXiv:1812.05905, appendix C)."""

    mean: Float[Array, "*batch action"]
    log_std: Float[Array, "*batch action"]

    def sample(
        self, noise: Float[Array, "*batch action"], used: Float[Array, "*batch action"]
    ) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch"]]:
        """A draw in (-1, 1) made from standard normal `noise`, and its log-density over the entries that are used."""
        raw = self.mean + jnp.exp(self.log_std) * noise
        normal = -0.5 * noise**2 - self.log_std - 0.5 * np.log(2 * np.pi)
        # log(1 - tanh(x)²), without cancellation.
        slope = 2.0 * (np.log(2.0) - raw - jax.nn.softplus(-2.0 * raw))
        return jnp.tanh(raw), (used * (normal - slope)).sum(-1)

    def act(self, noise: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """A draw."""
        return jnp.tanh(self.mean + jnp.exp(self.log_std) * noise)


class Actor(nn.Module):
    """What the networks of policies have in common: fields."""

    hidden: tuple[int, ...]
    action_size: int
    families: int
    """Length of the context, with which the input ends."""
    activation: Activation = "tanh"
    network: NetworkName = "mlp"
    options: Mapping[str, int] = FrozenDict()
    """See `make`."""

    def made(self, outputs: int) -> nn.Module:
        """The network, which begins with small numbers everywhere."""
        return make(self.network, self.hidden, outputs, self.families, 0.01, self.activation, self.options)


class GaussianActor(Actor):
    """A policy whose mean is a network of its input and whose standard deviation is a parameter, one for each family.

    A standard deviation that follows the observation learnt more slowly when tried.
    """

    initial_std: float = 1.0

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Gaussian:
        """Distribution of the action."""
        mean = self.made(self.action_size)(x)
        start = nn.initializers.constant(float(np.log(self.initial_std)))
        log_std = self.param("log_std", start, (self.families + 1, self.action_size))
        log_std = head_weights(x, self.families) @ log_std
        return Gaussian(mean, jnp.clip(log_std, -5.0, 1.0))


class SquashedActor(Actor):
    """A policy whose mean and standard deviation both follow the input."""

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Squashed:
        """Distribution of the action."""
        mean, spread = jnp.split(self.made(2 * self.action_size)(x), 2, axis=-1)
        return Squashed(mean, -1.5 + 3.5 * jnp.tanh(spread))


def used_actions(
    mask: Float[np.ndarray, "family action"], context: Float[Array, "*lane family"]
) -> Float[Array, "*lane action"]:
    """The mask of a lane's family; all entries count where the context does not tell the family."""
    return context @ mask + (1.0 - context.sum(-1, keepdims=True))


def inputs_of(moments: LayoutMoments, observation: Array, context: Array) -> Float[Array, "*batch inputs"]:
    """What networks without memory read: the normalised observation and, as it is, the context."""
    return jnp.concatenate([moments.normalize(observation, context), context], axis=-1)


# ── What is stored ──


@struct.dataclass
class ActorPolicy:
    """What a seed has learnt, for one lane; a pytree. Map over lanes with `jax.vmap`."""

    params: Any
    observations: LayoutMoments
    actor: Any = struct.field(pytree_node=False)
    """Its network, a `Kind`."""
    deterministic: bool = struct.field(pytree_node=False, default=True)
    """Take what the distribution makes of no noise, not a sample."""
    Kind: ClassVar[type[Actor]]

    @property
    def architecture(self) -> dict[str, Any]:
        """What `blank` builds it from."""
        return {
            "hidden": list(self.actor.hidden),
            "activation": self.actor.activation,
            "network": self.actor.network,
            "network_options": dict(self.actor.options),
            "layouts": list(self.observations.layouts),
            "deterministic": self.deterministic,
        }

    @classmethod
    def blank(
        cls,
        sizes: Sizes,
        hidden: Sequence[int],
        activation: Activation,
        network: NetworkName,
        network_options: Mapping[str, int],
        layouts: Sequence[int],
        deterministic: bool,
    ) -> Self:
        """A policy that has learnt nothing."""
        actor = cls.Kind(tuple(hidden), sizes.action, sizes.context, activation, network, network_options)
        params = actor.init(jax.random.key(0), jnp.zeros(sizes.observation + sizes.context))
        return cls(params, LayoutMoments.init(sizes.observation, tuple(layouts)), actor, deterministic)

    def init_carry(self, key: jax.Array) -> tuple[()]:
        """Nothing is remembered."""
        return ()

    def act(self, key: jax.Array, carry: tuple[()], seen: PolicyInput) -> tuple[tuple[()], Float[Array, " action"]]:
        """The action in [-1, 1] for the observation and context of one lane."""
        distribution = self.actor.apply(self.params, inputs_of(self.observations, seen.observation, seen.context))
        noise = jax.random.normal(key, distribution.mean.shape) * (not self.deterministic)
        return carry, distribution.act(noise)


@struct.dataclass
class GaussianPolicy(ActorPolicy):
    """Normal actions; without noise, their mean."""

    Kind: ClassVar[type[Actor]] = GaussianActor


@struct.dataclass
class SquashedPolicy(ActorPolicy):
    """Squashed normal actions; without noise, what the mean is squashed to."""

    Kind: ClassVar[type[Actor]] = SquashedActor
