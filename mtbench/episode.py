"""Playing: one episode in one lane, and trials of several episodes in many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool

from .env import Env, EnvState, TimeStep
from .policy import Adaptive, Experience, Expert, Policy, act, failure
from .task import Task


@struct.dataclass
class Episode:
    """What an evaluation keeps of one episode."""

    success: jax.Array
    success_final: jax.Array
    return_: jax.Array
    progress: jax.Array
    length: jax.Array
    solved_at: jax.Array
    """Control steps until it first succeeded; 0 if it never did."""
    diverged: jax.Array
    """The simulation broke down, and not because of the policy's action."""
    failure: jax.Array
    """Number of the reason for which the policy could not act (`mtbench.policy.failure_reason`), which ends it."""


@struct.dataclass
class Memory:
    """With what a policy goes from one episode of a task into the next."""

    carry: Any
    """What it remembers."""
    last: TimeStep
    """The last step it saw: its reward comes with the next first observation."""
    begun: Bool[Array, ""]
    """Whether there was an episode to remember; if not, the rest means nothing."""


def play(
    env: Env,
    policy: Policy | Expert,
    key: jax.Array,
    task: Task,
    steps: int | None = None,
    memory: Memory | None = None,
    record: Callable[[EnvState, TimeStep, Any], Any] = lambda state, timestep, carry: (),
    params: jax.Array | None = None,
) -> tuple[Episode, Memory, Any]:
    """Plays one episode in one lane.

    Args:
      env: the environment.
      policy: the policy.
      key: draws the initial state and the policy's randomness; the initial state does not depend on the policy.
      task: the row.
      steps: control steps to play; the environment's horizon by default.
      memory: of the task's earlier episodes; by default this is the first.
      record: what to keep of the start and of every step; it is also told what the policy remembers then.
      params: the task's (`Env.params_of`), if they are known.

    Returns:
      The episode's figures, the memory at its end, and what was recorded, [steps + 1, …].
    """
    reset, own = jax.random.split(key)
    state, timestep = env.begin(reset, task, env.params(task) if params is None else params)
    carry = policy.init_carry(own)
    if memory is not None:
        earlier = memory.carry, memory.last.then(timestep, task_begins=False)
        carry, timestep = jax.tree.map(partial(jnp.where, memory.begun), earlier, (carry, timestep))
    zero, count, no = jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    start = Episode(no, no, zero, timestep.progress, length=count, solved_at=count, diverged=no, failure=count)

    def step(loop, index):
        state, timestep, memory, episode, over = loop
        thought, action = act(env, policy, jax.random.fold_in(own, index), memory.carry, timestep)
        reason = failure(policy, thought, action[: env.arena.action_size])
        state, timestep = env.step(state, action)
        success = timestep.success_any & (reason == 0)
        latest = Episode(
            success=success,
            success_final=timestep.success,
            return_=timestep.episode_return,
            progress=jnp.maximum(episode.progress, timestep.progress),
            length=timestep.episode_length,
            solved_at=jnp.where(success & (episode.solved_at == 0), timestep.episode_length, episode.solved_at),
            diverged=timestep.diverged & (reason == 0),
            failure=reason,
        )
        # Lanes run to the horizon together; what comes after an episode's end does not count and is not remembered.
        before, after = (memory, episode), (Memory(thought, timestep, ~no), latest)
        memory, episode = jax.tree.map(partial(jnp.where, over), before, after)
        over |= timestep.terminated | timestep.truncated
        return (state, timestep, memory, episode, over), record(state, timestep, thought)

    loop = (state, timestep, Memory(carry, timestep, ~no), start, no)
    first = record(state, timestep, carry)
    (_, _, memory, episode, _), later = jax.lax.scan(step, loop, jnp.arange(steps or env.horizon))
    return episode, memory, jax.tree.map(lambda one, many: jnp.concatenate([one[None], many]), first, later)


@partial(jax.jit, static_argnums=(0, 2))
def play_trials(
    env: Env,
    policy: Policy | Expert,
    remembered: tuple[bool, ...],
    keys: jax.Array,
    tasks: Task,
    params: jax.Array,
) -> Episode:
    """Plays a trial in each lane: episodes of one task, each after those before it that are to be remembered.

    Args:
      env: the environment.
      policy: the policy.
      remembered: whether each episode adapts the policy; one that does not leaves no trace in the next.
      keys: [lane, episode].
      tasks: rows [lane, …].
      params: theirs [lane, p].

    Returns:
      The figures of all episodes, [lane, episode].
    """

    count, adapts = sum(remembered), jnp.array(remembered)
    # Of the episodes that are remembered; there is no such place for the others.
    places = jnp.where(adapts, jnp.cumsum(adapts) - 1, count)

    def keep(state, timestep, carry):
        return (policy.keep(carry), timestep.reward) if isinstance(policy, Adaptive) else ()

    def trial(keys, task, params):
        if len(keys) == 1:  # without a loop: the program that certifies tasks
            return jax.tree.map(lambda x: x[None], play(env, policy, keys[0], task, params=params)[0])

        def one(loop, now):
            memory, experience = loop
            key, remember, place = now
            start = memory
            if isinstance(policy, Adaptive):
                start = replace(memory, carry=policy.adapt(memory.carry, experience, ~remember))
            episode, after, told = play(env, policy, key, task, memory=start, record=keep, params=params)
            if isinstance(policy, Adaptive):
                kept, reward = jax.tree.map(lambda x: x[1:], told)
                experience = experience.put(place, kept, reward, episode.length)
            return (jax.tree.map(partial(jnp.where, remember), after, memory), experience), episode

        timestep = jax.eval_shape(env.begin, keys[0], task, params)[1]
        blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), timestep)
        memory = Memory(policy.init_carry(keys[0]), blank, jnp.zeros((), bool))
        experience = ()
        if isinstance(policy, Adaptive):
            experience = Experience.room(policy, memory.carry, count, env.horizon)
        return jax.lax.scan(one, (memory, experience), (keys, adapts, places))[1]

    return jax.vmap(trial)(keys, replace(tasks, scene=()), params)
