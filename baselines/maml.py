"""MAML: parameters from which a policy-gradient step on a few episodes of a task leads to a policy that solves it.

Finn et al. 2017 (arXiv:1703.03400). A *round* is some episodes of one task, all played with the same parameters, and
what is learnt from it is one *inner step*:

    θ' = θ + α ∇ E[ratio · advantage]  over the round,  advantages from a linear baseline fitted to the round

An update plays `inner_steps` rounds of each task of a meta-batch, adapting in between, and one more with the adapted
parameters. From that one it learns θ, through the inner steps: by PPO's clipped surrogate (arXiv:1707.06347) or by a
trust region (TRPO, arXiv:1502.05477). There is no critic.

The flat axis of lanes is [seed, episode, task]: a lane plays one episode of a round, and what follows an early end is
not learnt from. Everything that learns is written for one seed, and what adapts for one task; all are one program.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, get_args

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from mtbench.errors import UsageError
from mtbench.policy import Experience, PolicyInput, Sizes, shown

from .parts.actors import Gaussian, GaussianActor, inputs_of
from .parts.clipping import clipped_surrogate
from .parts.gae import gae
from .parts.keys import fold
from .parts.networks import ACTIVATIONS, Activation
from .parts.normalization import LayoutMoments
from .parts.training import check_fields, check_lanes, episode_counts
from .parts.trust_region import trust_region_step

# ── Configuration ───────────────────────────────────────────────────────────────────────────────────────────

OuterName = Literal["ppo", "trpo"]


@dataclass(frozen=True)
class MAMLConfig:
    """Hyper-parameters of MAML. The defaults suit two CPU cores."""

    total_steps: int = 10_000_000
    """Environment steps of each seed, rounded up to whole updates."""
    num_seeds: int = 1
    """Trainings that run side by side in one program."""
    lanes: int = 200
    """Environments that each seed steps at once."""
    adaptation_episodes: int = 10
    """Episodes of a round, each in a lane of its own: must divide lanes, into the tasks of an update."""
    inner_steps: int = 1
    """Rounds, and so inner steps, before the one that the outer loss reads."""
    inner_rate: float = 0.1
    """Step size of the inner steps (α)."""
    first_order: bool = False
    """Take the inner steps' gradients for constants: cheaper updates, from an outer gradient that is not exact."""
    outer: OuterName = "ppo"
    """How the outer loss is descended: PPO's clipped surrogate, or a step within a trust region."""
    epochs: int = 5
    """Of ppo: passes over the tasks of an update."""
    minibatches: int = 2
    """Of ppo: gradient steps in a pass, each over a share of the tasks, whose number it must divide."""
    learning_rate: float = 3e-3
    """Of ppo: step size of Adam."""
    anneal: bool = True
    """Of ppo: let the learning rate fall linearly to 0 over total_steps."""
    clip: float = 0.2
    """Of ppo: how far an update may move the probability of an action, as a ratio."""
    entropy_cost: float = 0.0
    """Of ppo: weight of the bonus for random actions, after adaptation."""
    max_grad_norm: float = 1.0
    """Of ppo: longer gradients are shortened to this length."""
    max_kl: float = 0.01
    """Of trpo: how far a step may move the adapted policies, in nats."""
    damping: float = 0.01
    """Of trpo: added to the curvature's diagonal."""
    cg_iterations: int = 10
    """Of trpo: of conjugate gradients."""
    fisher_stride: int = 4
    """Of trpo: the curvature is that of every so many-th task."""
    backtracks: int = 10
    """Of trpo: times that a step is shortened before the policy stays what it is."""
    discount: float = 0.99
    """What a reward is worth one step later (γ)."""
    gae_lambda: float = 1.0
    """Advantages from the linear baseline alone (0) to rewards as played (1)."""
    policy_hidden: tuple[int, ...] = (64, 64)
    """Widths of the policy's hidden layers."""
    activation: Activation = "tanh"
    """Non-linearity of the policy."""
    initial_std: float = 1.0
    """Standard deviation of the first actions."""

    @property
    def tasks(self) -> int:
        """Tasks of an update, the meta-batch."""
        return self.lanes // self.adaptation_episodes

    def validate(self) -> None:
        """Checks every field.

        Raises:
          UsageError: a value out of range; names the field, the value and what is allowed.
        """
        sizes = ("total_steps", "num_seeds", "lanes", "adaptation_episodes", "inner_steps", "epochs", "minibatches")
        counts = (*sizes, "cg_iterations", "fisher_stride", "backtracks")
        rules = {field: (getattr(self, field) >= 1, "at least 1") for field in counts} | {
            "inner_rate": (self.inner_rate > 0, "greater than 0"),
            "outer": (self.outer in get_args(OuterName), f"one of {', '.join(get_args(OuterName))}"),
            "learning_rate": (self.learning_rate > 0, "greater than 0"),
            "clip": (0 < self.clip < 1, "between 0 and 1"),
            "entropy_cost": (self.entropy_cost >= 0, "at least 0"),
            "max_grad_norm": (self.max_grad_norm > 0, "greater than 0"),
            "max_kl": (self.max_kl > 0, "greater than 0"),
            "damping": (self.damping >= 0, "at least 0"),
            "discount": (0 <= self.discount < 1, "at least 0 and less than 1"),
            "gae_lambda": (0 <= self.gae_lambda <= 1, "from 0 to 1"),
            "policy_hidden": (all(width >= 1 for width in self.policy_hidden), "widths of at least 1"),
            "activation": (self.activation in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}"),
            "initial_std": (self.initial_std > 0, "greater than 0"),
        }
        check_fields(self, rules)
        if self.lanes % self.adaptation_episodes:
            raise UsageError(f"adaptation_episodes = {self.adaptation_episodes}: must divide lanes = {self.lanes}")
        if self.tasks % self.minibatches:
            told = f"lanes / adaptation_episodes = {self.tasks} tasks"
            raise UsageError(f"minibatches = {self.minibatches}: must divide {told}")


