"""PEARL: soft actor-critic told by a latent vector which task it plays, inferred from what was seen of the task.

Rakelly et al. 2019 (arXiv:1903.08254). An encoder makes of every transition a Gaussian factor over z; their product,
which is the same in any order, is what is believed of the task. Policy and critics read z, and the critics' gradient
goes through z into the encoder, held near the unit normal by a divergence.

A lane plays trials of several episodes of a task as a policy does that is evaluated: the first with z from the prior,
the others with z from what was seen before. Tasks are rows of a table, and each row has two buffers, whatever lanes
play it: one of the newest steps of all but the last episodes of trials, from which contexts are drawn, and one of all
steps, from which the rest learns. As in MT-SAC, the flat axis of lanes is `num_seeds * lanes` long, everything that
learns is written for one seed, and rewards are divided by a running scale of their family's return.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from mtbench.errors import UsageError
from mtbench.policy import PolicyInput, Sizes, shown

from .parts import networks
from .parts.actors import Gaussian, SquashedActor
from .parts.critics import VALUES, ValueName
from .parts.keys import fold
from .parts.normalization import LayoutMoments, ReturnScale, discounted_return
from .parts.replay import check_memory
from .parts.training import check_fields, check_lanes, episode_counts, soft_optimizer, split_seeds

# ── Configuration ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class PEARLConfig:
    """Hyper-parameters of PEARL. The defaults suit two CPU cores."""

    total_steps: int = 5_000_000
    """Environment steps of each seed, rounded up to whole updates."""
    num_seeds: int = 1
    """Trainings that run side by side in one program."""
    lanes: int = 128
    """Environments that each seed steps at once."""
    episodes_per_task: int = 2
    """Episodes of a trial: the first with z from the prior, others with z from what was seen before. Contexts are of
    all but the last; with 2 of those alone that z from the prior played, as in the paper."""
    rollout_length: int = 8
    """Steps of every lane between two rounds of gradient steps."""
    gradient_steps: int = 48
    """Gradient steps after each rollout."""
    meta_batch: int = 16
    """Tasks of a gradient step."""
    batch_size: int = 16
    """Transitions of each of these tasks."""
    context_size: int = 32
    """Transitions from which z is inferred in a gradient step."""
    context_steps: int = 200
    """Steps of each task from which contexts are drawn, the newest of their kind."""
    replay_steps: int = 500_000
    """Environment steps that each seed's replay keeps, as many of each task."""
    random_steps: int = 20_000
    """Environment steps of uniform actions before the policy acts and learns."""
    learning_rate: float = 1e-3
    """Step size of Adam, of encoder, policy and critics."""
    temperature_rate: float = 3e-3
    """Step size of Adam, of the temperatures."""
    discount: float = 0.98
    """What a reward is worth one step later (γ)."""
    target_rate: float = 0.005
    """Share of the critics that goes into their slow copies at a gradient step (τ)."""
    target_entropy: float = 1.0
    """Entropy that temperatures aim for, as a multiple of minus the number of an arena's actions."""
    initial_temperature: float = 0.02
    """Weight of the entropy, to begin with."""
    latent_size: int = 5
    """Length of z."""
    divergence_cost: float = 1e-4
    """Weight of the posterior's divergence from the prior (β)."""
    next_observation: bool = False
    """Show the encoder also what a transition led to; for tasks that differ in their dynamics."""
    critic: ValueName = "scalar"
    """What a critic learns of a value: a number, or a distribution over bins."""
    encoder_hidden: tuple[int, ...] = (128, 128)
    """Widths of the encoder's hidden layers."""
    policy_hidden: tuple[int, ...] = (128, 128)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (128, 128)
    """Widths of the critics' hidden layers."""
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
        counts = ("total_steps", "num_seeds", "lanes", "rollout_length", "gradient_steps")
        sizes = ("meta_batch", "batch_size", "context_size", "context_steps", "replay_steps", "latent_size")
        widths = ("encoder_hidden", "policy_hidden", "critic_hidden")
        rules = (
            {name: (getattr(self, name) >= 1, "at least 1") for name in counts + sizes}
            | {name: (all(width >= 1 for width in getattr(self, name)), "widths of at least 1") for name in widths}
            | {
                "episodes_per_task": (self.episodes_per_task >= 2, "at least 2"),
                "random_steps": (self.random_steps >= 0, "at least 0"),
                "learning_rate": (self.learning_rate > 0, "greater than 0"),
                "temperature_rate": (self.temperature_rate > 0, "greater than 0"),
                "discount": (0 <= self.discount < 1, "at least 0 and less than 1"),
                "target_rate": (0 < self.target_rate <= 1, "greater than 0 and at most 1"),
                "target_entropy": (self.target_entropy >= 0, "at least 0"),
                "initial_temperature": (self.initial_temperature > 0, "greater than 0"),
                "divergence_cost": (self.divergence_cost >= 0, "at least 0"),
                "critic": (self.critic in VALUES, f"one of {', '.join(VALUES)}"),
                "max_grad_norm": (self.max_grad_norm > 0, "greater than 0"),
            }
        )
        check_fields(self, rules)


