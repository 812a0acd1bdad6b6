"""Pictures and videos, offscreen."""

from __future__ import annotations

import ctypes.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import MtbenchError, unknown_name
from .files import replacing

if TYPE_CHECKING:
    import mujoco
    import numpy as np

    from .env import Env
    from .policy import Expert, Policy
    from .suite import Suite
    from .task import Task, TaskId

OnProgress = Callable[[int, int], None]
"""Told (pictures done, pictures in all)."""

_HIDDEN = 4
"""First geom group that is not drawn."""
_CLIP_FPS = 10
_PACKAGES = "apt-get install libegl1 libegl-mesa0 (or libosmesa6 with MUJOCO_GL=osmesa)"


def choose_gl() -> None:
    """Picks an offscreen OpenGL for this process, before MuJoCo is imported.

    Raises:
      MtbenchError: none is installed; names the Debian packages.
    """
    if not sys.platform.startswith("linux") or os.environ.get("MUJOCO_GL"):
        return
    for backend, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = backend
            return
    raise MtbenchError(f"rendering needs an offscreen OpenGL library: {_PACKAGES}")


def picture(
    renderer: mujoco.Renderer, model: mujoco.MjModel, qpos: np.ndarray, camera: str | mujoco.MjvCamera = "main"
) -> np.ndarray:
    """One frame [height, width, 3] of a model at a configuration."""
    import mujoco
    import numpy as np

    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    options = mujoco.MjvOption()
    # Slots that a task does not use are parked in a group that is not drawn.
    options.geomgroup[:] = np.arange(6) < _HIDDEN
    renderer.update_scene(data, camera=camera, scene_option=options)
    return renderer.render()


def task_model(env: Env, task: Task, params: np.ndarray) -> mujoco.MjModel:
    """The arena's model as one task shapes and colours it, on the host.

    Args:
      env: the environment.
      task: the row.
      params: its parameters, as `EnvState.params` holds them.
    """
    import copy

    import numpy as np

    model = copy.copy(env.arena.model)
    for name, value in env.physics.fields.unpack(np.asarray(params)).items():
        getattr(model, name)[...] = value
    env.arena.dress(model, task)
    return model


def make_renderer(model: mujoco.MjModel, width: int, height: int) -> mujoco.Renderer:
    """An offscreen renderer of one model; close it after use.

    Raises:
      MtbenchError: no OpenGL context can be made.
    """
    import mujoco

    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:  # each GL backend raises its own kind
        raise MtbenchError(f"no OpenGL context could be made ({error}): {_PACKAGES}") from error


