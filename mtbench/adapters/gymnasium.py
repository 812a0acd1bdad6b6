"""Gymnasium: one family as a `gymnasium.Env`, a suite as a `gymnasium.vector.VectorEnv` over one batched program.

    import mtbench.adapters.gymnasium  # registers the ids
    env = gymnasium.make("mtbench/reach")
    envs = gymnasium.make_vec("mtbench/STARTER", num_envs=512)

Ids come from the suites' files alone: `MT1/<family>` gives `mtbench/<family>`, any other suite `mtbench/<suite>`. JAX
is imported when the first environment is made.

An environment tells what a step achieved under Meta-World's names:

| key | meaning |
| --- | --- |
| `success` | 1.0 where the goal is reached now |
| `near_object` | 1.0 where the first row of the stage table holds: in most families the hand is at the object |
| `grasp_success` | 1.0 where all rows that lead to the goal hold (contact is not looked at), or there are none |
| `grasp_reward` | progress through the rows that lead to the goal, [0, 1]; 1.0 where there are none |
| `in_place_reward` | progress of the goal's own rows, [0, 1], whatever the others say; 1 exactly at success |
| `obj_to_target` | error of the goal's last row: metres, weighted as the row weights it (radians for a hinge) |
| `unscaled_reward` | the reward, [0, 1] (Meta-World: up to 10); nothing here scales it |

An arena without a stage table has no counterpart to most of them: it tells `success`, `in_place_reward` (its progress)
and `unscaled_reward`. A simulation that broke down reports zeros and terminates.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import numpy as np

try:
    import gymnasium
    from gymnasium.spaces import Box
    from gymnasium.vector import AutoresetMode
    from gymnasium.vector.utils import batch_space
except ImportError as error:
    raise ImportError(
        "mtbench.adapters.gymnasium needs gymnasium 1.1 or newer: pip install 'mtbench-mjx[gymnasium]'"
    ) from error

from .. import suite as suites
from ..errors import MtbenchError, UsageError, unknown_name

if TYPE_CHECKING:
    import jax

    from ..env import Env, EnvState, TimeStep
    from ..suite import Suite
    from ..task import Task, TaskId
    from ..vector import TaskTable, VectorState

NAMESPACE = "mtbench"
INFO_KEYS = (
    "success",
    "near_object",
    "grasp_success",
    "grasp_reward",
    "in_place_reward",
    "obj_to_target",
    "unscaled_reward",
)
BOUND = 1000.0
"""Observations are clipped to ±this (metres, metres per second, radians): far beyond anything that occurs, yet finite,
as wrappers that rescale ask."""


def register() -> None:
    """Registers an id for every suite; what is registered already stays."""
    for name, path in suites.catalogue().items():
        identifier = f"{NAMESPACE}/{name.removeprefix('MT1/').replace('/', '-')}"
        if identifier in gymnasium.registry:
            continue
        suite = suites.read(path)
        gymnasium.register(
            identifier,
            entry_point=f"{__name__}:FamilyEnv" if len(suite.families) == 1 else None,
            vector_entry_point=f"{__name__}:SuiteVectorEnv",
            # The limit is gymnasium's to enforce and the user's to change, also beyond the suite's horizon.
            max_episode_steps=suite.horizon,
            kwargs={"suite": name},
        )


class FamilyEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One lane of a suite of one family. Each reset draws a task of the split and a new initial state.

    It never truncates by itself: `gymnasium.make` adds the time limit.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 80}

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
        _refuse(f"option of gymnasium.make for {suite}", unknown, options)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UsageError(f"render_mode = {render_mode!r}: expected None or 'rgb_array'")
        self._suite, self._split = _load(suite, split), split
        if len(self._suite.families) != 1:
            raise UsageError(f"{suite} has {len(self._suite.families)} families: use gymnasium.make_vec")
        self._program = _program(suite, backend)
        self._first_seed, self._size = seed, (width, height)
        self._key: jax.Array | None = None
        self._episode = 0
        self._state: EnvState | None = None
        self._row: Task | None = None
        self._renderer: tuple[Any, Any] | None = None
        self.task_name = self._suite.families[0]
        """The family."""
        self.task_id: TaskId | None = None
        """The task that is played; `None` where factors were set by hand."""
        self.terminate_on_success = terminate_on_success
        self.render_mode = render_mode
        env = self._program.env
        self.metadata = {**self.metadata, "render_fps": round(1.0 / env.arena.timestep)}  # type: ignore[misc]
        self.observation_space = _observation_space(env, 0)
        self.action_space = _action_space(env)
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
        options = options or {}
        _refuse("option of reset", options, ("task", "factors"))
        if seed is None and self._key is None:
            seed = self._first_seed
        super().reset(seed=seed)
        if seed is not None or self._key is None:
            self._key = _keys([int(self.np_random.integers(2**31)) if seed is None else seed])[0]
            self._episode = 0
        self._episode += 1
        self._row = self._choose(options)
        self._close_renderer()
        self._state, observation = self._program.reset(self._key, np.int32(self._episode), self._row)
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
        action = _checked(action, self.action_space)
        self._state, observation, reward, terminated, told = self._program.step(self._state, action)
        info = {key: float(told[key]) for key in INFO_KEYS if key in told}
        over = bool(terminated) or (self.terminate_on_success and info["success"] == 1.0)
        return np.array(observation), float(reward), over, False, info

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
        from .. import render

        if self._renderer is None:
            model = render.task_model(self._program.env, self._row, np.asarray(self._state.params))
            self._renderer = model, render.make_renderer(model, *self._size)
        model, renderer = self._renderer
        return render.picture(renderer, model, np.asarray(self._state.physics.qpos))

    def close(self) -> None:
        """Frees the renderer."""
        self._close_renderer()

    def toggle_terminate_on_success(self, on: bool) -> None:
        """Whether an episode ends with success, from the next step on."""
        self.terminate_on_success = on

    def _choose(self, options: Mapping[str, Any]) -> Task:
        """The row to play."""
        import jax
        import jax.numpy as jnp

        from .. import registry
        from ..task import TaskId

        family = registry.family(self.task_name)
        seeds = self._suite.splits[self._split][self.task_name]
        seed = options.get("task")
        if seed is None:
            seed = seeds[int(_draw()(self._key, np.int32(self._episode), np.int32(len(seeds))))]
        if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**31:
            raise UsageError(f"task = {seed!r}: expected a seed, a whole number from 0 to 2^31 - 1")
        factors = options.get("factors")
        if factors:
            self.task_id = None
            row = replace(family.with_factors(int(seed), factors), family=jnp.int32(0))
            return jax.tree.map(np.asarray, row)
        self.task_id = TaskId(self.task_name, family.version, int(seed))
        return jax.tree.map(lambda leaf: leaf[0], self._suite.rows([self.task_id]))

    def _close_renderer(self) -> None:
        # A renderer holds the meshes and textures of one model, and every task has its own model.
        if self._renderer is not None:
            self._renderer[1].close()
            self._renderer = None


class SuiteVectorEnv(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """The lanes of a suite as one program: lane i plays family i mod n, with a new task of the split at each reset.

    A lane that ends begins its next episode in the same step (`AutoresetMode.SAME_STEP`, as Meta-World's vector
    environments do): the observation is the new episode's first, `final_obs` and `final_info` hold the old one's last.
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
        """Compiles the suite's arena and derives the parameters of the split's tasks.

        Args:
          suite: its name.
          num_envs: lanes; 1, which is also gymnasium's default, means one per family.
          split: where tasks are drawn from, e.g. `"train"` or `"iid"`.
          seed: of the first reset, where that one gives none.
          use_one_hot: appends the one-hot of a lane's family to its observation.
          max_episode_steps: the horizon; the suite's by default.
          terminate_on_success: whether an episode ends with success.
          backend: `"mujoco"`, `"mjx"`, or `None` for the best on this machine.
          autoreset_mode: `SAME_STEP`; there is no other.
          vector_strategy: taken from Meta-World's scripts and not used: all lanes are one program.
          unknown: refused, with the nearest option.

        Raises:
          UsageError: an option is unknown or out of range.
        """
        options = ("split", "seed", "use_one_hot", "max_episode_steps", "terminate_on_success", "backend")
        _refuse(f"option of gymnasium.make_vec for {suite}", unknown, (*options, "autoreset_mode"))
        loaded = _load(suite, split)
        families = [name for name in loaded.families if name in loaded.splits[split]]
        count = len(families)
        num_envs = count if num_envs == 1 else num_envs
        if use_one_hot and not loaded.show_goal:
            raise UsageError(
                f"use_one_hot: {suite} hides the family, as it hides the goal; use an MT suite, or leave it out"
            )
        if num_envs < count:
            raise UsageError(f"num_envs = {num_envs}: {suite} needs at least {count}, one per family")
        horizon = loaded.horizon if max_episode_steps is None else max_episode_steps
        if horizon < 1:
            raise UsageError(f"max_episode_steps = {horizon}: at least 1 is needed")
        if autoreset_mode not in (AutoresetMode.SAME_STEP, AutoresetMode.SAME_STEP.value):
            raise UsageError(
                f"autoreset_mode = {autoreset_mode}: only AutoresetMode.SAME_STEP is offered; leave it out"
            )
        self._lanes = _lanes(suite, split, num_envs, backend, horizon)
        self._state, self._timestep = self._lanes.blank
        self._first_seed, self._began, self._one_hot = seed, False, use_one_hot
        self._start_times = np.zeros(num_envs)
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}
        self.task_name = tuple(families[i % count] for i in range(num_envs))
        """The family of each lane."""
        self.max_path_length = horizon
        """Control steps of an episode, under Meta-World's name."""
        self.terminate_on_success = terminate_on_success
        self.sample_tasks_on_reset = True
        env = self._lanes.env
        self.single_observation_space = _observation_space(env, env.num_families if use_one_hot else 0)
        self.single_action_space = _action_space(env)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        if seed is not None:
            self.action_space.seed(seed)

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
        _refuse("option of reset", options, ("reset_mask",))
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
        """
        if not self._began:
            raise gymnasium.error.ResetNeeded("call reset before step")
        actions = _checked(actions, self.action_space)
        flags = np.array([self.terminate_on_success, self.sample_tasks_on_reset])
        self._state, self._timestep, told = self._lanes.step(self._lanes.table, self._state, actions, flags)
        timestep = self._timestep
        terminated, truncated = np.array(timestep.terminated), np.array(timestep.truncated)
        info = self._info(told, terminated | truncated)
        return self._seen(timestep.observation), np.array(timestep.reward, np.float64), terminated, truncated, info

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

    def close_extras(self, **kwargs: Any) -> None:
        """Nothing to free beyond memory."""

    def _reset(
        self, seed: int | Sequence[int] | None, mask: np.ndarray, sample: bool
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is None and not self._began:
            seed = int(self.np_random.integers(2**31)) if self._first_seed is None else self._first_seed
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seed = [int(seed) + lane for lane in range(self.num_envs)]
        if seed is not None:
            if len(seed) != self.num_envs:
                raise UsageError(f"{len(seed)} seeds: expected one number, or one per lane ({self.num_envs})")
            # Keys of the lanes that go on stay theirs: the numbers of their episodes do not begin again.
            self._state = self._lanes.seeded(self._state, _keys(seed), mask)
        self._state, self._timestep = self._lanes.begin(
            self._lanes.table, self._state, self._timestep, mask, np.bool_(sample)
        )
        self._start_times[mask] = time.perf_counter()
        self._began = True
        return self._seen(self._timestep.observation), {}

    def _seen(self, observation: jax.Array) -> np.ndarray:
        if not self._one_hot:
            return np.array(observation)
        # A lane keeps its family for ever, so the context is the same before and after a reset.
        return np.concatenate([observation, self._timestep.context], axis=-1)

    def _info(self, told: Mapping[str, jax.Array], over: np.ndarray) -> dict[str, Any]:
        """Meta-World's keys [lane], each with gymnasium's mask of the lanes that tell it."""
        named = {key: np.asarray(told[key], np.float64) for key in INFO_KEYS if key in told}
        # What a lane tells beside the first observation of an episode is what its reset tells: nothing.
        info = _masked({name: np.where(over, 0.0, value) for name, value in named.items()}, ~over)
        if over.any():
            now = time.perf_counter()
            episode = {
                "r": np.array(self._timestep.episode_return, np.float64),
                "l": np.array(self._timestep.episode_length, np.int64),
                "t": np.round(now - self._start_times, 6),
            }
            self._start_times[over] = now
            final = _masked({name: np.where(over, value, 0.0) for name, value in named.items()}, over)
            final |= _masked({"episode": _masked({k: np.where(over, v, 0) for k, v in episode.items()}, over)}, over)
            final_obs = np.full(self.num_envs, None, object)
            observations = self._seen(self._timestep.final_observation)
            for lane in np.flatnonzero(over):
                final_obs[lane] = observations[lane].copy()
            info |= _masked({"final_obs": final_obs, "final_info": final}, over)
        return info


class _Program(NamedTuple):
    """One lane, jitted."""

    env: Env
    reset: Callable[..., Any]
    """(key, episode, row) to (state, observation)."""
    step: Callable[..., Any]
    """(state, action) to (state, observation, reward, terminated, information)."""


@dataclass(frozen=True, eq=False)
class _Lanes:
    """Many lanes, jitted. The table of tasks is an argument apart: as a result it would be copied at every step."""

    env: Env
    table: TaskTable
    blank: tuple[VectorState, TimeStep]
    seeded: Callable[..., Any]
    """(state, keys, mask) to state: the lanes of the mask get keys and count their episodes from 0."""
    begin: Callable[..., Any]
    """(table, state, timestep, mask, whether to draw a task) to (state, timestep)."""
    step: Callable[..., Any]
    """(table, state, action, [terminate on success, draw tasks]) to (state, timestep, information)."""


def _load(suite: str, split: str) -> Suite:
    """A suite, once it is known to have the split."""
    from .. import render

    # Families import MuJoCo, which makes its choice of OpenGL then; pictures may be asked for later. Where there is no
    # OpenGL, rendering says so.
    with contextlib.suppress(MtbenchError):
        render.choose_gl()
    loaded = suites.load(suite)
    loaded.task_ids(split)
    return loaded


@cache
def _env(suite: str, backend: str | None) -> Env:
    """A suite's environment of one lane; the same model serves all splits."""
    loaded = suites.load(suite)
    if len(loaded.arenas) > 1:
        raise UsageError(f"{suite} has families of the arenas {', '.join(loaded.arenas)}: expected a suite of one")
    return loaded.envs(backend)[loaded.arenas[0]]


