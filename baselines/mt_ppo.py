"""Multi-task PPO: one policy and one critic for all tasks of a suite, told apart by their context.

Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347) with generalised advantage estimation
(Schulman et al. 2015, arXiv:1506.02438). Three things make it multi-task: the context is an input of both
networks, rewards are divided by a running scale of their family's return, and advantages are standardised
within each family, so that no family drowns another (PopArt, arXiv:1809.04474, has the same aim).

The environment keeps its one flat axis of lanes, `num_seeds * lanes` long, seed after seed; everything that
learns is written for one seed and mapped over seeds, so several trainings are one program. No seed's numbers
depend on how many others run beside it.
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

from .parts.gae import gae
from .parts.networks import ACTIVATIONS, MLP
from .parts.normalization import Moments, ReturnScale, discounted_return, family_sum, standardize_by_family

# ---------------------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class MTPPOConfig:
    """Hyper-parameters of multi-task PPO. The defaults suit two CPU cores."""

    total_steps: int = 10_000_000
    """Environment steps of each seed; rounded up to whole updates."""
    num_seeds: int = 1
    """Trainings that run side by side in one program."""
    first_seed: int = 0
    """Index of the first of them: seeds 0 to 3 here and 4 to 7 elsewhere are the seeds 0 to 7."""
    lanes: int = 512
    """Environments that each seed steps at once."""
    rollout_length: int = 32
    """Steps of every lane between two updates."""
    epochs: int = 4
    """Passes over each rollout."""
    minibatches: int = 8
    """Gradient steps in a pass; must divide lanes * rollout_length."""
    learning_rate: float = 5e-4
    """Step size of Adam."""
    anneal: bool = True
    """Let the learning rate fall linearly to 0 over total_steps."""
    discount: float = 0.99
    """γ: what a reward is worth one step later."""
    gae_lambda: float = 0.95
    """λ of generalised advantage estimation: 0 trusts the critic, 1 the rewards as played."""
    clip: float = 0.2
    """How far the probability of an action may move in one update, as a ratio."""
    entropy_cost: float = 1e-3
    """Weight of the bonus for random actions."""
    value_cost: float = 0.5
    """Weight of the critic's squared error."""
    max_grad_norm: float = 1.0
    """Longer gradients are shortened to this length."""
    target_kl: float = 0.0
    """Skip the rest of an update once the policy has moved this far (nats per action); 0 never does."""
    scale_rewards: bool = True
    """Divide rewards by the running root mean square of their family's discounted return."""
    advantages_by_family: bool = True
    """Standardise advantages within each family; otherwise over the whole rollout."""
    policy_hidden: tuple[int, ...] = (128, 128)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (128, 128)
    """Widths of the critic's hidden layers."""
    activation: str = "tanh"
    """Non-linearity of both networks: tanh, relu, elu or swish."""
    initial_std: float = 0.5
    """Standard deviation of the first actions, before squashing."""

    @property
    def num_updates(self) -> int:
        """Calls of `train_step` that make up a training."""
        return -(-self.total_steps // (self.lanes * self.rollout_length))

    def validate(self) -> None:
        """Checks every field.

        Raises:
          UsageError: a value out of range; names the field, the value and what is allowed.
        """
        batch = self.lanes * self.rollout_length
        at_least_1 = ("total_steps", "num_seeds", "lanes", "rollout_length", "epochs", "minibatches")
        rules = {field: (getattr(self, field) >= 1, "at least 1") for field in at_least_1} | {
            "first_seed": (self.first_seed >= 0, "at least 0"),
            "learning_rate": (self.learning_rate > 0, "greater than 0"),
            "discount": (0 <= self.discount < 1, "at least 0 and less than 1"),
            "gae_lambda": (0 <= self.gae_lambda <= 1, "from 0 to 1"),
            "clip": (0 < self.clip < 1, "between 0 and 1"),
            "entropy_cost": (self.entropy_cost >= 0, "at least 0"),
            "value_cost": (self.value_cost >= 0, "at least 0"),
            "max_grad_norm": (self.max_grad_norm > 0, "greater than 0"),
            "target_kl": (self.target_kl >= 0, "at least 0 (0 switches it off)"),
            "policy_hidden": (all(width >= 1 for width in self.policy_hidden), "widths of at least 1"),
            "critic_hidden": (all(width >= 1 for width in self.critic_hidden), "widths of at least 1"),
            "activation": (self.activation in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}"),
            "initial_std": (self.initial_std > 0, "greater than 0"),
        }
        for field, (holds, allowed) in rules.items():
            if not holds:
                raise UsageError(f"{field} = {getattr(self, field)!r}: must be {allowed}")
        if batch % self.minibatches:
            raise UsageError(
                f"minibatches = {self.minibatches}: must divide lanes * rollout_length = {batch}"
            )


# --------------------------------------------------------------------------------------------------- networks
import os
STD = os.environ.get("STD", "context")
SQUASH = os.environ.get("SQUASH", "tanh")


class Actor(nn.Module):
    """A normal distribution over pre-squash actions."""

    hidden: tuple[int, ...]
    action_size: int
    activation: str
    initial_std: float

    @nn.compact
    def __call__(self, observation: Array, context: Array) -> tuple[Array, Array]:
        """Mean and log standard deviation."""
        x = jnp.concatenate([observation, context], -1)
        bias = nn.initializers.constant(np.log(self.initial_std))
        if STD == "state":
            out = MLP(self.hidden, 2 * self.action_size, 0.01, self.activation)(x)
            mean, log_std = jnp.split(out, 2, -1)
            log_std = log_std + np.log(self.initial_std)
        else:
            mean = MLP(self.hidden, self.action_size, 0.01, self.activation)(x)
            if STD == "context":
                log_std = nn.Dense(self.action_size, kernel_init=nn.initializers.zeros, bias_init=bias)(context)
            else:
                log_std = jnp.broadcast_to(self.param("log_std", bias, (self.action_size,)), mean.shape)
        if SQUASH == "meantanh":
            mean = jnp.tanh(mean)
        return mean, jnp.clip(log_std, -5.0, 1.0)


def log_prob(mean: Array, log_std: Array, pre_action: Array) -> Array:
    """Log-density of pre-squash actions, up to the squashing's own density, which no ratio depends on."""
    z = (pre_action - mean) * jnp.exp(-log_std)
    return -(0.5 * z**2 + log_std + 0.5 * np.log(2 * np.pi)).sum(-1)


def entropy(mean, log_std, noise):
    h = (log_std + 0.5 * np.log(2 * np.pi * np.e)).sum(-1)
    if SQUASH == "tanh":
        u = mean + jnp.exp(log_std) * noise
        h = h + (2.0 * (np.log(2.0) - u - jax.nn.softplus(-2.0 * u))).sum(-1)
    return h


def squash(u):
    return jnp.tanh(u) if SQUASH == "tanh" else u


@struct.dataclass
class Learner:
    """What one seed has learnt; in `State` every leaf has a leading axis of seeds."""

    key: jax.Array
    params: dict[str, Any]
    optimizer: optax.OptState
    observations: Moments
    returns: ReturnScale
    running_return: Float[Array, " lane"]


@struct.dataclass
class State:
    """Everything that goes on with a training bit for bit."""

    learner: Learner
    env: Any
    timestep: Any
    updates: Int[Array, ""]


@struct.dataclass
class Rollout:
    """Steps of all lanes, [time, lane, …]."""

    observation: Array
    context: Array
    pre_action: Array
    log_prob: Array
    family: Array
    reward: Array
    terminated: Array
    truncated: Array
    final_observation: Array
    success_any: Array
    episode_return: Array


@struct.dataclass
class Batch:
    """[sample, …]"""

    observation: Array
    context: Array
    pre_action: Array
    log_prob: Array
    advantage: Array
    target: Array


@struct.dataclass
class Policy:
    params: Any
    observations: Moments
    actor: Actor = struct.field(pytree_node=False)
    deterministic: bool = struct.field(pytree_node=False, default=True)

    def init_carry(self, key):
        return ()

    def act(self, key, carry, timestep):
        o = self.observations.normalize(timestep.observation)
        mean, log_std = self.actor.apply(self.params, o, timestep.context)
        if not self.deterministic:
            mean = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        return carry, squash(mean)


@dataclass(frozen=True)
class MTPPO:
    """Multi-task PPO."""

    config: MTPPOConfig = MTPPOConfig()
    name: ClassVar[str] = "mt-ppo"
    Config: ClassVar[type] = MTPPOConfig

    def __post_init__(self):
        self.config.validate()

    def actor(self, env):
        c = self.config
        return Actor(c.policy_hidden, env.action_size, c.activation, c.initial_std)

    def critic(self):
        return MLP(self.config.critic_hidden, 1, 1.0, self.config.activation)

    def optimizer(self):
        return optax.chain(optax.clip_by_global_norm(self.config.max_grad_norm), optax.scale_by_adam(eps=1e-5))

    def steps_per_update(self, env):
        return env.num_lanes // self.config.num_seeds * self.config.rollout_length

    def init(self, key, env):
        c = self.config
        if env.num_lanes != c.num_seeds * c.lanes:
            raise UsageError(f"env {env.num_lanes}")
        env_key, key = jax.random.split(key)
        env_state, timestep = env.reset(env_key)

        def one(seed):
            k = jax.random.fold_in(key, seed)
            ka, kc, k = jax.random.split(k, 3)
            o, ctx = jnp.zeros(env.observation_size), jnp.zeros(env.context_size)
            params = {"actor": self.actor(env).init(ka, o, ctx),
                      "critic": self.critic().init(kc, jnp.concatenate([o, ctx]))}
            return Learner(k, params, self.optimizer().init(params), Moments.init(o.size),
                           ReturnScale.init(env.num_families), jnp.zeros(c.lanes))

        learner = jax.vmap(one)(c.first_seed + jnp.arange(c.num_seeds))
        return State(learner, env_state, timestep, jnp.zeros((), jnp.int32))

    def rollout(self, env, state):
        c = self.config
        actor = self.actor(env)
        keys = jax.vmap(lambda k: jax.random.fold_in(jax.random.fold_in(k, state.updates), 0))(state.learner.key)

        def act(learner, key, o, ctx):
            mean, log_std = actor.apply(learner.params["actor"], learner.observations.normalize(o), ctx)
            u = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
            return u, log_prob(mean, log_std, u)

        def step(carry, t):
            env_state, ts = carry
            ks = jax.vmap(partial(jax.random.fold_in, data=t))(keys)
            rs = lambda x: x.reshape(c.num_seeds, c.lanes, *x.shape[1:])
            u, lp = jax.vmap(act)(state.learner, ks, rs(ts.observation), rs(ts.context))
            u, lp = u.reshape(-1, u.shape[-1]), lp.reshape(-1)
            env_state, n = env.step(env_state, squash(u))
            r = Rollout(ts.observation, ts.context, u, lp, n.family, n.reward, n.terminated, n.truncated,
                        n.final_observation, n.success_any, n.episode_return)
            return (env_state, n), r

        (e, ts), r = jax.lax.scan(step, (state.env, state.timestep), jnp.arange(c.rollout_length))
        return replace(state, env=e, timestep=ts), r

    def train_step(self, env, state):
        c = self.config
        state, r = self.rollout(env, state)
        per_seed = jax.tree.map(lambda x: x.reshape(x.shape[0], c.num_seeds, c.lanes, *x.shape[2:]).swapaxes(0, 1), r)
        frac = jnp.where(c.anneal, jnp.maximum(1 - state.updates / c.num_updates, 0.0), 1.0)
        learner, metrics = jax.vmap(partial(self.update, env, c.learning_rate * frac, state.updates))(state.learner, per_seed)
        return replace(state, learner=learner, updates=state.updates + 1), metrics

    def loss(self, actor, params, b):
        c = self.config
        mean, log_std = actor.apply(params["actor"], b.observation, b.context)
        log_ratio = log_prob(mean, log_std, b.pre_action) - b.log_prob
        ratio = jnp.exp(log_ratio)
        pl = -jnp.minimum(ratio * b.advantage, jnp.clip(ratio, 1 - c.clip, 1 + c.clip) * b.advantage).mean()
        v = self.critic().apply(params["critic"], jnp.concatenate([b.observation, b.context], -1))[..., 0]
        vl = 0.5 * ((v - b.target) ** 2).mean()
        # the noise that was drawn stands in for fresh noise
        noise = (b.pre_action - mean) * jnp.exp(-log_std)
        ent = entropy(mean, log_std, jax.lax.stop_gradient(noise)).mean()
        m = dict(policy_loss=pl, value_loss=vl, entropy=ent, approx_kl=(ratio - 1 - log_ratio).mean(),
                 clip_fraction=(jnp.abs(ratio - 1) > c.clip).mean())
        return pl + c.value_cost * vl - c.entropy_cost * ent, m

    def update(self, env, lr, updates, learner, r):
        c = self.config
        actor = self.actor(env)
        F = env.num_families
        done = r.terminated | r.truncated
        running, G = discounted_return(learner.running_return, r.reward, done, c.discount)
        returns = learner.returns.update(G, r.family)
        reward = r.reward / returns.scale[r.family] if c.scale_rewards else r.reward
        o = learner.observations.normalize(r.observation)
        fo = learner.observations.normalize(r.final_observation)
        critic = lambda o: self.critic().apply(learner.params["critic"], jnp.concatenate([o, r.context], -1))[..., 0]
        v, nv = critic(o), critic(fo)
        adv = gae(reward, v, nv, r.terminated, r.truncated, c.discount, c.gae_lambda)
        target = adv + v
        fam = r.family if c.advantages_by_family else jnp.zeros_like(r.family)
        nadv = standardize_by_family(adv, fam, F)
        b = Batch(o, r.context, r.pre_action, r.log_prob, nadv, target)
        b = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), b)
        n = c.lanes * c.rollout_length
        key = jax.random.fold_in(jax.random.fold_in(learner.key, updates), 1)

        def minibatch(carry, idx):
            params, opt, going = carry
            mb = jax.tree.map(lambda x: x[idx], b)
            g, m = jax.grad(lambda p: self.loss(actor, p, mb), has_aux=True)(params)
            m["grad_norm"] = optax.global_norm(g)
            u, nopt = self.optimizer().update(g, opt)
            nparams = jax.tree.map(lambda p, u: p - lr * u, params, u)
            if c.target_kl:
                going = going & (m["approx_kl"] < c.target_kl)
                nparams, nopt = jax.tree.map(lambda a, b: jnp.where(going, a, b), (nparams, nopt), (params, opt))
            return (nparams, nopt, going), m

        idx = jax.vmap(lambda e: jax.random.permutation(jax.random.fold_in(key, e), n))(jnp.arange(c.epochs))
        (params, opt, _), m = jax.lax.scan(minibatch, (learner.params, learner.optimizer, jnp.array(True)), idx.reshape(c.epochs * c.minibatches, -1))
        m = jax.tree.map(jnp.mean, m)
        m["explained_variance"] = 1 - (target - v).var() / jnp.maximum(target.var(), 1e-12)
        m["episodes"] = family_sum(done * 1.0, r.family, F)
        m["successes"] = family_sum((done & r.success_any) * 1.0, r.family, F)
        m["return_sum"] = family_sum(done * r.episode_return, r.family, F)
        return Learner(learner.key, params, opt, learner.observations.update(r.observation), returns, running), m

    def policy(self, env, state, seed, deterministic=True):
        l = jax.tree.map(lambda x: x[seed], state.learner)
        return Policy(l.params["actor"], l.observations, self.actor(env), deterministic)