# ── What is believed of a task ──────────────────────────────────────────────────────────────────────────────


@struct.dataclass
class Belief:
    """A product of Gaussian factors over z. Factors multiply where these sums add, so order does not count."""

    precision: Float[Array, "*batch z"]
    """Σ 1/σ²"""
    weighted_mean: Float[Array, "*batch z"]
    """Σ μ/σ²"""

    @classmethod
    def nothing(cls, latent_size: int) -> Belief:
        """The product of no factors."""
        return cls(jnp.zeros(latent_size), jnp.zeros(latent_size))

    @property
    def posterior(self) -> Gaussian:
        """The product, normalised; the prior, a unit normal, where nothing has been seen."""
        precision = jnp.where(self.precision > 0, self.precision, 1.0)
        return Gaussian(self.weighted_mean / precision, -0.5 * jnp.log(precision))

    @property
    def divergence(self) -> Float[Array, "*batch"]:
        """Kullback–Leibler divergence of the posterior from the prior, in nats."""
        zeros = jnp.zeros_like(self.precision)
        return self.posterior.divergence(Gaussian(zeros, zeros))


class Encoder(nn.Module):
    """What a transition tells of its task: a Gaussian factor."""

    hidden: tuple[int, ...]
    latent_size: int
    next_observation: bool
    """Whether it reads what a transition led to."""

    @nn.nowrap
    def input_size(self, sizes: Sizes) -> int:
        """Length of what it reads."""
        return sizes.observation * (1 + self.next_observation) + sizes.action + 1

    @nn.nowrap
    def inputs(self, observation: Array, action: Array, reward: Array, next_observation: Array) -> Array:
        """What it reads, before it is normalised."""
        after = [next_observation] * self.next_observation
        return jnp.concatenate([observation, action, reward[..., None], *after], axis=-1)

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Belief:
        """The factor."""
        out: Any = networks.MLP(self.hidden, 2 * self.latent_size, activation="relu")(x)
        mean, spread = jnp.split(out, 2, axis=-1)
        precision = 1.0 / (nn.softplus(spread) + 1e-4)
        return Belief(precision, precision * mean)


def joined(*parts: Float[Array, ...]) -> Float[Array, "*batch inputs"]:
    """Vectors side by side; their leading axes are broadcast."""
    batch = jnp.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return jnp.concatenate([jnp.broadcast_to(part, (*batch, part.shape[-1])) for part in parts], axis=-1)


# ── The policy ──────────────────────────────────────────────────────────────────────────────────────────────


@struct.dataclass
class Remembered:
    """What a lane goes on with from step to step."""

    belief: Belief
    """What has been seen of the task."""
    latent: Float[Array, "*lane z"]
    """z, which is kept through an episode."""
    episode: Int[Array, "*lane"]
    """Episodes of the task before this one."""
    observation: Float[Array, "*lane o"]
    """The last one."""
    action: Float[Array, "*lane a"]
    """The last one."""

    @classmethod
    def nothing(cls, observation_size: int, action_size: int, latent_size: int) -> Remembered:
        """What is remembered where a task begins."""
        latent, episode = jnp.zeros(latent_size), jnp.zeros((), jnp.int32)
        zeros = jnp.zeros(observation_size), jnp.zeros(action_size)
        return cls(Belief.nothing(latent_size), latent, episode, *zeros)


