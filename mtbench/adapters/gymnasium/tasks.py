"""The suite behind an environment: its models, the tasks of a split, and which of them an episode plays."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import TYPE_CHECKING

from ... import suite as suites
from ...errors import MtbenchError

if TYPE_CHECKING:
    import jax

    from ...env import Env
    from ...suite import Suite
    from ...task import Task


def load(suite: str, split: str) -> Suite:
    """A suite, once it is known to have the split.

    Raises:
      UsageError: there is no such suite or split.
    """
    from ... import render

    # Families import MuJoCo, which makes its choice of OpenGL then; pictures may be asked for later. Where there is no
    # OpenGL, rendering says so.
    with contextlib.suppress(MtbenchError):
        render.choose_gl()
    loaded = suites.load(suite)
    loaded.task_ids(split)
    return loaded


@cache
def envs(suite: str, backend: str | None) -> dict[str, Env]:
    """A suite's environments of one lane by arena; the same models serve all splits."""
    return suites.load(suite).envs(backend)


@cache
def tables(suite: str, split: str) -> dict[str, Task]:
    """A split's rows by arena: to draw a row anew at each reset would take as long as hundreds of steps."""
    return suites.load(suite).tables(split)


def draw_index(key: jax.Array, episode: jax.Array, count: jax.Array) -> jax.Array:
    """Which of a family's tasks a lane plays in an episode."""
    import jax

    return jax.random.randint(jax.random.fold_in(jax.random.fold_in(key, episode), 1), (), 0, count)
