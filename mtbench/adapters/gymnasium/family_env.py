"""One lane of a family as a `gymnasium.Env`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from ...errors import UsageError
from . import spaces, tasks
from .info import FIGURES

if TYPE_CHECKING:
    import jax

    from ...task import Task, TaskId


class FamilyEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One lane of a suite of one family. Each reset draws a task of the split and a new initial state.

    It never truncates by itself: `gymnasium.make` adds the time limit.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 80}

    def __init__(
        self,
        suite: str,
        split: str = "train",
        *,
        seed: int | None = None,
        terminate_on_success: bool = False,
        backend: str | None = None,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        **unknown: Any,
    ):
        """Compiles the family's arena.

        Args:
          suite: a suite of one family.
          split: where tasks are drawn from, e.g. `"train"` or `"iid"`.
          seed: of the first reset, where that one gives none.
          terminate_on_success: whether an episode ends with success.
          backend: `"mujoco"`, `"mjx"`, or `None` for the best on this machine.
          render_mode: `None` or `"rgb_array"`.
          width: of a frame, pixels.
          height: of a frame, pixels.
          unknown: refused, with the nearest option.

        Raises:
          UsageError: an option is unknown or out of range.
        """
        options = ("split", "seed", "terminate_on_success", "backend", "render_mode", "width", "height")
        spaces.refuse_unknown(f"option of gymnasium.make for {suite}", unknown, options)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UsageError(f"render_mode = {render_mode!r}: expected None or 'rgb_array'")
        self._suite, self._split = tasks.load(suite, split), split
        if len(self._suite.families) != 1:
            raise UsageError(f"{suite} has {len(self._suite.families)} families: use gymnasium.make_vec")
        from .one_lane import one_lane

        self._program = one_lane(suite, backend)
        (self._rows,) = tasks.tables(suite, split).values()
        self._first_seed, self._frame = seed, (width, height)
        self._key: jax.Array | None = None
        self._episode = 0
        self._state: tuple[Any, Any] | None = None
        """What is fixed in an episode, and what moves."""
        self._row: Task | None = None
        self._renderer: tuple[Any, Any] | None = None
        self.task_name = self._suite.families[0]
        """The family."""
        self.task_id: TaskId | None = None
        """The task that is played; `None` where factors were set by hand."""
        self.terminate_on_success = terminate_on_success
        self.render_mode = render_mode
        env = self._program.env
        self.metadata = {**self.metadata, "render_fps": round(1.0 / env.arena.timestep)}
        self.observation_space = spaces.observation_space(env)
        self._size = env.observation_size
        self.action_space = spaces.action_space(env)
        if seed is not None:
            self.action_space.seed(seed)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins an episode.

        Args:
          seed: fixes the tasks and initial states from here on: the same as in a lane of `SuiteVectorEnv` with
            this seed.
          options: `"task"`: the seed of a task, of any split or of none. `"factors"`: values by name that replace
            the task's own.

        Returns:
          The observation, and no information, as in Meta-World.

        Raises:
          UsageError: an option is unknown, or a factor is unknown or outside its range.
        """
        import jax

        options = options or {}
        spaces.refuse_unknown("option of reset", options, ("task", "factors"))
        if seed is None and self._key is None:
            seed = self._first_seed
        super().reset(seed=seed)
        if seed is not None or self._key is None:
            seed = int(self.np_random.integers(2**31)) if seed is None else seed
            self._key = jax.random.key(np.uint32(seed % 2**32))
            self._episode = 0
        self._episode += 1
        self._row = self._choose(options)
        self.close()
        fixed, moving, observation = self._program.reset(self._key, np.int32(self._episode), self._row)
        self._state = fixed, moving
        return np.array(observation), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One control step.

        Args:
          action: clipped to [-1, 1].

        Raises:
          UsageError: the action has another shape.
        """
        if self._state is None:
            raise gymnasium.error.ResetNeeded("call reset before step")
        fixed, moving = self._state
        moving, row = self._program.step(fixed, moving, spaces.checked_action(action, self.action_space))
        self._state, seen = (fixed, moving), np.asarray(row)
        figures = dict(zip(FIGURES, seen[self._size :].tolist(), strict=True))
        info = {key: figures[key] for key in self._program.keys}
        over = figures["terminated"] == 1.0 or (self.terminate_on_success and figures["success"] == 1.0)
        return seen[: self._size].copy(), figures["reward"], over, False, info

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """A frame [height, width, 3] of the present state; `None` without `render_mode`.

        Raises:
          MtbenchError: no OpenGL context can be made.
        """
        if self.render_mode is None:
            gymnasium.logger.warn('nothing is rendered without gymnasium.make(..., render_mode="rgb_array")')
            return None
        if self._state is None or self._row is None:
            raise gymnasium.error.ResetNeeded("call reset before render")
        from ... import render

        fixed, moving = self._state
        if self._renderer is None:
            model = render.task_model(self._program.env, self._row, np.asarray(fixed.params))
            self._renderer = model, render.make_renderer(model, *self._frame)
        model, renderer = self._renderer
        return render.picture(renderer, model, np.asarray(moving.physics.qpos))

    def close(self) -> None:
        """Frees the renderer, which holds the meshes and textures of one task's model."""
        if self._renderer is not None:
            self._renderer[1].close()
            self._renderer = None

    def toggle_terminate_on_success(self, on: bool) -> None:
        """Whether an episode ends with success, from the next step on."""
        self.terminate_on_success = on

    def _choose(self, options: Mapping[str, Any]) -> Task:
        """The row to play."""
        import jax
        import jax.numpy as jnp

        seeds = self._suite.splits[self._split][self.task_name]
        seed, factors, place = options.get("task"), options.get("factors"), None
        if seed is None:
            place = int(self._program.draw(self._key, np.int32(self._episode), np.int32(len(seeds))))
            seed = seeds[place]
        if not spaces.is_whole(seed, least=0) or seed >= 2**31:
            raise UsageError(f"task = {seed!r}: expected a seed, a whole number from 0 to 2^31 - 1")
        if factors is not None and not isinstance(factors, Mapping):
            raise UsageError(f"factors = {factors!r}: expected values by name")
        task_id = self._suite.task_id(self._split, self.task_name, int(seed))
        self.task_id = None if factors else task_id
        if factors:
            row = self._suite.family(self.task_name).with_factors(task_id.seed, factors, task_id.region)
            return jax.tree.map(np.asarray, replace(row, family=jnp.int32(0)))
        table, place = (self._suite.rows([task_id]), 0) if place is None else (self._rows, place)
        return jax.tree.map(lambda leaf: leaf[place], table)
