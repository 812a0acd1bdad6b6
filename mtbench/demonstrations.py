"""Training episodes that begin along an expert's: at a state that the expert has led to, before its first success.

What a learner reaches from there it has not found by itself, so a training that uses it is reported apart. Scores stay
what they are: held-out episodes begin at their task's start.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .errors import UsageError
from .mixed import MixedVectorEnv
from .policy import Expert
from .vector import Starts, VectorEnv

SAMPLES = 32
"""States that are looked at in an episode of an expert."""
KEPT = 8
"""States kept of a task, evenly spaced between its start and the expert's success."""


def demonstrated(env: VectorEnv | MixedVectorEnv, expert: Expert, share: float) -> VectorEnv | MixedVectorEnv:
    """An environment in which a share of the episodes begins along an expert's.

    Args:
      env: lanes that are trained on.
      expert: of each of its arenas; it plays each task of the tables once.
      share: of the episodes of tasks that the expert solves; others begin at their start.

    Raises:
      UsageError: the share is out of range.
    """
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"demonstrations = {share}: must be from 0 to 1, a share of the training episodes")

    def along(part: VectorEnv) -> VectorEnv:
        return replace(part, starts=_record(part, expert.scripts[part.env.arena.name]), start_share=share)

    if isinstance(env, MixedVectorEnv):
        return replace(env, parts=tuple(map(along, env.parts)))
    return along(env)


def _record(env: VectorEnv, script: Any) -> Starts:
    """States along an episode of each task of a table."""
    lanes = replace(
        env, num_lanes=env.num_tasks, numbers=None, mesh=None, resample=False, stagger=False, fixed_families=False
    )
    every = max(1, (env.env.horizon - 1) // SAMPLES)
    key = jax.random.key(0)

    def step(carry: tuple[Any, Any, Any], time: Any) -> tuple[tuple[Any, Any, Any], None]:
        state, timestep, thought = carry
        keys = jax.random.split(jax.random.fold_in(key, time), lanes.num_lanes)
        thought, action = jax.vmap(script.act)(keys, thought, timestep)
        state, timestep = lanes.step(state, jnp.pad(action, ((0, 0), (0, lanes.action_size - action.shape[1]))))
        return (state, timestep, thought), None

    def sample(carry: tuple[Any, Any, Any], block: Any) -> tuple[tuple[Any, Any, Any], Any]:
        state, timestep, _ = carry
        seen = Starts(
            state.env.physics, state.env.carry, timestep.observation, timestep.quantities, timestep.success_any
        )
        return jax.lax.scan(step, carry, block * every + jnp.arange(every))[0], seen

    @jax.jit
    def play() -> tuple[Starts, Any]:
        state, timestep = lanes.reset(key)
        thought = jax.vmap(script.init_carry)(jax.random.split(key, lanes.num_lanes))
        (_, last, _), seen = jax.lax.scan(sample, (state, timestep, thought), jnp.arange(SAMPLES))
        return seen, last.success_any

    seen, solved = jax.device_get(play())
    usable = (~seen.count & solved).sum(0)  # states before the first success, of tasks that are solved in the end
    place = ((np.arange(KEPT) + 0.5) / KEPT * usable[:, None]).astype(int)
    kept = jax.tree.map(lambda x: x[place, np.arange(len(usable))[:, None]], seen)
    return replace(kept, count=np.where(usable > 0, KEPT, 0).astype(np.int32))
