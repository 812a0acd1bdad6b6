"""Networks of tasks that are told apart by a context.

A network is a function of its parameters, of what is observed and of the context: `apply(params, inputs)`, where the
last `families` entries of `inputs` are the context and by how much each family counts (a one-hot chooses one; what
they lack to 1, all of it where the context is hidden, goes to parameters of their own). `make` makes one by name,
and actors and critics of every algorithm take any of them. They differ in where the context acts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mtbench.errors import UsageError, unknown_name

Activation = Literal["tanh", "relu", "elu", "swish", "norm-relu"]
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": nn.tanh,
    "relu": nn.relu,
    "elu": nn.elu,
    "swish": nn.swish,
    "norm-relu": lambda x: nn.relu(jax.nn.standardize(x)),
}
"""`norm-relu` is a layer norm before the non-linearity: it keeps critics of actions from growing without bound."""
NetworkName = Literal[
    "mlp",
    "multi-head",
    "task-embedding",
    "film",
    "soft-modules",
    "care",
    "paco",
    "moore",
    "low-rank",
    "simba",
    "bro",
]


class MLP(nn.Module):
    """A multi-layer perceptron with orthogonal weights and zero biases (Saxe et al. 2013, arXiv:1312.6120).

    The context is an input like any other (`mlp`); with `heads` it also chooses the last layer (`multi-head`, as in
    Meta-World's multi-task multi-head SAC, arXiv:1910.10897).
    """

    hidden: tuple[int, ...]
    """Widths of the hidden layers."""
    outputs: int
    final_gain: float = 1.0
    """Gain of the last layer: small for a policy, so that it starts the same everywhere."""
    activation: Activation = "tanh"
    heads: int = 0
    """Last layers, one for each of the input's last `heads` entries. 0: one last layer for all."""

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        weights = head_weights(x, self.heads)
        x = _layers(x, self.hidden, self.activation)
        return _heads(x, weights, self.outputs, self.final_gain) if self.heads else _last(x, self)


def head_weights(x: Float[Array, "*batch inputs"], heads: int) -> Float[Array, "*batch heads+1"]:
    """By how much each head counts for an input: its last `heads` entries, and what they lack to 1."""
    if not heads:
        return jnp.ones((*x.shape[:-1], 1))
    context = x[..., x.shape[-1] - heads :]
    return jnp.concatenate([context, 1.0 - context.sum(-1, keepdims=True)], axis=-1)


class ContextNetwork(nn.Module):
    """What the networks below have in common: fields, and the parts of an input."""

    hidden: tuple[int, ...]
    """Widths of the hidden layers."""
    outputs: int
    families: int
    """Length of the context, with which the input ends."""
    final_gain: float = 1.0
    """See `MLP.final_gain`."""
    activation: Activation = "tanh"

    def split(
        self, inputs: Float[Array, "*batch inputs"]
    ) -> tuple[Float[Array, "*batch observation"], Float[Array, "*batch families+1"]]:
        """What is observed, and by how much each family counts."""
        return inputs[..., : inputs.shape[-1] - self.families], head_weights(inputs, self.families)


class TaskEmbedding(ContextNetwork):
    """A learnt vector for each family is an input in the one-hot's place, as in BRC (Nauman et al. 2025,
    arXiv:2505.23150): what families share can be written in few numbers."""

    embedding: int = 32
    """Length of a family's vector."""

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        observation, weights = self.split(inputs)
        x = jnp.concatenate([observation, _embedded(weights, self.embedding)], axis=-1)
        return _last(_layers(x, self.hidden, self.activation), self)


class FiLM(ContextNetwork):
    """Each family scales and shifts every hidden unit, before its non-linearity (feature-wise linear modulation, Perez
    et al. 2018, arXiv:1709.07871, equations 1 and 2). At the start no family differs from another."""

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        x, weights = self.split(inputs)
        for width in self.hidden:
            modulation = nn.Dense(2 * width, use_bias=False, kernel_init=nn.initializers.zeros)(weights)
            scale, shift = jnp.split(modulation, 2, axis=-1)
            x = ACTIVATIONS[self.activation]((1.0 + scale) * _dense(width)(x) + shift)
        return _last(x, self)


class SoftModules(ContextNetwork):
    """Layers of modules whose outputs are mixed anew between layers, by weights that a second network computes from the
    observation times the family's vector (soft modularization, Yang et al. 2020, arXiv:2003.13661, section 4). Four
    modules are half as wide as a hidden layer, so that from modules to modules there are as many weights."""

    modules: int = 4
    """In each layer; in the paper 2 for ten tasks and 4 for fifty."""

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        count, activate = self.modules, ACTIVATIONS[self.activation]
        observation, weights = self.split(inputs)
        features = activate(_dense(self.hidden[0])(observation))
        told = features * _embedded(weights, self.hidden[0], unit=False)
        x = jnp.repeat(features[..., None, :], count, axis=-2)
        routing = None
        for layer, width in enumerate(self.hidden):
            x = activate(_Parallel(count, max(1, round(width / np.sqrt(count))))(x))
            if layer + 1 == len(self.hidden):
                break
            before = told if routing is None else told * _dense(told.shape[-1])(routing)
            routing = nn.Dense(count * count)(activate(before))
            mix = jax.nn.softmax(routing.reshape(*routing.shape[:-1], count, count), axis=-1)
            x = mix @ x
        return _Parallel(count, self.outputs, self.final_gain / float(np.sqrt(count)))(x).sum(-2)


class CARE(ContextNetwork):
    """The observation is encoded by a mixture of encoders, weighted by attention from the family's vector, and goes on
    together with that vector (contextual attention, Sodhani et al. 2021, arXiv:2102.06177, section 4). Where the paper
    embeds a sentence about the task, the vector is learnt."""

    encoders: int = 6
    """As in the paper."""
    embedding: int = 50
    """Length of a family's vector."""

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        observation, weights = self.split(inputs)
        context = _layers(_embedded(weights, self.embedding), (self.embedding,), self.activation)
        attention = jax.nn.softmax(nn.Dense(self.encoders)(context), axis=-1)
        first, *rest = self.hidden
        x = jnp.repeat(observation[..., None, :], self.encoders, axis=-2)
        x = ACTIVATIONS[self.activation](_Parallel(self.encoders, first)(x))
        x = jnp.concatenate([jnp.einsum("...k,...kn->...n", attention, x), context], axis=-1)
        return _last(_layers(x, rest, self.activation), self)


class PaCo(ContextNetwork):
    """All weights are a mixture of shared sets, whose shares are a family's own (parameter-compositional networks,
    Sun et al. 2022, arXiv:2210.11653, equation 3: θ = Φ w). Without the paper's reset of w where a loss explodes."""

    sets: int = 5
    """Sets of parameters (K), as in the paper."""

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        x, weights = self.split(inputs)
        start = nn.initializers.normal(1.0 / np.sqrt(self.sets))  # a mixture's weights are as large as a set's
        shares = nn.Dense(self.sets, use_bias=False, kernel_init=start)(weights)

        def mixed(x: Array, width: int, gain: float) -> Array:
            every = jnp.repeat(x[..., None, :], self.sets, axis=-2)
            return jnp.einsum("...k,...kn->...n", shares, _Parallel(self.sets, width, gain)(every))

        for width in self.hidden:
            x = ACTIVATIONS[self.activation](mixed(x, width, float(np.sqrt(2.0))))
        return mixed(x, self.outputs, self.final_gain)


class MOORE(ContextNetwork):
    """Experts represent the observation in orthogonal directions; a family has weights over them, and a last layer
    (mixture of orthogonal experts, Hendawy et al. 2024, arXiv:2311.11385, section 4.2)."""

    experts: int = 4
    """At most as many as the last hidden layer is wide; in the paper 4 for ten tasks and 6 for fifty."""

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        observation, weights = self.split(inputs)
        x = jnp.repeat(observation[..., None, :], self.experts, axis=-2)
        for layer, width in enumerate(self.hidden):
            x = ACTIVATIONS[self.activation](x) if layer else x
            x = _Parallel(self.experts, width)(x)
        # Directions have length 1: a mixture starts with entries of about 1.
        start = nn.initializers.normal(np.sqrt(self.hidden[-1] / self.experts))
        shares = nn.Dense(self.experts, use_bias=False, kernel_init=start)(weights)
        x = ACTIVATIONS[self.activation](jnp.einsum("...k,...kn->...n", shares, orthonormal(x)))
        return _heads(x, weights, self.outputs, self.final_gain)


class LowRank(ContextNetwork):
    """Each family adds a matrix of low rank to every weight matrix (adapters, as in LoRA, Hu et al. 2021,
    arXiv:2106.09685, equation 3: W x + B A x). B starts at zero, so at the start no family differs from another."""

    rank: int = 4

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        x, weights = self.split(inputs)
        chosen = jnp.repeat(weights, self.rank, axis=-1)

        def adapter(x: Array, width: int) -> Array:
            # All families' A side by side: what other families' rows give is multiplied by zero.
            lowered = nn.Dense(chosen.shape[-1], use_bias=False)(x)
            return nn.Dense(width, use_bias=False, kernel_init=nn.initializers.zeros)(chosen * lowered)

        for width in self.hidden:
            x = ACTIVATIONS[self.activation](_dense(width)(x) + adapter(x, width))
        return _last(x, self) + adapter(x, self.outputs)


class SimBa(ContextNetwork):
    """Residual blocks of two layers behind a layer norm, a linear layer before and a layer norm after them (Lee et al.
    2024, arXiv:2410.09754, section 4): a way straight through keeps large networks simple. The context is an input."""

    expansion: int = 2
    """How much wider a block is inside; 4 in the paper. There is a block for each hidden layer, of the same width."""

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        x = nn.Dense(self.hidden[0], kernel_init=nn.initializers.orthogonal(1.0))(inputs)
        for width in self.hidden:
            inside = ACTIVATIONS[self.activation](_he(self.expansion * width)(nn.LayerNorm()(x)))
            x = x + _he(width)(inside)
        return _last(nn.LayerNorm()(x), self)


class BRO(ContextNetwork):
    """Residual blocks of two layers, each with a layer norm behind it, and a learnt vector for each family in the
    one-hot's place (Nauman et al. 2025, BRC, arXiv:2505.23150, section 4; the blocks are those of arXiv:2405.16158)."""

    embedding: int = 32
    """Length of a family's vector."""

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Maps the last axis; any number of leading axes."""
        observation, weights = self.split(inputs)
        activate = ACTIVATIONS[self.activation]
        x = jnp.concatenate([observation, _embedded(weights, self.embedding)], axis=-1)
        x = activate(nn.LayerNorm()(_dense(self.hidden[0])(x)))
        for width in self.hidden:
            inside = activate(nn.LayerNorm()(_dense(width)(x)))
            x = x + nn.LayerNorm()(_dense(width)(inside))
        return _last(x, self)


NETWORKS: dict[str, type[ContextNetwork]] = {
    "task-embedding": TaskEmbedding,
    "film": FiLM,
    "soft-modules": SoftModules,
    "care": CARE,
    "paco": PaCo,
    "moore": MOORE,
    "low-rank": LowRank,
    "simba": SimBa,
    "bro": BRO,
}
"""By name; the others are kinds of `MLP`."""


def make(
    name: NetworkName,
    hidden: tuple[int, ...],
    outputs: int,
    families: int,
    final_gain: float = 1.0,
    activation: Activation = "tanh",
    options: Mapping[str, int] | None = None,
) -> nn.Module:
    """A network by name.

    Args:
      name: one of `NetworkName`.
      hidden: widths of the hidden layers.
      outputs: numbers that it returns.
      families: length of the context, with which its input ends.
      final_gain: gain of the last layer.
      activation: non-linearity.
      options: sizes that this kind of network has beside these, by name of its field.
    """
    if name in NETWORKS:
        own: dict[str, Any] = dict(options or {})
        return NETWORKS[name](hidden, outputs, families, final_gain, activation, **own)
    return MLP(hidden, outputs, final_gain, activation, families if name == "multi-head" else 0)


def options_of(name: str) -> dict[str, int]:
    """The sizes that a kind of network has of its own, with their defaults."""
    common = {field.name for field in dataclasses.fields(ContextNetwork)}
    fields = dataclasses.fields(NETWORKS[name]) if name in NETWORKS else ()
    return {field.name: field.default for field in fields if field.name not in common}


def check(name: str, options: Mapping[str, int], *layers: tuple[int, ...]) -> None:
    """Refuses what `make` cannot make, with any of these hidden layers.

    Raises:
      UsageError: names the entry and what is allowed.
    """
    if name not in get_args(NetworkName):
        raise unknown_name("network", name, get_args(NetworkName))
    known = options_of(name)
    for option, value in options.items():
        if option not in known:
            raise unknown_name(f"entry of network_options for {name}", option, known)
        if value < 1:
            raise UsageError(f"network_options: {option} = {value}: must be at least 1")
    for hidden in layers if name in NETWORKS else ():
        if not hidden:
            raise UsageError(f"network {name}: needs at least one hidden layer")
        if name in ("simba", "bro") and len(set(hidden)) > 1:
            raise UsageError(f"network {name}: its blocks share one width, got {', '.join(map(str, hidden))}")
        if name == "moore" and (known | dict(options))["experts"] > hidden[-1]:
            raise UsageError(f"network moore: at most as many experts as the last hidden layer is wide, {hidden[-1]}")


# ── Parts of networks. They are called within a network, which then owns their parameters. ──


def _dense(width: int) -> nn.Dense:
    return nn.Dense(width, kernel_init=nn.initializers.orthogonal(np.sqrt(2.0)))


def _he(width: int) -> nn.Dense:
    return nn.Dense(width, kernel_init=nn.initializers.he_normal())


def _layers(x: Array, hidden: tuple[int, ...] | list[int], activation: Activation) -> Array:
    """Hidden layers."""
    for width in hidden:
        x = ACTIVATIONS[activation](_dense(width)(x))
    return x


def _last(x: Array, of: Any) -> Array:
    """The last layer of a network."""
    return nn.Dense(of.outputs, kernel_init=nn.initializers.orthogonal(of.final_gain))(x)


def _heads(x: Array, weights: Array, outputs: int, gain: float) -> Array:
    """A last layer for each family."""
    heads = weights.shape[-1]
    x = nn.Dense(heads * outputs, kernel_init=nn.initializers.orthogonal(gain))(x)
    return jnp.einsum("...ho,...h->...o", x.reshape(*x.shape[:-1], heads, outputs), weights)


def _embedded(weights: Float[Array, "*batch families"], size: int, unit: bool = True) -> Float[Array, "*batch size"]:
    """A learnt vector for each family, of length about 1 at the start, or with entries of about 1."""
    start = nn.initializers.normal(1.0 / np.sqrt(size) if unit else 1.0)
    return nn.Dense(size, use_bias=False, kernel_init=start)(weights)


class _Parallel(nn.Module):
    """So many dense layers side by side, each with an input of its own."""

    count: int
    width: int
    gain: float = float(np.sqrt(2.0))

    @nn.compact
    def __call__(self, x: Float[Array, "*batch count inputs"]) -> Float[Array, "*batch count width"]:
        """Maps the last axis."""

        def start(key: jax.Array, shape: tuple[int, ...]) -> Array:
            one = nn.initializers.orthogonal(self.gain)
            return jax.vmap(lambda key: one(key, shape[1:]))(jax.random.split(key, shape[0]))

        kernel = self.param("kernel", start, (self.count, x.shape[-1], self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.count, self.width))
        return jnp.einsum("...ki,kio->...ko", x, kernel) + bias


def orthonormal(x: Float[Array, "*batch vector n"]) -> Float[Array, "*batch vector n"]:
    """Gram–Schmidt: vectors of length 1, each orthogonal to those before it, that span the same space."""
    found: list[Array] = []
    for index in range(x.shape[-2]):
        rest = x[..., index, :]
        for direction in found:
            rest = rest - (rest * direction).sum(-1, keepdims=True) * direction
        found.append(rest * jax.lax.rsqrt((rest**2).sum(-1, keepdims=True) + 1e-12))
    return jnp.stack(found, axis=-2)
