"""The walker's topology: a planar biped of 42 kg with hips, knees and ankles, on a floor.

It walks towards +x in the plane y = 0. The torso's origin is the hip, so its height is the length of the legs and
the feet. Angles are radians and zero where the legs are straight and the soles flat: hips and ankles grow as the leg
swings forward and the toes rise, knees as they bend, pitch as the torso leans forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from mtbench.physics.derive import SLOT_GROUP
from mtbench.physics.spec import begin_spec

SUBSTEPS = 4
TIMESTEP = 0.005
"""50 Hz control; four substeps, because a foot that strikes in a longer one bounces."""

SIDES = ("right", "left")
SEGMENTS = ("thigh", "shin", "foot")
HINGES = ("hip", "knee", "ankle")
JOINTS = tuple(f"{side}_{hinge}" for side in SIDES for hinge in HINGES)
"""The actuated joints, in the order of actions and observations."""
ROOT = ("root_x", "root_z", "root_pitch")

LENGTHS = (0.42, 0.42)
"""Template lengths of thigh and shin, from joint to joint, metres."""
MASSES = (5.0, 3.0, 1.0)
"""Template masses of thigh, shin and foot, kg."""
TORSO_MASS = 24.0
RADII = (0.058, 0.045, 0.032)
"""Radii of thigh, shin and foot, metres."""
SOLE = 0.08
"""Height of the ankle above the sole, metres."""
_HEEL, _TOE = -0.055, 0.155

NOMINAL = (0.22, 0.44, 0.22)
"""Hip, knee and ankle of the pose in which an action of zero holds the walker: ankles under the hips, soles flat."""
REACH = (0.8, 0.9, 0.6)
"""Radians by which one unit of action moves the target of hip, knee and ankle."""
RANGES = ((-0.8, 1.5), (0.0, 2.2), (-0.8, 1.0))
# Twice to thrice the torque of human walking (1 to 1.5 N·m per kg), reached about half a radian from the target: a
# stance leg sags by a tenth of a radian, a swing leg follows a target within a third of a second.
_STIFFNESS = (220.0, 220.0, 140.0)
_TORQUE = (120.0, 120.0, 100.0)
_AXES = ((0, -1, 0), (0, 1, 0), (0, -1, 0))

PALETTE = {
    "body": (0.93, 0.90, 0.83, 1.0),
    "ink": (0.16, 0.19, 0.25, 1.0),
    "coral": (0.91, 0.36, 0.29, 1.0),
    "teal": (0.16, 0.62, 0.61, 1.0),
    "amber": (0.95, 0.69, 0.25, 1.0),
}
_COLOURS = {"right": "coral", "left": "teal"}

# Limbs touch the floor and never each other: crossing legs are what a planar walker has instead of a hip's width.
_LIMB, _FLOOR = {"contype": 0, "conaffinity": 1}, {"contype": 1, "conaffinity": 0}
# MuJoCo skips the transform of a geom whose frame agrees with its body's, and a later edit of its pose would be
# ignored: capsules along z are written upside down.
_DOWN = (0.0, 1.0, 0.0, 0.0)
_ALONG_X = (0.70710678, 0.0, 0.70710678, 0.0)


def height(lengths: Sequence[Any] = LENGTHS) -> Any:
    """Height of the hip in the nominal pose, metres; `lengths` of thigh and shin may be traced."""
    thigh, shin = lengths
    hip, knee, _ = NOMINAL
    return SOLE + thigh * np.cos(hip) + shin * np.cos(knee - hip)


def build(*, iterations: int = 5) -> mujoco.MjSpec:
    """The arena's model; lengths and masses are templates that tasks replace."""
    spec = begin_spec("walker", timestep=TIMESTEP, iterations=iterations, line_search=2 * iterations)

    _surroundings(spec)
    torso = _torso(spec)
    for side, y in zip(SIDES, (-0.085, 0.085), strict=True):
        _leg(spec, torso, side, y)
    _sensors(spec)
    return spec


