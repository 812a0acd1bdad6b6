"""Small problems with known answers, as an environment that any algorithm takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct


@struct.dataclass
class ProbeStep:
    """The fields of a time step that a learner may read."""

    observation: jax.Array
    context: jax.Array
    family: jax.Array
    reward: jax.Array
    success: jax.Array
    success_any: jax.Array
    episode_return: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_observation: jax.Array
    episode_begins: jax.Array
    task_begins: jax.Array


@struct.dataclass
class ProbeState:
    """A lane; `observation` is what the reward of the next action depends on."""

    key: jax.Array
    family: jax.Array
    observation: jax.Array
    elapsed: jax.Array
    episode_return: jax.Array
    success_any: jax.Array


@dataclass(frozen=True)
class Family:
    """A problem with a known answer."""

    reward: Callable[[jax.Array, jax.Array], jax.Array] = lambda observation, action: jnp.ones(())
    """Of (observation, action)."""
    observe: Callable[[jax.Array, jax.Array], jax.Array] = lambda key, elapsed: jnp.zeros(())
    """Of (key, steps since the episode began); the one number that the policy sees."""
    horizon: int = 1
    truncated: bool = False
    """Whether episodes are cut off at the horizon; otherwise they are over."""


@dataclass(frozen=True, eq=False)
class Probe:
    """Lanes that play small problems; lane i plays family i mod `num_families` for ever."""

    num_lanes: int
    families: tuple[Family, ...]
    action_size: int = 1
    observation_size: int = 1
    fixed_families: bool = True
    """Whether it says of its lanes that they keep their family."""
    show_family: bool = True
    """What it says of that."""

    @property
    def envs(self) -> tuple[Probe, ...]:
        return (self,)

    @property
    def lane_families(self) -> np.ndarray | None:
        return np.arange(self.num_lanes) % self.num_families if self.fixed_families else None

    @property
    def family_names(self) -> tuple[str, ...]:
        return tuple(f"family-{index}" for index in range(len(self.families)))

    @property
    def num_families(self) -> int:
        return len(self.families)

    @property
    def context_size(self) -> int:
        return len(self.families)

    @property
    def family_layouts(self) -> tuple[int, ...]:
        return (0,) * len(self.families)

    @property
    def action_mask(self) -> np.ndarray:
        return np.ones((len(self.families), self.action_size), np.float32)

    def reset(self, key):
        lane = jnp.arange(self.num_lanes)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(lane)
        zero, no = jnp.zeros(self.num_lanes), jnp.zeros(self.num_lanes, bool)
        family = lane % self.num_families
        observation = jax.vmap(self._observe)(family, keys, lane * 0)
        context = jax.nn.one_hot(family, self.num_families)
        state = ProbeState(keys, family, observation, lane * 0, zero, no)
        return state, ProbeStep(observation, context, family, zero, no, no, zero, no, no, observation, ~no, ~no)

    def step(self, state, action):
        return jax.vmap(self._step)(state, action)

    def _observe(self, family, key, elapsed):
        return jax.lax.switch(family, [f.observe for f in self.families], key, elapsed)[None]

    def _step(self, state, action):
        family = state.family
        rewards = [f.reward for f in self.families]
        reward = jax.lax.switch(family, rewards, state.observation[0], jnp.clip(action, -1.0, 1.0))
        success = reward > 0.5
        elapsed, return_ = state.elapsed + 1, state.episode_return + reward
        success_any = state.success_any | success
        over = elapsed >= jnp.array([f.horizon for f in self.families])[family]
        truncated = over & jnp.array([f.truncated for f in self.families])[family]
        key, final_key, next_key = jax.random.split(state.key, 3)
        final = self._observe(family, final_key, elapsed)
        observation = jnp.where(over, self._observe(family, next_key, elapsed * 0), final)
        step = ProbeStep(
            observation=observation,
            context=jax.nn.one_hot(family, self.num_families),
            family=family,
            reward=reward,
            success=success,
            success_any=success_any,
            episode_return=return_,
            terminated=over & ~truncated,
            truncated=truncated,
            final_observation=final,
            episode_begins=over,
            task_begins=over,
        )
        going_on = ~over
        return ProbeState(
            key, family, observation, elapsed * going_on, return_ * going_on, success_any & going_on
        ), step


def bump(action: jax.Array, *optimum: jax.typing.ArrayLike) -> jax.Array:
    """A reward of 1 at the optimum, falling off around it."""
    return jnp.exp(-4.0 * jnp.sum((action - jnp.stack(optimum)) ** 2))
