"""Multi-task SAC: one squashed Gaussian policy and twin critics for all tasks, learning from a shared replay.

Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905) with what makes it multi-task in Meta-World (Yu et al. 2019,
arXiv:1910.10897, section 5): the context is an input of all networks, each family has a temperature of its own, and,
with `multi_head`, a last layer of its own (MTMH-SAC). Each family has an equal share of every batch. Rewards are
divided by a running scale of their family's return, as in MT-PPO, so that one critic serves all.

`critic = "brc"` takes the critic of Nauman et al. 2025 (BRC, arXiv:2505.23150): wide residual blocks with layer norm
and a categorical value (`parts/critics.py`), for which the context passes through a learnt embedding.

The environment keeps its one flat axis of lanes, `num_seeds * lanes` long. Everything that learns is written for one
seed and mapped over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, Float, Int

from mtbench.errors import UsageError
from mtbench.policy import PolicyInput, Sizes, shown

from .parts.critics import Categorical, Critic
from .parts.keys import fold
from .parts.networks import MLP
from .parts.normalization import LayoutMoments, ReturnScale, discounted_return
from .parts.replay import Replay, check_memory, n_step
from .parts.training import check_fields, check_lanes, episode_counts, split_seeds

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
    """Rows of a gradient step, shared out evenly among the families."""
    replay_rows: int = 500_000
    """Rows of each seed's replay, shared out evenly among the families."""
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
    critic: Literal["mlp", "brc"] = "mlp"
    """A perceptron with layer norm, or residual blocks with a categorical value (BRC)."""
    policy_hidden: tuple[int, ...] = (128, 128)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (128, 128)
    """Widths of the critics' hidden layers; with `brc`, of its residual blocks, all the same."""
    multi_head: bool = True
    """Give each family a last layer of its own (MTMH-SAC)."""
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
        counts = ("total_steps", "num_seeds", "lanes", "rollout_length", "gradient_steps", "batch_size", "n_step", "replay_rows")
        rules = {field: (getattr(self, field) >= 1, "at least 1") for field in counts} | {
            "random_steps": (self.random_steps >= 0, "at least 0"),
            "learning_rate": (self.learning_rate > 0, "greater than 0"),
            "temperature_rate": (self.temperature_rate > 0, "greater than 0"),
            "discount": (0 <= self.discount < 1, "at least 0 and less than 1"),
            "target_rate": (0 < self.target_rate <= 1, "greater than 0 and at most 1"),
            "target_entropy": (self.target_entropy > 0, "greater than 0"),
            "initial_temperature": (self.initial_temperature > 0, "greater than 0"),
            "critic": (self.critic in ("mlp", "brc"), "mlp or brc"),
            "policy_hidden": (all(width >= 1 for width in self.policy_hidden), "widths of at least 1"),
            "critic_hidden": (all(width >= 1 for width in self.critic_hidden), "widths of at least 1"),
            "max_grad_norm": (self.max_grad_norm > 0, "greater than 0"),
        }
        check_fields(self, rules)
        if self.n_step > self.rollout_length:
            raise UsageError(
                f"n_step = {self.n_step}: sums end with a rollout, so rollout_length = {self.rollout_length} must be "
                "at least as long"
            )
        if self.critic == "brc" and len(set(self.critic_hidden)) > 1:
            raise UsageError(f"critic_hidden = {self.critic_hidden}: residual blocks must all have the same width")


# ── Policy ──────────────────────────────────────────────────────────────────────────────────────────────────


@struct.dataclass
class Squashed:
    """A normal distribution whose samples pass through tanh (appendix C of the paper)."""

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


class SquashedActor(nn.Module):
    """A squashed Gaussian whose mean and standard deviation follow the input."""

    hidden: tuple[int, ...]
    action_size: int
    heads: int

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Squashed:
        """Distribution of the action."""
        mean, spread = jnp.split(MLP(self.hidden, 2 * self.action_size, 0.01, "relu", self.heads)(x), 2, axis=-1)
        return Squashed(mean, -1.5 + 3.5 * jnp.tanh(spread))