# ── The inner step: of one task ─────────────────────────────────────────────────────────────────────────────


@struct.dataclass
class Batch:
    """A round of one task, [episode, time, …]."""

    inputs: Array
    action: Array
    """As drawn, before the environment clips it."""
    log_prob: Array
    """Under the parameters that acted."""
    advantage: Array
    valid: Array
    """Whether a step counts: not after its episode's end."""


def mean(x: Float[Array, "*batch"], valid: Bool[Array, "*batch"]) -> Float[Array, ""]:
    """Mean of what is valid; 0 if nothing is."""
    return jnp.where(valid, x, 0.0).sum() / jnp.maximum(valid.sum(), 1)


def linear_baseline(
    inputs: Float[Array, "*batch time i"],
    return_: Float[Array, "*batch time"],
    valid: Bool[Array, "*batch time"],
    ridge: float = 1e-4,
) -> Float[Array, "*batch time"]:
    """Least squares of the returns on the inputs, their squares, and powers of time up to the third (Duan et al. 2016,
    arXiv:1604.06778).

    Args:
      inputs: what the policy reads, normalised.
      return_: to be predicted.
      valid: which steps count.
      ridge: weight of the squared coefficients, of features with a variance of 1. Entries that never change need it.

    Returns:
      The predictions.
    """
    time = jnp.broadcast_to(jnp.linspace(0.0, 1.0, valid.shape[-1]), valid.shape)
    features = jnp.concatenate([inputs, inputs**2, time[..., None] ** jnp.arange(1, 4)], axis=-1)
    weight = valid.reshape(-1) / jnp.maximum(valid.sum(), 1)
    # Normal equations, in full precision whatever matrix products have by default.
    product = partial(jnp.matmul, precision="highest")
    x, y = features.reshape(-1, features.shape[-1]), return_.reshape(-1)
    x, level = x - product(weight, x), product(weight, y)
    x /= jnp.maximum(jnp.sqrt(product(weight, x**2)), 1e-4)
    # By eigenvalues: rounding can make a matrix of nearly equal features indefinite, and Cholesky's root of it NaN.
    size, axes = jnp.linalg.eigh(product(weight * x.T, x))
    along = product(axes.T, product(weight * x.T, y - level)) / (jnp.maximum(size, 0.0) + ridge)
    return (level + product(x, product(axes, along))).reshape(return_.shape)