def _surroundings(spec: mujoco.MjSpec) -> None:
    """Sky, light, floor and finish line."""
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    spec.visual.quality.shadowsize = 4096
    spec.visual.headlight.ambient = [0.40, 0.40, 0.42]
    spec.visual.headlight.diffuse = [0.25, 0.25, 0.25]
    spec.visual.headlight.specular = [0.1, 0.1, 0.1]
    spec.visual.map.shadowclip = 2.0
    spec.visual.rgba.haze = [0.86, 0.90, 0.95, 1.0]
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.86, 0.90, 0.95],
        rgb2=[0.50, 0.60, 0.74],
        width=256,
        height=1536,
    )
    spec.add_texture(
        name="checker",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        mark=mujoco.mjtMark.mjMARK_EDGE,
        rgb1=[0.62, 0.67, 0.73],
        rgb2=[0.52, 0.58, 0.65],
        markrgb=[0.72, 0.76, 0.81],
        width=512,
        height=512,
    )
    floor = spec.add_material(name="floor", reflectance=0.08, shininess=0.1, specular=0.1)
    floor.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "checker"
    # Squares of half a metre, so that a picture tells the distance.
    floor.texrepeat, floor.texuniform = [1.0, 1.0], True
    for name, rgba in PALETTE.items():
        spec.add_material(name=name, rgba=rgba, shininess=0.4, specular=0.4)
    world = spec.worldbody
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0, 0, 0.25],
        material="floor",
        condim=1,
        **_FLOOR,
    )
    world.add_site(
        name="finish", type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.04, 0.8, 0.002], pos=[0, 0, -4], material="amber"
    )


def _torso(spec: mujoco.MjSpec) -> mujoco.MjsBody:
    """The root on two slides and a hinge, with a trunk, a head, a camera and a light that follow it."""
    start = height()
    torso = spec.worldbody.add_body(name="torso", pos=[0, 0, start])
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    torso.add_joint(name="root_x", type=slide, axis=[1, 0, 0])
    torso.add_joint(name="root_z", type=slide, axis=[0, 0, 1], ref=start)
    torso.add_joint(name="root_pitch", type=hinge, axis=[0, 1, 0])
    _inertial(torso, TORSO_MASS, [0.0, 0.01, 0.25], [0.5, 0.5, 0.5])
    _felt(torso, "trunk", [0.085, 0.17, 0], [0, 0, 0.25], _DOWN, "body")
    _look(torso, "pelvis", mujoco.mjtGeom.mjGEOM_CAPSULE, [0.075, 0.07, 0], [0, 0, 0.01], "ink", quat=_ACROSS)
    _look(torso, "shoulders", mujoco.mjtGeom.mjGEOM_CAPSULE, [0.06, 0.11, 0], [0, 0, 0.44], "ink", quat=_ACROSS)
    _look(torso, "neck", mujoco.mjtGeom.mjGEOM_CAPSULE, [0.04, 0.05, 0], [0.0, 0, 0.54], "ink")
    _look(torso, "head", mujoco.mjtGeom.mjGEOM_SPHERE, [0.105, 0, 0], [0.015, 0, 0.66], "body")
    _look(torso, "visor", mujoco.mjtGeom.mjGEOM_CAPSULE, [0.03, 0.055, 0], [0.092, 0, 0.675], "ink", quat=_ACROSS)
    torso.add_camera(
        name="main",
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM,
        pos=[0.9, -3.1, 0.55],
        xyaxes=[0.955, 0.297, 0.0, -0.042, 0.135, 0.990],
        fovy=38,
    )
    torso.add_light(
        name="sun",
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM,
        pos=[-0.8, -1.4, 3.0],
        dir=[0.25, 0.45, -1.0],
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=[0.60, 0.58, 0.54],
        castshadow=True,
    )
    return torso


_ACROSS = (0.70710678, -0.70710678, 0.0, 0.0)


