"""MJX: MuJoCo's physics as JAX operations (GPU, TPU, CPU)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Float
from mujoco import mjx

from . import derive
from .fields import Fields
from .protocol import Causes, Command, Sensors, State, named_sensors


class MjxEngine:
    """The `mjx` backend."""

    backend = "mjx"

    def __init__(self, model: mujoco.MjModel, *, substeps: int, edits: tuple[str, ...]):
        derive.check_template(model, edits)
        self.model, self.substeps = model, substeps
        self._template = mjx.put_model(model, impl="jax")
        self.fields = Fields(model, edits)

    def params(self, causes: Causes) -> Float[Array, " p"]:
        """See `Physics.params`."""
        return self.fields.pack(derive.derive(self.model, self._template, causes))

    def init(self, params: Float[Array, " p"], qpos: Array, qvel: Array) -> tuple[State, Sensors]:
        """See `Physics.init`."""
        model, zero = self.model, jnp.zeros((), jnp.float32)
        state = State(qpos, qvel, jnp.zeros(model.na), jnp.zeros(model.nv), zero)
        return state, self._sense(*self._load(params, state))

    def step(self, params: Float[Array, " p"], state: State, command: Command) -> tuple[State, Sensors]:
        """See `Physics.step`."""
        m, data = self._load(params, state)
        data = data.replace(ctrl=command.ctrl)
        if command.force is not None:
            data = data.replace(qfrc_applied=command.force)
        # Rolled into a loop, so that the compiler sees one substep.
        data = jax.lax.fori_loop(0, self.substeps, lambda _, d: mjx.step(m, d), data)
        state = State(data.qpos, data.qvel, data.act, data.qacc_warmstart, data.time)
        return state, self._sense(m, data)

    def _load(self, params: Array, state: State) -> tuple[mjx.Model, mjx.Data]:
        values = {k: v for k, v in self.fields.unpack(params).items() if hasattr(self._template, k)}
        m = self._template.tree_replace(values)
        data = mjx.make_data(m).replace(
            qpos=state.qpos, qvel=state.qvel, act=state.act, qacc_warmstart=state.warmstart, time=state.time
        )
        return m, data

    def _sense(self, m: mjx.Model, data: mjx.Data) -> Sensors:
        """Sensors at the present state: after a step they are one substep old, so the early stages run again."""
        data = mjx.com_vel(m, mjx.com_pos(m, mjx.kinematics(m, data)))
        data = mjx.sensor_vel(m, mjx.sensor_pos(m, data))
        return named_sensors(self.model, data.sensordata)