@struct.dataclass
class PEARLPolicy:
    """What a seed has learnt, for one lane; a pytree. Map over lanes with `jax.vmap`."""

    params: dict[str, Any]
    """`actor` and `encoder`."""
    observations: LayoutMoments
    transitions: LayoutMoments
    """Of what the encoder reads."""
    actor: SquashedActor = struct.field(pytree_node=False)
    encoder: Encoder = struct.field(pytree_node=False)
    deterministic: bool = struct.field(pytree_node=False, default=True)
    """Take the posterior's mean and the action's, no samples. As long as nothing has been seen, z is drawn all the
    same: the prior's mean is not more likely to be the task than any other z."""

    @property
    def architecture(self) -> dict[str, Any]:
        """What `blank` builds it from."""
        return {
            "policy_hidden": list(self.actor.hidden),
            "encoder_hidden": list(self.encoder.hidden),
            "latent_size": self.encoder.latent_size,
            "next_observation": self.encoder.next_observation,
            "layouts": list(self.observations.layouts),
            "deterministic": self.deterministic,
        }

    @classmethod
    def blank(
        cls,
        sizes: Sizes,
        policy_hidden: Sequence[int],
        encoder_hidden: Sequence[int],
        latent_size: int,
        next_observation: bool,
        layouts: Sequence[int],
        deterministic: bool,
    ) -> PEARLPolicy:
        """A policy that has learnt nothing."""
        actor = SquashedActor(tuple(policy_hidden), sizes.action, sizes.context, "relu")
        encoder = Encoder(tuple(encoder_hidden), latent_size, next_observation)
        observations = LayoutMoments.init(sizes.observation, tuple(layouts))
        transitions = LayoutMoments.init(encoder.input_size(sizes), tuple(layouts))
        params = _init(actor, encoder, jax.random.key(0), sizes)
        return cls(params, observations, transitions, actor, encoder, deterministic)

    def init_carry(self, key: jax.Array) -> Remembered:
        """A memory of nothing."""
        observation_size = self.observations.moments.mean.shape[-1]
        return Remembered.nothing(observation_size, self.actor.action_size, self.encoder.latent_size)

    def act(self, key: jax.Array, carry: Remembered, seen: PolicyInput) -> tuple[Remembered, Float[Array, " a"]]:
        """The action in [-1, 1] for what a lane shows now, and what is remembered of it."""
        latent_key, action_key = jax.random.split(key)
        belief = self._updated(carry, seen)
        posterior, nothing = belief.posterior, (belief.precision == 0).all()
        episode = jnp.where(seen.task_begins, 0, carry.episode + seen.episode_begins)
        noise = jax.random.normal(latent_key, carry.latent.shape) * (nothing | (not self.deterministic))
        latent = jnp.where(seen.episode_begins, posterior.sample(noise), carry.latent)
        observation = self.observations.normalize(seen.observation, seen.context)
        distribution: Any = self.actor.apply(self.params["actor"], joined(observation, latent, seen.context))
        noise = jax.random.normal(action_key, distribution.mean.shape) * (not self.deterministic)
        action = distribution.act(noise)
        return Remembered(belief, latent, episode, seen.observation, action), action

    def _updated(self, carry: Remembered, seen: PolicyInput) -> Belief:
        """The belief with the last transition, whose reward is shown now; nothing where a task begins."""
        inputs = self.encoder.inputs(carry.observation, carry.action, seen.reward, seen.observation)
        inputs = self.transitions.normalize(inputs, seen.context)
        factor = self.encoder.apply(self.params["encoder"], inputs)
        # What an episode's last step led to is not shown.
        told = ~seen.episode_begins if self.encoder.next_observation else True
        added = jax.tree.map(lambda sum_, new: sum_ + jnp.where(told, new, 0.0), carry.belief, factor)
        return jax.tree.map(lambda sum_: jnp.where(seen.task_begins, 0.0, sum_), added)