def advantages(
    config: Any,
    inputs: Float[Array, "episode time i"],
    reward: Float[Array, "episode time"],
    valid: Bool[Array, "episode time"],
) -> Float[Array, "episode time"]:
    """Standardised advantages of whole episodes of one task; the end of an episode, also by time, ends its rewards.

    Args:
      config: has `discount` and `gae_lambda`.
      inputs: what the policy reads.
      reward: of each step.
      valid: which steps were played.
    """
    no, reward = jnp.zeros_like(valid), jnp.where(valid, reward, 0.0)
    ends = {"terminated": no.T, "truncated": no.T, "discount": config.discount}
    zero = jnp.zeros_like(reward)
    return_ = gae(reward.T, zero.T, zero.T, **ends, gae_lambda=1.0).T
    value = jnp.where(valid, linear_baseline(inputs, return_, valid), 0.0)
    next_value = jnp.pad(value[:, 1:], ((0, 0), (0, 1)))
    advantage = gae(reward.T, value.T, next_value.T, **ends, gae_lambda=config.gae_lambda).T
    centred = advantage - mean(advantage, valid)
    # A floor, so that a round in which nothing mattered is not blown up.
    return jnp.where(valid, centred / (jnp.sqrt(mean(centred**2, valid)) + 1e-3), 0.0)


def surrogate(actor: GaussianActor, params: Any, batch: Batch) -> Float[Array, ""]:
    """Whose gradient at the parameters that acted is the policy gradient. Elsewhere, and in second derivatives, the
    ratio stands for how often the action would be drawn."""
    distribution: Any = actor.apply(params, batch.inputs)
    ratio = jnp.exp(distribution.log_prob(batch.action) - batch.log_prob)
    return mean(ratio * batch.advantage, batch.valid)


def inner_step(actor: GaussianActor, params: Any, batch: Batch, rate: float, first_order: bool = False) -> Any:
    """The parameters after a step on a round.

    Args:
      actor: the policy's network.
      params: its parameters before.
      batch: the round.
      rate: α.
      first_order: whether derivatives of the result leave out those of the gradient.
    """
    gradient = jax.grad(partial(surrogate, actor))(params, batch)
    return optax.tree.add_scale(params, rate, jax.lax.stop_gradient(gradient) if first_order else gradient)


# ── The policy ──────────────────────────────────────────────────────────────────────────────────────────────


@struct.dataclass
class Acting:
    """What a lane goes on with from step to step."""

    params: Any
    """Adapted to its task, as far as it has."""
    inputs: Float[Array, "*lane i"]
    """Of the last step."""
    action: Float[Array, "*lane a"]
    """Of the last step, as drawn."""


@struct.dataclass
class MAMLPolicy:
    """What a seed has learnt, for one lane; a pytree. It is `mtbench.policy.Adaptive`."""

    params: Any
    observations: LayoutMoments
    actor: GaussianActor = struct.field(pytree_node=False)
    adaptation_episodes: int = struct.field(pytree_node=False)
    """Of a round."""
    inner_rate: float = struct.field(pytree_node=False)
    discount: float = struct.field(pytree_node=False)
    gae_lambda: float = struct.field(pytree_node=False)
    deterministic: bool = struct.field(pytree_node=False, default=False)
    """Take the distribution's mean, not a sample: nothing can be learnt from that."""

    @property
    def architecture(self) -> dict[str, Any]:
        """What `blank` builds it from."""
        return {
            "hidden": list(self.actor.hidden),
            "activation": self.actor.activation,
            "layouts": list(self.observations.layouts),
            "adaptation_episodes": self.adaptation_episodes,
            "inner_rate": self.inner_rate,
            "discount": self.discount,
            "gae_lambda": self.gae_lambda,
            "deterministic": self.deterministic,
        }

    @classmethod
    def blank(
        cls, sizes: Sizes, hidden: list[int], activation: Activation, layouts: list[int], **adapts: Any
    ) -> MAMLPolicy:
        """A policy that has learnt nothing."""
        actor = GaussianActor(tuple(hidden), sizes.action, sizes.context, activation)
        params = actor.init(jax.random.key(0), jnp.zeros(sizes.observation + sizes.context))
        return cls(params, LayoutMoments.init(sizes.observation, tuple(layouts)), actor, **adapts)

    def init_carry(self, key: jax.Array) -> Acting:
        """The parameters before any adaptation."""
        width = self.observations.moments.mean.shape[-1] + self.actor.families
        return Acting(self.params, jnp.zeros(width), jnp.zeros(self.actor.action_size))

    def act(self, key: jax.Array, carry: Acting, seen: PolicyInput) -> tuple[Acting, Float[Array, " a"]]:
        """The action in [-1, 1] for what a lane shows now."""
        inputs = inputs_of(self.observations, seen.observation, seen.context)
        distribution: Any = self.actor.apply(carry.params, inputs)
        action = distribution.sample(jax.random.normal(key, distribution.mean.shape) * (not self.deterministic))
        return Acting(carry.params, inputs, action), jnp.clip(action, -1.0, 1.0)

    def keep(self, carry: Acting) -> tuple[Array, Array]:
        """Inputs and action of the step."""
        return carry.inputs, carry.action

    def adapt(self, carry: Acting, experience: Experience, scored: Bool[Array, ""]) -> Acting:
        """An inner step on each round that is complete; before a scored episode also on what there is of the next.

        Until a round is complete its episodes are played with the parameters from which it began, as in training.
        """
        return replace(carry, params=_adapted(self, experience, scored))