def grid_video(
    envs: Mapping[str, Env],
    suite: Suite,
    policy: Policy | Expert,
    path: Path,
    *,
    split: str,
    rows: int,
    columns: int,
    seconds: float,
    size: tuple[int, int],
    fps: int,
    families: Sequence[str] = (),
    on_progress: OnProgress | None = None,
) -> None:
    """Plays a policy on rows × columns tasks, one family per column where there are enough, and writes a video,
    or for a `.png` its last frame.

    Args:
      envs: the suite's environments by arena.
      suite: where the tasks come from.
      policy: who plays.
      path: the file to write: .mp4, .gif, .webp or .png.
      split: a split of the suite.
      rows: of the grid.
      columns: of the grid.
      seconds: length, in simulated seconds.
      size: width and height of one picture, pixels.
      fps: frames per second.
      families: which of the suite's are shown, by default all; tasks that are not open come first.
      on_progress: told (cells done, cells in all).

    Raises:
      MtbenchError: no OpenGL context can be made.
    """
    import warnings

    import imageio.v2 as imageio
    import numpy as np

    # Families are interleaved, so a row of the grid shows as many as it has columns.
    count = rows * columns
    ids = _first(suite, split, families, -(-count // len(families or suite.splits[split])))[:count]
    played = _played(envs, suite, policy, [(i, suite.certificate(i) or 0) for i in ids], seconds)
    moments = np.arange(max(1, round(seconds * fps))) / fps
    width, height = size
    frames = np.zeros((len(moments), rows * height, columns * width, 3), np.uint8)
    for index, (env, model, qpos, _) in enumerate(played):
        row, column = divmod(index, columns)
        cell = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
        renderer = make_renderer(model, width, height)
        for frame, moment in enumerate(moments):
            step = min(int(moment / env.arena.timestep) + 1, len(qpos) - 1)
            frames[frame][cell] = picture(renderer, model, qpos[step])
        renderer.close()
        if on_progress:
            on_progress(index + 1, len(ids))
    with replacing(path) as partial, warnings.catch_warnings():
        # The encoder is a child process; JAX warns of every fork, harmless where exec follows at once.
        warnings.simplefilter("ignore", RuntimeWarning)
        if path.suffix == ".png":
            imageio.imwrite(partial, frames[-1])
        elif path.suffix in (".gif", ".webp"):
            imageio.mimwrite(partial, list(frames), duration=1000 / fps, loop=0)
        else:
            imageio.mimwrite(partial, list(frames), fps=fps, quality=7, macro_block_size=2)


def close_up(model: mujoco.MjModel, configurations: np.ndarray) -> mujoco.MjvCamera:
    """A camera that looks as `main` does, as near as the goal and all that moves allow.

    Args:
      model: a task's model; its shadows become as fine as the view.
      configurations: joint positions [n, nq] that are to be seen.
    """
    import mujoco
    import numpy as np

    data = mujoco.MjData(model)
    moving = (model.geom_bodyid > 0) & (model.geom_contype > 0) & (model.geom_group < _HIDDEN)
    margin = model.geom_rbound[moving, None] / 2
    points = []
    for qpos in configurations:
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        marks = data.site_xpos[model.site_group < _HIDDEN]
        points += [data.geom_xpos[moving] - margin, data.geom_xpos[moving] + margin, marks]
    low, high = np.concatenate(points).min(0), np.concatenate(points).max(0)
    radius = np.linalg.norm(high - low) / 2
    backwards = data.cam("main").xmat.reshape(3, 3)[:, 2]
    camera = mujoco.MjvCamera()
    camera.azimuth = np.degrees(np.arctan2(-backwards[1], -backwards[0]))
    camera.elevation = -np.degrees(np.arcsin(backwards[2]))
    camera.lookat = (low + high) / 2
    camera.distance = radius / np.sin(np.radians(model.vis.global_.fovy) / 2)
    # MuJoCo spreads its shadow map over the model's extent, which a floor makes large.
    model.stat.center[:], model.stat.extent = camera.lookat, 4 * radius
    return camera


_CAPTION, _GAP, _LINE = 22, 8, 2
"""Pixels of `stills`: above a cell for its name, between cells, between the two pictures of a cell."""


def stills(
    envs: Mapping[str, Env],
    suite: Suite,
    policy: Policy | Expert,
    path: Path,
    *,
    split: str,
    columns: int,
    size: tuple[int, int],
    families: Sequence[str] = (),
    on_progress: OnProgress | None = None,
) -> None:
    """Writes a picture with one cell per family: its name, its start and the policy's first moment of success.

    Shown is the first task of each family that is not open, in the episode that certifies it where the suite has
    certificates. An episode without success shows its last moment. A robot that a camera follows is shown under way:
    after a third and two thirds of that time.

    Args:
      envs: the suite's environments by arena.
      suite: where the tasks come from.
      policy: who plays.
      path: the file to write, .png or .jpg.
      split: a split of the suite.
      columns: cells beside each other.
      size: width and height of one of a cell's two pictures, pixels.
      families: see `grid_video`.
      on_progress: told (cells done, cells in all).

    Raises:
      MtbenchError: no OpenGL context can be made.
    """
    import mujoco
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ids = _first(suite, split, families, 1)
    jobs = [(task_id, suite.certificate(task_id) or 0) for task_id in ids]
    played = _played(envs, suite, policy, jobs)
    rows, (width, height) = -(-len(ids) // columns), size
    cell_height, cell_width = _CAPTION + height + _GAP, 2 * width + _LINE + _GAP
    sheet = np.full((rows * cell_height, columns * cell_width + _GAP, 3), 255, np.uint8)
    dpi = 100
    figure = Figure((sheet.shape[1] / dpi, sheet.shape[0] / dpi), dpi=dpi)
    for index, (_, model, qpos, success) in enumerate(played):
        row, column = divmod(index, columns)
        top, left = row * cell_height + _CAPTION, column * cell_width + _GAP
        last = int(success.argmax()) if success.any() else len(qpos) - 1
        follows = model.cam("main").mode != mujoco.mjtCamLight.mjCAMLIGHT_FIXED
        shown = qpos[[last // 3, 2 * last // 3] if follows else [0, last]]
        camera = "main" if follows else close_up(model, shown)
        renderer = make_renderer(model, width, height)
        for place, configuration in enumerate(shown):
            x = left + place * (width + _LINE)
            sheet[top : top + height, x : x + width] = picture(renderer, model, configuration, camera)
        renderer.close()
        middle = (left + width) / sheet.shape[1], 1 - (top - _CAPTION / 2) / sheet.shape[0]
        figure.text(*middle, ids[index].family, fontsize=10, ha="center", va="center_baseline")
        if on_progress:
            on_progress(index + 1, len(ids))
    figure.figimage(sheet)
    with replacing(path) as partial:
        FigureCanvasAgg(figure).print_figure(partial, dpi=dpi)


def clips(
    envs: Mapping[str, Env],
    suite: Suite,
    policy: Policy | Expert,
    jobs: Sequence[tuple[TaskId, int]],
    folder: Path,
    *,
    size: tuple[int, int] = (192, 144),
    frames: int = 40,
    on_progress: OnProgress | None = None,
) -> dict[str, Path]:
    """Writes a short animation (.webp) of each (task, episode): all of it, faster than it is.

    Args:
      envs: the suite's environments by arena.
      suite: where the tasks come from.
      policy: who plays.
      jobs: what to show.
      folder: where the files go; it is made where it is missing.
      size: width and height, pixels.
      frames: of each.
      on_progress: told (clips done, clips in all).

    Returns:
      The files by task.

    Raises:
      MtbenchError: no OpenGL context can be made.
    """
    import imageio.v2 as imageio
    import numpy as np

    paths = {}
    for index, (_, model, qpos, _) in enumerate(_played(envs, suite, policy, list(jobs))):
        renderer = make_renderer(model, *size)
        shown = qpos[np.linspace(0, len(qpos) - 1, min(frames, len(qpos))).round().astype(int)]
        pictures: list[Any] = [picture(renderer, model, configuration) for configuration in shown]
        renderer.close()
        task, _ = jobs[index]
        path = folder / f"{str(task).replace('/', '-')}.webp"
        with replacing(path) as partial:
            imageio.mimwrite(partial, pictures, duration=1000 // _CLIP_FPS, loop=0)
        paths[str(task)] = path
        if on_progress:
            on_progress(index + 1, len(jobs))
    return paths


def _first(suite: Suite, split: str, families: Sequence[str], count: int) -> list[TaskId]:
    """The first so many tasks of some families, by default of all, interleaved; those that are not open come first.

    Raises:
      UsageError: the split has no such family; names the nearest.
    """
    own = suite.splits[split]
    for name in families:
        if name not in own:
            raise unknown_name(f"family of {suite.name}, split {split}", name, own)
    scored, everything = suite.scored_ids(split, count), suite.task_ids(split)
    listed = {}
    for name in families or [name for name in suite.families if name in own]:
        mine = [task_id for task_id in (*scored, *everything) if task_id.family == name]
        listed[name] = list(dict.fromkeys(mine))[:count]
    return [ids[index] for index in range(count) for ids in listed.values() if index < len(ids)]


def _played(
    envs: Mapping[str, Env],
    suite: Suite,
    policy: Policy | Expert,
    jobs: list[tuple[TaskId, int]],
    seconds: float | None = None,
) -> list[tuple[Env, mujoco.MjModel, np.ndarray, np.ndarray]]:
    """Plays (task, episode) pairs for so long, by default to their horizon.

    Returns:
      Of each job its environment, its model, and from the start on the joint positions [steps + 1, nq] and success
      [steps + 1].
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from .evaluate import play
    from .suite import reset_key

    shown = {}
    for arena, env in envs.items():
        mine = [i for i, (task_id, _) in enumerate(jobs) if suite.family(task_id.family).arena == arena]
        if not mine:
            continue
        steps = None if seconds is None else max(1, round(seconds / env.arena.timestep))

        def watch(key, task, params, env=env, steps=steps):
            def seen(state, timestep, carry):
                return state.physics.qpos, timestep.success

            return play(env, policy, key, task, steps, record=seen, params=params)[-1]

        tasks = suite.rows([jobs[i][0] for i in mine])
        derived = env.params_of(tasks)
        keys = jax.vmap(jax.random.key)(np.array([reset_key(*jobs[i]) for i in mine], np.uint32))
        watched = jax.jit(jax.vmap(watch))(keys, jax.tree.map(jnp.asarray, tasks), derived)
        for lane, (job, params, qpos, success) in enumerate(zip(mine, derived, *map(np.asarray, watched), strict=True)):
            task = jax.tree.map(lambda leaf, lane=lane: leaf[lane], tasks)
            shown[job] = env, task_model(env, task, params), qpos, success
    return [shown[job] for job in range(len(jobs))]
