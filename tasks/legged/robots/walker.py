"""A planar biped of 42 kg with hips, knees and ankles.

It walks towards +x in the plane y = 0; legs pass through each other, which is what a planar walker has instead of a
hip's width. Angles are zero where the legs are straight and the soles flat: hips and ankles grow as the leg swings
forward and the toes rise, knees as they bend.
"""

from __future__ import annotations

import jax.numpy as jnp
import mujoco

from .robot import ACROSS, ALONG_X, BASE, DOWN, FELT, Robot, grid, hinge, inertial, look, solid

SIDES = ("left", "right")
SEGMENTS = ("thigh", "shin", "foot")
HINGES = ("hip", "knee", "ankle")
LENGTHS = (0.42, 0.42)
"""Of thigh and shin, from joint to joint, metres."""
ANKLE = 0.08
"""Height of the ankle above the sole, metres."""
BASE_MASS = 24.0
_MASSES = (5.0, 3.0, 1.0)
_RADII = (0.058, 0.045, 0.032)
_HEEL, _TOE = -0.055, 0.155
_STANCE = (0.22, 0.44, 0.22)
_RANGES = ((-0.8, 1.5), (0.0, 2.2), (-0.8, 1.0))
# Twice to thrice the torque of human walking (1 to 1.5 N m per kg), reached about half a radian from the target: a
# stance leg sags by a tenth of a radian, a swing leg follows a target within a third of a second.
_STIFFNESS = (220.0, 220.0, 140.0)
_TORQUES = (120.0, 120.0, 100.0)
_AXES = ((0, -1, 0), (0, 1, 0), (0, -1, 0))


def _height(scale) -> jnp.ndarray:
    hip, knee, _ = _STANCE
    return ANKLE + LENGTHS[0] * scale[0] * jnp.cos(hip) + LENGTHS[1] * scale[1] * jnp.cos(knee - hip)


def _add(spec: mujoco.MjSpec) -> None:
    capsule, sphere = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE
    # At the world's origin, so that the slides' positions are the trunk's.
    base = spec.worldbody.add_body(name=BASE)
    slide, turn = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    base.add_joint(name="root_x", type=slide, axis=[1, 0, 0])
    base.add_joint(name="root_z", type=slide, axis=[0, 0, 1])
    base.add_joint(name="root_pitch", type=turn, axis=[0, 1, 0])
    inertial(base, BASE_MASS, [0.0, 0.01, 0.25], [0.5, 0.5, 0.5])
    solid(base, "trunk", capsule, [0.085, 0.17, 0], [0, 0, 0.25], DOWN, "cream", **FELT)
    look(base, capsule, [0.075, 0.07, 0], [0, 0, 0.01], "ink", quat=ACROSS)
    look(base, capsule, [0.06, 0.11, 0], [0, 0, 0.44], "ink", quat=ACROSS)
    look(base, sphere, [0.105, 0, 0], [0.015, 0, 0.66], "cream")
    look(base, capsule, [0.03, 0.055, 0], [0.092, 0, 0.675], "ink", quat=ACROSS)
    for side, y in zip(SIDES, (0.085, -0.085), strict=True):
        body, colour = base, "coral" if side == "left" else "teal"
        for k, (segment, name) in enumerate(zip(SEGMENTS, HINGES, strict=True)):
            hang = LENGTHS[k - 1] if k else 0.0
            body = body.add_body(name=f"{side}_{segment}", pos=[0, 0 if k else y, -hang])
            if segment == "foot":
                half, middle = (_TOE - _HEEL) / 2, (_TOE + _HEEL) / 2
                inertial(body, _MASSES[k], [middle, 0.001, -0.04], [0.004, 0.004, 0.001])
                sole = [middle, 0, _RADII[k] - ANKLE]
                solid(body, f"{side}_foot", capsule, [_RADII[k], half, 0], sole, ALONG_X, "ink", **FELT)
            else:
                bone = [_RADII[k], LENGTHS[k] / 2, 0]
                inertial(body, _MASSES[k], [0.001, 0.002, -LENGTHS[k] / 2], [0.05, 0.05, 0.006])
                felt = FELT if segment == "shin" else {}
                middle_of_bone = [0, 0, -LENGTHS[k] / 2]
                solid(body, f"{side}_{segment}", capsule, bone, middle_of_bone, DOWN, "cream" if k else colour, **felt)
            hinge(
                spec,
                body,
                f"{side}_{name}",
                _AXES[k],
                _RANGES[k],
                stiffness=_STIFFNESS[k],
                torque=_TORQUES[k],
                damping=5.0,
                armature=0.02,
            )


WALKER = Robot(
    name="walker",
    add=_add,
    joints=tuple(f"{side}_{name}" for side in SIDES for name in HINGES),
    stance=_STANCE * 2,
    reach=(0.8, 0.9, 0.6) * 2,
    feet=tuple(f"{side}_foot" for side in SIDES),
    sole=_RADII[2],
    segments=(("left_thigh", "right_thigh"), ("left_shin", "right_shin")),
    limbs=tuple(f"{side}_{segment}" for side in SIDES for segment in SEGMENTS),
    base_mass=BASE_MASS,
    height=_height,
    room=(0.2, 0.2, 0.5),
    planar=True,
    scan=grid(-0.3, 1.5, 0.0, 13, 1),
    ease=(3.0, 12.0),
    stride=0.8,
    substeps=4,
    timestep=0.005,
    camera=(0.9, -3.1, 0.55),
)