def _init(actor: SquashedActor, encoder: Encoder, key: jax.Array, sizes: Sizes) -> dict[str, Any]:
    actor_key, encoder_key = jax.random.split(key)
    acts_on = jnp.zeros(sizes.observation + encoder.latent_size + sizes.context)
    reads = jnp.zeros(encoder.input_size(sizes))
    return {"actor": actor.init(actor_key, acts_on), "encoder": encoder.init(encoder_key, reads)}


# ── Buffers ─────────────────────────────────────────────────────────────────────────────────────────────────


@struct.dataclass
class Transition:
    """A step and what it led to."""

    observation: Float[Array, "*batch o"]
    action: Float[Array, "*batch a"]
    reward: Float[Array, "*batch"]
    next_observation: Float[Array, "*batch o"]
    """The episode's own, also where a new episode has begun."""
    terminated: Bool[Array, "*batch"]

    @classmethod
    def shapes(cls, sizes: Sizes) -> Transition:
        """Shapes and types of one."""
        number, flag = (jax.ShapeDtypeStruct((), kind) for kind in (jnp.float32, jnp.bool_))
        observation, action = (number.update(shape=(size,)) for size in (sizes.observation, sizes.action))
        shapes: Any = (observation, action, number, observation, flag)
        return cls(*shapes)


@struct.dataclass
class TaskBuffer:
    """The newest transitions of each task: rings side by side."""

    transitions: Transition
    """Leaves [task, slot, …]."""
    added: Int[Array, " task"]
    """Transitions that each task has had, those that newer ones took the place of included."""

    @classmethod
    def init(cls, shapes: Transition, tasks: int, slots: int) -> TaskBuffer:
        """Empty rings."""
        rings = jax.tree.map(lambda leaf: jnp.zeros((tasks, slots, *leaf.shape), leaf.dtype), shapes)
        return cls(rings, jnp.zeros(tasks, jnp.int32))

    @property
    def slots(self) -> int:
        """Transitions of each task that there is room for."""
        return self.transitions.reward.shape[1]

    def add(self, new: Transition, task: Int[Array, " new"], kept: Bool[Array, " new"]) -> TaskBuffer:
        """Puts transitions [new, …], in the order of time, into the rings of their tasks.

        Args:
          new: of any tasks, as many of one as there may be.
          task: whose each is.
          kept: whether to put it there at all.
        """
        tasks = self.added.size
        task = jnp.where(kept, task, tasks)  # beyond the last ring: what is written there is dropped
        order = jnp.argsort(task)
        task = task[order]
        rank = jnp.arange(task.size) - jnp.searchsorted(task, task)
        count = jax.ops.segment_sum(jnp.ones_like(task), task, tasks)
        place = (self.added[task] + rank) % self.slots
        # Of more than there is room for, the last; otherwise two would be written to one place, in any order.
        ring = jnp.where(count[task] - rank <= self.slots, task, tasks)
        put = jax.tree.map(lambda old, x: old.at[ring, place].set(x[order], mode="drop"), self.transitions, new)
        return TaskBuffer(put, self.added + count)

    def sample(self, key: jax.Array, task: Int[Array, " task"], size: int) -> Transition:
        """Draws so many transitions of each of these tasks, uniformly, [task, size, …]; a task must have some."""
        there = jnp.clip(self.added[task], 1, self.slots)[:, None]
        slot = jax.random.randint(key, (task.size, size), 0, there)
        return jax.tree.map(lambda ring: ring[task[:, None], slot], self.transitions)


# ── State: what a training carries from one update to the next ──────────────────────────────────────────────


