"""What learners from their own rollouts share: networks, playing, advantages by family. They differ in how a policy
follows from a rollout (`OnPolicy._optimize`).

Three things make them multi-task: the context is an input of both networks, rewards are divided by a running scale of
their family's return, and advantages are standardised within each family, so that no family drowns another (the aim of
PopArt, arXiv:1809.04474).

The environment keeps its one flat axis of lanes, `num_seeds * lanes` long, seed after seed. Everything that
learns is written for one seed and mapped over seeds: several trainings are one program, and none of them
depends on how many others run beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from mtbench.errors import UsageError
from mtbench.policy import PolicyInput, shown

from . import networks
from .actors import Gaussian, GaussianActor, GaussianPolicy, inputs_of, used_actions
from .gae import gae
from .keys import fold
from .networks import Activation, NetworkName
from .normalization import LayoutMoments, ReturnScale, discounted_return, standardize_by_family
from .training import check_fields, check_lanes, episode_counts, split_seeds

# ── Configuration ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class OnPolicyConfig:
    """Hyper-parameters of every learner from its own rollouts."""

    total_steps: int = 10_000_000
    """Environment steps of each seed, rounded up to whole updates."""
    num_seeds: int = 1
    """Trainings that run side by side in one program."""
    lanes: int = 512
    """Environments that each seed steps at once."""
    rollout_length: int = 32
    """Steps of every lane between two updates."""
    epochs: int = 4
    """Passes over each rollout."""
    minibatches: int = 8
    """Gradient steps in a pass; must divide lanes * rollout_length."""
    learning_rate: float = 1e-3
    """Step size of Adam."""
    anneal: bool = True
    """Let the learning rate fall linearly to 0 over total_steps."""
    discount: float = 0.98
    """What a reward is worth one step later (γ)."""
    gae_lambda: float = 0.95
    """Advantages from the critic alone (0) to rewards as played (1)."""
    scale_rewards: bool = True
    """Divide rewards by the running root mean square of their family's discounted return."""
    advantages_by_family: bool = True
    """Standardise advantages within each family; otherwise over the whole rollout."""
    policy_hidden: tuple[int, ...] = (128, 128)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (128, 128)
    """Widths of the critic's hidden layers."""
    activation: Activation = "tanh"
    """Non-linearity of both networks."""
    initial_std: float = 1.0
    """Standard deviation of the first actions."""
    network: NetworkName = "multi-head"
    """How policy and critic tell families apart; multi-head: a last layer for each (docs/baselines/networks.md)."""
    network_options: dict[str, int] = field(default_factory=dict)
    """Sizes that a network has of its own, e.g. experts 6; by default those of its paper."""

    @property
    def num_updates(self) -> int:
        """Calls of `train_step` that make up a training."""
        return -(-self.total_steps // (self.lanes * self.rollout_length))

    def rules(self) -> Mapping[str, tuple[bool, str]]:
        """Of fields: whether each holds, and what is allowed."""
        counts = ("total_steps", "num_seeds", "lanes", "rollout_length", "epochs", "minibatches")
        return {name: (getattr(self, name) >= 1, "at least 1") for name in counts} | {
            "learning_rate": (self.learning_rate > 0, "greater than 0"),
            "discount": (0 <= self.discount < 1, "at least 0 and less than 1"),
            "gae_lambda": (0 <= self.gae_lambda <= 1, "from 0 to 1"),
            "policy_hidden": (all(width >= 1 for width in self.policy_hidden), "widths of at least 1"),
            "critic_hidden": (all(width >= 1 for width in self.critic_hidden), "widths of at least 1"),
            "activation": (self.activation in networks.ACTIVATIONS, f"one of {', '.join(networks.ACTIVATIONS)}"),
            "initial_std": (self.initial_std > 0, "greater than 0"),
        }

    def validate(self) -> None:
        """Checks every field.

        Raises:
          UsageError: a value out of range; names the field, the value and what is allowed.
        """
        check_fields(self, self.rules())
        if (batch := self.lanes * self.rollout_length) % self.minibatches:
            raise UsageError(f"minibatches = {self.minibatches}: must divide lanes * rollout_length = {batch}")
        networks.check(self.network, self.network_options, self.policy_hidden, self.critic_hidden)


# ── State: what a training carries from one update to the next ──────────────────────────────────────────────


@struct.dataclass
class Learner:
    """What one seed has learnt. In `State` every leaf has a leading axis of seeds."""

    key: jax.Array
    """Root of the seed's randomness; each update folds its number into it."""
    params: dict[str, Any]
    """`actor` and `critic`."""
    optimizer: optax.OptState
    observations: LayoutMoments
    returns: ReturnScale
    running_return: Float[Array, " lane"]
    """Discounted return of each lane's episode so far."""


@struct.dataclass
class State:
    """All that the next update depends on: a training goes on from it bit for bit."""

    learner: Learner
    """Leaves [seed, …]."""
    env: Any
    """Leaves [seed * lane, …], where the environment has lanes."""
    timestep: Any
    """What the environment showed last, [seed * lane, …]."""
    updates: Int[Array, ""]
    """Updates done. They are counted in place of environment steps, which would overflow 32 bits."""


# ── The algorithm ───────────────────────────────────────────────────────────────────────────────────────────


@struct.dataclass
class Rollout:
    """What happened in a rollout, [time, lane, …]."""

    observation: Array
    """What the policy acted on."""
    context: Array
    """What it was told of the task. It is the same throughout an episode, so it goes with `final_observation` too."""
    used: Array
    """1 where an entry of the action has an effect, 0 where it is padding."""
    action: Array
    """As drawn, before the environment clips it."""
    log_prob: Array
    family: Array
    reward: Array
    terminated: Array
    truncated: Array
    final_observation: Array
    """What the step really led to: never the first observation of the next episode."""
    success_any: Array
    episode_return: Array

    @property
    def done(self) -> Bool[Array, "time lane"]:
        """Whether the step was its episode's last."""
        return self.terminated | self.truncated


@struct.dataclass
class Batch:
    """What the loss reads, [sample, …]."""

    inputs: Array
    used: Array
    action: Array
    family: Array
    log_prob: Array
    """Under the policy that acted."""
    advantage: Array
    target: Array
    """λ-returns for the critic."""


@dataclass(frozen=True)
class OnPolicy:
    """A learner from its own rollouts. Its methods are pure functions of `State`; `train_step` is made to be jitted."""

    config: Any
    name: ClassVar[str]
    Policy: ClassVar[type[GaussianPolicy]] = GaussianPolicy

    def __post_init__(self) -> None:
        """Rejects a bad configuration."""
        self.config.validate()

    def init(self, key: jax.Array, env: Any) -> State:
        """The state before the first update.

        Args:
          key: root of all randomness. Seeds fold their index into it, so seed 2 of 4 is seed 2 of 8.
          env: has `num_seeds * lanes` lanes.

        Raises:
          UsageError: the environment has another number of lanes.
        """
        config = self.config
        check_lanes(config, env)
        env_key, learner_key = jax.random.split(key)
        env_state, timestep = env.reset(env_key)
        inputs = jnp.zeros(env.observation_size + env.context_size)

        def init_seed(seed: Array) -> Learner:
            key, actor_key, critic_key = jax.random.split(jax.random.fold_in(learner_key, seed), 3)
            actor = self._actor(env.action_size, env.context_size).init(actor_key, inputs)
            params = {"actor": actor, "critic": self._critic(env.context_size).init(critic_key, inputs)}
            return Learner(
                key=key,
                params=params,
                optimizer=self._start(params, env.num_families),
                observations=LayoutMoments.init(env.observation_size, env.family_layouts),
                returns=ReturnScale.init(env.num_families),
                running_return=jnp.zeros(config.lanes),
            )

        learner = jax.vmap(init_seed)(jnp.arange(config.num_seeds))
        return State(learner, env_state, timestep, jnp.zeros((), jnp.int32))

    def steps_per_update(self, env: Any) -> int:
        """Environment steps that one update takes in each seed."""
        return self.config.lanes * self.config.rollout_length

    def policy(self, state: State, seed: int, deterministic: bool = True) -> GaussianPolicy:
        """The policy that one of the seeds has learnt."""
        actor, observations = jax.tree.map(
            lambda x: x[seed], (state.learner.params["actor"], state.learner.observations)
        )
        return GaussianPolicy(actor, observations, self._actor(*_sizes(actor)), deterministic)

    def learnt(self, state: State) -> Learner:
        """What must stay finite."""
        return state.learner

    def value(self, state: State, timestep: Any) -> Float[Array, " lane"]:
        """The critic's estimate of the discounted return to come, in units of reward, [seed * lane]."""

        def value_seed(learner: Learner, timestep: Any) -> Array:
            inputs = inputs_of(learner.observations, timestep.observation, timestep.context)
            scale = learner.returns.scale[timestep.family] if self.config.scale_rewards else 1.0
            return self._value(learner.params, inputs) * scale

        return jax.vmap(value_seed)(state.learner, split_seeds(self.config, timestep)).reshape(-1)

    def _actor(self, action_size: int, families: int) -> GaussianActor:
        config = self.config
        sizes = (config.policy_hidden, action_size, families, config.activation)
        return GaussianActor(*sizes, config.network, config.network_options, config.initial_std)

    def _critic(self, families: int) -> Any:
        sizes = (self.config.critic_hidden, 1, families, 1.0, self.config.activation)
        return networks.make(self.config.network, *sizes, self.config.network_options)

    def _distribution(self, params: dict[str, Any], inputs: Float[Array, "*batch inputs"]) -> Gaussian:
        return self._actor(*_sizes(params["actor"])).apply(params["actor"], inputs)  # type: ignore[return-value]

    def _value(self, params: dict[str, Any], inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch"]:
        _, families = _sizes(params["actor"])
        return self._critic(families).apply(params["critic"], inputs)[..., 0]

    # ── What learners differ in ──

    def _start(self, params: dict[str, Any], families: int) -> optax.OptState:
        """The optimiser's state at first."""
        raise NotImplementedError

    def _optimize(
        self, learner: Learner, batch: Batch, learning_rate: float | Array, key: jax.Array
    ) -> tuple[Learner, dict[str, Array]]:
        """What a seed learns from a batch [time, lane, …], and metrics []."""
        raise NotImplementedError

    # ── One update: rollout, advantages ──

    def train_step(self, env: Any, state: State) -> tuple[State, dict[str, Array]]:
        """One rollout of every lane, and what is learnt from it.

        Returns:
          The new state, and metrics. Of the episodes that ended in the rollout, [seed, family]: `episodes`,
          `successes` (at any time of the episode) and `return_sum`. Of the update, [seed]: `explained_variance`
          (of the returns, by the critic before the update) and those of `_optimize`.
        """
        config = self.config
        state, rollout = self._rollout(env, state)
        by_seed = jax.tree.map(lambda x: x.swapaxes(0, 1), split_seeds(self.config, rollout, axis=1))
        left = jnp.maximum(1.0 - state.updates / config.num_updates, 0.0) if config.anneal else 1.0
        update = partial(self._update, learning_rate=config.learning_rate * left, number=state.updates)
        learner, metrics = jax.vmap(update)(state.learner, by_seed)
        return replace(state, learner=learner, updates=state.updates + 1), metrics

    def _rollout(self, env: Any, state: State) -> tuple[State, Rollout]:
        """Plays `rollout_length` steps; the result is [time, seed * lane, …]."""
        keys = jax.vmap(lambda learner: fold(learner.key, state.updates, 0))(state.learner)

        def act(learner: Learner, key: jax.Array, seen: PolicyInput) -> tuple[Array, Array, Array]:
            distribution = self._distribution(
                learner.params, inputs_of(learner.observations, seen.observation, seen.context)
            )
            action = distribution.sample(jax.random.normal(key, distribution.mean.shape))
            used = used_actions(env.action_mask, seen.context)
            return action, distribution.log_prob(action, used), used

        def step(carry: tuple[Any, Any], time: Array) -> tuple[tuple[Any, Any], Rollout]:
            env_state, now = carry
            seen = split_seeds(self.config, shown(now))
            acted = jax.vmap(act)(state.learner, jax.vmap(fold, (0, None))(keys, time), seen)
            action, log_prob, used = (x.reshape(env.num_lanes, *x.shape[2:]) for x in acted)
            env_state, then = env.step(env_state, action)
            return (env_state, then), Rollout(
                observation=now.observation,
                context=now.context,
                used=used,
                action=action,
                log_prob=log_prob,
                family=then.family,
                reward=then.reward,
                terminated=then.terminated,
                truncated=then.truncated,
                final_observation=then.final_observation,
                success_any=then.success_any,
                episode_return=then.episode_return,
            )

        times = jnp.arange(self.config.rollout_length)
        (env_state, timestep), rollout = jax.lax.scan(step, (state.env, state.timestep), times)
        return replace(state, env=env_state, timestep=timestep), rollout

    def _update(
        self, learner: Learner, rollout: Rollout, *, learning_rate: float | Array, number: Array
    ) -> tuple[Learner, dict[str, Array]]:
        """What one seed learns from its rollout [time, lane, …]."""
        learner, batch, metrics = self._advantages(learner, rollout)
        learner, losses = self._optimize(learner, batch, learning_rate, fold(learner.key, number, 1))
        # Only now: the ratio of probabilities must compare two policies that read the same inputs.
        observations = learner.observations.update(rollout.observation, rollout.context)
        return replace(learner, observations=observations), metrics | losses

    def _advantages(self, learner: Learner, rollout: Rollout) -> tuple[Learner, Batch, dict[str, Array]]:
        """Scales the rewards, and computes advantages and the critic's targets."""
        config, family, num_families = self.config, rollout.family, learner.returns.count.size
        running, returns = discounted_return(learner.running_return, rollout.reward, rollout.done, config.discount)
        scale = learner.returns.update(returns, family)
        reward = rollout.reward / scale.scale[family] if config.scale_rewards else rollout.reward
        # The final observation is evaluated at every step, though it matters only where an episode ends: shapes are
        # static, and a pass forward is little beside the gradient steps.
        seen = (rollout.observation, rollout.final_observation)
        inputs, final_inputs = (inputs_of(learner.observations, x, rollout.context) for x in seen)
        value, next_value = (self._value(learner.params, x) for x in (inputs, final_inputs))
        ends = {"terminated": rollout.terminated, "truncated": rollout.truncated}
        advantage = gae(reward, value, next_value, **ends, discount=config.discount, gae_lambda=config.gae_lambda)
        groups = family if config.advantages_by_family else 0 * family
        standardized = standardize_by_family(advantage, groups, num_families)
        batch = Batch(inputs, rollout.used, rollout.action, family, rollout.log_prob, standardized, advantage + value)
        told = (rollout.done, rollout.success_any, rollout.episode_return)
        metrics = episode_counts(*told, family, num_families)
        metrics["explained_variance"] = 1.0 - advantage.var() / jnp.maximum(batch.target.var(), 1e-12)
        return replace(learner, returns=scale, running_return=running), batch, metrics


def _sizes(actor: Any) -> tuple[int, int]:
    """The action's size, and the context's, of a policy's parameters."""
    rows, action_size = actor["params"]["log_std"].shape
    return action_size, rows - 1
