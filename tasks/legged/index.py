"""Where the parts of a legged arena lie in its compiled model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import mujoco
import numpy as np

from mtbench.physics.derive import SLOT_GROUP

from .robots import Robot
from .robots.robot import BASE


@dataclass(frozen=True)
class Segment:
    """What grows with a segment of the legs."""

    geoms: np.ndarray
    bones: np.ndarray
    """Those of the geoms that are capsules along it."""
    children: np.ndarray


class Index:
    """Where the parts lie in a compiled model."""

    def __init__(self, compiled: mujoco.MjModel, robot: Robot, boxes: int, rounds: int, thing: bool):
        def bodies(names: Sequence[str]) -> np.ndarray:
            return np.array([compiled.body(name).id for name in names], int)

        self.base, self.limbs = compiled.body(BASE).id, bodies(robot.limbs)
        self.qpos = np.array([compiled.joint(name).qposadr[0] for name in robot.joints])
        self.dofs = np.array([compiled.joint(name).dofadr[0] for name in robot.joints])
        first = compiled.body_jntadr[self.base]
        start, dof = compiled.jnt_qposadr[first], compiled.jnt_dofadr[first]
        self.root_qpos = np.arange(start, start + (3 if robot.planar else 7))
        self.slides = np.arange(dof, dof + (2 if robot.planar else 3))
        self.pushed = (0, 2) if robot.planar else (0, 1, 2)
        self.stance = float(robot.height(jnp.ones(2)))
        self.floor, self.payload = compiled.geom("floor").id, compiled.geom("payload").id
        trunk = np.flatnonzero((compiled.geom_bodyid == self.base) & (compiled.geom_group == SLOT_GROUP))
        trunk = trunk[trunk != self.payload]
        radius, half = compiled.geom_size[trunk, 0], compiled.geom_size[trunk, 1]
        self.trunk_volume = float((np.pi * radius**2 * (2 * half + 4 / 3 * radius)).sum())
        self.segments = tuple(self._segment(compiled, bodies(names)) for names in robot.segments)
        self.boxes = np.array([compiled.geom(f"box_{i}").id for i in range(boxes)], int)
        self.rounds = np.array([compiled.geom(f"round_{i}").id for i in range(rounds)], int)
        if thing:
            self.thing = compiled.body("thing").id
            self.ball, self.crate = compiled.geom("ball").id, compiled.geom("crate").id
            joint = compiled.joint("thing")
            self.thing_qpos = np.arange(joint.qposadr[0], joint.qposadr[0] + 7)
            self.thing_dofs = np.arange(joint.dofadr[0], joint.dofadr[0] + 6)

    @staticmethod
    def _segment(compiled: mujoco.MjModel, bodies: np.ndarray) -> Segment:
        geoms = np.flatnonzero(np.isin(compiled.geom_bodyid, bodies))
        capsules = compiled.geom_type[geoms] == mujoco.mjtGeom.mjGEOM_CAPSULE
        along = np.abs(compiled.geom_quat[geoms] @ np.array([0.0, 1.0, 0.0, 0.0])) > 0.999
        children = np.flatnonzero(np.isin(compiled.body_parentid, bodies))
        return Segment(geoms, geoms[capsules & along], children)