@struct.dataclass
class Learner:
    """What one seed has learnt. In `State` every leaf has a leading axis of seeds."""

    key: jax.Array
    """Root of the seed's randomness; each update folds its number into it."""
    params: dict[str, Any]
    """`encoder`, `actor`, `critics` [2, …] and `log_temperature` [family]."""
    target: Any
    """The slow copies of the critics [2, …]."""
    optimizer: optax.OptState
    observations: LayoutMoments
    transitions: LayoutMoments
    """Of what the encoder reads."""
    returns: ReturnScale
    running_return: Float[Array, " lane"]
    """Discounted return of each lane's episode so far."""


@struct.dataclass
class State:
    """All that the next update depends on: a training goes on from it bit for bit."""

    learner: Learner
    """Leaves [seed, …]."""
    context: TaskBuffer
    """Steps of all but the last episodes of trials. Leaves [seed, …]."""
    replay: TaskBuffer
    """All steps. Leaves [seed, …]."""
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

    transition: Transition
    context: Array
    task: Array
    episode: Array
    """Episodes of the task before this one."""
    family: Array
    done: Array
    success_any: Array
    episode_return: Array


@struct.dataclass
class Batch:
    """What the losses read, [task, sample, …]."""

    transition: Transition
    evidence: Transition
    """From which z is inferred, [task, evidence, …]."""
    context: Array
    """What the policy is told of each task, [task, 1, family]."""
    used: Array
    """1 where an entry of the action has an effect, 0 where it is padding; [task, 1, action]."""
    family: Array
    """[task, 1]"""


class Noise(NamedTuple):
    """Standard normal numbers of which samples are made."""

    latent: Float[Array, "task 1 z"]
    action: Float[Array, "task sample a"]
    next_action: Float[Array, "task sample a"]


