"""Suites as environments of brax, so that its agents train on them.

    from brax.training.agents.ppo import train
    from mtbench.adapters import brax

    env = brax.SuiteEnv("MT1/reach")
    train.train(env, num_timesteps=1_000_000, episode_length=env.horizon, wrap_env_fn=brax.wrap, num_envs=512, …)

`wrap` takes the place of brax's own wrappers, which begin every episode of a lane with the task and the state that it
had first: here each begins with a fresh state of a fresh task, as in `VectorEnv`, which does the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import Env, State, Wrapper
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from .. import suite as suites
from ..env import TimeStep
from ..errors import UsageError
from ..physics import default_backend
from ..vector import VectorEnv


def _device_put_replicated(x: Any, devices: Sequence[jax.Device]) -> Any:
    """A copy on each device, along a new first axis. Brax 0.14 calls this function of JAX, which 0.10 took out."""
    across = NamedSharding(Mesh(np.array(devices), ("device",)), PartitionSpec("device"))
    return jax.tree.map(lambda leaf: jax.device_put(jnp.stack([jnp.asarray(leaf)] * len(devices)), across), x)


if not hasattr(jax, "device_put_replicated"):
    setattr(jax, "device_put_replicated", _device_put_replicated)  # noqa: B010


class SuiteEnv(Env):
    """One lane of a suite with one arena. What is observed ends with the context: the one-hot of the family.

    `metrics` has `success`, 1 at the step in which an episode first succeeds: summed over an episode, as brax does, it
    tells whether it has.
    """

    def __init__(self, suite: str | suites.Suite, split: str = "train", backend: str | None = None):
        """Compiles nothing yet.

        Args:
          suite: its name or file, or the suite itself.
          split: whose tasks are played, drawn anew for each episode.
          backend: physics; by default that of the machine.

        Raises:
          UsageError: no such suite or split, or one of several arenas.
        """
        chosen = suites.load(suite) if isinstance(suite, str) else suite
        if len(chosen.arenas) > 1:
            raise UsageError(
                f"brax trains on one arena, {chosen.name} has {', '.join(chosen.arenas)}: take a part of it"
            )
        vector = chosen.vector_env(1, split, backend)
        assert isinstance(vector, VectorEnv)
        self.vector, self._backend = vector, backend or default_backend()

    @property
    def horizon(self) -> int:
        """Steps of an episode, which `train` calls `episode_length`."""
        return self.vector.env.horizon

    @property
    def observation_size(self) -> int:
        """Length of the observation and the context."""
        return self.vector.observation_size + self.vector.context_size

    @property
    def action_size(self) -> int:
        """Length of the action, in [-1, 1]."""
        return self.vector.action_size

    @property
    def backend(self) -> str:
        """Name of the physics backend."""
        return self._backend

    def reset(self, rng: jax.Array) -> State:
        """Begins an episode of a task that is drawn."""
        task_key, key = jax.random.split(_typed(rng))
        index = jax.random.randint(task_key, (), 0, self.vector.num_tasks)
        table = self.vector.table
        task = jax.tree.map(lambda rows: jnp.asarray(rows)[index], table.tasks)
        return _state(*self.vector.env.begin(key, task, table.params[index]), before=None)

    def step(self, state: State, action: Float[Array, " a"]) -> State:
        """One control step. An episode is done only where it fails: its length is the wrapper's matter."""
        env_state, timestep = self.vector.env.step(state.pipeline_state, action)
        return _state(env_state, timestep, before=state)


def wrap(env: SuiteEnv, episode_length: int, action_repeat: int = 1, randomization_fn: Any = None) -> BraxLanes:
    """Many lanes, for brax's `wrap_env_fn`.

    Args:
      env: of one lane.
      episode_length: steps of an episode.
      action_repeat: must be 1.
      randomization_fn: must be left out: tasks differ already.

    Raises:
      UsageError: names what is not supported.
    """
    if action_repeat != 1 or randomization_fn is not None:
        raise UsageError("mtbench.adapters.brax: action_repeat must be 1 and randomization_fn be left out")
    return BraxLanes(env, episode_length)


class BraxLanes(Wrapper):
    """Lanes with auto-reset, each episode of a fresh task."""

    def __init__(self, env: SuiteEnv, episode_length: int):
        """Lanes of an environment; how many, the keys of `reset` tell."""
        super().__init__(env)
        one = replace(env.vector.env, horizon=episode_length)
        # Agents take the first episodes of all lanes as whole ones.
        self._one = replace(env.vector, env=one, stagger=False)

    @cached_property
    def _made(self) -> dict[int, VectorEnv]:
        return {}

    def _lanes(self, count: int) -> VectorEnv:
        if count not in self._made:
            self._made[count] = replace(self._one, num_lanes=count)
        return self._made[count]

    def reset(self, rng: jax.Array) -> State:
        """Begins an episode in every lane, one for each key."""
        keys = _typed(rng)
        state = _state(*self._lanes(keys.shape[0]).begin(keys), before=None)
        zero = jnp.zeros(keys.shape[0])
        totals = {name: zero for name in ("sum_reward", "length", "success")}
        state.info.update(steps=zero, truncation=zero, episode_done=zero, episode_metrics=totals)
        return state

    def step(self, state: State, action: Float[Array, "lane a"]) -> State:
        """One control step of every lane; where one is done, `obs` is the next episode's first."""
        lanes, timestep = self._lanes(action.shape[0]).step(state.pipeline_state, action)
        now = _state(lanes, timestep, before=state)
        done = (timestep.terminated | timestep.truncated).astype(jnp.float32)
        totals = {
            "sum_reward": timestep.episode_return,
            "length": timestep.episode_length.astype(jnp.float32),
            "success": timestep.success_any.astype(jnp.float32),
        }
        now.info.update(
            steps=totals["length"],
            truncation=timestep.truncated.astype(jnp.float32),
            episode_done=done,
            episode_metrics=totals,
        )
        return now.replace(done=done)


def _state(env_state: Any, timestep: TimeStep, before: State | None) -> State:
    """What brax calls a state; further entries of `before` stay."""
    # What succeeds at once in a new episode counts anew.
    had = jnp.zeros_like(timestep.reward) if before is None else before.info["succeeded"]
    first = timestep.success_any.astype(jnp.float32)
    metrics = {} if before is None else before.metrics
    info = {} if before is None else before.info
    over = timestep.terminated | timestep.truncated
    return State(
        pipeline_state=env_state,
        obs=jnp.concatenate([timestep.observation, timestep.context], axis=-1),
        reward=timestep.reward,
        done=timestep.terminated.astype(jnp.float32),
        metrics={**metrics, "success": first * (1.0 - had)},
        info={**info, "succeeded": first * (1.0 - over)},
    )


def _typed(rng: jax.Array) -> jax.Array:
    """Brax passes keys as plain numbers."""
    return rng if jnp.issubdtype(rng.dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(rng)
