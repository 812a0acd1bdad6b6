"""PEARL: what it believes of a task, its buffers and losses, and that what it has seen of a task helps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe import Family, Probe, bump
from scipy import stats

from mtbench.baselines import mt_sac
from mtbench.baselines.parts.replay import Transitions
from mtbench.baselines.pearl import PEARL, Batch, Belief, PEARLConfig, TaskBuffer, Transition
from mtbench.errors import UsageError
from mtbench.policy import PolicyInput, Sizes, shown

SMALL = PEARLConfig(
    lanes=32,
    episodes_per_task=2,
    rollout_length=4,
    gradient_steps=8,
    meta_batch=8,
    batch_size=16,
    context_size=4,
    context_steps=100,
    replay_steps=4_000,
    random_steps=1_000,
    learning_rate=3e-3,
    discount=0.5,
    target_rate=0.05,
    initial_temperature=0.01,
    latent_size=2,
    divergence_cost=1e-4,
    encoder_hidden=(32,),
    policy_hidden=(32,),
    critic_hidden=(32,),
)
OBSERVATION, ACTION, TASKS = 3, 2, 3


@dataclass(frozen=True, eq=False)
class Hidden(Probe):
    """Each family is a task, which is not shown."""

    episodes_per_task: int = 2

    @property
    def task_families(self):
        return np.arange(self.num_families)

    def lane_tasks(self, state):
        return state[0].family

    def reset(self, key):
        state, timestep = super().reset(key)
        return (state, jnp.zeros(self.num_lanes, int)), self._hidden(timestep, 0)

    def step(self, state, action):
        inner, timestep = super().step(state[0], action)
        episode = state[1] + timestep.episode_begins
        return (inner, episode), self._hidden(timestep, episode)

    def _hidden(self, timestep, episode):
        begins = timestep.episode_begins & (episode % self.episodes_per_task == 0)
        return timestep.replace(context=0.0 * timestep.context, task_begins=begins)


def learner_of(config, seed=0):
    """An algorithm with random statistics and weights, whose numbers nobody chose."""
    algorithm = PEARL(config)
    env = Hidden(config.lanes, (Family(),) * TASKS, action_size=ACTION, observation_size=OBSERVATION)
    learner = jax.jit(lambda key: algorithm.init(key, env))(jax.random.key(seed)).learner
    leaves, structure = jax.tree.flatten(jax.tree.map(lambda x: x[0], replace(learner, key=None)))
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    moved = [x + 0.3 * jnp.abs(jax.random.normal(key, x.shape)) for key, x in zip(keys, leaves, strict=True)]
    return algorithm, jax.tree.unflatten(structure, moved)


def transitions(shape, seed=0):
    rng = np.random.default_rng(seed)
    seen, after = (jnp.asarray(rng.normal(size=(*shape, OBSERVATION)), jnp.float32) for _ in range(2))
    action = jnp.asarray(rng.uniform(-1, 1, (*shape, ACTION)), jnp.float32)
    return Transition(seen, action, jnp.asarray(rng.normal(size=shape), jnp.float32), after, rng.random(shape) < 0.3)


def batch_of(drawn, evidence):
    tasks = len(drawn.reward)
    context = jax.nn.one_hot(jnp.arange(tasks) % TASKS, TASKS)[:, None]
    return Batch(drawn, evidence, context, jnp.ones((tasks, 1, ACTION)), jnp.arange(tasks)[:, None] % TASKS)


# ── What is believed ──


def test_the_posterior_is_the_product_of_its_factors():
    """Against densities multiplied on a grid; the product of none is the prior. So is the divergence."""
    rng, grid = np.random.default_rng(0), np.linspace(-8, 8, 400_001)
    mean, std = rng.normal(1.5, 1.0, 5), rng.uniform(0.5, 2.0, 5)
    log_density = stats.norm.logpdf(grid[:, None], mean, std).sum(-1)
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    expected = (density * grid).sum()
    spread = np.sqrt((density * (grid - expected) ** 2).sum())
    belief = Belief(jnp.array([(std**-2).sum(), 0.0]), jnp.array([(mean / std**2).sum(), 0.0]))
    np.testing.assert_allclose(belief.posterior.mean, [expected, 0.0], atol=1e-5)
    np.testing.assert_allclose(jnp.exp(belief.posterior.log_std), [spread, 1.0], atol=1e-5)
    width, prior = grid[1] - grid[0], stats.norm.logpdf(grid)
    nats = (density * (np.log(density / width + 1e-300) - prior)).sum()
    assert belief.divergence == pytest.approx(nats, abs=1e-4) and nats > 0.5


@pytest.mark.parametrize("next_observation", [False, True])
def test_what_is_believed_step_by_step_is_what_the_steps_tell_in_any_order(next_observation):
    """Two tasks one after the other: what an episode's last action brought counts in the next episode, nothing of the
    task before does, and what cannot be known is left out."""
    algorithm, learner = learner_of(replace(SMALL, next_observation=next_observation))
    policy, time = algorithm._policy(learner, ACTION), 12
    seen, reward = transitions((time,)).observation, transitions((time,), 1).reward
    begins, task_begins = (jnp.zeros(time, bool).at[jnp.array(at)].set(True) for at in ([0, 5, 8], [0, 5]))
    context = jax.nn.one_hot(jnp.full(time, 1), TASKS)
    told = PolicyInput(seen, context, reward, begins, task_begins)
    carry, action = jax.jit(
        lambda: jax.lax.scan(
            lambda carry, now: policy.act(jax.random.key(0), carry, now), policy.init_carry(jax.random.key(0)), told
        )
    )()
    steps = [t for t in (5, 6, 7, 8, 9, 10) if not (next_observation and t == 7)]
    order = np.random.default_rng(0).permutation(steps)
    evidence = Transition(seen[order], action[order], reward[order + 1], seen[order + 1], None)
    evidence = jax.tree.map(lambda x: x[None], evidence)
    batch = Batch(None, evidence, context[:1, None], None, None)
    whole = algorithm._belief(learner.params["encoder"], learner, batch)
    chex.assert_trees_all_close(carry.belief, jax.tree.map(lambda x: x[0, 0], whole), rtol=1e-4)
    assert carry.episode == 1


def test_z_is_drawn_when_an_episode_begins():
    """From the prior where nothing has been seen, then from the posterior, whose mean a deterministic policy takes."""
    _, learner = learner_of(SMALL)
    noisy = PEARL(SMALL)._policy(learner, ACTION)
    calm = replace(noisy, deterministic=True)
    keys, yes, no = jax.random.split(jax.random.key(0), 2_000), jnp.array(True), jnp.array(False)
    first = PolicyInput(jnp.ones(OBSERVATION), jnp.zeros(TASKS), jnp.ones(()), yes, yes)

    @jax.jit
    def played(policy):
        def one(key):
            carry = policy.init_carry(key)
            carries = []
            for begins, task_begins in ((yes, yes), (no, no), (yes, no)):
                key, own = jax.random.split(key)
                carry, _ = policy.act(own, carry, replace(first, episode_begins=begins, task_begins=task_begins))
                carries.append(carry)
            return carries

        return jax.vmap(one)(keys)

    for policy in (noisy, calm):
        begun, later, again = played(policy)
        np.testing.assert_array_equal(begun.latent, later.latent)
        assert not begun.episode.any() and not later.episode.any() and (again.episode == 1).all()
        np.testing.assert_allclose(begun.latent.mean(0), 0.0, atol=0.1)
        np.testing.assert_allclose(begun.latent.std(0), 1.0, atol=0.1)
        posterior = jax.vmap(lambda belief: belief.posterior)(again.belief)
        drawn = (again.latent - posterior.mean) * jnp.exp(-posterior.log_std)
        np.testing.assert_allclose(drawn.std(0), 0.0 if policy is calm else 1.0, atol=0.1)


# ── Buffers ──


def test_what_is_drawn_of_a_task_is_what_it_had_last():
    """Against a log of all steps, where one task has more of them at once than there is room for."""
    rng, tasks, slots, lanes, time = np.random.default_rng(0), 5, 7, 6, 8
    buffer, add = TaskBuffer.init(Transition.shapes(Sizes(1, 1, 1)), tasks, slots), jax.jit(TaskBuffer.add)
    log = {task: [] for task in range(tasks)}
    for turn in range(6):
        task, kept = rng.choice(tasks, (time * lanes,), p=[0.6, 0.2, 0.1, 0.1, 0.0]), rng.random(time * lanes) < 0.5
        number = np.arange(time * lanes) + turn * time * lanes
        one, column = jnp.asarray(number, jnp.float32), jnp.asarray(number, jnp.float32)[:, None]
        buffer = add(buffer, Transition(column, column, one, column, one < 0), jnp.asarray(task), jnp.asarray(kept))
        for n, k, keep in zip(number, task, kept, strict=True):
            log[k] += [n] * int(keep)
    assert buffer.added.tolist() == [len(log[task]) for task in range(tasks)] and buffer.added[4] == 0
    drawn = buffer.sample(jax.random.key(0), jnp.array([0, 3, 1]), 500)
    for row, task in enumerate((0, 3, 1)):
        assert set(np.asarray(drawn.reward)[row]) == set(log[task][-slots:])
    np.testing.assert_array_equal(drawn.reward, drawn.next_observation[..., 0])


def test_a_replay_that_cannot_be_kept_is_refused():
    env = Hidden(32, (Family(),) * TASKS)
    with pytest.raises(UsageError, match=r"replay of 3 tasks with .* steps of 17 bytes takes 17000\.0 GB, .* are free"):
        PEARL(replace(SMALL, replay_steps=10**12)).init(jax.random.key(0), env)
    with pytest.raises(UsageError, match="replay_steps = 2: 3 tasks need at least one each"):
        PEARL(replace(SMALL, replay_steps=2)).init(jax.random.key(0), env)


# ── Losses ──


@pytest.fixture(scope="module")
def losses():
    """An algorithm, its learner, a batch, noise, and each loss's gradient."""
    algorithm, learner = learner_of(SMALL)
    batch = batch_of(transitions((4, 5)), transitions((4, 6), 1))
    noise = algorithm._noise(batch, jax.random.key(0))

    def slope(name):
        own = lambda params: algorithm._loss(params, learner, batch, noise)[1][name]  # noqa: E731
        return jax.jit(jax.grad(own))(learner.params)

    return algorithm, learner, batch, noise, slope