@struct.dataclass
class MTSACPolicy:
    """What a seed has learnt, for one lane; a pytree. Map over lanes with `jax.vmap`."""

    params: Any
    observations: LayoutMoments
    actor: SquashedActor = struct.field(pytree_node=False)
    deterministic: bool = struct.field(pytree_node=False, default=True)
    """Take the squashed mean, not a sample."""

    @property
    def architecture(self) -> dict[str, Any]:
        """What `blank` builds it from."""
        return {
            "hidden": list(self.actor.hidden),
            "multi_head": self.actor.heads > 0,
            "layouts": list(self.observations.layouts),
            "deterministic": self.deterministic,
        }

    @classmethod
    def blank(
        cls, sizes: Sizes, hidden: Sequence[int], multi_head: bool, layouts: Sequence[int], deterministic: bool
    ) -> MTSACPolicy:
        """A policy that has learnt nothing."""
        actor = SquashedActor(tuple(hidden), sizes.action, sizes.context if multi_head else 0)
        params = actor.init(jax.random.key(0), jnp.zeros(sizes.observation + sizes.context))
        return cls(params, LayoutMoments.init(sizes.observation, tuple(layouts)), actor, deterministic)

    def init_carry(self, key: jax.Array) -> tuple[()]:
        """Nothing is remembered."""
        return ()

    def act(self, key: jax.Array, carry: tuple[()], seen: PolicyInput) -> tuple[tuple[()], Float[Array, " action"]]:
        """The action in [-1, 1] for the observation and context of one lane."""
        inputs = _inputs(self.observations, seen.observation, seen.context)
        distribution: Any = self.actor.apply(self.params, inputs)
        noise = jax.random.normal(key, distribution.mean.shape) * (not self.deterministic)
        return carry, distribution.sample(noise, jnp.ones_like(noise))[0]


def _inputs(moments: LayoutMoments, observation: Array, context: Array) -> Float[Array, "*batch inputs"]:
    """What the policy reads: the normalised observation and, as it is, the context."""
    return jnp.concatenate([moments.normalize(observation, context), context], axis=-1)


# ── State: what a training carries from one update to the next ──────────────────────────────────────────────


@struct.dataclass
class Row:
    """What the replay keeps of a step. The family is the ring that it lies in."""

    observation: Array
    action: Array
    reward: Array
    """Σ γ^k r, see `n_step`."""
    factor: Array
    """Of the value to come: γ^m, or 0 after a termination."""
    next_observation: Array


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
    """Leaves [seed, …]."""
    env: Any
    """Leaves [seed * lane, …], where the environment has lanes."""
    timestep: Any
    """What the environment showed last, [seed * lane, …]."""
    updates: Int[Array, ""]
    """Updates done. They are counted in place of environment steps, which would overflow 32 bits."""


# ── The algorithm ───────────────────────────────────────────────────────────────────────────────────────────


