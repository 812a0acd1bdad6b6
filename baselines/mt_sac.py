"""Multi-task SAC: one squashed Gaussian policy and twin critics for all tasks, learning from a shared replay.

Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905) with what makes it multi-task in Meta-World (Yu et al. 2019,
arXiv:1910.10897, section 5): the context is an input of all networks and by default chooses their last layer
(MTMH-SAC), and each family has a temperature of its own. Lanes keep their family, and each family has an equal weight
in every batch. Rewards are divided by a running scale of their family's return, as in MT-PPO, so that one critic
serves all.

The environment keeps its one flat axis of lanes, `num_seeds * lanes` long. Everything that learns is written for one
seed and mapped over seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, Float, Int

from mtbench.errors import UsageError
from mtbench.policy import PolicyInput, shown

from .parts import networks
from .parts.actors import Squashed, SquashedActor, SquashedPolicy, inputs_of
from .parts.critics import VALUES, ValueName
from .parts.keys import fold
from .parts.networks import Activation, NetworkName
from .parts.normalization import LayoutMoments, ReturnScale, discounted_return
from .parts.replay import Replay, Steps, Transitions, check_memory
from .parts.training import check_fields, check_lanes, episode_counts, soft_optimizer, split_seeds

# ── Configuration ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class MTSACConfig:
    """Hyper-parameters of multi-task SAC. The defaults suit two CPU cores."""

    total_steps: int = 5_000_000
    """Environment steps of each seed, rounded up to whole updates."""
    num_seeds: int = 1
    """Trainings that run side by side in one program."""
    lanes: int = 128
    """Environments that each seed steps at once."""
    rollout_length: int = 8
    """Steps of every lane between two rounds of gradient steps."""
    gradient_steps: int = 16
    """Gradient steps after each rollout."""
    batch_size: int = 1024
    """Transitions of a gradient step, shared out evenly among the lanes."""
    replay_steps: int = 500_000
    """Environment steps that each seed's replay keeps, as many of each lane; rounded down to whole rollouts."""
    random_steps: int = 20_000
    """Environment steps of uniform actions before the policy acts and learns."""
    learning_rate: float = 1e-3
    """Step size of Adam, of policy and critics."""
    temperature_rate: float = 3e-3
    """Step size of Adam, of the temperatures."""
    discount: float = 0.98
    """What a reward is worth one step later (γ)."""
    n_step: int = 3
    """Rewards that are summed before the critic takes over."""
    target_rate: float = 0.005
    """Share of the critics that goes into their slow copies at a gradient step (τ)."""
    target_entropy: float = 1.0
    """Entropy that temperatures aim for, as a multiple of minus the number of an arena's actions."""
    initial_temperature: float = 0.02
    """Weight of the entropy, to begin with."""
    scale_rewards: bool = True
    """Divide rewards by the running root mean square of their family's discounted return."""
    critic: ValueName = "scalar"
    """What a critic learns of a value: a number, or a distribution over bins."""
    pessimistic: bool = True
    """Count the lesser of the two critics; otherwise their mean."""
    policy_hidden: tuple[int, ...] = (128, 128)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (128, 128)
    """Widths of the critics' hidden layers."""
    policy_activation: Activation = "relu"
    """Non-linearity of the policy."""
    critic_activation: Activation = "norm-relu"
    """Non-linearity of the critics."""
    network: NetworkName = "multi-head"
    """How policy and critics tell families apart; multi-head: a last layer for each (docs/baselines/networks.md)."""
    network_options: dict[str, int] = field(default_factory=dict)
    """Sizes that a network has of its own, e.g. experts 6; by default those of its paper."""
    max_grad_norm: float = 10.0
    """Longer gradients are shortened to this length."""

    @property
    def num_updates(self) -> int:
        """Calls of `train_step` that make up a training."""
        return -(-self.total_steps // (self.lanes * self.rollout_length))

    def validate(self) -> None:
        """Checks every field.

        Raises:
          UsageError: a value out of range; names the field, the value and what is allowed.
        """
        counts = ("total_steps", "num_seeds", "lanes", "rollout_length", "gradient_steps", "batch_size", "n_step")
        activations = f"one of {', '.join(networks.ACTIVATIONS)}"
        rules = {name: (getattr(self, name) >= 1, "at least 1") for name in (*counts, "replay_steps")} | {
            "random_steps": (self.random_steps >= 0, "at least 0"),
            "learning_rate": (self.learning_rate > 0, "greater than 0"),
            "temperature_rate": (self.temperature_rate > 0, "greater than 0"),
            "discount": (0 <= self.discount < 1, "at least 0 and less than 1"),
            "target_rate": (0 < self.target_rate <= 1, "greater than 0 and at most 1"),
            "target_entropy": (self.target_entropy >= 0, "at least 0"),
            "initial_temperature": (self.initial_temperature > 0, "greater than 0"),
            "critic": (self.critic in VALUES, f"one of {', '.join(VALUES)}"),
            "policy_hidden": (all(width >= 1 for width in self.policy_hidden), "widths of at least 1"),
            "critic_hidden": (all(width >= 1 for width in self.critic_hidden), "widths of at least 1"),
            "policy_activation": (self.policy_activation in networks.ACTIVATIONS, activations),
            "critic_activation": (self.critic_activation in networks.ACTIVATIONS, activations),
            "max_grad_norm": (self.max_grad_norm > 0, "greater than 0"),
        }
        check_fields(self, rules)
        if self.replay_steps < (least := self.lanes * max(self.rollout_length, self.n_step + 1)):
            raise UsageError(f"replay_steps = {self.replay_steps:,}: a rollout and n_step need at least {least:,}")
        networks.check(self.network, self.network_options, self.policy_hidden, self.critic_hidden)


# ── State: what a training carries from one update to the next ──────────────────────────────────────────────


@struct.dataclass
class Learner:
    """What one seed has learnt. In `State` every leaf has a leading axis of seeds."""

    key: jax.Array
    """Root of the seed's randomness; each update folds its number into it."""
    params: dict[str, Any]
    """`actor`, `critics` [2, …] and `log_temperature` [family]."""
    target: Any
    """The slow copies of the critics [2, …]."""
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
    replay: Replay
    """Leaves [seed, …], apart from its count."""
    env: Any
    """Leaves [seed * lane, …], where the environment has lanes."""
    timestep: Any
    """What the environment showed last, [seed * lane, …]."""
    updates: Int[Array, ""]
    """Updates done. They are counted in place of environment steps, which would overflow 32 bits."""


# ── The algorithm ───────────────────────────────────────────────────────────────────────────────────────────

OVER_SEEDS: Any = Replay(*cast(Any, (0, None)))
"""How a replay is mapped over seeds: they fill theirs in step."""


@struct.dataclass
class Batch:
    """What the losses read, [sample, …]."""

    transition: Transitions
    context: Array
    used: Array
    """1 where an entry of the action has an effect, 0 where it is padding."""
    family: Array
    weight: Array


@dataclass(frozen=True)
class MTSAC:
    """Multi-task SAC. Its methods are pure functions of `State`; `train_step` is made to be jitted."""

    config: MTSACConfig = MTSACConfig()
    name: ClassVar[str] = "mt-sac"
    Config: ClassVar[type[MTSACConfig]] = MTSACConfig
    Policy: ClassVar[type[SquashedPolicy]] = SquashedPolicy
    lane_options: ClassVar[dict[str, Any]] = {"fixed_families": True}
    """What it asks of the environment."""

    def __post_init__(self) -> None:
        """Rejects a bad configuration."""
        self.config.validate()

    def init(self, key: jax.Array, env: Any) -> State:
        """The state before the first update.

        Args:
          key: root of all randomness. Seeds fold their index into it, so seed 2 of 4 is seed 2 of 8.
          env: has `num_seeds * lanes` lanes that keep their family.

        Raises:
          UsageError: the environment has other lanes, or the replay does not fit the memory.
        """
        config = self.config
        check_lanes(config, env)
        self._families(env)
        step = Steps.shapes(env.observation_size, env.action_size)
        slots = config.replay_steps // self.steps_per_update(env) * config.rollout_length
        check_memory(step, env.num_lanes, slots)
        env_key, learner_key = jax.random.split(key)
        env_state, timestep = env.reset(env_key)
        actor, critic = self._actor(env.action_size, env.context_size), self._critic(env.context_size)
        inputs = jnp.zeros(env.observation_size + env.context_size)
        judged = jnp.zeros(env.observation_size + env.action_size + env.context_size)

        def init_seed(seed: Array) -> Learner:
            key, actor_key, critic_key = jax.random.split(jax.random.fold_in(learner_key, seed), 3)
            critics = jax.vmap(critic.init, (0, None))(jax.random.split(critic_key), judged)
            temperature = jnp.full(env.num_families, np.log(config.initial_temperature), jnp.float32)
            params = {"actor": actor.init(actor_key, inputs), "critics": critics, "log_temperature": temperature}
            return Learner(
                key=key,
                params=params,
                target=critics,
                optimizer=self._optimizer.init(params),
                observations=LayoutMoments.init(env.observation_size, env.family_layouts),
                returns=ReturnScale.init(env.num_families),
                running_return=jnp.zeros(config.lanes),
            )

        seeds = jnp.arange(config.num_seeds)
        empty = jax.vmap(lambda _: Replay.init(step, slots, config.lanes), out_axes=OVER_SEEDS)(seeds)
        return State(jax.vmap(init_seed)(seeds), empty, env_state, timestep, jnp.zeros((), jnp.int32))

    def steps_per_update(self, env: Any) -> int:
        """Environment steps that one update takes in each seed."""
        return self.config.lanes * self.config.rollout_length

    def policy(self, state: State, seed: int, deterministic: bool = True) -> SquashedPolicy:
        """The policy that one of the seeds has learnt."""
        learner = jax.tree.map(lambda leaf: leaf[seed], state.learner)
        actor = self._actor(state.replay.steps.action.shape[-1], learner.params["log_temperature"].size)
        return SquashedPolicy(learner.params["actor"], learner.observations, actor, deterministic)

    def learnt(self, state: State) -> Learner:
        """What must stay finite."""
        return state.learner

    def _families(self, env: Any) -> Int[np.ndarray, "seed lane"]:
        if env.lane_families is None:
            raise UsageError(f"{self.name}: needs lanes that keep their family (VectorEnv.fixed_families)")
        return env.lane_families.reshape(self.config.num_seeds, self.config.lanes)

    def _actor(self, action_size: int, families: int) -> SquashedActor:
        config = self.config
        sizes = (config.policy_hidden, action_size, families, config.policy_activation)
        return SquashedActor(*sizes, config.network, config.network_options)

    def _critic(self, families: int) -> Any:
        config = self.config
        sizes = (config.critic_hidden, VALUES[config.critic].outputs, families, 1.0, config.critic_activation)
        return networks.make(config.network, *sizes, config.network_options)

    @property
    def _optimizer(self) -> optax.GradientTransformation:
        return soft_optimizer(self.config, ("actor", "critics"))

    # ── One update: rollout, replay, gradient steps ──

    def train_step(self, env: Any, state: State) -> tuple[State, dict[str, Array]]:
        """One rollout of every lane, and the gradient steps after it.

        Returns:
          The new state, and metrics. Of the episodes that ended in the rollout, [seed, family]: `episodes`,
          `successes` (at any time of the episode) and `return_sum`. Of the gradient steps, [seed], their means:
          `critic_loss`, `actor_loss`, `entropy`, `temperature`, `value`, `grad_norm`.
        """
        state, rollout = self._rollout(env, state)
        by_seed = jax.tree.map(lambda x: x.swapaxes(0, 1), split_seeds(self.config, rollout, axis=1))
        mask, told = jnp.asarray(env.action_mask), state.timestep.context.sum(-1).max()
        update = partial(self._update, mask=mask, told=told, number=state.updates)
        learner, replay, metrics = jax.vmap(update, (0, OVER_SEEDS, 0, 0), (0, OVER_SEEDS, 0))(
            state.learner, state.replay, by_seed, jnp.asarray(self._families(env))
        )
        return replace(state, learner=learner, replay=replay, updates=state.updates + 1), metrics

    def _rollout(self, env: Any, state: State) -> tuple[State, dict[str, Any]]:
        """Plays `rollout_length` steps; the result is [time, seed * lane, …]."""
        config = self.config
        keys = jax.vmap(lambda learner: fold(learner.key, state.updates, 0))(state.learner)
        random = state.updates * self.steps_per_update(env) < config.random_steps

        def act(learner: Learner, key: jax.Array, seen: PolicyInput) -> Array:
            inputs = inputs_of(learner.observations, seen.observation, seen.context)
            distribution = self._distribution(learner.params, inputs, env.action_size)
            noise = jax.random.normal(key, distribution.mean.shape)
            # The same noise as a uniform number.
            return jnp.where(random, 2.0 * jax.scipy.stats.norm.cdf(noise) - 1.0, distribution.act(noise))

        def step(carry: tuple[Any, Any], time: Array) -> tuple[tuple[Any, Any], dict[str, Any]]:
            env_state, now = carry
            seen = split_seeds(self.config, shown(now))
            action = jax.vmap(act)(state.learner, jax.vmap(fold, (0, None))(keys, time), seen)
            action = action.reshape(env.num_lanes, -1)
            env_state, then = env.step(env_state, action)
            steps = Steps(now.observation, action, then.reward, then.terminated, then.truncated)
            kept = {name: getattr(then, name) for name in ("family", "success_any", "episode_return")}
            return (env_state, then), {"steps": steps, "context": now.context, **kept}

        start = (state.env, state.timestep)
        (env_state, timestep), rollout = jax.lax.scan(step, start, jnp.arange(config.rollout_length))
        return replace(state, env=env_state, timestep=timestep), rollout

    def _update(
        self,
        learner: Learner,
        replay: Replay,
        rollout: dict[str, Any],
        lane_families: Int[Array, " lane"],
        *,
        mask: Array,
        told: Array,
        number: Array,
    ) -> tuple[Learner, Replay, dict[str, Array]]:
        """What one seed learns after its rollout [time, lane, …]."""
        config, families = self.config, learner.returns.count.size
        steps, family = rollout["steps"], rollout["family"]
        done = steps.terminated | steps.truncated
        running, returns = discounted_return(learner.running_return, steps.reward, done, config.discount)
        learner = replace(
            learner,
            running_return=running,
            returns=learner.returns.update(returns, family),
            observations=learner.observations.update(steps.observation, rollout["context"]),
        )
        replay, key = replay.add(steps), fold(learner.key, number, 1)
        share = 1.0 / jnp.bincount(lane_families, length=families)[lane_families]

        def gradient_step(learner: Learner, step: Array) -> tuple[Learner, dict[str, Array]]:
            lane_key, sample_key, noise_key = jax.random.split(fold(key, step), 3)
            # Neighbours have different families: any so many of them in a row hold about as many of each.
            first = jax.random.randint(lane_key, (), 0, config.lanes)
            lane = (first + jnp.arange(config.batch_size)) % config.lanes
            transition, there = replay.sample(sample_key, lane, n_step=config.n_step, discount=config.discount)
            family, weight = lane_families[lane], share[lane] * there
            context = jax.nn.one_hot(family, families) * told
            batch = Batch(transition, context, mask[family], family, weight / jnp.maximum(weight.mean(), 1e-6))
            return self._gradient_step(learner, batch, noise_key)

        learner, losses = jax.lax.scan(gradient_step, learner, jnp.arange(config.gradient_steps))
        metrics = episode_counts(done, rollout["success_any"], rollout["episode_return"], family, families)
        return learner, replay, metrics | jax.tree.map(jnp.mean, losses)

    def _gradient_step(self, learner: Learner, batch: Batch, key: jax.Array) -> tuple[Learner, dict[str, Array]]:
        """One step of policy, critics and temperatures, and of the critics' slow copies."""
        config, (target_key, key) = self.config, jax.random.split(key)
        noise = jax.random.normal(key, batch.transition.action.shape)
        target = self._target(learner, batch, jax.random.normal(target_key, noise.shape))
        gradient, metrics = jax.grad(self._loss, has_aux=True)(learner.params, learner, batch, target, noise)
        change, optimizer = self._optimizer.update(gradient, learner.optimizer, learner.params)
        params: Any = optax.apply_updates(learner.params, change)
        slow = optax.incremental_update(params["critics"], learner.target, config.target_rate)
        metrics |= {"grad_norm": optax.global_norm({name: gradient[name] for name in ("actor", "critics")})}
        return replace(learner, params=params, target=slow, optimizer=optimizer), metrics

    def _target(self, learner: Learner, batch: Batch, noise: Array) -> Float[Array, " sample"]:
        """What the critics aim for: n rewards, and the soft value of what they led to, by the slow copies."""
        transition, temperature = batch.transition, jnp.exp(learner.params["log_temperature"])[batch.family]
        observation = learner.observations.normalize(transition.next_observation, batch.context)
        action, log_prob = self._act(learner.params, observation, batch, noise)
        value = self._value(learner.target, observation, action, batch) - temperature * log_prob
        scale = learner.returns.scale[batch.family] if self.config.scale_rewards else 1.0
        return jax.lax.stop_gradient(transition.reward / scale + transition.factor * value)

    def _distribution(self, params: dict[str, Any], inputs: Array, action_size: int) -> Squashed:
        families = params["log_temperature"].size
        return self._actor(action_size, families).apply(params["actor"], inputs)  # type: ignore[return-value]

    def _act(
        self, params: dict[str, Any], observation: Array, batch: Batch, noise: Array
    ) -> tuple[Float[Array, "sample a"], Float[Array, " sample"]]:
        inputs = jnp.concatenate([observation, batch.context], axis=-1)
        return self._distribution(params, inputs, noise.shape[-1]).sample(noise, batch.used)

    def _critics(self, critics: Any, observation: Array, action: Array, batch: Batch) -> Float[Array, "2 sample out"]:
        # What is padding has no effect, so it must not count either.
        inputs = jnp.concatenate([observation, action * batch.used, batch.context], axis=-1)
        critic = self._critic(batch.context.shape[-1])
        return jax.vmap(critic.apply, (0, None))(critics, inputs)  # type: ignore[return-value]

    def _value(self, critics: Any, observation: Array, action: Array, batch: Batch) -> Float[Array, " sample"]:
        both = VALUES[self.config.critic].value(self._critics(critics, observation, action, batch))
        return both.min(0) if self.config.pessimistic else both.mean(0)

    def _loss(
        self, params: dict[str, Any], learner: Learner, batch: Batch, target: Array, noise: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Sum of the critics' loss, the policy's (equation 7 of the paper) and the temperatures' (equation 18)."""
        config, transition = self.config, batch.transition
        observation = learner.observations.normalize(transition.observation, batch.context)
        out = self._critics(params["critics"], observation, transition.action, batch)
        critic_loss = (batch.weight * VALUES[config.critic].loss(out, target)).mean(-1).sum()
        action, log_prob = self._act(params, observation, batch, noise)
        value = self._value(jax.lax.stop_gradient(params["critics"]), observation, action, batch)
        log_temperature = params["log_temperature"][batch.family]
        temperature = jnp.exp(jax.lax.stop_gradient(log_temperature))
        actor_loss = (batch.weight * (temperature * log_prob - value)).mean()
        wanted = -config.target_entropy * batch.used.sum(-1)
        excess = jax.lax.stop_gradient(-log_prob - wanted)
        temperature_loss = (batch.weight * log_temperature * excess).mean()
        metrics = {
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "entropy": -(batch.weight * log_prob).mean(),
            "temperature": temperature.mean(),
            "value": value.mean(),
        }
        return critic_loss + actor_loss + temperature_loss, metrics