def test_a_gradient_flows_only_where_it_should(losses):
    *_, slope = losses
    for loss, reached in {
        "critic_loss": {"encoder", "critics"},
        "divergence": {"encoder"},
        "actor_loss": {"actor"},
    }.items():
        moved = {name for name, part in slope(loss).items() if any((x != 0).any() for x in jax.tree.leaves(part))}
        assert moved == reached, loss


def test_losses_are_those_of_sac_that_observes_z(losses):
    """MT-SAC's, which are compared with brax's, at the same weights."""
    algorithm, learner, batch, noise, _ = losses
    drawn, flat = batch.transition, lambda x: x.reshape(-1, *x.shape[2:])
    gradient = jax.jit(jax.grad(algorithm._loss, has_aux=True))(learner.params, learner, batch, noise)[0]
    belief = algorithm._belief(learner.params["encoder"], learner, batch)
    latent = jnp.broadcast_to(belief.posterior.sample(noise.latent), (4, 5, 2))
    reward = drawn.reward / learner.returns.scale[batch.family]
    context, family = (jnp.broadcast_to(x, (4, 5, *x.shape[2:])) for x in (batch.context, batch.family))

    def beside(observation):
        return flat(jnp.concatenate([learner.observations.normalize(observation, context), latent], -1))

    told = Transitions(
        beside(drawn.observation),
        flat(drawn.action),
        flat(reward),
        flat(SMALL.discount * ~drawn.terminated),
        beside(drawn.next_observation),
    )
    config = mt_sac.MTSACConfig(
        policy_hidden=(32,), critic_hidden=(32,), network="mlp", scale_rewards=False, target_entropy=1.0
    )
    sac, ones = mt_sac.MTSAC(config), jnp.ones(20)
    plain = learner.observations.init(OBSERVATION + 2, (0,) * TASKS)
    own = mt_sac.Learner(None, learner.params, learner.target, None, plain, learner.returns, None)
    its = mt_sac.Batch(told, flat(context), jnp.ones((20, ACTION)), flat(family), ones)
    target = sac._target(own, its, flat(noise.next_action))
    params = {name: learner.params[name] for name in ("actor", "critics", "log_temperature")}
    expected = jax.jit(jax.grad(sac._loss, has_aux=True))(params, own, its, target, flat(noise.action))[0]
    chex.assert_trees_all_close({name: gradient[name] for name in expected}, expected, rtol=1e-3, atol=1e-5)


