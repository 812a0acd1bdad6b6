"""Physics: one protocol, one file per backend.

A backend is a pure function of (per-lane model parameters, small integration state, control).
It is written for one lane; `jax.vmap` gives it a lane axis.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import jax
import mujoco

from ..errors import unknown_name

# At its first import MJX prints that its optional Warp backend is absent, into the output of every program.
with redirect_stdout(io.StringIO()):
    import mujoco.mjx

from .protocol import MAX_SPEED, Causes, Command, Physics, Sensors, State, diverged

BACKENDS = ("mujoco", "mjx")

__all__ = [
    "BACKENDS",
    "MAX_SPEED",
    "Causes",
    "Command",
    "Physics",
    "Sensors",
    "State",
    "default_backend",
    "diverged",
    "make",
]


def default_backend() -> str:
    """`mjx` where JAX has an accelerator, else `mujoco` (the C engine on all cores)."""
    return "mujoco" if jax.default_backend() == "cpu" else "mjx"


def make(model: mujoco.MjModel, backend: str | None = None, *, substeps: int, edits: tuple[str, ...]) -> Physics:
    """Builds the physics of a compiled model.

    Args:
      model: the arena's compiled model, shared by all lanes.
      backend: a name in `BACKENDS`; `None` chooses `default_backend()`.
      substeps: simulation steps of one control step.
      edits: model fields that a task may set per lane (names as in `mujoco.MjModel`).

    Raises:
      UsageError: the backend's name is unknown.
    """
    backend = backend or default_backend()
    if backend == "mujoco":
        from .c_engine import CEngine

        return CEngine(model, substeps=substeps, edits=edits)
    if backend == "mjx":
        from .mjx_engine import MjxEngine

        return MjxEngine(model, substeps=substeps, edits=edits)
    raise unknown_name("backend", backend, BACKENDS)
