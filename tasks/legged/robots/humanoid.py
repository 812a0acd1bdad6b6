"""A biped of 40 kg and 1.4 m with a waist and arms, in the proportions of a human.

It walks towards +x. Angles are zero where legs and arms hang straight and the soles are flat. Both sides count alike:
hips, shoulders and elbows grow as the limb swings forward, knees as they bend, ankles as the toes rise; abductions and
turns grow outwards, rolls of the ankles as the outer edge of the foot rises. The waist turns to the left and bends
forward.
"""

from __future__ import annotations

import jax.numpy as jnp
import mujoco

from .robot import ACROSS, ALONG_X, BASE, DOWN, FELT, Robot, grid, hinge, inertial, look, solid

SIDES = ("left", "right")
WAIST = ("waist_turn", "waist_bend")
LEG = ("hip_abduction", "hip_turn", "hip", "knee", "ankle", "ankle_roll")
ARM = ("shoulder", "shoulder_abduction", "elbow")
LENGTHS = (0.34, 0.34)
"""Of thigh and shin, from joint to joint, metres."""
ANKLE = 0.07
"""Height of the ankle above the sole, metres."""
FOOT = 0.028
"""Radius of the foot's capsules, metres."""
BASE_MASS = 7.0
_MASSES = {"thigh": 4.2, "shin": 2.0, "foot": 0.8, "upper_arm": 1.1, "forearm": 0.9}
_TORSO_MASS = 15.0
_HIP = 0.09
"""From the middle to a hip, metres."""
_UPPER_ARM, _FOREARM = 0.23, 0.20
_HEEL, _TOE = -0.045, 0.125
"""Ends of the capsules' straight parts, from the ankle, metres."""

# Axis, stance, limits, stiffness, torque and damping, see `hinge`. The axis is that of the left side; on the right it
# is mirrored. Hips and knees have 2 to 3 N m per kg, like a strong human. Two ankles are about as stiff as it takes to
# hold up the body's weight at its height (300 N m/rad): left alone it stands for three seconds, with 60 N m/rad in
# each ankle for 1.6.
_JOINTS = {
    "waist_turn": ((0, 0, 1), 0.0, (-0.8, 0.8), 150.0, 80.0, 4.0),
    "waist_bend": ((0, 1, 0), 0.03, (-0.5, 1.0), 200.0, 100.0, 5.0),
    "hip_abduction": ((1, 0, 0), 0.0, (-0.4, 0.8), 200.0, 100.0, 5.0),
    "hip_turn": ((0, 0, 1), 0.0, (-0.6, 0.8), 100.0, 60.0, 3.0),
    "hip": ((0, -1, 0), 0.22, (-0.8, 1.9), 220.0, 120.0, 5.0),
    "knee": ((0, 1, 0), 0.44, (0.0, 2.4), 220.0, 120.0, 5.0),
    "ankle": ((0, -1, 0), 0.22, (-0.9, 0.7), 150.0, 80.0, 3.0),
    "ankle_roll": ((1, 0, 0), 0.0, (-0.45, 0.45), 60.0, 40.0, 2.0),
    "shoulder": ((0, -1, 0), 0.0, (-1.0, 2.8), 40.0, 30.0, 1.5),
    "shoulder_abduction": ((1, 0, 0), 0.15, (-0.1, 1.6), 40.0, 30.0, 1.5),
    "elbow": ((0, -1, 0), 0.45, (0.0, 2.3), 25.0, 20.0, 1.0),
}
_REACH = {
    "waist_turn": 0.3,
    "waist_bend": 0.3,
    "hip_abduction": 0.5,
    "hip_turn": 0.5,
    "hip": 0.7,
    "knee": 0.8,
    "ankle": 0.5,
    "ankle_roll": 0.4,
    "shoulder": 0.5,
    "shoulder_abduction": 0.5,
    "elbow": 0.5,
}
_NAMES = (*WAIST, *(f"{side}_{name}" for part in (LEG, ARM) for side in SIDES for name in part))


