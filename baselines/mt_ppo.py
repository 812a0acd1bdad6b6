"""Multi-task PPO: one policy and one critic for all tasks of a suite, told apart by their context.

Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347) with generalised advantage estimation
(Schulman et al. 2015, arXiv:1506.02438). Playing, and what makes it multi-task, is in `parts/on_policy.py`: the
context is an input of both networks, rewards and advantages are scaled by family. Here is what PPO makes of a rollout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, get_args

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from .parts.clipping import clipped_loss
from .parts.gradients import Gradients, GradientsName
from .parts.keys import fold
from .parts.on_policy import Batch, Learner, OnPolicy, OnPolicyConfig


@dataclass(frozen=True)
class MTPPOConfig(OnPolicyConfig):
    """Hyper-parameters of multi-task PPO. The defaults suit two CPU cores."""

    clip: float = 0.2
    """How far an update may move the probability of an action, as a ratio."""
    entropy_cost: float = 1e-3
    """Weight of the bonus for random actions."""
    value_cost: float = 0.5
    """Weight of the critic's squared error."""
    max_grad_norm: float = 1.0
    """Longer gradients are shortened to this length."""
    target_kl: float | None = None
    """Skip the rest of an update once the policy has moved this far, in nats; by default never."""
    gradients: GradientsName = "mean"
    """One gradient of all families, or how theirs are combined (docs/baselines/gradients.md)."""
    gradient_groups: int | None = None
    """Combine gradients of so many groups of families, where one for each is too dear."""

    def rules(self) -> Mapping[str, tuple[bool, str]]:
        """Of fields: whether each holds, and what is allowed."""
        return {
            **super().rules(),
            "clip": (0 < self.clip < 1, "between 0 and 1"),
            "entropy_cost": (self.entropy_cost >= 0, "at least 0"),
            "value_cost": (self.value_cost >= 0, "at least 0"),
            "max_grad_norm": (self.max_grad_norm > 0, "greater than 0"),
            "target_kl": (self.target_kl is None or self.target_kl > 0, "greater than 0, or None for no limit"),
            "gradients": (self.gradients in get_args(GradientsName), f"one of {', '.join(get_args(GradientsName))}"),
            "gradient_groups": (self.gradient_groups is None or self.gradient_groups >= 1, "at least 1"),
        }


@dataclass(frozen=True)
class MTPPO(OnPolicy):
    """Multi-task PPO."""

    config: MTPPOConfig = MTPPOConfig()
    name: ClassVar[str] = "mt-ppo"
    Config: ClassVar[type[MTPPOConfig]] = MTPPOConfig

    def _gradients(self, families: int) -> Gradients:
        return Gradients(self.config.gradients, families, self.config.gradient_groups)

    def _optimizer(self, families: int) -> optax.GradientTransformationExtraArgs:
        # The learning rate is applied in `_optimize`, where it is known how far the training is.
        clip = optax.clip_by_global_norm(self.config.max_grad_norm)
        return self._gradients(families).before(clip, optax.scale_by_adam(eps=1e-5))

    def _start(self, params: dict[str, Any], families: int) -> optax.OptState:
        return self._optimizer(families).init(params)

    def _loss(self, params: dict[str, Any], batch: Batch) -> tuple[Array, dict[str, Array]]:
        """See `clipped_loss`."""
        distribution = self._distribution(params, batch.inputs)
        return clipped_loss(self.config, batch, distribution, self._value(params, batch.inputs))

    def _optimize(
        self, learner: Learner, batch: Batch, learning_rate: float | Array, key: jax.Array
    ) -> tuple[Learner, dict[str, Array]]:
        """`epochs` passes over the batch [time, lane, …] in `minibatches` gradient steps each.

        Metrics, means over gradient steps: `policy_loss`, `value_loss`, `entropy`, `approx_kl`, `clip_fraction`,
        `grad_norm`.
        """
        config, families = self.config, learner.returns.count.size
        gradients, optimize = self._gradients(families), self._optimizer(families).update
        samples = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
        passes = jax.vmap(partial(fold, key))(jnp.arange(config.epochs))
        steps = gradients.schedule(passes, samples.family, config.minibatches)

        def gradient_step(carry: tuple[Any, Any, Array], now: tuple[Array, Any]) -> tuple[Any, dict[str, Array]]:
            (params, optimizer, going), (chosen, told) = carry, now
            minibatch = jax.tree.map(lambda x: x[chosen], samples)
            gradient, metrics = gradients.of(self._loss, params, minibatch)
            # Of the losses, the critic's tells how far a family is learnt; the surrogate is about 0 by design.
            change, new_optimizer = optimize(gradient, optimizer, params, losses=metrics["value_loss"], **told)
            metrics = jax.tree.map(jnp.mean, metrics) | {"grad_norm": optax.global_norm(gradient)}
            new_params = jax.tree.map(lambda p, c: p - learning_rate * c, params, change)
            if config.target_kl is not None:
                going &= metrics["approx_kl"] <= config.target_kl
                keep = partial(jax.tree.map, lambda new, old: jnp.where(going, new, old))
                new_params, new_optimizer = keep(new_params, params), keep(new_optimizer, optimizer)
            return (new_params, new_optimizer, going), metrics

        start = (learner.params, learner.optimizer, jnp.array(True))
        (params, optimizer, _), metrics = jax.lax.scan(gradient_step, start, steps)
        return replace(learner, params=params, optimizer=optimizer), jax.tree.map(jnp.mean, metrics)
