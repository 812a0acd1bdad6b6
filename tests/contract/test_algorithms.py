"""Every registered algorithm keeps the contract of `mtbench.training.Algorithm`, on two families of one arena."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache, cached_property, partial
from typing import Any, get_args, get_origin, get_type_hints

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtbench.suite as suites
from mtbench import policy, registry, stored
from mtbench.errors import UsageError
from mtbench.training.checkpoint import Checkpoints
from mtbench.training.metrics import COUNTS, Meter

ALGORITHMS = registry.algorithms()
FAMILIES, SEEDS, LANES, HORIZON = ("reach", "push"), 2, 4, 3
TINY = {
    **{"num_seeds": SEEDS, "lanes": LANES, "rollout_length": 4, "epochs": 1, "minibatches": 2, "n_step": 2},
    **{"gradient_steps": 2, "batch_size": 8, "replay_steps": 400, "random_steps": 0},
    **{"adaptation_episodes": 2, "policy_hidden": (8,), "critic_hidden": (8,), "hidden": 8, "memory_size": 8},
}
"""What makes an algorithm small, where it has such a field."""


def make(name: str, **changes: Any) -> Any:
    kind = registry.algorithm(name)
    known = {field.name for field in fields(kind.Config)}
    return kind(kind.Config(**{key: value for key, value in (TINY | changes).items() if key in known}))


@dataclass(frozen=True, eq=False)
class Compiled:
    """An environment that is traced once for all who use it."""

    env: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    @cached_property
    def reset(self) -> Any:
        return jax.jit(self.env.reset)

    @cached_property
    def step(self) -> Any:
        return jax.jit(self.env.step)


@cache
def lanes() -> Any:
    """Episodes of three steps: every lane ends one in each rollout."""
    splits = {"train": dict.fromkeys(FAMILIES, (0, 1, 2))}
    return suites.Suite("contract", 1, "", FAMILIES, HORIZON, True, splits, {}, {}).vector_env(SEEDS * LANES)


@cache
def env_of(num_lanes: int, **options: Any) -> Compiled:
    return Compiled(replace(lanes(), num_lanes=num_lanes, **options))


def environment(algorithm: Any) -> Compiled:
    config = algorithm.config
    return env_of(config.num_seeds * config.lanes, **getattr(algorithm, "lane_options", {}))


@dataclass(frozen=True)
class Trained:
    """An algorithm, its one program, and the states and metrics of two updates."""

    algorithm: Any
    env: Any
    step: Any
    states: tuple[Any, ...]
    metrics: tuple[Any, ...]


@pytest.fixture(scope="module", params=ALGORITHMS)
def trained(request) -> Trained:
    algorithm = make(request.param)
    env = environment(algorithm)
    step = jax.jit(lambda state: algorithm.train_step(env, state))
    first = algorithm.init(jax.random.key(0), env)
    second, metrics = step(first)
    third, more = step(second)
    return Trained(algorithm, env, step, (first, second, third), (metrics, more))


def numbers(tree: Any) -> Any:
    """Arrays in place of typed keys."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x, tree)


def test_metrics_are_named_and_finite(trained):
    meter = Meter(FAMILIES, window=100)
    for metrics in trained.metrics:
        meter.add(metrics)  # refuses other shapes than [seed] and, of the counts, [seed, family]
        chex.assert_tree_all_finite(metrics)
    assert set(COUNTS) < set(metrics), "beside the counts an algorithm tells of its losses"
    played = sum(np.asarray(metrics["episodes"]) for metrics in trained.metrics)
    assert (played > 0).all() and played.sum() >= 2 * SEEDS * LANES
    # MAML has no rollouts of a set length: it plays whole episodes before and after it has adapted.
    length = getattr(trained.algorithm.config, "rollout_length", 2 * HORIZON)
    assert trained.algorithm.steps_per_update(trained.env) == LANES * length


def test_what_is_learnt_moves_and_stays_finite(trained):
    before, *_, after = (trained.algorithm.learnt(state) for state in trained.states)
    chex.assert_tree_all_finite(numbers(after))
    pairs = zip(*map(jax.tree.leaves, (before, after)), strict=True)
    moved = [(np.asarray(x) != np.asarray(y)).any() for x, y in pairs if x.ndim > 2]  # weights, [seed, …, in, out]
    assert moved and all(moved)