# ── The algorithm ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class PEARL:
    """PEARL. Its methods are pure functions of `State`; `train_step` is made to be jitted."""

    config: PEARLConfig = PEARLConfig()
    name: ClassVar[str] = "pearl"
    Config: ClassVar[type[PEARLConfig]] = PEARLConfig
    Policy: ClassVar[type[PEARLPolicy]] = PEARLPolicy

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
          UsageError: the environment has another number of lanes, or the replay is too small for its tasks or does
            not fit the memory.
        """
        config, tasks = self.config, env.task_families.size
        check_lanes(config, env)
        if config.replay_steps < tasks:
            raise UsageError(f"replay_steps = {config.replay_steps:,}: {tasks:,} tasks need at least one each")
        slots = config.replay_steps // tasks
        sizes = Sizes(env.observation_size, env.context_size, env.action_size)
        shapes = Transition.shapes(sizes)
        check_memory(shapes, config.num_seeds * tasks, slots + config.context_steps, of="tasks")
        env_key, learner_key = jax.random.split(key)
        env_state, timestep = env.reset(env_key)
        actor, encoder, critic = self._actor(sizes.action, sizes.context), self._encoder, self._critic
        judged = jnp.zeros(sizes.observation + sizes.action + config.latent_size + sizes.context)
        layouts = env.family_layouts

        def init_seed(seed: Array) -> Learner:
            key, own, critic_key = jax.random.split(jax.random.fold_in(learner_key, seed), 3)
            critics = jax.vmap(critic.init, (0, None))(jax.random.split(critic_key), judged)
            temperature = jnp.full(env.num_families, np.log(config.initial_temperature), jnp.float32)
            params = {**_init(actor, encoder, own, sizes), "critics": critics, "log_temperature": temperature}
            return Learner(
                key=key,
                params=params,
                target=critics,
                optimizer=self._optimizer.init(params),
                observations=LayoutMoments.init(sizes.observation, layouts),
                transitions=LayoutMoments.init(encoder.input_size(sizes), layouts),
                returns=ReturnScale.init(env.num_families),
                running_return=jnp.zeros(config.lanes),
            )

        seeds = jnp.arange(config.num_seeds)
        nothing = Remembered.nothing(sizes.observation, sizes.action, config.latent_size)
        lanes = (config.num_seeds, config.lanes)

        def buffers(slots: int) -> TaskBuffer:
            return jax.vmap(lambda _: TaskBuffer.init(shapes, tasks, slots))(seeds)

        return State(
            learner=jax.vmap(init_seed)(seeds),
            context=buffers(config.context_steps),
            replay=buffers(slots),
            remembered=jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*lanes, *leaf.shape)), nothing),
            env=env_state,
            timestep=timestep,
            updates=jnp.zeros((), jnp.int32),
        )

    def steps_per_update(self, env: Any) -> int:
        """Environment steps that one update takes in each seed."""
        return self.config.lanes * self.config.rollout_length

    def policy(self, state: State, seed: int, deterministic: bool = True) -> PEARLPolicy:
        """The policy that one of the seeds has learnt."""
        learner = jax.tree.map(lambda leaf: leaf[seed], state.learner)
        return self._policy(learner, state.remembered.action.shape[-1], deterministic)

    def learnt(self, state: State) -> Learner:
        """What must stay finite."""
        return state.learner

    def _policy(self, learner: Learner, action_size: int, deterministic: bool = False) -> PEARLPolicy:
        params = {name: learner.params[name] for name in ("actor", "encoder")}
        actor = self._actor(action_size, learner.params["log_temperature"].size)
        return PEARLPolicy(params, learner.observations, learner.transitions, actor, self._encoder, deterministic)

    def _actor(self, action_size: int, families: int) -> SquashedActor:
        return SquashedActor(self.config.policy_hidden, action_size, families, "relu")

    @property
    def _encoder(self) -> Encoder:
        config = self.config
        return Encoder(config.encoder_hidden, config.latent_size, config.next_observation)

    @property
    def _critic(self) -> networks.MLP:
        return networks.MLP(self.config.critic_hidden, VALUES[self.config.critic].outputs, activation="norm-relu")

    @property
    def _optimizer(self) -> optax.GradientTransformation:
        return soft_optimizer(self.config, ("encoder", "actor", "critics"))

    # ── One update: rollout, buffers, gradient steps ──

    def train_step(self, env: Any, state: State) -> tuple[State, dict[str, Array]]:
        """One rollout of every lane, and the gradient steps after it.

        Returns:
          The new state, and metrics. Of the episodes that ended in the rollout, first ones of trials or not,
          [seed, family]: `episodes`, `successes` (at any time of the episode) and `return_sum`. Of the gradient steps,
          [seed], their means: `critic_loss`, `actor_loss`, `divergence`, `entropy`, `temperature`, `value`,
          `grad_norm`.
        """
        state, rollout = self._rollout(env, state)
        by_seed = jax.tree.map(lambda x: x.swapaxes(0, 1), split_seeds(self.config, rollout, axis=1))
        families, mask = jnp.asarray(env.task_families), jnp.asarray(env.action_mask)
        told = jax.nn.one_hot(families, env.context_size) * state.timestep.context.sum(-1).max()
        update = partial(self._update, families=families, told=told, used=mask[families], number=state.updates)
        learner, context, replay, metrics = jax.vmap(update)(state.learner, state.context, state.replay, by_seed)
        state = replace(state, learner=learner, context=context, replay=replay, updates=state.updates + 1)
        return state, metrics

    def _rollout(self, env: Any, state: State) -> tuple[State, Rollout]:
        """Plays `rollout_length` steps; the result is [time, seed * lane, …]."""
        config = self.config
        keys = jax.vmap(lambda learner: fold(learner.key, state.updates, 0))(state.learner)
        random = state.updates * self.steps_per_update(env) < config.random_steps

        def act(learner: Learner, key: jax.Array, remembered: Remembered, seen: PolicyInput) -> tuple[Any, Array]:
            policy, (key, random_key) = self._policy(learner, env.action_size), jax.random.split(key)
            remembered, action = jax.vmap(policy.act)(jax.random.split(key, config.lanes), remembered, seen)
            action = jnp.where(random, jax.random.uniform(random_key, action.shape, minval=-1.0), action)
            return replace(remembered, action=action), action

        def step(carry: tuple[Any, Any, Remembered], time: Array) -> tuple[tuple[Any, Any, Remembered], Rollout]:
            env_state, now, remembered = carry
            folded = jax.vmap(fold, (0, None))(keys, time)
            seen = split_seeds(config, shown(now))
            remembered, action = jax.vmap(act)(state.learner, folded, remembered, seen)
            action, task = action.reshape(env.num_lanes, -1), env.lane_tasks(env_state)
            env_state, then = env.step(env_state, action)
            return (env_state, then, remembered), Rollout(
                transition=Transition(now.observation, action, then.reward, then.final_observation, then.terminated),
                context=now.context,
                task=task,
                episode=remembered.episode.reshape(-1),
                family=then.family,
                done=then.terminated | then.truncated,
                success_any=then.success_any,
                episode_return=then.episode_return,
            )

        start = (state.env, state.timestep, state.remembered)
        (env_state, timestep, remembered), rollout = jax.lax.scan(step, start, jnp.arange(config.rollout_length))
        return replace(state, env=env_state, timestep=timestep, remembered=remembered), rollout

    def _update(
        self,
        learner: Learner,
        context: TaskBuffer,
        replay: TaskBuffer,
        rollout: Rollout,
        *,
        families: Int[Array, " task"],
        told: Float[Array, "task family"],
        used: Float[Array, "task a"],
        number: Array,
    ) -> tuple[Learner, TaskBuffer, TaskBuffer, dict[str, Array]]:
        """What one seed learns after its rollout [time, lane, …]; further arguments are of all tasks."""
        config, transition = self.config, rollout.transition
        running, returns = discounted_return(learner.running_return, transition.reward, rollout.done, config.discount)
        learner = replace(
            learner,
            running_return=running,
            returns=learner.returns.update(returns, rollout.family),
            observations=learner.observations.update(transition.observation, rollout.context),
            transitions=learner.transitions.update(self._read(transition), rollout.context),
        )
        explores = rollout.episode < config.episodes_per_task - 1
        new, task, explores = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (transition, rollout.task, explores))
        context, replay = context.add(new, task, explores), replay.add(new, task, jnp.ones_like(explores))
        key = fold(learner.key, number, 1)

        def gradient_step(learner: Learner, step: Array) -> tuple[Learner, dict[str, Array]]:
            task_key, replay_key, context_key, own = jax.random.split(fold(key, step), 4)
            # Trials begin with what is kept as context: where there is some, there is more to learn from.
            played = jnp.where(context.added > 0, 0.0, -jnp.inf)
            task = jax.random.categorical(task_key, played, shape=(config.meta_batch,))
            drawn = replay.sample(replay_key, task, config.batch_size)
            evidence = context.sample(context_key, task, config.context_size)
            batch = Batch(drawn, evidence, told[task][:, None], used[task][:, None], families[task][:, None])
            return self._gradient_step(learner, batch, own)

        learner, losses = jax.lax.scan(gradient_step, learner, jnp.arange(config.gradient_steps))
        ended = (rollout.done, rollout.success_any, rollout.episode_return, rollout.family)
        metrics = episode_counts(*ended, learner.returns.count.size)
        return learner, context, replay, metrics | jax.tree.map(jnp.mean, losses)

    def _gradient_step(self, learner: Learner, batch: Batch, key: jax.Array) -> tuple[Learner, dict[str, Array]]:
        """One step of encoder, policy, critics and temperatures, and of the critics' slow copies."""
        gradient, metrics = jax.grad(self._loss, has_aux=True)(learner.params, learner, batch, self._noise(batch, key))
        change, optimizer = self._optimizer.update(gradient, learner.optimizer, learner.params)
        params: Any = optax.apply_updates(learner.params, change)
        slow = optax.incremental_update(params["critics"], learner.target, self.config.target_rate)
        metrics |= {"grad_norm": optax.global_norm({name: gradient[name] for name in ("encoder", "actor", "critics")})}
        return replace(learner, params=params, target=slow, optimizer=optimizer), metrics

    def _noise(self, batch: Batch, key: jax.Array) -> Noise:
        """A draw."""
        keys, action = jax.random.split(key, 3), batch.transition.action.shape
        shapes = ((action[0], 1, self.config.latent_size), action, action)
        return Noise(*(jax.random.normal(own, shape) for own, shape in zip(keys, shapes, strict=True)))

    def _loss(
        self, params: dict[str, Any], learner: Learner, batch: Batch, noise: Noise
    ) -> tuple[Array, dict[str, Array]]:
        """Sum of the losses of critics, posterior, policy and temperatures."""
        config, transition = self.config, batch.transition
        belief = self._belief(params["encoder"], learner, batch)
        latent = belief.posterior.sample(noise.latent)
        # The policy's loss must not reach the encoder: z is to tell of tasks, not of what the critics are blind to.
        known = jax.lax.stop_gradient(latent)
        target = self._target(learner, batch, known, noise.next_action)
        observation = learner.observations.normalize(transition.observation, batch.context)
        out = self._critics(params["critics"], observation, transition.action, latent, batch)
        critic_loss = VALUES[config.critic].loss(out, target).mean((-1, -2)).sum()
        divergence = belief.divergence.mean()
        action, log_prob = self._act(params["actor"], observation, known, batch, noise.action)
        value = self._value(jax.lax.stop_gradient(params["critics"]), observation, action, known, batch)
        log_temperature = params["log_temperature"][batch.family]
        temperature = jnp.exp(jax.lax.stop_gradient(log_temperature))
        actor_loss = (temperature * log_prob - value).mean()
        excess = jax.lax.stop_gradient(-log_prob + config.target_entropy * batch.used.sum(-1))
        temperature_loss = (log_temperature * excess).mean()
        metrics = {
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "divergence": divergence,
            "entropy": -log_prob.mean(),
            "temperature": temperature.mean(),
            "value": value.mean(),
        }
        return critic_loss + config.divergence_cost * divergence + actor_loss + temperature_loss, metrics

    def _target(self, learner: Learner, batch: Batch, latent: Array, noise: Array) -> Float[Array, "task sample"]:
        """What the critics aim for: the reward, and the soft value of what it led to, by the slow copies."""
        transition, temperature = batch.transition, jnp.exp(learner.params["log_temperature"])[batch.family]
        observation = learner.observations.normalize(transition.next_observation, batch.context)
        action, log_prob = self._act(learner.params["actor"], observation, latent, batch, noise)
        value = self._value(learner.target, observation, action, latent, batch) - temperature * log_prob
        reward = transition.reward / learner.returns.scale[batch.family]
        return jax.lax.stop_gradient(reward + self.config.discount * ~transition.terminated * value)

    def _belief(self, encoder: Any, learner: Learner, batch: Batch) -> Belief:
        """What the evidence tells of each task, [task, 1, z]."""
        evidence = learner.transitions.normalize(self._read(batch.evidence), batch.context)
        factors: Any = self._encoder.apply(encoder, evidence)
        return jax.tree.map(lambda leaf: leaf.sum(1, keepdims=True), factors)

    def _read(self, transition: Transition) -> Float[Array, "*batch inputs"]:
        """What the encoder reads of transitions, before it is normalised."""
        before = (transition.observation, transition.action, transition.reward)
        return self._encoder.inputs(*before, transition.next_observation)

    def _act(
        self, actor: Any, observation: Array, latent: Array, batch: Batch, noise: Array
    ) -> tuple[Float[Array, "task sample a"], Float[Array, "task sample"]]:
        network = self._actor(noise.shape[-1], batch.context.shape[-1])
        distribution: Any = network.apply(actor, joined(observation, latent, batch.context))
        return distribution.sample(noise, batch.used)

    def _critics(
        self, critics: Any, observation: Array, action: Array, latent: Array, batch: Batch
    ) -> Float[Array, "2 task sample out"]:
        # What is padding has no effect, so it must not count either.
        inputs = joined(observation, latent, action * batch.used, batch.context)
        return jax.vmap(self._critic.apply, (0, None))(critics, inputs)  # type: ignore[return-value]

    def _value(
        self, critics: Any, observation: Array, action: Array, latent: Array, batch: Batch
    ) -> Float[Array, "task sample"]:
        return VALUES[self.config.critic].value(self._critics(critics, observation, action, latent, batch)).min(0)
