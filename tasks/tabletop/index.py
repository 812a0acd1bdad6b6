"""Where the slots of the tabletop lie in a compiled model."""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np

from . import rows


class Index:
    """Where the slots lie in a compiled model."""

    def __init__(self, compiled: mujoco.MjModel, slots: dict[str, dict[str, int]]):
        self.free, self.mechanism = compiled.body("free").id, compiled.body("mechanism").id
        names = ("slide", "slide2", "hinge")
        self.joints = np.array([compiled.joint(name).id for name in names])
        self.joint_qpos = np.array([compiled.joint(name).qposadr[0] for name in names])
        self.dofs = np.array([compiled.joint(name).dofadr[0] for name in names])
        start, dof = compiled.joint("free").qposadr[0], compiled.joint("free").dofadr[0]
        self.free_qpos, self.free_dofs = np.arange(start, start + 7), np.arange(dof, dof + 6)
        self.hand_qpos = np.array([compiled.joint(f"hand_{axis}").qposadr[0] for axis in "xyz"])
        self.hand_actuators = np.array([compiled.actuator(f"hand_{axis}").id for axis in "xyz"])
        fingers = ("right", "left")
        self.finger_actuators = np.array([compiled.actuator(name).id for name in fingers])
        self.finger_dofs = np.array([compiled.joint(name).dofadr[0] for name in fingers])
        self.pads = np.array([compiled.geom(f"{name}_{end}").id for name in fingers for end in ("near", "far")])
        self.palm, self.table = compiled.geom("palm").id, compiled.geom("table").id
        self.geoms = {name: _geoms(compiled, name) for name in rows.CAPACITY if name not in rows.FURTHER}
        present = {number: name for number, name in enumerate(rows.FURTHER) if any(slots.get(name, {}).values())}
        self.further = {number: FreeBody.named(compiled, name) for number, name in present.items()}


class FreeBody(NamedTuple):
    """Where a further free object lies in a compiled model."""

    body: int
    qpos: np.ndarray
    dofs: np.ndarray
    geoms: np.ndarray
    order: np.ndarray
    """Of the geoms in the slot."""

    @classmethod
    def named(cls, compiled: mujoco.MjModel, name: str) -> FreeBody:
        """The body of a slot, which has that slot's name."""
        start, dof = compiled.joint(name).qposadr[0], compiled.joint(name).dofadr[0]
        body = compiled.body(name).id
        return cls(body, np.arange(start, start + 7), np.arange(dof, dof + 6), *_geoms(compiled, name))


def _geoms(compiled: mujoco.MjModel, slot: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids of a slot's geoms that are compiled, and their places in the slot."""
    ids, order, start = [], [], 0
    for kind, room in rows.CAPACITY[slot].items():
        present = [i for i in range(room) if _has(compiled, f"{slot}_{kind}_{i}")]
        ids += [compiled.geom(f"{slot}_{kind}_{i}").id for i in present]
        order += [start + i for i in present]
        start += room
    return np.array(ids, int), np.array(order, int)


def _has(compiled: mujoco.MjModel, geom: str) -> bool:
    return mujoco.mj_name2id(compiled, mujoco.mjtObj.mjOBJ_GEOM, geom) >= 0
