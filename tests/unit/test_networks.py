"""Networks that tell families apart: what they depend on, what they learn, and that they are what they are called."""

from __future__ import annotations

from typing import get_args

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtbench.baselines.parts import networks
from mtbench.errors import UsageError

HIDDEN, OBSERVATION, FAMILIES = (16, 16), 5, 3
NAMES = get_args(networks.NetworkName)
EYE = jnp.eye(FAMILIES)


def made(name: str, hidden: tuple[int, ...] = HIDDEN, **options):
    """A network, its first parameters, and parameters that have moved: what starts at zero is no longer."""
    network = networks.make(name, hidden, 2, FAMILIES, options=options)
    first = network.init(jax.random.key(0), jnp.zeros(OBSERVATION + FAMILIES))
    keys = iter(jax.random.split(jax.random.key(1), 100))
    return network, first, jax.tree.map(lambda x: x + 0.3 * jax.random.normal(next(keys), x.shape), first)


def inputs(context) -> jax.Array:
    """One observation in several contexts."""
    observation = jax.random.normal(jax.random.key(2), (OBSERVATION,))
    return jnp.concatenate([jnp.broadcast_to(observation, (len(context), OBSERVATION)), context], -1)


@pytest.mark.parametrize("name", NAMES)
def test_the_context_matters_and_any_axes_may_lead(name):
    network, _, params = made(name)
    hidden_context = jnp.zeros((1, FAMILIES))
    out = network.apply(params, inputs(jnp.concatenate([EYE, hidden_context])))
    chex.assert_shape(out, (FAMILIES + 1, 2))
    assert np.isfinite(out).all()
    apart = np.abs(out[:, None] - out[None]).max(-1)
    assert (apart[~np.eye(FAMILIES + 1, dtype=bool)] > 1e-3).all()
    many = jnp.broadcast_to(inputs(EYE), (4, 2, FAMILIES, OBSERVATION + FAMILIES))
    # Batched sums are added in another order.
    np.testing.assert_allclose(network.apply(params, many)[3, 1], out[:FAMILIES], atol=1e-5)
    np.testing.assert_allclose(network.apply(params, many[0, 0, 1]), out[1], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name):
    network, _, params = made(name)
    contexts = jnp.concatenate([EYE, jnp.zeros((1, FAMILIES))])
    slope = jax.grad(lambda params: (network.apply(params, inputs(contexts)) ** 2).sum())(params)
    for path, leaf in jax.tree_util.tree_flatten_with_path(slope)[0]:
        assert np.isfinite(leaf).all() and (leaf != 0).any(), jax.tree_util.keystr(path)


@pytest.mark.parametrize("name", ["film", "low-rank"])
def test_families_begin_alike(name):
    network, first, _ = made(name)
    out = network.apply(first, inputs(EYE))
    np.testing.assert_allclose(out, jnp.broadcast_to(out[0], out.shape), atol=1e-6)


@pytest.mark.parametrize(
    "name, own",
    [
        ("task-embedding", ["Dense_0"]),
        ("film", ["Dense_0", "Dense_2"]),
        ("soft-modules", ["Dense_1"]),
        ("care", ["Dense_0"]),
        ("bro", ["Dense_0"]),
        ("paco", ["Dense_0"]),
        ("moore", ["Dense_0"]),
    ],
)
def test_a_family_has_a_row_of_its_own(name, own):
    """Its loss moves its own row of what tells families apart, and no other."""
    network, _, params = made(name)
    slope = jax.grad(lambda params: network.apply(params, inputs(EYE[:1])).sum())(params)["params"]
    for layer in own:
        table = slope[layer]["kernel"]
        assert table.shape[0] == FAMILIES + 1
        assert (table[0] != 0).any() and (table[1:] == 0).all()