@cache
def _program(suite: str, backend: str | None) -> _Program:
    """Shared by all environments of a family, so that a second one does not compile again."""
    import jax

    env = _env(suite, backend)

    @jax.jit
    def reset(key: jax.Array, episode: jax.Array, row: Task) -> tuple[EnvState, jax.Array]:
        state, timestep = env.reset(jax.random.fold_in(key, episode), row)
        return state, _clipped(timestep.observation)

    @jax.jit
    def step(state: EnvState, action: jax.Array) -> Any:
        state, timestep = env.step(state, action)
        observation, told = _clipped(timestep.observation), _diagnosis(state.task, timestep)
        return state, observation, timestep.reward, timestep.terminated, told

    return _Program(env, reset, step)


@lru_cache(maxsize=8)
def _lanes(suite: str, split: str, num_envs: int, backend: str | None, horizon: int) -> _Lanes:
    """Shared by environments that differ in their seed alone, e.g. one for training and one for evaluation."""
    import jax
    import jax.numpy as jnp

    from ..vector import VectorEnv

    loaded = suites.load(suite)
    env = replace(_env(suite, backend), horizon=horizon)
    # Lanes that end keep the table's row that the state names, which is set here: `VectorEnv` itself would draw
    # from all families.
    lanes = VectorEnv(
        env, loaded.tables(split)[loaded.arenas[0]], num_envs, loaded.families, resample=False, stagger=False
    )
    # Only the table is computed: every lane is begun by `begin_some`, so a second program for it need not be compiled.
    table = jax.jit(lambda key: lanes.reset(key)[0].table)(jax.random.key(0))
    shapes = jax.eval_shape(lanes.reset, jax.random.key(0))
    state, timestep = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    places: dict[str, list[int]] = {name: [] for name in loaded.families if name in loaded.splits[split]}
    for place, task_id in enumerate(loaded.task_ids(split)):
        places[task_id.family].append(place)
    counts = np.array([len(found) for found in places.values()], np.int32)
    table_rows = np.zeros((len(places), counts.max()), np.int32)
    for index, found in enumerate(places.values()):
        table_rows[index, : len(found)] = found
    family = np.arange(num_envs) % len(places)

    def begin(state: VectorState, timestep: TimeStep, mask: jax.Array, sample: jax.Array) -> Any:
        drawn = jax.vmap(_draw_index)(state.keys, state.episode + 1, jnp.asarray(counts[family]))
        index = jnp.where(mask & sample, jnp.asarray(table_rows)[family, drawn], state.task_index)
        state, seen = lanes.auto_reset(replace(state, task_index=index), timestep)
        seen = replace(
            seen,
            observation=_clipped(seen.observation),
            final_observation=_clipped(seen.final_observation),
        )
        return replace(state, table=cast(Any, None)), seen

    @jax.jit
    def begin_some(table: TaskTable, state: VectorState, timestep: TimeStep, mask: jax.Array, sample: jax.Array) -> Any:
        timestep = replace(timestep, terminated=mask, truncated=jnp.zeros_like(mask))
        return begin(replace(state, table=table), timestep, mask, sample)

    @jax.jit
    def step(table: TaskTable, state: VectorState, action: jax.Array, flags: jax.Array) -> Any:
        env_state, timestep = jax.vmap(env.step)(state.env, action)
        told = jax.vmap(_diagnosis)(env_state.task, timestep)
        terminated = timestep.terminated | (flags[0] & timestep.success)
        timestep = replace(timestep, terminated=terminated, truncated=timestep.truncated & ~terminated)
        over = timestep.terminated | timestep.truncated
        return *begin(replace(state, env=env_state, table=table), timestep, over, flags[1]), told

    @jax.jit
    def seeded(state: VectorState, keys: jax.Array, mask: jax.Array) -> VectorState:
        return replace(state, keys=jnp.where(mask, keys, state.keys), episode=jnp.where(mask, 0, state.episode))

    blank = replace(state, table=cast(Any, None)), timestep
    return _Lanes(env, table, blank, seeded, begin_some, step)


