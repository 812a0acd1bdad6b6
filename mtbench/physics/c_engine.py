"""The C engine: `mujoco.batch` on all cores, called from inside `jit`, `scan` and `vmap`."""

from __future__ import annotations

import os
import threading

import jax
import jax.numpy as jnp
import mujoco
import mujoco.batch
import numpy as np
from jaxtyping import Array, Float
from mujoco import mjx

from . import derive
from .protocol import Causes, Sensors, State, named_sensors

_VELOCITY = int(mujoco.mjtStage.mjSTAGE_VEL)


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
        self.fields = derive.Fields(model, edits)
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

    def step(self, params: Float[Array, " p"], state: State, ctrl: Float[Array, " nu"]) -> tuple[State, Sensors]:
        """See `Physics.step`."""
        row = _row(state)
        out = jax.ShapeDtypeStruct((row.size + self.model.nsensordata,), jnp.float32)
        result = self._call(self._step, out, params, row, ctrl)
        return self._state(result[: row.size]), named_sensors(self.model, result[row.size :])

    def _call(self, function, out: jax.ShapeDtypeStruct, *args: Array) -> Array:
        # A host callback has no derivative: actions enter as constants.
        args = jax.lax.stop_gradient(args)
        return jax.pure_callback(function, out, *args, vmap_method="broadcast_all")

    def _state(self, row: Array) -> State:
        nq, nv, na = self.model.nq, self.model.nv, self.model.na
        qpos, qvel, act, warmstart, time = jnp.split(row, np.cumsum([nq, nv, na, nv]))
        return State(qpos, qvel, act, warmstart, time[0])

    def _pool(self, lanes: int) -> _Pool:
        with self._lock:
            if lanes not in self._pools:
                self._pools[lanes] = _Pool(self.model, self.fields, lanes)
            return self._pools[lanes]

    def _sense(self, params, rows) -> np.ndarray:
        params, rows = np.asarray(params), np.asarray(rows)
        lead = rows.shape[:-1]
        flat = rows.reshape(-1, rows.shape[-1])
        out = self._pool(len(flat)).sense(params.reshape(len(flat), -1), flat)
        return out.reshape(*lead, -1)

    def _step(self, params, rows, ctrl) -> np.ndarray:
        params, rows, ctrl = np.asarray(params), np.asarray(rows), np.asarray(ctrl)
        lead = rows.shape[:-1]
        flat = rows.reshape(-1, rows.shape[-1])
        pool = self._pool(len(flat))
        out = pool.step(params.reshape(len(flat), -1), flat, ctrl.reshape(len(flat), -1), self.substeps)
        return out.reshape(*lead, -1)


def _row(state: State) -> Array:
    parts = [state.qpos, state.qvel, state.act, state.warmstart, state.time[None]]
    return jnp.concatenate([part for part in parts if part.size])


class _Pool:
    """A `mujoco.batch.Batch` for one number of lanes, used under a lock: it serves one call at a time."""

    def __init__(self, model: mujoco.MjModel, fields: derive.Fields, lanes: int):
        self.batch = mujoco.batch.Batch(model, lanes, nthread=min(lanes, os.cpu_count() or 1))
        self.fields = fields
        self.model_fields = {name: self.batch.expand(name) for name in fields.names}
        self.views = [self.batch.bind(name) for name in ("qpos", "qvel", "act", "qacc_warmstart")]
        self.ends = np.cumsum([view.shape[1] for view in self.views])
        self.time, self.ctrl, self.sensordata = (self.batch.bind(name) for name in ("time", "ctrl", "sensordata"))
        self.params = np.full((lanes, fields.size), np.nan, np.float32)
        self.lock = threading.Lock()

    def step(self, params: np.ndarray, rows: np.ndarray, ctrl: np.ndarray, substeps: int) -> np.ndarray:
        with self.lock:
            self._write(params, rows)
            self.ctrl[...] = ctrl
            self.batch.step(nstep=substeps, stage=_VELOCITY)
            parts = [*self.views, self.time[:, None], self.sensordata]
            return np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")

    def sense(self, params: np.ndarray, rows: np.ndarray) -> np.ndarray:
        with self.lock:
            self._write(params, rows)
            self.batch.forward(stage=_VELOCITY)
            return self.sensordata.astype(np.float32)

    def _write(self, params: np.ndarray, rows: np.ndarray) -> None:
        # Parameters change only when a lane begins a new task; copying them at each step would cost a fifth.
        changed = np.flatnonzero((params != self.params).any(axis=1))
        if changed.size:
            values = self.fields.unpack(params[changed])
            for name, value in values.items():
                self.model_fields[name][changed] = value.reshape(self.model_fields[name][changed].shape)
            self.params[changed] = params[changed]
        for view, part in zip(self.views, np.split(rows[:, :-1], self.ends[:-1], axis=1), strict=True):
            view[...] = part
        self.time[...] = rows[:, -1]