def test_a_saved_state_goes_on_bit_for_bit(trained, tmp_path):
    first, second, third = trained.states
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, second, {})
    template = jax.eval_shape(lambda: first)
    again, metrics = trained.step(checkpoints.restore(1, template))
    chex.assert_trees_all_equal(numbers(again), numbers(third))
    chex.assert_trees_all_equal(metrics, trained.metrics[1])


def test_a_stored_policy_acts(trained, tmp_path):
    """As the one in memory, for lanes as they are, with finite actions in [-1, 1]."""
    algorithm, env, state = trained.algorithm, trained.env, trained.states[-1]
    sizes = policy.Sizes.of(env.envs[0])
    policies = {seed: algorithm.policy(state, seed) for seed in range(SEEDS)}
    stored.save_policies(tmp_path, policies, algorithm=algorithm.name, sizes=sizes, suite={})
    seen, keys = policy.shown(env.reset(jax.random.key(1))[1]), jax.random.split(jax.random.key(0), SEEDS * LANES)

    @jax.jit
    def act(policy):
        return jax.vmap(lambda key, seen: policy.act(key, policy.init_carry(key), seen)[1])(keys, seen)

    actions = {seed: act(stored.find(tmp_path).policy(seed)) for seed in range(SEEDS)}
    for seed in range(SEEDS):
        policy.check(policies[seed], sizes, algorithm.name)
        chex.assert_shape(actions[seed], (SEEDS * LANES, env.action_size))
        assert np.isfinite(actions[seed]).all() and np.abs(actions[seed]).max() <= 1.0
        np.testing.assert_array_equal(actions[seed], act(policies[seed]))
    assert (np.asarray(actions[0]) != np.asarray(actions[1])).any()


def test_a_seed_does_not_depend_on_the_others(trained):
    """Neither on what is beside it nor on how many there are, and no two are alike."""
    algorithm, second, third = trained.algorithm, *trained.states[1:]

    def of_seed(seed: int, x: jax.Array) -> jax.Array:
        each = x.shape[0] // SEEDS
        return x[seed * each : (seed + 1) * each]

    def twice(x: jax.Array) -> jax.Array:
        """The first seed's part in place of each seed's, of leaves that have one axis of all of them."""
        if x.ndim == 0 or x.shape[0] not in (SEEDS, SEEDS * len(FAMILIES), SEEDS * LANES):
            return x
        return jnp.concatenate([of_seed(0, x)] * SEEDS)

    alike, metrics = trained.step(jax.tree.map(twice, second))
    found, expected, other = (
        jax.tree.map(partial(of_seed, seed), numbers(algorithm.learnt(state)))
        for state, seed in ((alike, 0), (third, 0), (third, 1))
    )
    chex.assert_trees_all_equal(found, expected)
    assert all((metrics[name][0] == trained.metrics[1][name][0]).all() for name in metrics)
    with pytest.raises(AssertionError):
        chex.assert_trees_all_close(expected, other)
    alone = make(algorithm.name, num_seeds=1)
    begun = alone.policy(alone.init(jax.random.key(0), environment(alone)), 0)
    chex.assert_trees_all_equal(begun, algorithm.policy(trained.states[0], 0))


def bad_values(hint: Any) -> list[Any]:
    """Values of a field's type that no algorithm can mean."""
    if get_origin(hint) is tuple:
        return [(0,)]
    if get_origin(hint) is dict:
        return [{"nonsense": 1}]
    kinds = {kind for part in (hint, *get_args(hint)) for kind in (part, type(part))}
    if str in kinds:
        return ["nonsense"]
    return [-1.0, float("nan")] if float in kinds else [-1] if int in kinds else []


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_field_is_checked(name):
    hints = get_type_hints(registry.algorithm(name).Config)
    for field in fields(registry.algorithm(name).Config):
        for value in bad_values(hints[field.name]):
            with pytest.raises(UsageError, match=rf"\b{field.name}\b"):
                make(name, **{field.name: value})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_environment_of_another_size_is_refused(name):
    algorithm = make(name)
    env = env_of(2 * SEEDS * LANES, **getattr(algorithm, "lane_options", {}))
    with pytest.raises(UsageError, match=rf"must have \d+ lanes, it has {2 * SEEDS * LANES}"):
        algorithm.init(jax.random.key(0), env)