def _diagnosis(task: Task, timestep: TimeStep) -> dict[str, jax.Array]:
    """The information of one lane's step, see the head of this file; zeros where the simulation broke down."""
    import jax.numpy as jnp

    from ..stages import Stages

    told = {"success": timestep.success, "in_place_reward": timestep.progress, "unscaled_reward": timestep.reward}
    stages = getattr(task.goal, "stages", None)
    if isinstance(stages, Stages):
        quantities = timestep.quantities
        errors = stages.conditions.errors(quantities)
        required = stages.active & stages.required
        leading = stages.active & ~stages.required
        none = ~leading.any()
        way, ready, _ = _part(stages, leading).judge(quantities)
        place, _, _ = _part(stages, required).judge(quantities)
        last = jnp.max(jnp.where(required, jnp.arange(required.shape[0]), 0))
        told |= {
            "near_object": errors[0] <= stages.conditions.tolerance[0],
            "grasp_success": ready | none,
            "grasp_reward": jnp.where(none, 1.0, way),
            "in_place_reward": place,
            "obj_to_target": errors[last],
        }
    return {key: jnp.where(timestep.diverged, 0.0, value) for key, value in told.items()}


def _part(stages: Any, rows: jax.Array) -> Any:
    """Some rows of a table as a table of their own, all of them required."""
    import jax
    import jax.numpy as jnp

    # Padding comes last in a table.
    order = jnp.argsort(~rows, stable=True)
    part = jax.tree.map(lambda leaf: leaf[order], stages)
    return replace(part, active=rows[order], required=rows[order])