@jax.custom_batching.sequential_vmap
def _adapted(policy: MAMLPolicy, experience: Experience, scored: Bool[Array, ""]) -> Any:
    """See `MAMLPolicy.adapt`. One lane after another: an evaluation's hundreds at once would take gigabytes."""
    room = experience.valid.shape[0]
    size = min(policy.adaptation_episodes, room)

    def split(x: Array) -> Array:
        x = jnp.pad(x, [(0, -room % size), *[(0, 0)] * (x.ndim - 1)])
        return x.reshape(-1, size, *x.shape[1:])

    def learn(params: Any, now: Experience) -> tuple[Any, None]:
        complete = now.valid[:, 0].sum() == policy.adaptation_episodes
        valid, (inputs, action) = now.valid & (complete | scored), now.kept
        acted: Any = policy.actor.apply(params, inputs)
        advantage = advantages(policy, inputs, now.reward, valid)
        batch = Batch(inputs, action, acted.log_prob(action), advantage, valid)
        return inner_step(policy.actor, params, batch, policy.inner_rate), None

    return jax.lax.scan(learn, policy.params, jax.tree.map(split, experience))[0]


# ── State: what a training carries from one update to the next ──────────────────────────────────────────────


@struct.dataclass
class Learner:
    """What one seed has learnt. In `State` every leaf has a leading axis of seeds."""

    key: jax.Array
    """Root of the seed's randomness; each update folds its number into it."""
    params: Any
    """From which tasks are adapted to (θ)."""
    optimizer: optax.OptState
    """Adam's, of ppo."""
    observations: LayoutMoments


@struct.dataclass
class State:
    """All that the next update depends on: a training goes on from it bit for bit. Every round begins new episodes."""

    learner: Learner
    """Leaves [seed, …]."""
    key: jax.Array
    """Root of the initial states."""
    updates: Int[Array, ""]
    """Updates done."""


@struct.dataclass
class Rollout:
    """What happened in a round, [time, seed, episode, task, …]."""

    seen: PolicyInput
    inputs: Array
    action: Array
    log_prob: Array
    reward: Array
    valid: Array
    """Whether the step belongs to the lane's first episode."""
    ended: Array
    """Whether it was that episode's last."""
    success_any: Array
    episode_return: Array
    family: Array