def _leg(spec: mujoco.MjSpec, torso: mujoco.MjsBody, side: str, y: float) -> None:
    """Thigh, shin and foot, each hanging from the end of the one before."""
    colour = _COLOURS[side]
    ends = (0.0, *LENGTHS)
    body = torso
    for k, (segment, hinge) in enumerate(zip(SEGMENTS, HINGES, strict=True)):
        body = body.add_body(name=f"{side}_{segment}", pos=[0, y if k == 0 else 0, -ends[k]])
        name = f"{side}_{hinge}"
        body.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=_AXES[k],
            range=RANGES[k],
            limited=True,
            damping=[5.0, 0, 0],
            armature=0.02,
        )
        actuator = spec.add_actuator(
            name=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=name, forcerange=[-_TORQUE[k], _TORQUE[k]]
        )
        actuator.forcelimited = True
        actuator.set_to_position(kp=_STIFFNESS[k])
        if segment == "foot":
            half, middle = (_TOE - _HEEL) / 2, (_TOE + _HEEL) / 2
            _inertial(body, MASSES[k], [middle, 0.001, -0.04], [0.004, 0.004, 0.001])
            # The foot alone has friction and decides it: `priority` keeps the floor's out of it.
            felt = {"condim": 3, "priority": 1, "friction": [0.9, 0.005, 0.0001]}
            _felt(
                body,
                name.replace(hinge, "sole"),
                [RADII[k], half, 0],
                [middle, 0, RADII[k] - SOLE],
                _ALONG_X,
                colour,
                **felt,
            )
        else:
            length = LENGTHS[k]
            _inertial(body, MASSES[k], [0.001, 0.002, -length / 2], [0.05, 0.05, 0.006])
            pose = [0, 0, -length / 2], _DOWN
            _felt(body, f"{side}_{segment}", [RADII[k], length / 2, 0], *pose, "body" if k else colour)
        pin = [0.6 * RADII[k], RADII[max(k - 1, 0)], 0]
        _look(body, f"{name}_pin", mujoco.mjtGeom.mjGEOM_CAPSULE, pin, [0, 0, 0], "ink", quat=_ACROSS)


def _inertial(body: mujoco.MjsBody, mass: float, centre: list[float], inertia: list[float]) -> None:
    """A rough inertial frame, turned and off the axes on purpose; `derive` writes the real one."""
    body.explicitinertial = True
    body.mass, body.ipos, body.iquat, body.inertia = mass, centre, [0.8, 0.2, 0.4, 0.4], inertia


def _felt(body, name: str, size, pos, quat, material: str, **more) -> None:
    """A capsule that has the body's mass and touches the floor, without friction unless told."""
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        size=size,
        pos=pos,
        quat=quat,
        material=material,
        group=SLOT_GROUP,
        **{"condim": 1, **_LIMB, **more},
    )


def _look(body, name: str, kind, size, pos, material: str, **more) -> None:
    """A geom that is seen and not felt."""
    body.add_geom(name=name, type=kind, size=size, pos=pos, material=material, contype=0, conaffinity=0, mass=0, **more)


def _sensors(spec: mujoco.MjSpec) -> None:
    kinds, objects = mujoco.mjtSensor, mujoco.mjtObj
    for joint in (*ROOT, *JOINTS):
        of = {"objtype": objects.mjOBJ_JOINT, "objname": joint}
        spec.add_sensor(name=joint, type=kinds.mjSENS_JOINTPOS, **of)
        spec.add_sensor(name=f"{joint}_velocity", type=kinds.mjSENS_JOINTVEL, **of)
    of = {"objtype": objects.mjOBJ_BODY, "objname": "torso"}
    spec.add_sensor(name="velocity", type=kinds.mjSENS_SUBTREELINVEL, **of)
    spec.add_sensor(name="clock", type=kinds.mjSENS_CLOCK)
    for side in SIDES:
        of = {"objtype": objects.mjOBJ_XBODY, "objname": f"{side}_foot"}
        spec.add_sensor(name=f"{side}_foot", type=kinds.mjSENS_FRAMEPOS, **of)
