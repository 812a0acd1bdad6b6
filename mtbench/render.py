"""Pictures and videos, offscreen."""

from __future__ import annotations

import ctypes.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import MtbenchError

if TYPE_CHECKING:
    import mujoco
    import numpy as np

    from .env import Env
    from .policy import Policy
    from .suite import Suite

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


def picture(renderer: mujoco.Renderer, model: mujoco.MjModel, qpos: np.ndarray, camera: str = "main") -> np.ndarray:
    """One frame [height, width, 3] of a model at a configuration."""
    import mujoco

    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    options = mujoco.MjvOption()
    # Slots that a task does not use are parked in a group that is not drawn.
    options.geomgroup[:] = [1, 1, 1, 1, 0, 0]
    renderer.update_scene(data, camera=camera, scene_option=options)
    return renderer.render()


def task_model(env: Env, task: Any) -> mujoco.MjModel:
    """The arena's model as one task shapes and colours it, on the host."""
    import copy

    import jax
    import jax.numpy as jnp
    import numpy as np

    model = copy.copy(env.arena.model)
    row = jax.tree.map(jnp.asarray, task)
    for name, value in env.physics.fields.unpack(np.asarray(env.params(row))).items():
        getattr(model, name)[...] = value
    env.arena.dress(model, task)
    return model


def grid_video(
    env: Env,
    suite: Suite,
    policy: Policy,
    path: Path,
    *,
    split: str,
    rows: int,
    columns: int,
    seconds: float,
    size: tuple[int, int],
    fps: int,
) -> None:
    """Plays a policy on rows × columns tasks, one family per column where there are enough, and writes a video,
    or for a `.png` its last frame.

    Raises:
      MtbenchError: no OpenGL context can be made.
    """
    import warnings

    import imageio.v2 as imageio
    import jax
    import jax.numpy as jnp
    import numpy as np

    from .cli.common import progress
    from .evaluate import play
    from .suite import reset_key
    from .suite import rows as task_rows

    # Families are interleaved in a split's list, so a row of the grid shows as many as it has columns.
    ids = suite.task_ids(split)[: rows * columns]
    tasks = task_rows(ids, suite.families)
    keys = jax.vmap(jax.random.key)(np.array([reset_key(task_id, 0) for task_id in ids], np.uint32))
    steps = max(1, round(seconds / env.arena.timestep))
    roll = jax.jit(jax.vmap(lambda key, task: play(env, policy, key, task, steps)[1]))
    path_qpos = np.asarray(roll(keys, jax.tree.map(jnp.asarray, tasks)))
    every = max(1, round(1 / (fps * env.arena.timestep)))
    width, height = size
    frames = np.zeros((len(range(0, steps, every)), rows * height, columns * width, 3), np.uint8)
    with progress("rendering") as told:
        for index in range(len(ids)):
            model = task_model(env, jax.tree.map(lambda leaf, index=index: leaf[index], tasks))
            row, column = divmod(index, columns)
            cell = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
            renderer = _renderer(model, width, height)
            for frame, step in enumerate(range(0, steps, every)):
                frames[frame][cell] = picture(renderer, model, path_qpos[index, step])
            renderer.close()
            told(index + 1, len(ids))
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    if path.suffix == ".png":
        imageio.imwrite(partial, frames[-1])
    elif path.suffix == ".gif":
        imageio.mimwrite(partial, list(frames), duration=1000 / fps, loop=0)
    else:
        with warnings.catch_warnings():
            # The encoder is a child process; JAX warns of every fork, harmless where exec follows at once.
            warnings.simplefilter("ignore", RuntimeWarning)
            imageio.mimwrite(partial, list(frames), fps=fps, quality=7, macro_block_size=2)
    partial.replace(path)


def _renderer(model: mujoco.MjModel, width: int, height: int) -> mujoco.Renderer:
    import mujoco

    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:  # each GL backend raises its own kind
        raise MtbenchError(f"no OpenGL context could be made ({error}): {_PACKAGES}") from error
