"""The lanes of a suite as a `gymnasium.vector.VectorEnv`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from ...errors import UsageError
from . import info, spaces, tasks
from .info import FIGURES


class SuiteVectorEnv(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """The lanes of a suite as one program: lane i plays family i mod n, with a new task of the split at each reset.

    The modes are gymnasium's, for a lane whose episode ends:

    - `SAME_STEP`, as in Meta-World's vector environments: it begins its next episode in the same step. The observation
      is the new episode's first, `final_obs` and `final_info` hold the old one's last.
    - `NEXT_STEP`: it begins its next episode in the step after, whose action is ignored and whose reward is 0.
    - `DISABLED`: it waits for `reset(options={"reset_mask": mask})`.
    """

    def __init__(
        self,
        suite: str,
        num_envs: int = 1,
        split: str = "train",
        *,
        seed: int | None = None,
        use_one_hot: bool = False,
        max_episode_steps: int | None = None,
        terminate_on_success: bool = False,
        backend: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        vector_strategy: str | None = None,
        **unknown: Any,
    ):
        """Compiles the suite's arenas and derives the parameters of the split's tasks.

        Args:
          suite: its name.
          num_envs: lanes; 1, which is also gymnasium's default, means one per family.
          split: where tasks are drawn from, e.g. `"train"` or `"iid"`.
          seed: of the first reset, where that one gives none.
          use_one_hot: appends the one-hot of a lane's family to its observation.
          max_episode_steps: the horizon; the suite's by default.
          terminate_on_success: whether an episode ends with success.
          backend: `"mujoco"`, `"mjx"`, or `None` for the best on this machine.
          autoreset_mode: what happens to a lane that ends, see above.
          vector_strategy: taken from Meta-World's scripts and not used: all lanes are one program.
          unknown: refused, with the nearest option.

        Raises:
          UsageError: an option is unknown or out of range.
        """
        options = ("split", "seed", "use_one_hot", "max_episode_steps", "terminate_on_success", "backend")
        spaces.refuse_unknown(f"option of gymnasium.make_vec for {suite}", unknown, (*options, "autoreset_mode"))
        loaded = tasks.load(suite, split)
        families = [name for name in loaded.families if loaded.splits[split].get(name)]
        count = len(families)
        num_envs = count if num_envs == 1 else num_envs
        if use_one_hot and not loaded.show_goal:
            raise UsageError(
                f"use_one_hot: {suite} hides the family, as it hides the goal; use an MT suite, or leave it out"
            )
        if not spaces.is_whole(num_envs, least=count):
            raise UsageError(f"num_envs = {num_envs}: {suite} needs at least {count}, one per family (a whole number)")
        if max_episode_steps is not None and not spaces.is_whole(max_episode_steps, least=1):
            raise UsageError(f"max_episode_steps = {max_episode_steps}: expected a whole number from 1 on")
        mode = _mode(autoreset_mode)
        from .lanes import lanes

        self._lanes = lanes(suite, split, num_envs, backend, max_episode_steps)
        self._state = self._lanes.blank()
        self._first_seed, self._began = seed, False
        self._ended = np.zeros(num_envs, bool)
        """Lanes whose episode is over and whose next one has not begun."""
        self._start_times = np.zeros(num_envs)
        one_hot = len(loaded.families) if use_one_hot else 0
        self._context = np.eye(len(loaded.families), one_hot, dtype=np.float32)[self._lanes.family]
        self._observation = np.zeros((num_envs, self._lanes.env.observation_size), np.float32)
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": mode, "render_modes": []}
        self.autoreset_mode = mode
        self.task_name = tuple(loaded.families[index] for index in self._lanes.family)
        """The family of each lane."""
        horizons = self._lanes.horizons.tolist()
        self.max_path_length = horizons[0] if len(set(horizons)) == 1 else tuple(horizons)
        """Control steps of an episode, under Meta-World's name; one per lane where arenas differ."""
        self.terminate_on_success = terminate_on_success
        self.sample_tasks_on_reset = True
        env = self._lanes.env
        self.single_observation_space = spaces.observation_space(env, one_hot)
        self.single_action_space = spaces.action_space(env)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        if seed is not None:
            self.action_space.seed(seed)

    @property
    def task_id(self) -> tuple[Any, ...]:
        """The task that each lane plays; in a lane that has just begun again, the new one."""
        return self._lanes.task_ids(self._state)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins an episode in every lane.

        Args:
          seed: fixes the tasks and initial states from here on. Lane i gets seed + i, or its entry of a list.
          options: `"reset_mask"` [lane], bool: only these lanes begin anew, the others go on.

        Returns:
          The observations [lane, o], and no information, as in Meta-World.

        Raises:
          UsageError: an option is unknown, or seeds or mask have another shape.
        """
        options = options or {}
        spaces.refuse_unknown("option of reset", options, ("reset_mask",))
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise UsageError(f"reset_mask is {mask.dtype}{list(mask.shape)}: expected bool[{self.num_envs}]")
        if not self._began and not mask.all():
            raise UsageError("reset_mask before the first reset: call reset without one first")
        return self._reset(seed, mask, self.sample_tasks_on_reset or not self._began)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One control step of every lane.

        Args:
          actions: [lane, a], clipped to [-1, 1].

        Returns:
          Observations [lane, o], rewards, terminations, truncations [lane], and the information.

        Raises:
          UsageError: the actions have another shape.
          ResetNeeded: nothing has begun, or in mode `DISABLED` a lane has ended and not been reset.
        """
        if not self._began:
            raise gymnasium.error.ResetNeeded("call reset before step")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            ended = np.flatnonzero(self._ended).tolist()
            raise gymnasium.error.ResetNeeded(f"lanes {ended} have ended: reset them, options={{'reset_mask': …}}")
        actions = spaces.checked_action(actions, self.action_space)
        self._state, seen = self._lanes.step(self._state, actions)
        size = self._lanes.env.observation_size
        self._observation = final = seen[:, :size]
        figures = dict(zip(FIGURES, seen[:, size:].T.astype(np.float64), strict=True))
        # Lanes that wait for their next episode are stepped with the others, and what comes of it is not looked at.
        waiting, success = self._ended, figures["success"] != 0
        terminated = ~waiting & ((figures["terminated"] != 0) | (self.terminate_on_success & success))
        truncated = ~waiting & ~terminated & (figures["truncated"] != 0)
        over = terminated | truncated
        same = self.autoreset_mode is AutoresetMode.SAME_STEP
        self._ended = np.zeros_like(over) if same else over
        # A step that begins an episode tells as little beside its first observation as a reset does.
        begins = over if same else waiting
        told = info.batched(figures, self._lanes.tells, ~begins)
        if begins.any():
            self._begin(begins, self.sample_tasks_on_reset)
        if same and over.any():
            told |= self._final(figures, over, final)
        reward = np.where(waiting, 0.0, figures["reward"])
        return self._with_context(self._observation), reward, terminated, truncated, told

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """An attribute of the lanes, or what a method of that name returns: one entry per lane."""
        value = getattr(self, name)
        value = value(*args, **kwargs) if callable(value) else value
        return value if isinstance(value, tuple) and len(value) == self.num_envs else (value,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of the lanes, one entry per lane."""
        return self.call(name)

    def toggle_terminate_on_success(self, on: bool) -> None:
        """Whether an episode ends with success, from the next step on."""
        self.terminate_on_success = on

    def toggle_sample_tasks_on_reset(self, on: bool) -> None:
        """Whether a reset draws a new task, or keeps the lane's task and draws its initial state alone."""
        self.sample_tasks_on_reset = on

    def sample_tasks(self) -> None:
        """Begins an episode of a new task in every lane, whatever `sample_tasks_on_reset` says."""
        self._reset(None, np.ones(self.num_envs, bool), True)

    def _reset(
        self, seed: int | Sequence[int] | None, mask: np.ndarray, sample: bool
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is None and not self._began:
            seed = int(self.np_random.integers(2**31)) if self._first_seed is None else self._first_seed
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seed = [int(seed) + lane for lane in range(self.num_envs)]
        if seed is not None:
            seed = [entry for entry in np.ravel(seed) if isinstance(entry, int | np.integer)]
            if len(seed) != self.num_envs:
                raise UsageError(f"{len(seed)} seeds: expected one number, or one per lane ({self.num_envs})")
        # Keys of the lanes that go on stay theirs: the numbers of their episodes do not begin again.
        self._begin(mask, sample, None if seed is None else np.array([entry % 2**32 for entry in seed], np.uint32))
        self._start_times[mask] = time.perf_counter()
        self._ended, self._began = self._ended & ~mask, True
        return self._with_context(self._observation), {}

    def _begin(self, due: np.ndarray, sample: bool, seeds: np.ndarray | None = None) -> None:
        self._state, first = self._lanes.begin(self._state, due, sample, seeds)
        self._observation = np.where(due[:, None], first, self._observation)

    def _with_context(self, observation: np.ndarray) -> np.ndarray:
        # A lane keeps its family for ever, so the context is the same before and after a reset.
        return np.concatenate([observation, self._context], axis=1)

    def _final(self, figures: dict[str, np.ndarray], over: np.ndarray, observation: np.ndarray) -> dict[str, Any]:
        """What lanes that end tell beside their next episode's first observation."""
        now = time.perf_counter()
        episode = {
            "r": np.where(over, figures["episode_return"], 0.0),
            "l": np.where(over, figures["episode_length"], 0).astype(np.int64),
            "t": np.where(over, np.round(now - self._start_times, 6), 0.0),
        }
        self._start_times[over] = now
        final = info.batched(figures, self._lanes.tells, over)
        final |= info.masked({"episode": info.masked(episode, over)}, over)
        final_obs = np.full(self.num_envs, None, object)
        observations = self._with_context(observation)
        for lane in np.flatnonzero(over):
            final_obs[lane] = observations[lane].copy()
        return info.masked({"final_obs": final_obs, "final_info": final}, over)


def _mode(given: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(given)
    except ValueError:
        values = ", ".join(mode.value for mode in AutoresetMode)
        raise UsageError(f"autoreset_mode = {given!r}: expected a gymnasium.vector.AutoresetMode, {values}") from None
