"""What an arena must know of a robot, and the parts of which robots are built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Array, Float

from mtbench.physics.derive import SLOT_GROUP

BASE = "base"
"""Name of the trunk's body, the root of every robot; its origin is between the hips."""
DOWN = (0.0, 1.0, 0.0, 0.0)
"""Turns a capsule upside down. MuJoCo skips the transform of a geom whose frame agrees with its body's, and a later
edit of its pose would be ignored: no geom that tasks reshape may lie along its body's axes as it is."""
ALONG_X = (0.70710678, 0.0, 0.70710678, 0.0)
ACROSS = (0.70710678, -0.70710678, 0.0, 0.0)
# Limbs touch the ground and objects, never each other: what a collision of legs would teach is not worth its time.
FELT = {"contype": 0, "conaffinity": 1}


@dataclass(frozen=True, eq=False)
class Robot:
    """A robot: its model, and what its joints, feet and segments are called in it."""

    name: str
    add: Callable[[mujoco.MjSpec], None]
    """Adds the bodies, from `BASE` on, and an actuator for each joint, of its name."""
    joints: tuple[str, ...]
    """The actuated ones, in the order of actions and observations."""
    stance: tuple[float, ...]
    """Joint angles at which an action of 0 holds the robot, radians."""
    reach: tuple[float, ...]
    """Radians by which one unit of action moves a joint's target."""
    feet: tuple[str, ...]
    """Geoms whose middles are the feet's places; left and right alternate, front to back."""
    sole: float
    """Height of a foot's middle above the ground it stands on, metres."""
    segments: tuple[tuple[str, ...], tuple[str, ...]]
    """Bodies of the upper and of the lower legs, which tasks lengthen."""
    limbs: tuple[str, ...]
    """Bodies that tasks make heavier: all but the trunk."""
    base_mass: float
    """kg"""
    height: Callable[[Float[Array, 2]], Any]
    """Height of the trunk's origin above the ground in the stance, for lengths of segments relative to its own."""
    room: tuple[float, float, float]
    """What it takes up in the stance: ahead as behind and to the left as to the right of the trunk's origin, and above
    it, metres."""
    planar: bool
    """Whether it moves in the plane y = 0 only."""
    scan: Float[np.ndarray, "p 2"]
    """Points at which it sees the ground's height, ahead and to the left of it in its heading, metres."""
    ease: tuple[float, float]
    """Root mean square of the joints' speeds up to which it moves with ease, and from which on with none, rad/s."""
    stride: float
    """Seconds within which every foot is to be lifted and set down again."""
    substeps: int
    timestep: float
    """Of a substep, seconds."""
    camera: tuple[float, float, float]
    """From the robot to its camera, metres."""

    @property
    def biped(self) -> bool:
        """Whether it has two feet."""
        return len(self.feet) == 2


def inertial(body: mujoco.MjsBody, mass: float, centre: Sequence[float], inertia: Sequence[float]) -> None:
    """A rough inertial frame, turned and off the axes on purpose; `derive` writes the real one."""
    body.explicitinertial = True
    body.mass, body.ipos, body.iquat, body.inertia = mass, list(centre), [0.8, 0.2, 0.4, 0.4], list(inertia)


def solid(body: mujoco.MjsBody, name: str, kind: mujoco.mjtGeom, size, pos, quat, material: str, **more) -> None:
    """A geom that has a share of the body's mass; it touches nothing unless told (`**FELT`)."""
    body.add_geom(
        name=name,
        type=kind,
        size=size,
        pos=pos,
        quat=quat,
        material=material,
        group=SLOT_GROUP,
        **{"contype": 0, "conaffinity": 0, "condim": 3, **more},
    )


def look(body: mujoco.MjsBody, kind: mujoco.mjtGeom, size, pos, material: str, **more) -> None:
    """A geom that is seen and not felt."""
    body.add_geom(type=kind, size=size, pos=pos, material=material, contype=0, conaffinity=0, mass=0, **more)


def hinge(
    spec: mujoco.MjSpec,
    body: mujoco.MjsBody,
    name: str,
    axis: Sequence[float],
    limits: Sequence[float],
    *,
    stiffness: float,
    torque: float,
    damping: float,
    armature: float,
    velocity_gain: float = 0.0,
) -> None:
    """A hinge at the body's origin with a position servo.

    Args:
      spec: gets the actuator.
      body: turns.
      name: of joint and actuator.
      axis: in the body's frame.
      limits: radians.
      stiffness: of the servo, N m/rad.
      torque: at most, N m.
      damping: of the joint, N m s/rad.
      armature: inertia of the motor's rotor, kg m².
      velocity_gain: of the servo, N m s/rad.
    """
    body.add_joint(
        name=name,
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=axis,
        range=limits,
        limited=True,
        damping=[damping, 0, 0],
        armature=armature,
    )
    actuator = spec.add_actuator(
        name=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=name, forcerange=[-torque, torque]
    )
    actuator.forcelimited = True
    actuator.set_to_position(kp=stiffness, kv=velocity_gain)


def grid(back: float, ahead: float, across: float, rows: int, columns: int) -> Float[np.ndarray, "p 2"]:
    """Points of a height scan: `rows` from `back` to `ahead`, `columns` from -`across` to `across`, metres."""
    x, y = np.linspace(back, ahead, rows), np.linspace(-across, across, columns)
    return np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
