"""What learners of several seeds over one flat axis of lanes have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import optax
from jaxtyping import Array, Bool, Float, Int

from mtbench.errors import UsageError

from .normalization import family_sum


def check_fields(config: Any, rules: Mapping[str, tuple[bool, str]]) -> None:
    """Checks fields of a configuration: whether each holds, and what is allowed.

    Raises:
      UsageError: names the first field that does not hold, its value and what is allowed.
    """
    for name, (holds, allowed) in rules.items():
        if not holds:
            raise UsageError(f"{name} = {getattr(config, name)!r}: must be {allowed}")


def check_lanes(config: Any, env: Any) -> None:
    """Makes sure that an environment has `num_seeds * lanes` lanes.

    Raises:
      UsageError: it has another number.
    """
    lanes = config.num_seeds * config.lanes
    if env.num_lanes != lanes:
        told = f"num_seeds = {config.num_seeds}, lanes = {config.lanes}"
        raise UsageError(f"{told}: the environment must have {lanes} lanes, it has {env.num_lanes}")


def split_seeds[T](config: Any, lanes: T, axis: int = 0) -> T:
    """The axis of lanes of every leaf as two, [seed, lane]."""

    def split(x: Array) -> Array:
        return x.reshape(*x.shape[:axis], config.num_seeds, config.lanes, *x.shape[axis + 1 :])

    return jax.tree.map(split, lanes)


def episode_counts(
    done: Bool[Array, "*batch"],
    success_any: Bool[Array, "*batch"],
    episode_return: Float[Array, "*batch"],
    family: Int[Array, "*batch"],
    num_families: int,
) -> dict[str, Array]:
    """`episodes`, `successes` and `return_sum` of the episodes that ended, [family]: what the runner is told."""
    ended = done.astype("float32")
    counts = {"successes": success_any, "return_sum": episode_return, "episodes": ended}
    return {name: family_sum(ended * x, family, num_families) for name, x in counts.items()}


def soft_optimizer(config: Any, networks: Sequence[str]) -> optax.GradientTransformation:
    """Of a soft actor-critic: Adam with one step size for the networks of these names, with another for temperatures.

    Args:
      config: has `max_grad_norm`, `learning_rate` and `temperature_rate`.
      networks: what parameters hold beside `log_temperature`.
    """
    steps = optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.adam(config.learning_rate))
    return optax.multi_transform(
        {"networks": steps, "temperatures": optax.adam(config.temperature_rate)},
        {**dict.fromkeys(networks, "networks"), "log_temperature": "temperatures"},
    )