@struct.dataclass
class Batch:
    """Rows as the losses read them, [sample, …]."""

    row: Row
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
    Policy: ClassVar[type[MTSACPolicy]] = MTSACPolicy

    def __post_init__(self) -> None:
        """Rejects a bad configuration."""
        self.config.validate()

    def init(self, key: jax.Array, env: Any) -> State:
        """The state before the first update.

        Args:
          key: root of all randomness. Seeds fold their index into it, so seed 2 of 4 is seed 2 of 8.
          env: has `num_seeds * lanes` lanes.

        Raises:
          UsageError: the environment has another number of lanes, or the replay does not fit the memory.
        """
        config = self.config
        check_lanes(config, env)
        slots, row = self._slots(env), _row(env)
        check_memory(row, config.num_seeds * env.num_families, slots)
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
        replay = jax.vmap(lambda _: Replay.init(row, env.num_families, slots))(seeds)
        return State(jax.vmap(init_seed)(seeds), replay, env_state, timestep, jnp.zeros((), jnp.int32))

    def steps_per_update(self, env: Any) -> int:
        """Environment steps that one update takes in each seed."""
        return self.config.lanes * self.config.rollout_length

    def policy(self, state: State, seed: int, deterministic: bool = True) -> MTSACPolicy:
        """The policy that one of the seeds has learnt."""
        learner = jax.tree.map(lambda leaf: leaf[seed], state.learner)
        actor = self._actor(state.replay.rows.action.shape[-1], learner.params["log_temperature"].size)
        return MTSACPolicy(learner.params["actor"], learner.observations, actor, deterministic)

    def learnt(self, state: State) -> Learner:
        """What must stay finite."""
        return state.learner

    def _slots(self, env: Any) -> int:
        slots = self.config.replay_rows // env.num_families
        if slots < (least := self.steps_per_update(env)):
            raise UsageError(
                f"replay_rows = {self.config.replay_rows:,}: {slots:,} for each of {env.num_families} families, and a "
                f"rollout may bring {least:,} of one: at least {least * env.num_families:,} rows are needed"
            )
        return slots

    def _actor(self, action_size: int, families: int) -> SquashedActor:
        return SquashedActor(self.config.policy_hidden, action_size, families if self.config.multi_head else 0)

    def _critic(self, families: int) -> Critic:
        config = self.config
        kind = Categorical() if config.critic == "brc" else None
        return Critic(config.critic_hidden, families, config.multi_head, kind)

    @property
    def _optimizer(self) -> optax.GradientTransformation:
        config = self.config
        networks = optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.adam(config.learning_rate))
        return optax.multi_transform(
            {"networks": networks, "temperatures": optax.adam(config.temperature_rate)},
            {"actor": "networks", "critics": "networks", "log_temperature": "temperatures"},
        )

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
        mask = jnp.asarray(env.action_mask)
        told = state.timestep.context.sum(-1).max()
        update = partial(self._update, mask=mask, told=told, number=state.updates)
        learner, replay, metrics = jax.vmap(update)(state.learner, state.replay, by_seed)
        return replace(state, learner=learner, replay=replay, updates=state.updates + 1), metrics

    def _rollout(self, env: Any, state: State) -> tuple[State, dict[str, Any]]:
        """Plays `rollout_length` steps; the result is [time, seed * lane, …]."""
        config = self.config
        keys = jax.vmap(lambda learner: fold(learner.key, state.updates, 0))(state.learner)
        actor = self._actor(env.action_size, env.context_size)
        random = state.updates * self.steps_per_update(env) < config.random_steps

        def act(learner: Learner, key: jax.Array, seen: PolicyInput) -> Array:
            distribution: Any = actor.apply(
                learner.params["actor"], _inputs(learner.observations, seen.observation, seen.context)
            )
            noise = jax.random.normal(key, distribution.mean.shape)
            chosen, _ = distribution.sample(noise, jnp.ones_like(noise))
            # The same noise as a uniform number.
            return jnp.where(random, 2.0 * jax.scipy.stats.norm.cdf(noise) - 1.0, chosen)

        def step(carry: tuple[Any, Any], time: Array) -> tuple[tuple[Any, Any], dict[str, Any]]:
            env_state, now = carry
            seen = split_seeds(self.config, shown(now))
            action = jax.vmap(act)(state.learner, jax.vmap(fold, (0, None))(keys, time), seen)
            action = action.reshape(env.num_lanes, -1)
            env_state, then = env.step(env_state, action)
            kept = ("family", "reward", "terminated", "truncated", "final_observation", "success_any", "episode_return")
            told = {name: getattr(then, name) for name in kept}
            return (env_state, then), {**told, "observation": now.observation, "context": now.context, "action": action}

        start = (state.env, state.timestep)
        (env_state, timestep), rollout = jax.lax.scan(step, start, jnp.arange(config.rollout_length))
        return replace(state, env=env_state, timestep=timestep), rollout

    def _update(
        self, learner: Learner, replay: Replay, rollout: dict[str, Any], *, mask: Array, told: Array, number: Array
    ) -> tuple[Learner, Replay, dict[str, Array]]:
        """What one seed learns after its rollout [time, lane, …]."""
        config, families = self.config, replay.count.size
        done = rollout["terminated"] | rollout["truncated"]
        running, returns = discounted_return(learner.running_return, rollout["reward"], done, config.discount)
        reward, factor, seen = n_step(
            *(rollout[name] for name in ("reward", "terminated", "truncated", "final_observation")),
            steps=config.n_step,
            discount=config.discount,
        )
        learner = replace(
            learner,
            running_return=running,
            returns=learner.returns.update(returns, rollout["family"]),
            observations=learner.observations.update(rollout["observation"], rollout["context"]),
        )
        row = Row(rollout["observation"], rollout["action"], reward, factor, seen)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (row, rollout["family"]))
        replay = replay.add(*flat)
        key = fold(learner.key, number, 1)
        each = max(1, config.batch_size // families)

        def gradient_step(learner: Learner, step: Array) -> tuple[Learner, dict[str, Array]]:
            sample_key, noise_key = jax.random.split(fold(key, step))
            chosen, family, weight = replay.sample(sample_key, each)
            context = jax.nn.one_hot(family, families) * told
            batch = Batch(chosen, context, mask[family], family, weight / jnp.maximum(weight.mean(), 1e-6))
            return self._gradient_step(learner, batch, noise_key)

        learner, losses = jax.lax.scan(gradient_step, learner, jnp.arange(config.gradient_steps))
        ended = (done, rollout["success_any"], rollout["episode_return"])
        metrics = episode_counts(*ended, rollout["family"], families)
        return learner, replay, metrics | jax.tree.map(jnp.mean, losses)

    def _gradient_step(self, learner: Learner, batch: Batch, key: jax.Array) -> tuple[Learner, dict[str, Array]]:
        """One step of policy, critics and temperatures, and of the critics' slow copies."""
        config = self.config
        target = self._target(learner, batch, jax.random.fold_in(key, 0))
        noise = jax.random.normal(jax.random.fold_in(key, 1), batch.row.action.shape)
        gradient, metrics = jax.grad(self._loss, has_aux=True)(learner.params, learner, batch, target, noise)
        change, optimizer = self._optimizer.update(gradient, learner.optimizer, learner.params)
        params: Any = optax.apply_updates(learner.params, change)
        slow = optax.incremental_update(params["critics"], learner.target, config.target_rate)
        metrics |= {"grad_norm": optax.global_norm({name: gradient[name] for name in ("actor", "critics")})}
        return replace(learner, params=params, target=slow, optimizer=optimizer), metrics

    def _target(self, learner: Learner, batch: Batch, key: jax.Array) -> Float[Array, " sample"]:
        """What the critics aim for: n rewards, and the soft value of what they led to, by the slow copies."""
        row, temperature = batch.row, jnp.exp(learner.params["log_temperature"])[batch.family]
        noise = jax.random.normal(key, row.action.shape)
        observation = learner.observations.normalize(row.next_observation, batch.context)
        action, log_prob = self._act(learner.params, observation, batch, noise)
        value = self._values(learner.target, observation, action, batch).min(0) - temperature * log_prob
        scale = learner.returns.scale[batch.family] if self.config.scale_rewards else 1.0
        return jax.lax.stop_gradient(row.reward / scale + row.factor * value)

    def _act(
        self, params: dict[str, Any], observation: Array, batch: Batch, noise: Array
    ) -> tuple[Float[Array, "sample a"], Float[Array, " sample"]]:
        actor = self._actor(noise.shape[-1], batch.context.shape[-1])
        distribution: Any = actor.apply(params["actor"], jnp.concatenate([observation, batch.context], axis=-1))
        return distribution.sample(noise, batch.used)

    def _logits(self, critics: Any, observation: Array, action: Array, batch: Batch) -> Float[Array, "2 sample out"]:
        critic = self._critic(batch.context.shape[-1])
        # What is padding has no effect, so it must not count either.
        inputs = jnp.concatenate([observation, action * batch.used, batch.context], axis=-1)
        return jax.vmap(critic.apply, (0, None))(critics, inputs)  # type: ignore[return-value]

    def _values(self, critics: Any, observation: Array, action: Array, batch: Batch) -> Float[Array, "2 sample"]:
        return self._critic(batch.context.shape[-1]).value(self._logits(critics, observation, action, batch))

    def _loss(
        self, params: dict[str, Any], learner: Learner, batch: Batch, target: Array, noise: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Sum of the critics' loss, the policy's (equation 7 of the paper) and the temperatures' (equation 18)."""
        config = self.config
        observation = learner.observations.normalize(batch.row.observation, batch.context)
        logits = self._logits(params["critics"], observation, batch.row.action, batch)
        critic = self._critic(batch.context.shape[-1])
        critic_loss = (batch.weight * critic.loss(logits, target)).mean(-1).sum()
        action, log_prob = self._act(params, observation, batch, noise)
        value = self._values(jax.lax.stop_gradient(params["critics"]), observation, action, batch).min(0)
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


def _row(env: Any) -> Row:
    """Shapes and types of what the replay keeps of a step."""

    def shape(*lengths: int) -> Any:
        return jax.ShapeDtypeStruct(lengths, jnp.float32)

    seen = shape(env.observation_size)
    return Row(seen, shape(env.action_size), shape(), shape(), seen)
