"""Multi-task TRPO: the policy goes along its natural gradient, as far as a bound on its divergence allows.

Trust region policy optimisation (Schulman et al. 2015, arXiv:1502.05477) with generalised advantage estimation, which
brings the critic (Schulman et al. 2015, arXiv:1506.02438). Playing, and what makes it multi-task, is in
`parts/on_policy.py`, as for MT-PPO. An update is one step of the policy (`parts/trust_region.py`) and some
passes of the critic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from .parts.keys import fold
from .parts.on_policy import Batch, Learner, OnPolicy, OnPolicyConfig
from .parts.trust_region import trust_region_step


@dataclass(frozen=True)
class MTTRPOConfig(OnPolicyConfig):
    """Hyper-parameters of multi-task TRPO. The defaults suit two CPU cores."""

    max_kl: float = 0.01
    """How far a step may move the policy, in nats (δ)."""
    damping: float = 0.01
    """Added to the curvature's diagonal: steps along which the policy hardly changes stay short."""
    cg_iterations: int = 10
    """Of conjugate gradients."""
    fisher_stride: int = 4
    """The curvature is that of every so many-th sample."""
    backtracks: int = 10
    """Times that a step is shortened before the policy stays what it is."""
    learning_rate: float = 1e-3
    """Step size of Adam, of the critic."""
    epochs: int = 4
    """The critic's passes over each rollout."""
    minibatches: int = 8
    """The critic's gradient steps in a pass; must divide lanes * rollout_length."""

    def rules(self) -> Mapping[str, tuple[bool, str]]:
        """Of fields: whether each holds, and what is allowed."""
        counts = ("cg_iterations", "fisher_stride", "backtracks")
        return {
            **super().rules(),
            **{name: (getattr(self, name) >= 1, "at least 1") for name in counts},
            "max_kl": (self.max_kl > 0, "greater than 0"),
            "damping": (self.damping >= 0, "at least 0"),
        }


@dataclass(frozen=True)
class MTTRPO(OnPolicy):
    """Multi-task TRPO."""

    config: MTTRPOConfig = MTTRPOConfig()
    name: ClassVar[str] = "mt-trpo"
    Config: ClassVar[type[MTTRPOConfig]] = MTTRPOConfig

    def _start(self, params: dict[str, Any], families: int) -> optax.OptState:
        return optax.scale_by_adam(eps=1e-5).init(params["critic"])

    def _optimize(
        self, learner: Learner, batch: Batch, learning_rate: float | Array, key: jax.Array
    ) -> tuple[Learner, dict[str, Array]]:
        """A step of the policy, and `epochs` passes of the critic over the batch [time, lane, …].

        Metrics, of the policy: `surrogate` (how much it has grown), `kl` (how far the policy has moved), `step_share`
        (α; 0 where none would do), `entropy` (before the step), `grad_norm`; of the critic: `value_loss`.
        """
        samples = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
        actor, metrics = self._policy_step(learner.params, samples)
        critic, optimizer, loss = self._critic_steps(learner, samples, learning_rate, key)
        params = {"actor": actor, "critic": critic}
        return replace(learner, params=params, optimizer=optimizer), metrics | {"value_loss": loss}

    def _policy_step(self, params: dict[str, Any], batch: Batch) -> tuple[Any, dict[str, Array]]:
        """The policy's parameters after a step, and metrics."""
        config, old = self.config, params["actor"]
        few = jax.tree.map(lambda x: x[:: config.fisher_stride], batch)

        def surrogate(actor: Any) -> Float[Array, ""]:
            """Equation 14 of the paper."""
            log_prob = self._distribution({"actor": actor}, batch.inputs).log_prob(batch.action, batch.used)
            return (jnp.exp(log_prob - batch.log_prob) * batch.advantage).mean()

        def divergence(batch: Batch, actor: Any) -> Float[Array, ""]:
            before, after = (self._distribution({"actor": x}, batch.inputs) for x in (old, actor))
            return before.divergence(after, batch.used).mean()

        actor, metrics = trust_region_step(
            config, surrogate, partial(divergence, batch), old, sampled_divergence=partial(divergence, few)
        )
        entropy = self._distribution(params, batch.inputs).entropy(batch.used).mean()
        return actor, metrics | {"entropy": entropy}

    def _critic_steps(
        self, learner: Learner, batch: Batch, learning_rate: float | Array, key: jax.Array
    ) -> tuple[Any, optax.OptState, Array]:
        """The critic's parameters, its optimiser's state, and its mean loss."""
        config, params = self.config, learner.params

        def loss(critic: Any, chosen: Array) -> Array:
            value = self._value(params | {"critic": critic}, batch.inputs[chosen])
            return 0.5 * jnp.square(value - batch.target[chosen]).mean()

        def gradient_step(carry: tuple[Any, Any], chosen: Array) -> tuple[tuple[Any, Any], Array]:
            critic, optimizer = carry
            value, gradient = jax.value_and_grad(loss)(critic, chosen)
            change, optimizer = optax.scale_by_adam(eps=1e-5).update(gradient, optimizer)
            return (optax.tree.add_scale(critic, -learning_rate, change), optimizer), value

        passes = jax.vmap(partial(fold, key))(jnp.arange(config.epochs))
        order = jax.vmap(lambda key: jax.random.permutation(key, batch.target.size))(passes)
        steps = order.reshape(config.epochs * config.minibatches, -1)
        (critic, optimizer), losses = jax.lax.scan(gradient_step, (params["critic"], learner.optimizer), steps)
        return critic, optimizer, losses.mean()