def _kind(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")


def _height(scale) -> jnp.ndarray:
    hip, knee = _JOINTS["hip"][1], _JOINTS["knee"][1]
    return ANKLE + LENGTHS[0] * scale[0] * jnp.cos(hip) + LENGTHS[1] * scale[1] * jnp.cos(knee - hip)


def _add(spec: mujoco.MjSpec) -> None:
    capsule, sphere = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE
    base = spec.worldbody.add_body(name=BASE, pos=[0, 0, 0.75])
    base.add_freejoint(name="root")
    inertial(base, BASE_MASS, [0.002, 0.001, 0.03], [0.04, 0.03, 0.045])
    solid(base, "pelvis", capsule, [0.075, 0.06, 0], [0, 0, 0.02], ACROSS, "cream", **FELT)
    solid(base, "belly", capsule, [0.07, 0.035, 0], [0, 0, 0.1], ACROSS, "ink")
    torso = base.add_body(name="torso", pos=[0, 0, 0.12])
    inertial(torso, _TORSO_MASS, [0.005, 0.001, 0.19], [0.25, 0.2, 0.12])
    solid(torso, "ribs", capsule, [0.082, 0.052, 0], [0.006, 0, 0.105], ACROSS, "cream")
    solid(torso, "chest", capsule, [0.094, 0.072, 0], [0.008, 0, 0.19], ACROSS, "cream", **FELT)
    solid(torso, "head", sphere, [0.095, 0, 0], [0.015, 0, 0.43], DOWN, "cream", **FELT)
    look(torso, capsule, [0.042, 0.05, 0], [0.005, 0, 0.31], "ink")
    look(torso, capsule, [0.042, 0.028, 0], [0.075, 0, 0.438], "ink", quat=ACROSS)
    look(torso, sphere, [0.028, 0, 0], [0.083, 0, 0.205], "amber")
    for side in SIDES:
        _leg(spec, base, side)
    for side in SIDES:
        _arm(spec, torso, side)
    for name in WAIST:
        _hinge(spec, torso, name)


def _leg(spec: mujoco.MjSpec, base: mujoco.MjsBody, side: str) -> None:
    """Thigh, shin and foot, each hanging from the end of the one before."""
    capsule, sphere = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE
    left, colour = (1, "coral") if side == "left" else (-1, "teal")
    thigh = base.add_body(name=f"{side}_thigh", pos=[0, _HIP * left, 0])
    upper, lower = LENGTHS
    inertial(thigh, _MASSES["thigh"], [0.001, 0.002, -upper / 2], [0.045, 0.046, 0.007])
    solid(thigh, f"{side}_thigh", capsule, [0.06, upper / 2 - 0.03, 0], [0, 0, -upper / 2], DOWN, colour)
    shin = thigh.add_body(name=f"{side}_shin", pos=[0, 0, -upper])
    inertial(shin, _MASSES["shin"], [0.001, 0.002, -lower / 2], [0.022, 0.0225, 0.0018])
    solid(shin, f"{side}_knee", sphere, [0.052, 0, 0], [0, 0, 0], DOWN, "ink")
    solid(shin, f"{side}_shin", capsule, [0.043, lower / 2 - 0.02, 0], [0, 0, -lower / 2], DOWN, "cream", **FELT)
    foot = shin.add_body(name=f"{side}_foot", pos=[0, 0, -lower])
    half, middle, sole = (_TOE - _HEEL) / 2, (_TOE + _HEEL) / 2, FOOT - ANKLE
    inertial(foot, _MASSES["foot"], [middle, 0.001, sole], [0.001, 0.003, 0.0032])
    solid(foot, f"{side}_foot", capsule, [FOOT, half, 0], [middle, 0, sole], ALONG_X, colour)
    for edge, y in (("inner", -0.03 * left), ("outer", 0.03 * left)):
        solid(foot, f"{side}_{edge}", capsule, [FOOT, half, 0], [middle, y, sole], ALONG_X, "ink", **FELT)
    for name, body in zip(LEG, (thigh, thigh, thigh, shin, foot, foot), strict=True):
        _hinge(spec, body, f"{side}_{name}")


def _arm(spec: mujoco.MjSpec, torso: mujoco.MjsBody, side: str) -> None:
    """Upper arm and forearm with a hand, which touch nothing."""
    capsule, sphere = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE
    left, colour = (1, "coral") if side == "left" else (-1, "teal")
    upper = torso.add_body(name=f"{side}_upper_arm", pos=[0, 0.185 * left, 0.245])
    inertial(upper, _MASSES["upper_arm"], [0.001, 0.002, -0.1], [0.006, 0.0061, 0.001])
    solid(upper, f"{side}_shoulder", sphere, [0.05, 0, 0], [0, 0, 0], DOWN, "ink")
    solid(upper, f"{side}_upper_arm", capsule, [0.038, _UPPER_ARM / 2, 0], [0, 0, -_UPPER_ARM / 2], DOWN, colour)
    forearm = upper.add_body(name=f"{side}_forearm", pos=[0, 0, -_UPPER_ARM])
    inertial(forearm, _MASSES["forearm"], [0.001, 0.002, -0.12], [0.005, 0.0051, 0.0007])
    solid(forearm, f"{side}_forearm", capsule, [0.032, _FOREARM / 2, 0], [0, 0, -_FOREARM / 2], DOWN, "cream")
    solid(forearm, f"{side}_hand", sphere, [0.044, 0, 0], [0, 0, -_FOREARM - 0.03], DOWN, "ink")
    for name, body in zip(ARM, (upper, upper, forearm), strict=True):
        _hinge(spec, body, f"{side}_{name}")


def _hinge(spec: mujoco.MjSpec, body: mujoco.MjsBody, name: str) -> None:
    axis, _, limits, stiffness, torque, damping = _JOINTS[_kind(name)]
    if name.startswith("right_"):
        # A rotation's mirror image in the plane y = 0 keeps its axis along y and turns the others.
        axis = (-axis[0], axis[1], -axis[2])
    armature = 0.02 if stiffness > 50 else 0.01
    hinge(spec, body, name, axis, limits, stiffness=stiffness, torque=torque, damping=damping, armature=armature)


HUMANOID = Robot(
    name="humanoid",
    add=_add,
    joints=_NAMES,
    stance=tuple(_JOINTS[_kind(name)][1] for name in _NAMES),
    reach=tuple(_REACH[_kind(name)] for name in _NAMES),
    feet=tuple(f"{side}_foot" for side in SIDES),
    sole=FOOT,
    segments=(tuple(f"{side}_thigh" for side in SIDES), tuple(f"{side}_shin" for side in SIDES)),
    limbs=("torso", *(f"{side}_{part}" for side in SIDES for part in _MASSES)),
    base_mass=BASE_MASS,
    height=_height,
    room=(0.2, 0.25, 0.6),
    planar=False,
    scan=grid(-0.3, 1.2, 0.3, 11, 5),
    ease=(3.0, 12.0),
    stride=0.8,
    substeps=4,
    timestep=0.005,
    camera=(1.2, -3.2, 0.6),
)
