"""RL²: a policy with a memory that lasts through several episodes of a task learns to adapt within them.

Duan et al. 2016 (arXiv:1611.02779) and Wang et al. 2016 (arXiv:1611.05763), with PPO (arXiv:1707.06347) as the outer
learner. A *trial* is a number of episodes of one task. The policy sees its last action, the last reward and whether an
episode begins beside the observation; its memory is kept through the trial and forgotten when a new task is drawn. The
return that it learns from runs through all episodes of the trial, so that exploring early pays when it pays later.

As in MT-PPO, the flat axis of lanes is `num_seeds * lanes` long, everything that learns is written for one seed, and
rewards are divided by a running scale of their family's return and advantages standardised within each family. The
families that this needs are known to the learner alone: the policy gets what `PolicyInput` shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from mtbench.errors import UsageError
from mtbench.policy import PolicyInput, Sizes, shown

from .parts.actors import Gaussian, used_actions
from .parts.clipping import clipped_loss
from .parts.gae import gae
from .parts.keys import fold
from .parts.memory import MEMORIES, MemoryName
from .parts.normalization import LayoutMoments, ReturnScale, discounted_return, standardize_by_family
from .parts.training import check_fields, check_lanes, episode_counts, split_seeds

# ── Configuration ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class RL2Config:
    """Hyper-parameters of RL². The defaults suit two CPU cores."""

    total_steps: int = 20_000_000
    """Environment steps of each seed, rounded up to whole updates."""
    num_seeds: int = 1
    """Trainings that run side by side in one program."""
    lanes: int = 512
    """Environments that each seed steps at once."""
    episodes_per_task: int = 2
    """Episodes of a trial."""
    rollout_length: int = 64
    """Steps of every lane between two updates; gradients flow through so many steps of the memory."""
    epochs: int = 3
    """Passes over each rollout."""
    minibatches: int = 16
    """Gradient steps in a pass, each over a share of the lanes; must divide lanes."""
    learning_rate: float = 2e-3
    """Step size of Adam; a transformer wants less, 7e-4 say."""
    anneal: bool = True
    """Let the learning rate fall linearly to 0 over total_steps."""
    discount: float = 0.99
    """What a reward is worth one step later (γ), through the ends of a trial's episodes."""
    gae_lambda: float = 0.95
    """Advantages from the critic alone (0) to rewards as played (1)."""
    clip: float = 0.2
    """How far an update may move the probability of an action, as a ratio."""
    entropy_cost: float = 1e-3
    """Weight of the bonus for random actions."""
    value_cost: float = 0.5
    """Weight of the critic's squared error."""
    max_grad_norm: float = 1.0
    """Longer gradients are shortened to this length."""
    memory: MemoryName = "gru"
    """What remembers: a GRU, a structured state space (S5) or a transformer."""
    memory_size: int = 128
    """Width of the memory."""
    hidden: int = 128
    """Width of the layer before the memory and of those after it."""
    initial_std: float = 1.0
    """Standard deviation of the first actions."""

    @property
    def num_updates(self) -> int:
        """Calls of `train_step` that make up a training."""
        return -(-self.total_steps // (self.lanes * self.rollout_length))

    def validate(self) -> None:
        """Checks every field.

        Raises:
          UsageError: a value out of range; names the field, the value and what is allowed.
        """
        counts = ("total_steps", "num_seeds", "lanes", "episodes_per_task", "rollout_length", "epochs", "minibatches")
        rules = {field: (getattr(self, field) >= 1, "at least 1") for field in (*counts, "memory_size", "hidden")} | {
            "learning_rate": (self.learning_rate > 0, "greater than 0"),
            "discount": (0 <= self.discount < 1, "at least 0 and less than 1"),
            "gae_lambda": (0 <= self.gae_lambda <= 1, "from 0 to 1"),
            "clip": (0 < self.clip < 1, "between 0 and 1"),
            "entropy_cost": (self.entropy_cost >= 0, "at least 0"),
            "value_cost": (self.value_cost >= 0, "at least 0"),
            "max_grad_norm": (self.max_grad_norm > 0, "greater than 0"),
            "memory": (self.memory in MEMORIES, f"one of {', '.join(MEMORIES)}"),
            "initial_std": (self.initial_std > 0, "greater than 0"),
        }
        check_fields(self, rules)
        if self.lanes % self.minibatches:
            raise UsageError(f"minibatches = {self.minibatches}: must divide lanes = {self.lanes}")


# ── Networks ────────────────────────────────────────────────────────────────────────────────────────────────


class Network(nn.Module):
    """One memory, from which the policy and the critic read."""

    action_size: int
    memory: str
    memory_size: int
    hidden: int
    initial_std: float = 1.0

    def setup(self) -> None:
        """Layers."""
        start = nn.initializers.constant(float(np.log(self.initial_std)))
        self.encoder = nn.Dense(self.hidden, kernel_init=nn.initializers.orthogonal(np.sqrt(2.0)))
        self.remember = MEMORIES[self.memory](self.memory_size)
        self.actor = self._head(self.action_size, nn.initializers.orthogonal(0.01))
        self.critic = self._head(1, nn.initializers.orthogonal())
        self.log_std = self.param("log_std", start, (self.action_size,))

    def _head(self, outputs: int, last: Any) -> nn.Sequential:
        wide = nn.initializers.orthogonal(np.sqrt(2.0))
        return nn.Sequential([nn.Dense(self.hidden, kernel_init=wide), nn.tanh, nn.Dense(outputs, kernel_init=last)])

    @nn.nowrap
    def initialize(self, batch: tuple[int, ...] = ()) -> Any:
        """What is remembered of nothing, [*batch, …]."""
        return MEMORIES[self.memory](self.memory_size, parent=None).initialize(batch)

    def __call__(
        self, carry: Any, inputs: Float[Array, "time *batch inputs"], begins: Bool[Array, time * batch]
    ) -> tuple[Any, Gaussian, Float[Array, time * batch]]:
        """What is remembered afterwards, and at every step the distribution of actions and the value."""
        carry, x = self.remember(carry, nn.tanh(self.encoder(inputs)), begins)
        mean, value = self.actor(x), self.critic(x)
        log_std = jnp.broadcast_to(jnp.clip(self.log_std, -5.0, 1.0), mean.shape)
        return carry, Gaussian(mean, log_std), value[..., 0]


def inputs_of(moments: LayoutMoments, seen: PolicyInput, action: Float[Array, "*lane a"]) -> Float[Array, "*lane i"]:
    """What the network reads of a step: nothing of the task before, neither its last reward nor its last action."""
    goes_on = ~seen.task_begins[..., None]
    return jnp.concatenate(
        [
            moments.normalize(seen.observation, seen.context),
            seen.context,
            jnp.where(goes_on, jnp.clip(action, -1.0, 1.0), 0.0),
            jnp.where(goes_on, seen.reward[..., None], 0.0),
            seen.episode_begins[..., None].astype(jnp.float32),
        ],
        axis=-1,
    )


@struct.dataclass
class Remembered:
    """What a lane goes on with from step to step."""

    memory: Any
    action: Float[Array, "*lane a"]
    """The last one."""


@struct.dataclass
class RL2Policy:
    """What a seed has learnt, for one lane; a pytree. Map over lanes with `jax.vmap`."""

    params: Any
    observations: LayoutMoments
    network: Network = struct.field(pytree_node=False)
    deterministic: bool = struct.field(pytree_node=False, default=False)
    """Take the distribution's mode, not a sample: a policy that explores by chance needs its samples."""

    @property
    def architecture(self) -> dict[str, Any]:
        """What `blank` builds it from."""
        return {
            "memory": self.network.memory,
            "memory_size": self.network.memory_size,
            "hidden": self.network.hidden,
            "layouts": list(self.observations.layouts),
            "deterministic": self.deterministic,
        }

    @classmethod
    def blank(
        cls, sizes: Sizes, memory: str, memory_size: int, hidden: int, layouts: list[int], deterministic: bool
    ) -> RL2Policy:
        """A policy that has learnt nothing."""
        network = Network(sizes.action, memory, memory_size, hidden)
        moments = LayoutMoments.init(sizes.observation, tuple(layouts))
        return cls(_init(network, jax.random.key(0), sizes), moments, network, deterministic)

    def init_carry(self, key: jax.Array) -> Remembered:
        """A memory of nothing."""
        return Remembered(self.network.initialize(), jnp.zeros(self.network.action_size))

    def act(self, key: jax.Array, carry: Remembered, seen: PolicyInput) -> tuple[Remembered, Float[Array, " a"]]:
        """The action in [-1, 1] for what a lane shows now, and what is remembered of it."""
        inputs = inputs_of(self.observations, seen, carry.action)
        memory, distribution, _ = _one(self.network, self.params, carry.memory, inputs, seen.task_begins)
        noise: Any = 0.0 if self.deterministic else jax.random.normal(key, distribution.mean.shape)
        action = jnp.clip(distribution.sample(noise), -1.0, 1.0)
        return Remembered(memory, action), action


def _init(network: Network, key: jax.Array, sizes: Sizes) -> Any:
    width = sizes.observation + sizes.context + sizes.action + 2
    return network.init(key, network.initialize(), jnp.zeros((1, width)), jnp.zeros(1, bool))


def _one(network: Network, params: Any, memory: Any, inputs: Array, begins: Array) -> tuple[Any, Gaussian, Array]:
    """One step of time."""
    result: Any = network.apply(params, memory, inputs[None], begins[None])
    memory, distribution, value = result
    return memory, jax.tree.map(lambda leaf: leaf[0], distribution), value[0]


# ── State: what a training carries from one update to the next ──────────────────────────────────────────────


@struct.dataclass
class Learner:
    """What one seed has learnt. In `State` every leaf has a leading axis of seeds."""

    key: jax.Array
    """Root of the seed's randomness; each update folds its number into it."""
    params: Any
    optimizer: optax.OptState
    observations: LayoutMoments
    returns: ReturnScale
    running_return: Float[Array, " lane"]
    """Discounted return of each lane's trial so far."""


@struct.dataclass
class State:
    """All that the next update depends on: a training goes on from it bit for bit."""

    learner: Learner
    """Leaves [seed, …]."""
    remembered: Remembered
    """Leaves [seed, lane, …]."""
    env: Any
    """Leaves [seed * lane, …], where the environment has lanes."""
    timestep: Any
    """What the environment showed last, [seed * lane, …]."""
    updates: Int[Array, ""]
    """Updates done."""


@struct.dataclass
class Rollout:
    """What happened in a rollout, [time, lane, …]."""

    seen: PolicyInput
    inputs: Array
    used: Array
    """1 where an entry of the action has an effect, 0 where it is padding."""
    action: Array
    """As drawn, before the environment clips it."""
    log_prob: Array
    value: Array
    family: Array
    reward: Array
    done: Array
    """Whether the step was its episode's last."""
    trial_ends: Array
    """Whether it was its trial's last."""
    success_any: Array
    episode_return: Array


@struct.dataclass
class Batch:
    """What the loss reads, [time, lane, …]."""

    inputs: Array
    begins: Array
    used: Array
    action: Array
    log_prob: Array
    """Under the policy that acted."""
    advantage: Array
    target: Array
    """λ-returns for the critic."""


@dataclass(frozen=True)
class RL2:
    """RL². Its methods are pure functions of `State`; `train_step` is made to be jitted."""

    config: RL2Config = RL2Config()
    name: ClassVar[str] = "rl2"
    Config: ClassVar[type[RL2Config]] = RL2Config
    Policy: ClassVar[type[RL2Policy]] = RL2Policy

    def __post_init__(self) -> None:
        """Rejects a bad configuration."""
        self.config.validate()

    @property
    def lane_options(self) -> dict[str, Any]:
        """What the environment's lanes must be like, as `Suite.vector_env` takes it."""
        return {"episodes_per_task": self.config.episodes_per_task}

    def init(self, key: jax.Array, env: Any) -> State:
        """The state before the first update.

        Args:
          key: root of all randomness. Seeds fold their index into it, so seed 2 of 4 is seed 2 of 8.
          env: has `num_seeds * lanes` lanes that play trials of `episodes_per_task` episodes.

        Raises:
          UsageError: the environment has another number of lanes.
        """
        config = self.config
        check_lanes(config, env)
        env_key, learner_key = jax.random.split(key)
        env_state, timestep = env.reset(env_key)
        sizes = Sizes(env.observation_size, env.context_size, env.action_size)
        network = self._network(env.action_size)

        def init_seed(seed: Array) -> Learner:
            key, own = jax.random.split(jax.random.fold_in(learner_key, seed))
            params = _init(network, own, sizes)
            return Learner(
                key=key,
                params=params,
                optimizer=self._optimizer.init(params),
                observations=LayoutMoments.init(env.observation_size, env.family_layouts),
                returns=ReturnScale.init(env.num_families),
                running_return=jnp.zeros(config.lanes),
            )

        lanes = (config.num_seeds, config.lanes)
        remembered = Remembered(network.initialize(lanes), jnp.zeros((*lanes, env.action_size)))
        learner = jax.vmap(init_seed)(jnp.arange(config.num_seeds))
        return State(learner, remembered, env_state, timestep, jnp.zeros((), jnp.int32))

    def steps_per_update(self, env: Any) -> int:
        """Environment steps that one update takes in each seed."""
        return self.config.lanes * self.config.rollout_length

    def policy(self, state: State, seed: int, deterministic: bool = False) -> RL2Policy:
        """The policy that one of the seeds has learnt."""
        learner = jax.tree.map(lambda leaf: leaf[seed], state.learner)
        network = self._network(state.remembered.action.shape[-1])
        return RL2Policy(learner.params, learner.observations, network, deterministic)

    def learnt(self, state: State) -> Learner:
        """What must stay finite."""
        return state.learner

    def _network(self, action_size: int) -> Network:
        config = self.config
        return Network(action_size, config.memory, config.memory_size, config.hidden, config.initial_std)

    @property
    def _optimizer(self) -> optax.GradientTransformation:
        # The learning rate is applied in `_optimize`, where it is known how far the training is.
        return optax.chain(optax.clip_by_global_norm(self.config.max_grad_norm), optax.scale_by_adam(eps=1e-5))

    # ── One update: rollout, advantages, loss, gradient steps ──

    def train_step(self, env: Any, state: State) -> tuple[State, dict[str, Array]]:
        """One rollout of every lane, and the updates made from it.

        Returns:
          The new state, and metrics: as MT-PPO's (`mtbench.baselines.mt_ppo`).
        """
        config, start = self.config, state.remembered.memory
        state, rollout, bootstrap = self._rollout(env, state)
        by_seed = jax.tree.map(lambda x: x.swapaxes(0, 1), split_seeds(self.config, rollout, axis=1))
        left = jnp.maximum(1.0 - state.updates / config.num_updates, 0.0) if config.anneal else 1.0
        update = partial(self._update, learning_rate=config.learning_rate * left, number=state.updates)
        learner, metrics = jax.vmap(update)(state.learner, start, by_seed, bootstrap)
        return replace(state, learner=learner, updates=state.updates + 1), metrics

    def _rollout(self, env: Any, state: State) -> tuple[State, Rollout, Array]:
        """Plays `rollout_length` steps [time, seed * lane, …]; also the value of what comes then, [seed, lane]."""
        config, network = self.config, self._network(env.action_size)
        keys = jax.vmap(lambda learner: fold(learner.key, state.updates, 0))(state.learner)

        def act(learner: Learner, key: jax.Array, remembered: Remembered, seen: PolicyInput) -> tuple[Any, ...]:
            inputs = inputs_of(learner.observations, seen, remembered.action)
            memory, distribution, value = _one(network, learner.params, remembered.memory, inputs, seen.task_begins)
            action = distribution.sample(jax.random.normal(key, distribution.mean.shape))
            used = used_actions(env.action_mask, seen.context)
            told = inputs, used, action, distribution.log_prob(action, used), value
            return Remembered(memory, action), told

        def step(carry: tuple[Any, Any, Remembered], time: Array) -> tuple[tuple[Any, Any, Remembered], Rollout]:
            env_state, now, remembered = carry
            seen = shown(now)
            folded = jax.vmap(fold, (0, None))(keys, time)
            remembered, told = jax.vmap(act)(state.learner, folded, remembered, split_seeds(self.config, seen))
            inputs, used, action, log_prob, value = (x.reshape(env.num_lanes, *x.shape[2:]) for x in told)
            env_state, then = env.step(env_state, action)
            done = then.terminated | then.truncated
            return (env_state, then, remembered), Rollout(
                seen=seen,
                inputs=inputs,
                used=used,
                action=action,
                log_prob=log_prob,
                value=value,
                family=then.family,
                reward=then.reward,
                done=done,
                trial_ends=done & then.task_begins,
                success_any=then.success_any,
                episode_return=then.episode_return,
            )

        start = (state.env, state.timestep, state.remembered)
        (env_state, timestep, remembered), rollout = jax.lax.scan(step, start, jnp.arange(config.rollout_length))
        seen = split_seeds(self.config, shown(timestep))
        # The value of what comes next: this step is taken again, with the same memory, when the next rollout begins.
        _, (*_, bootstrap) = jax.vmap(act)(state.learner, keys, remembered, seen)
        return replace(state, env=env_state, timestep=timestep, remembered=remembered), rollout, bootstrap

    def _update(
        self,
        learner: Learner,
        memory: Any,
        rollout: Rollout,
        bootstrap: Float[Array, " lane"],
        *,
        learning_rate: float | Array,
        number: Array,
    ) -> tuple[Learner, dict[str, Array]]:
        """What one seed learns from its rollout [time, lane, …], which began with this memory [lane, …]."""
        learner, batch, metrics = self._advantages(learner, rollout, bootstrap)
        learner, losses = self._optimize(learner, memory, batch, learning_rate, fold(learner.key, number, 1))
        # Only now: the ratio of probabilities must compare two policies that read the same inputs.
        observations = learner.observations.update(rollout.seen.observation, rollout.seen.context)
        return replace(learner, observations=observations), metrics | losses

    def _advantages(
        self, learner: Learner, rollout: Rollout, bootstrap: Float[Array, " lane"]
    ) -> tuple[Learner, Batch, dict[str, Array]]:
        """Scales the rewards, and computes advantages and the critic's targets through whole trials."""
        config, family = self.config, rollout.family
        num_families = learner.returns.count.size
        running, returns = discounted_return(
            learner.running_return, rollout.reward, rollout.trial_ends, config.discount
        )
        scale = learner.returns.update(returns, family)
        next_value = jnp.concatenate([rollout.value[1:], bootstrap[None]])
        never = jnp.zeros_like(rollout.trial_ends)
        advantage = gae(
            rollout.reward / scale.scale[family],
            rollout.value,
            next_value,
            # A trial is what is to be done well: its end is no cut.
            terminated=rollout.trial_ends,
            truncated=never,
            discount=config.discount,
            gae_lambda=config.gae_lambda,
        )
        target = advantage + rollout.value
        standardized = standardize_by_family(advantage, family, num_families)
        begins, told = rollout.seen.task_begins, (rollout.used, rollout.action, rollout.log_prob)
        batch = Batch(rollout.inputs, begins, *told, standardized, target)
        ended = (rollout.done, rollout.success_any, rollout.episode_return)
        metrics = episode_counts(*ended, family, num_families)
        metrics["explained_variance"] = 1.0 - advantage.var() / jnp.maximum(target.var(), 1e-12)
        return replace(learner, returns=scale, running_return=running), batch, metrics

    def _loss(self, params: Any, memory: Any, batch: Batch) -> tuple[Array, dict[str, Array]]:
        """See `clipped_loss`; of some lanes, for all of the time."""
        result: Any = self._network(batch.action.shape[-1]).apply(params, memory, batch.inputs, batch.begins)
        _, distribution, value = result
        return clipped_loss(self.config, batch, distribution, value)

    def _optimize(
        self, learner: Learner, memory: Any, batch: Batch, learning_rate: float | Array, key: jax.Array
    ) -> tuple[Learner, dict[str, Array]]:
        """`epochs` passes over the batch; a minibatch is some of the lanes, from the rollout's start to its end."""
        config = self.config

        def gradient_step(carry: tuple[Any, Any], lanes: Array) -> tuple[Any, dict[str, Array]]:
            params, optimizer = carry
            start = jax.tree.map(lambda x: x[lanes], memory)
            chosen = jax.tree.map(lambda x: x[:, lanes], batch)
            gradient, metrics = jax.grad(self._loss, has_aux=True)(params, start, chosen)
            change, optimizer = self._optimizer.update(gradient, optimizer)
            params = jax.tree.map(lambda p, c: p - learning_rate * c, params, change)
            return (params, optimizer), metrics | {"grad_norm": optax.global_norm(gradient)}

        epochs = jnp.arange(config.epochs)
        order = jax.vmap(lambda epoch: jax.random.permutation(fold(key, epoch), config.lanes))(epochs)
        steps = order.reshape(config.epochs * config.minibatches, -1)
        (params, optimizer), metrics = jax.lax.scan(gradient_step, (learner.params, learner.optimizer), steps)
        return replace(learner, params=params, optimizer=optimizer), jax.tree.map(jnp.mean, metrics)