def test_orthonormal_vectors():
    x = jax.random.normal(jax.random.key(0), (7, 4, 16))
    basis = networks.orthonormal(x)
    np.testing.assert_allclose(basis @ basis.swapaxes(-1, -2), jnp.broadcast_to(jnp.eye(4), (7, 4, 4)), atol=1e-5)
    np.testing.assert_allclose(x @ basis.swapaxes(-1, -2) @ basis, x, atol=1e-4)  # the same space
    twice = networks.orthonormal(jnp.stack([x[:, 0], x[:, 0]], 1))
    assert np.isfinite(jax.grad(lambda x: networks.orthonormal(x).sum())(jnp.zeros((2, 4)))).all()
    assert np.isfinite(twice).all()


def test_paco_is_a_network_whose_weights_are_mixed():
    """Equation 3: the same as one plain network with weights Φ w."""
    network, _, params = made("paco")
    own = params["params"]
    shares = own["Dense_0"]["kernel"][1]
    x = inputs(EYE[1:2])[0, :OBSERVATION]
    for layer in range(3):
        parallel = own[f"_Parallel_{layer}"]
        kernel = jnp.einsum("k,kio->io", shares, parallel["kernel"])
        x = x @ kernel + shares @ parallel["bias"]
        x = jnp.tanh(x) if layer < 2 else x
    np.testing.assert_allclose(network.apply(params, inputs(EYE[1:2]))[0], x, rtol=1e-4, atol=1e-5)


def test_low_rank_adds_a_matrix_of_low_rank():
    network, _, params = made("low-rank", hidden=(16,), rank=1)
    own = params["params"]
    columns = slice(1, 2)  # of the second family
    added = own["Dense_1"]["kernel"][:, columns] @ own["Dense_2"]["kernel"][columns]
    assert np.linalg.matrix_rank(added) == 1
    x = inputs(EYE[1:2])[0, :OBSERVATION]
    x = jnp.tanh(x @ (own["Dense_0"]["kernel"] + added) + own["Dense_0"]["bias"])
    last = own["Dense_4"]["kernel"][:, columns] @ own["Dense_5"]["kernel"][columns] + own["Dense_3"]["kernel"]
    np.testing.assert_allclose(
        network.apply(params, inputs(EYE[1:2]))[0], x @ last + own["Dense_3"]["bias"], rtol=1e-4, atol=1e-5
    )


def size(params) -> int:
    return sum(x.size for x in jax.tree.leaves(params))


def test_sizes_are_what_the_names_promise():
    """At the default width: sets and experts cost as often as there are of them, a family's own part costs little."""
    hidden = (128, 128)
    plain = size(made("mlp", hidden)[1])
    assert size(made("soft-modules", hidden)[1]) < 3.5 * plain
    assert 4.5 * plain < size(made("paco", hidden, sets=5)[1]) < 5.5 * plain
    assert 3.5 * plain < size(made("moore", hidden, experts=4)[1]) < 4.5 * plain
    for name in ("multi-head", "task-embedding", "film", "low-rank"):
        assert size(made(name, hidden)[1]) < 1.7 * plain, name


@pytest.mark.parametrize(
    "name, hidden, options, message",
    [
        ("more", HIDDEN, {}, "unknown network 'more': did you mean moore"),
        ("moore", HIDDEN, {"expert": 2}, "unknown entry of network_options for moore 'expert': did you mean experts"),
        ("mlp", HIDDEN, {"experts": 2}, "unknown entry of network_options for mlp 'experts'"),
        ("paco", HIDDEN, {"sets": 0}, "network_options: sets = 0: must be at least 1"),
        ("moore", (16, 2), {}, "at most as many experts as the last hidden layer is wide, 2"),
        ("simba", (16, 8), {}, "its blocks share one width, got 16, 8"),
        ("care", (), {}, "network care: needs at least one hidden layer"),
    ],
)
def test_what_cannot_be_made_is_refused(name, hidden, options, message):
    with pytest.raises(UsageError, match=message):
        networks.check(name, options, hidden)
