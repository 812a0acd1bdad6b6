"""The C engine: `mujoco.batch` on all cores, called from inside `jit`, `scan` and `vmap`."""

from __future__ import annotations

import os
import threading
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import mujoco.batch
import numpy as np
from jax.experimental.buffer_callback import buffer_callback
from jaxtyping import Array, Float
from mujoco import mjx

from . import derive
from .fields import Fields
from .protocol import Causes, Command, Sensors, State, named_sensors

_VELOCITY = int(mujoco.mjtStage.mjSTAGE_VEL)
_NO_SENSOR = int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
_NO_CONTACT = int(mujoco.mjtDisableBit.mjDSBL_CONTACT) | int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)


class CEngine:
    """The `mujoco` backend: pure, because every call writes the whole state before it steps."""

    backend = "mujoco"

    def __init__(self, model: mujoco.MjModel, *, substeps: int, edits: tuple[str, ...]):
        derive.check_template(model, edits)
        for flag in ("mjDSBL_AUTORESET", "mjDSBL_MIDPHASE"):
            # Autoreset would turn a diverged lane silently into a fresh one. The midphase uses bounding volumes
            # that an edit leaves behind: a moved fixture would let things fall through.
            if not model.opt.disableflags & int(getattr(mujoco.mjtDisableBit, flag)):
                raise ValueError(f"the arena's model must set {flag}")
        self.model, self.substeps = model, substeps
        self._template = mjx.put_model(model, impl="jax")
        self.fields = Fields(model, edits)
        self._pools: dict[int, _Pool] = {}
        self._lock = threading.Lock()

    def params(self, causes: Causes) -> Float[Array, " p"]:
        """See `Physics.params`."""
        return self.fields.pack(derive.derive(self.model, self._template, causes))

    def init(self, params: Float[Array, " p"], qpos: Array, qvel: Array) -> tuple[State, Sensors]:
        """See `Physics.init`."""
        model = self.model
        state = State(qpos, qvel, jnp.zeros(model.na), jnp.zeros(model.nv), jnp.zeros((), jnp.float32))
        sensordata = self._call(
            self._sense, jax.ShapeDtypeStruct((model.nsensordata,), jnp.float32), params, _row(state)
        )
        return state, named_sensors(self.model, sensordata)

    def step(self, params: Float[Array, " p"], state: State, command: Command) -> tuple[State, Sensors]:
        """See `Physics.step`."""
        row = _row(state)
        out = jax.ShapeDtypeStruct((row.size + self.model.nsensordata,), jnp.float32)
        acting = [command.ctrl] if command.force is None else [command.ctrl, command.force]
        result = self._call(self._step, out, params, row, *acting)
        return self._state(result[: row.size]), named_sensors(self.model, result[row.size :])

    def _call(self, function, out: jax.ShapeDtypeStruct, *args: Array) -> Array:
        # A host callback has no derivative: actions enter as constants.
        args = jax.lax.stop_gradient(args)
        return buffer_callback(function, out, vmap_method="broadcast_all")(*args)

    def _state(self, row: Array) -> State:
        nq, nv, na = self.model.nq, self.model.nv, self.model.na
        qpos, qvel, act, warmstart, time = jnp.split(row, np.cumsum([nq, nv, na, nv]))
        return State(qpos, qvel, act, warmstart, time[0])

    def _pool(self, lanes: int) -> _Pool:
        with self._lock:
            if lanes not in self._pools:
                self._pools[lanes] = _Pool(self.model, self.fields, lanes)
            return self._pools[lanes]

    def _sense(self, _, out, params, rows) -> None:
        out, params, rows = map(_lanes, (out, params, rows))
        self._pool(len(rows)).sense(out, params, rows)

    def _step(self, _, out, params, rows, *acting) -> None:
        out, params, rows = map(_lanes, (out, params, rows))
        self._pool(len(rows)).step(out, params, rows, [_lanes(part) for part in acting], self.substeps)


def _lanes(buffer: Any) -> np.ndarray:
    """XLA's own memory [lane, n], whatever axes were mapped over."""
    array = np.asarray(buffer)
    return array.reshape(-1, array.shape[-1])


def _row(state: State) -> Array:
    parts = [state.qpos, state.qvel, state.act, state.warmstart, state.time[None]]
    return jnp.concatenate([part for part in parts if part.size])


def _cores() -> int:
    """Cores that this process may use: a container or `taskset` allows fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Pool:
    """A `mujoco.batch.Batch` for one number of lanes, used under a lock: it serves one call at a time."""

    def __init__(self, model: mujoco.MjModel, fields: Fields, lanes: int):
        # To wake a thread takes as long as eight lanes' steps.
        self.batch = mujoco.batch.Batch(model, lanes, nthread=min(max(1, lanes // 8), _cores()))
        self.fields = fields
        self.model_fields = {name: self.batch.expand(name) for name in fields.names}
        self.views = [self.batch.bind(name) for name in ("qpos", "qvel", "act", "qacc_warmstart")]
        self.ends = np.cumsum([view.shape[1] for view in self.views])
        self.time, self.sensordata = self.batch.bind("time"), self.batch.bind("sensordata")
        self.acting = [self.batch.bind(name) for name in ("ctrl", "qfrc_applied")]
        # A step reads no sensor; sensors tell where things are and how they move, not what presses on what.
        self.flags = self.batch.expand("opt.disableflags")
        self.step_flags, self.read_flags = self.flags | _NO_SENSOR, self.flags | _NO_CONTACT
        self.stamps = np.full_like(fields.stamp(np.zeros((lanes, fields.size), np.float32)), np.nan)
        self.lock = threading.Lock()

    def step(
        self, out: np.ndarray, params: np.ndarray, rows: np.ndarray, acting: list[np.ndarray], substeps: int
    ) -> None:
        """Steps all lanes under controls, and forces if there are any; writes new states and readings, side by side."""
        with self.lock:
            self._write(params, rows)
            for view, values in zip(self.acting, acting, strict=False):
                view[...] = values
            self.flags[...] = self.step_flags
            self.batch.step(nstep=substeps)
            self._read()
            np.concatenate([*self.views, self.time[:, None], self.sensordata], axis=1, out=out, casting="same_kind")

    def sense(self, out: np.ndarray, params: np.ndarray, rows: np.ndarray) -> None:
        """Writes the readings of all lanes where they are."""
        with self.lock:
            self._write(params, rows)
            self._read()
            out[...] = self.sensordata

    def _read(self) -> None:
        """Makes the sensors current. As a stage of `step` this would look for contacts, build their constraints, and
        read the sensors at every substep."""
        self.flags[...] = self.read_flags
        self.batch.forward(stage=_VELOCITY)

    def _write(self, params: np.ndarray, rows: np.ndarray) -> None:
        # Parameters change only when a lane begins a new task; copying them at each step would cost a fifth.
        stamps = self.fields.stamp(params)
        changed = np.flatnonzero((stamps != self.stamps).any(axis=1))
        if changed.size:
            values = self.fields.unpack(params[changed])
            for name, value in values.items():
                self.model_fields[name][changed] = value.reshape(self.model_fields[name][changed].shape)
            self.stamps[changed] = stamps[changed]
        for view, part in zip(self.views, np.split(rows[:, :-1], self.ends[:-1], axis=1), strict=True):
            view[...] = part
        self.time[...] = rows[:, -1]
