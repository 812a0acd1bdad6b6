"""The topology of a legged arena: a robot, terrain slots, perhaps a free object, on a floor under a sky."""

from __future__ import annotations

import mujoco
import numpy as np

from mtbench.physics.derive import SLOT_GROUP
from mtbench.physics.spec import begin_spec

from ..scenery import COLOURS, add_scenery
from .robots import Robot
from .robots.robot import BASE, inertial
from .rows import GOALS, PARKED_THING

_GROUND = {"contype": 1, "conaffinity": 0, "condim": 3, "priority": 1}
"""The ground alone decides the friction of a contact, so that it is one number: it has the priority."""
# Seen by the floor (1) and, where they are felt, by the robot's parts.
_THING = {"contype": 1, "conaffinity": 1, "condim": 3}
_ODD = {"pos": [0.31, 0.52, -5.0], "quat": [0.8, 0.2, 0.4, 0.4]}


def build(robot: Robot, boxes: int, rounds: int, thing: bool, *, iterations: int) -> mujoco.MjSpec:
    """The arena's model; lengths, masses and the ground are templates that tasks replace.

    Args:
      robot: who walks.
      boxes: slots of the terrain.
      rounds: likewise.
      thing: whether there is a free object.
      iterations: of the solver.
    """
    spec = begin_spec(robot.name, timestep=robot.timestep, iterations=iterations, line_search=2 * iterations)
    _surroundings(spec)
    _slots(spec, boxes, rounds)
    robot.add(spec)
    _payload(spec)
    if thing:
        _thing(spec)
    base = spec.body(BASE)
    base.add_camera(
        name="main",
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM,
        pos=robot.camera,
        xyaxes=_towards(robot.camera),
        fovy=40,
    )
    base.add_light(
        name="sun",
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM,
        pos=[-0.8, -1.4, 3.0],
        dir=[0.25, 0.45, -1.0],
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=[0.60, 0.58, 0.54],
        castshadow=True,
    )
    _sensors(spec, robot, thing)
    return spec


def _towards(camera: tuple[float, float, float]) -> list[float]:
    """Axes of a camera that looks from its place to the origin."""
    back = np.array(camera) / np.linalg.norm(camera)
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    return [*right, *np.cross(back, right)]


def _surroundings(spec: mujoco.MjSpec) -> None:
    """Sky, light, floor and the marks of goals."""
    add_scenery(spec, shadows=4096, ambient=[0.40, 0.40, 0.42], diffuse=0.25, zenith=[0.50, 0.60, 0.74])
    spec.visual.map.shadowclip = 2.0
    spec.visual.rgba.haze = [0.86, 0.90, 0.95, 1.0]
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
    for name, rgba in {**COLOURS, "stone": (0.74, 0.70, 0.64, 1.0), "ice": (0.62, 0.80, 0.90, 1.0)}.items():
        spec.add_material(name=name, rgba=rgba, shininess=0.4, specular=0.3)
    spec.worldbody.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.25], material="floor", **_GROUND
    )
    for number in range(GOALS):
        spec.worldbody.add_site(
            name=f"goal_{number}",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[0.09, 0.004, 0],
            pos=[0, 0, -4],
            material="amber",
        )


def _slots(spec: mujoco.MjSpec, boxes: int, rounds: int) -> None:
    kinds = (("box", mujoco.mjtGeom.mjGEOM_BOX, boxes), ("round", mujoco.mjtGeom.mjGEOM_CAPSULE, rounds))
    for name, kind, count in kinds:
        for number in range(count):
            spec.worldbody.add_geom(
                name=f"{name}_{number}",
                type=kind,
                size=[0.05, 0.06, 0.07],
                material="stone",
                group=SLOT_GROUP,
                **_GROUND,
                **_ODD,
            )


def _payload(spec: mujoco.MjSpec) -> None:
    """A box on the trunk, as large as its weight: without a load a speck inside it."""
    spec.body(BASE).add_geom(
        name="payload",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.011, 0.012, 0.013],
        pos=[0.01, 0.0, 0.08],
        quat=[0.0, 0.0, 0.0, 1.0],
        material="amber",
        group=SLOT_GROUP,
        contype=0,
        conaffinity=0,
    )


def _thing(spec: mujoco.MjSpec) -> None:
    """A free body of one sphere and one box: a task shrinks what it does not want into the other's middle."""
    body = spec.worldbody.add_body(name="thing", pos=PARKED_THING)
    body.add_freejoint(name="thing")
    inertial(body, 1.0, [0.01, 0.02, 0.03], [0.01, 0.02, 0.025])
    for name, kind in (("ball", mujoco.mjtGeom.mjGEOM_SPHERE), ("crate", mujoco.mjtGeom.mjGEOM_BOX)):
        body.add_geom(
            name=name,
            type=kind,
            size=[0.1, 0.11, 0.12],
            pos=[0.001, 0.002, 0.003],
            quat=[0.2, 0.8, 0.4, 0.4],
            material="coral",
            group=SLOT_GROUP,
            **_THING,
        )


def _sensors(spec: mujoco.MjSpec, robot: Robot, thing: bool) -> None:
    kinds, objects = mujoco.mjtSensor, mujoco.mjtObj
    frame = {
        "position": kinds.mjSENS_FRAMEPOS,
        "orientation": kinds.mjSENS_FRAMEQUAT,
        "velocity": kinds.mjSENS_FRAMELINVEL,
        "turning": kinds.mjSENS_FRAMEANGVEL,
    }
    for name, kind in frame.items():
        spec.add_sensor(name=name, type=kind, objtype=objects.mjOBJ_XBODY, objname=BASE)
    for joint in robot.joints:
        of = {"objtype": objects.mjOBJ_JOINT, "objname": joint}
        spec.add_sensor(name=f"{joint}_angle", type=kinds.mjSENS_JOINTPOS, **of)
        spec.add_sensor(name=f"{joint}_speed", type=kinds.mjSENS_JOINTVEL, **of)
    for foot in robot.feet:
        spec.add_sensor(name=foot, type=kinds.mjSENS_FRAMEPOS, objtype=objects.mjOBJ_GEOM, objname=foot)
    if thing:
        of = {"objtype": objects.mjOBJ_XBODY, "objname": "thing"}
        spec.add_sensor(name="thing", type=kinds.mjSENS_FRAMEPOS, **of)
        spec.add_sensor(name="thing_velocity", type=kinds.mjSENS_FRAMELINVEL, **of)