# ── The algorithm ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class MAML:
    """MAML. Its methods are pure functions of `State`; `train_step` is made to be jitted."""

    config: MAMLConfig = MAMLConfig()
    name: ClassVar[str] = "maml"
    Config: ClassVar[type[MAMLConfig]] = MAMLConfig
    Policy: ClassVar[type[MAMLPolicy]] = MAMLPolicy
    lane_options: ClassVar[dict[str, Any]] = {"stagger": False}
    """What the environment's lanes must be like, as `Suite.vector_env` takes it: rounds are of whole episodes."""

    def __post_init__(self) -> None:
        """Rejects a bad configuration."""
        self.config.validate()

    def init(self, key: jax.Array, env: Any) -> State:
        """The state before the first update.

        Args:
          key: root of all randomness. Seeds fold their index into it, so seed 2 of 4 is seed 2 of 8.
          env: has `num_seeds * lanes` lanes, whose first episodes begin together.

        Raises:
          UsageError: the environment has another number of lanes, or those of a task would be of several arenas.
        """
        config = self.config
        check_lanes(config, env)
        if config.tasks % (block := len(getattr(env, "pattern", (0,)))):
            told = f"lanes / adaptation_episodes = {config.tasks} tasks"
            raise UsageError(f"{told}: must be a multiple of {block}, the lanes in a block of all arenas")
        env_key, learner_key = jax.random.split(key)
        actor = self._actor(env.action_size, env.context_size)

        def init_seed(seed: Array) -> Learner:
            key, own = jax.random.split(jax.random.fold_in(learner_key, seed))
            params = actor.init(own, jnp.zeros(env.observation_size + env.context_size))
            optimizer = self._optimizer.init(params) if config.outer == "ppo" else ()
            return Learner(key, params, optimizer, LayoutMoments.init(env.observation_size, env.family_layouts))

        learner = jax.vmap(init_seed)(jnp.arange(config.num_seeds))
        return State(learner, env_key, jnp.zeros((), jnp.int32))

    def steps_per_update(self, env: Any) -> int:
        """Environment steps that one update takes in each seed."""
        return self.config.lanes * env.envs[0].horizon * (self.config.inner_steps + 1)

    def policy(self, state: State, seed: int, deterministic: bool = False) -> MAMLPolicy:
        """The policy that one of the seeds has learnt."""
        learner = jax.tree.map(lambda leaf: leaf[seed], state.learner)
        config, actor = self.config, self._actor_of(learner.params)
        inner = (config.adaptation_episodes, config.inner_rate, config.discount, config.gae_lambda)
        return MAMLPolicy(learner.params, learner.observations, actor, *inner, deterministic)

    def learnt(self, state: State) -> Learner:
        """What must stay finite."""
        return state.learner

    def _actor(self, action_size: int, families: int) -> GaussianActor:
        config = self.config
        return GaussianActor(
            config.policy_hidden, action_size, families, config.activation, initial_std=config.initial_std
        )

    def _actor_of(self, params: Any) -> GaussianActor:
        rows, action_size = params["params"]["log_std"].shape[-2:]
        return self._actor(action_size, rows - 1)

    @property
    def _optimizer(self) -> optax.GradientTransformation:
        # The learning rate is applied in `_ppo`, where it is known how far the training is.
        return optax.chain(optax.clip_by_global_norm(self.config.max_grad_norm), optax.scale_by_adam(eps=1e-5))

    # ── One update: rounds with inner steps between them, then the outer step ──

    def train_step(self, env: Any, state: State) -> tuple[State, dict[str, Array]]:
        """The rounds of a meta-batch of tasks, and what is learnt from them.

        Returns:
          The new state, and metrics. Of the episodes after adaptation, [seed, family]: `episodes`, `successes` (at any
          time of the episode) and `return_sum`. Of those before any, [seed]: `success_unadapted`, `return_unadapted`.
          Of the update, [seed]: those of `_ppo` or `_trpo`.
        """
        config = self.config
        keys = jax.vmap(lambda learner: fold(learner.key, state.updates))(state.learner)

        def draw(key: jax.Array) -> Int[Array, " task"]:
            return jax.random.randint(fold(key, 0), (config.tasks,), 0, jnp.iinfo(jnp.int32).max)

        def for_tasks(x: Array) -> Array:
            return jnp.broadcast_to(x[:, None], (x.shape[0], config.tasks, *x.shape[1:]))

        tasks, start = jax.vmap(draw)(keys), jax.tree.map(for_tasks, state.learner.params)
        step = partial(inner_step, self._actor_of(state.learner.params), rate=config.inner_rate)

        def round_(params: Any, number: Array) -> tuple[Any, tuple[Batch, Rollout]]:
            noise = jax.vmap(lambda key: fold(key, 1, number))(keys)
            reset = fold(state.key, state.updates, number)
            rollout = self._play(env, reset, tasks, state.learner, params, noise)
            batch = self._batch(rollout)
            goes_on = number < config.inner_steps
            params = jax.lax.cond(goes_on, jax.vmap(jax.vmap(step)), lambda params, batch: params, params, batch)
            return params, (batch, rollout)

        _, (batches, rollouts) = jax.lax.scan(round_, start, jnp.arange(config.inner_steps + 1))
        left = jnp.maximum(1.0 - state.updates * (self.steps_per_update(env) / config.total_steps), 0.0)
        ppo = partial(self._ppo, learning_rate=config.learning_rate * (left if config.anneal else 1.0))
        outer = ppo if config.outer == "ppo" else self._trpo
        learner, losses = jax.vmap(outer, (0, 1, 0))(state.learner, batches, jax.vmap(fold, (0, None))(keys, 2))

        def observe(learner: Learner, seen: PolicyInput) -> Learner:
            # Only now: the ratio of probabilities must compare two policies that read the same inputs.
            return replace(learner, observations=learner.observations.update(seen.observation, seen.context))

        learner = jax.vmap(observe, (0, 2))(learner, rollouts.seen)
        first, last = (jax.tree.map(lambda x, i=i: x[i].swapaxes(0, 1), rollouts) for i in (0, -1))
        before, after = (self._counts(rollout, env.num_families) for rollout in (first, last))
        episodes = jnp.maximum(before["episodes"].sum(-1), 1.0)
        told = {
            "success_unadapted": before["successes"].sum(-1) / episodes,
            "return_unadapted": before["return_sum"].sum(-1) / episodes,
        }
        return State(learner, state.key, state.updates + 1), after | told | losses

    def _play(
        self,
        env: Any,
        reset: jax.Array,
        tasks: Int[Array, "seed task"],
        learner: Learner,
        params: Any,
        keys: jax.Array,
    ) -> Rollout:
        """A round: one episode in each lane, with each task's parameters [seed, task, …]."""
        config, actor = self.config, self._actor_of(params)
        shape = (config.num_seeds, config.adaptation_episodes, config.tasks)
        env_state, first = env.reset(reset, jnp.broadcast_to(tasks[:, None], shape).reshape(-1))

        def split(x: Array) -> Array:
            return x.reshape(*shape, *x.shape[1:])

        def act(learner: Learner, params: Any, key: jax.Array, seen: PolicyInput) -> tuple[Array, Array, Array]:
            inputs = inputs_of(learner.observations, seen.observation, seen.context)
            distribution: Any = jax.vmap(actor.apply, (0, 1), 1)(params, inputs)
            action = distribution.sample(jax.random.normal(key, distribution.mean.shape))
            return inputs, action, distribution.log_prob(action)

        def step(carry: tuple[Any, Any, Array], time: Array) -> tuple[tuple[Any, Any, Array], Rollout]:
            env_state, now, valid = carry
            seen = jax.tree.map(split, shown(now))
            inputs, action, log_prob = jax.vmap(act)(learner, params, jax.vmap(fold, (0, None))(keys, time), seen)
            env_state, then = env.step(env_state, action.reshape(env.num_lanes, -1))
            done = split(then.terminated | then.truncated)
            figures = map(split, (then.success_any, then.episode_return, then.family))
            told = (seen, inputs, action, log_prob, split(then.reward), valid, valid & done)
            return (env_state, then, valid & ~done), Rollout(*told, *figures)

        start = (env_state, first, jnp.ones(shape, bool))
        return jax.lax.scan(step, start, jnp.arange(env.envs[0].horizon))[1]

    def _batch(self, rollout: Rollout) -> Batch:
        """What is learnt from a round, [seed, task, episode, time, …]."""
        own = (rollout.inputs, rollout.action, rollout.log_prob, rollout.reward, rollout.valid)
        inputs, action, log_prob, reward, valid = (jnp.moveaxis(x, 0, 3).swapaxes(1, 2) for x in own)
        advantage = jax.vmap(jax.vmap(partial(advantages, self.config)))(inputs, reward, valid)
        return Batch(inputs, action, log_prob, advantage, valid)

    def _counts(self, rollout: Rollout, families: int) -> dict[str, Array]:
        """Of the episodes of a round, [seed, time, episode, task]: see `episode_counts`."""
        told = (rollout.ended, rollout.success_any, rollout.episode_return, rollout.family)
        return jax.vmap(partial(episode_counts, num_families=families))(*told)

    # ── The outer step: of one seed, from its batches [round, task, episode, time, …] ──

    def _adapted(self, params: Any, batches: Batch) -> Gaussian:
        """Distributions of the last round's actions, [task, episode, time], by parameters that adapt on the others."""
        config, actor = self.config, self._actor_of(params)

        def one(batches: Batch) -> Gaussian:
            adapted, last = params, jax.tree.map(lambda x: x[-1], batches)
            for number in range(config.inner_steps):
                batch = jax.tree.map(lambda x, number=number: x[number], batches)
                adapted = inner_step(actor, adapted, batch, config.inner_rate, config.first_order)
            return actor.apply(adapted, last.inputs)  # type: ignore[return-value]

        return jax.vmap(one, 1)(batches)

    def _loss(self, params: Any, batches: Batch) -> tuple[Array, dict[str, Array]]:
        """PPO's, of the adapted policies, and the bonus for their entropy."""
        config, last = self.config, jax.tree.map(lambda x: x[-1], batches)
        distribution = self._adapted(params, batches)
        log_ratio = distribution.log_prob(last.action) - last.log_prob
        ratio = jnp.exp(log_ratio)
        policy_loss = -mean(clipped_surrogate(ratio, last.advantage, config.clip), last.valid)
        entropy = mean(distribution.entropy(), last.valid)
        metrics = {
            "policy_loss": policy_loss,
            "entropy": entropy,
            "approx_kl": mean(ratio - 1.0 - log_ratio, last.valid),
            "clip_fraction": mean((jnp.abs(ratio - 1.0) > config.clip).astype(jnp.float32), last.valid),
        }
        return policy_loss - config.entropy_cost * entropy, metrics

    def _ppo(
        self, learner: Learner, batches: Batch, key: jax.Array, *, learning_rate: float | Array
    ) -> tuple[Learner, dict[str, Array]]:
        """`epochs` passes over the tasks. Metrics, means over gradient steps: those of `_loss`, and `grad_norm`."""
        config = self.config

        def gradient_step(carry: tuple[Any, Any], tasks: Array) -> tuple[Any, dict[str, Array]]:
            params, optimizer = carry
            chosen = jax.tree.map(lambda x: x[:, tasks], batches)
            gradient, metrics = jax.grad(self._loss, has_aux=True)(params, chosen)
            change, optimizer = self._optimizer.update(gradient, optimizer)
            params = optax.tree.add_scale(params, -learning_rate, change)
            return (params, optimizer), metrics | {"grad_norm": optax.global_norm(gradient)}

        epochs = jnp.arange(config.epochs)
        order = jax.vmap(lambda epoch: jax.random.permutation(fold(key, epoch), config.tasks))(epochs)
        steps = order.reshape(config.epochs * config.minibatches, -1)
        (params, optimizer), metrics = jax.lax.scan(gradient_step, (learner.params, learner.optimizer), steps)
        return replace(learner, params=params, optimizer=optimizer), jax.tree.map(jnp.mean, metrics)

    def _trpo(self, learner: Learner, batches: Batch, key: jax.Array) -> tuple[Learner, dict[str, Array]]:
        """A step within a trust region of the adapted policies. Metrics: see `trust_region_step`, and their `entropy`
        before."""
        last, before = jax.tree.map(lambda x: x[-1], batches), self._adapted(learner.params, batches)

        def gain(params: Any) -> Float[Array, ""]:
            log_prob = self._adapted(params, batches).log_prob(last.action)
            return mean(jnp.exp(log_prob - last.log_prob) * last.advantage, last.valid)

        def divergence(stride: int, params: Any) -> Float[Array, ""]:
            few, old = jax.tree.map(lambda x: x[:, ::stride], batches), jax.tree.map(lambda x: x[::stride], before)
            return mean(old.divergence(self._adapted(params, few)), last.valid[::stride])

        sampled = partial(divergence, self.config.fisher_stride)
        params, metrics = trust_region_step(
            self.config, gain, partial(divergence, 1), learner.params, sampled_divergence=sampled
        )
        return replace(learner, params=params), metrics | {"entropy": mean(before.entropy(), last.valid)}