# ── Learning ──


def test_what_has_been_seen_of_a_task_helps():
    """Two arms, one of which pays: nobody finds it at once more often than every other time."""
    arms = tuple(
        Family(lambda _, action, best=best: bump(action, best), horizon=2, truncated=True) for best in (-0.7, 0.7)
    )
    algorithm, env = PEARL(SMALL), Hidden(SMALL.lanes, arms)

    @jax.jit
    def train(key):
        state = algorithm.init(key, env)
        return jax.lax.scan(lambda state, _: (algorithm.train_step(env, state)[0], None), state, None, 150)[0]

    policy, lanes = algorithm.policy(train(jax.random.key(0)), 0), Hidden(256, arms, episodes_per_task=4)

    @jax.jit
    def play(key):
        def step(loop, key):
            state, timestep, carry = loop
            carry, action = jax.vmap(policy.act)(jax.random.split(key, lanes.num_lanes), carry, shown(timestep))
            state, timestep = lanes.step(state, action)
            return (state, timestep, carry), timestep.success

        carry = jax.vmap(policy.init_carry)(jax.random.split(key, lanes.num_lanes))
        return jax.lax.scan(step, (*lanes.reset(key), carry), jax.random.split(key, 8))[1]

    first, *_, last = np.asarray(play(jax.random.key(1))).reshape(4, -1).mean(1)
    assert first < 0.65 and last > 0.85