def _draw_index(key: jax.Array, episode: jax.Array, count: jax.Array) -> jax.Array:
    """Which of a family's tasks a lane plays in an episode."""
    import jax

    return jax.random.randint(jax.random.fold_in(jax.random.fold_in(key, episode), 1), (), 0, count)


@cache
def _draw() -> Callable[..., Any]:
    import jax

    return jax.jit(_draw_index)


def _keys(seeds: Sequence[int]) -> jax.Array:
    """One key per seed [seed]."""
    import jax

    return jax.vmap(jax.random.key)(np.array([seed % 2**32 for seed in seeds], np.uint32))


def _clipped(observation: jax.Array) -> jax.Array:
    import jax.numpy as jnp

    return jnp.clip(observation, -BOUND, BOUND)


def _observation_space(env: Env, one_hot: int) -> Box:
    size = env.observation_size
    low = np.concatenate([np.full(size, -BOUND), np.zeros(one_hot)])
    high = np.concatenate([np.full(size, BOUND), np.ones(one_hot)])
    return Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


def _action_space(env: Env) -> Box:
    return Box(-1.0, 1.0, (env.action_size,), np.float32)


def _checked(action: Any, space: gymnasium.Space[Any]) -> np.ndarray:
    action = np.asarray(action, np.float32)
    if action.shape != space.shape:
        raise UsageError(f"an action of shape {action.shape}: expected {space.shape}, as action_space.sample() gives")
    return action


def _masked(values: Mapping[str, Any], mask: np.ndarray) -> dict[str, Any]:
    """Values by name, each with the mask of the lanes that have it, as gymnasium batches information."""
    return {key: item for name, value in values.items() for key, item in ((name, value), (f"_{name}", mask.copy()))}


def _refuse(kind: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise unknown_name(kind, name, known)


register()
