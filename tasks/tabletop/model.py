"""The tabletop's topology: table, Cartesian gripper hand, and the slots that tasks fill.

Settings are those with which Meta-World's own scripted experts succeed on primitive scenes; the reasons stand
beside them.
"""

from __future__ import annotations

import mujoco

from mtbench.physics.derive import SLOT_GROUP
from mtbench.physics.spec import begin_spec

from ..scenery import COLOURS, add_scenery
from .rows import BOX, CAPSULE, FURTHER, PARKED_FURTHER, SPHERE

SUBSTEPS = 2
TIMESTEP = 0.00625
"""80 Hz control as in Meta-World, in two substeps instead of five."""

_GEOM = {
    BOX: mujoco.mjtGeom.mjGEOM_BOX,
    CAPSULE: mujoco.mjtGeom.mjGEOM_CAPSULE,
    SPHERE: mujoco.mjtGeom.mjGEOM_SPHERE,
}
# Who touches whom: (contype, conaffinity). Mechanisms and fixtures pass through each other, so that a drawer fits its
# case without clearance to tune.
_HAND, _FREE, _MECHANISM, _FIXTURE, _PLANE = (1, 14), (2, 15), (4, 3), (8, 3), (8, 7)

_CONTACTS = 28
"""That MJX keeps where there are further objects: each that stands on the table has four more."""

HAND_MASS = 3.5
_FREQUENCY, _DAMPING_RATIO = (44.0, 45.6, 46.9), (1.1, 1.36, 1.0)
"""Of the hand about its target along x, y and z, rad/s and 1: fitted to Meta-World's hand under random commands."""
SAG = (0.0, 0.0, -0.0049)
"""From the commanded to the resting hand, metres: experts rely on it, so gravity is not compensated for all of it."""
_FINGER_KP, _FINGER_DAMPING, _FINGER_ARMATURE = 120.0, 300.0, 30.0
FINGER_GAP = 0.1
"""Distance of the open claws, metres."""


def build(slots: dict[str, dict[str, int]], *, iterations: int = 10, marks: bool = False) -> mujoco.MjSpec:
    """The arena's model with a given number of geoms per slot and type, and marks of what rules speak of."""
    spec = begin_spec("tabletop", timestep=TIMESTEP, iterations=iterations, line_search=iterations)
    _surroundings(spec)
    if marks:
        _marks(spec)
    _hand(spec)
    _slots(spec, slots)
    _further(spec, slots)
    return spec


def _material(spec: mujoco.MjSpec, name: str, rgba, shininess: float = 0.35, specular: float = 0.35) -> None:
    spec.add_material(name=name, rgba=rgba, shininess=shininess, specular=specular)


def _surroundings(spec: mujoco.MjSpec) -> None:
    """Sky, light, floor, table, camera: what makes a picture; only the plane at z = 0 is felt."""
    add_scenery(spec, shadows=2048, ambient=[0.42, 0.42, 0.44], diffuse=0.22, zenith=[0.55, 0.63, 0.74])
    for name, rgba in COLOURS.items():
        _material(spec, name, rgba)
    _material(spec, "table", [0.83, 0.74, 0.62, 1], 0.1, 0.15)
    _material(spec, "floor", [0.60, 0.65, 0.71, 1], 0.05, 0.05)
    _material(spec, "goal", [0.20, 0.80, 0.35, 0.45], 0.2, 0.2)
    world = spec.worldbody
    world.add_light(
        pos=[-0.7, -0.2, 2.0],
        dir=[0.35, 0.45, -1.0],
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=[0.62, 0.60, 0.56],
        castshadow=True,
    )
    world.add_light(pos=[1.2, 0.2, 1.6], dir=[-0.6, 0.3, -1.0], diffuse=[0.18, 0.19, 0.22], castshadow=False)
    world.add_camera(name="main", pos=[0.66, 0.0, 0.66], xyaxes=[0.717, 0.697, 0.0, -0.340, 0.350, 0.873], fovy=40)
    contype, conaffinity = _PLANE
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[2, 2, 0.1],
        pos=[0, 0, -1e-3],  # rows set it; see `_fill` for why the template has another height
        contype=contype,
        conaffinity=conaffinity,
        rgba=[0, 0, 0, 0],
        solref=[0.01, 1],
        solimp=[0.99, 0.99, 0.01, 0.5, 2],
    )
    looks = [
        ("table_top", [0.7, 0.45, 0.02], [0, 0.6, -0.021], "table"),
        *[(f"table_leg_{i}", [0.03, 0.03, 0.43], [x, y, -0.47], "walnut") for i, (x, y) in enumerate(_CORNERS)],
        ("floor", [4, 4, 0.01], [0, 0.6, -0.92], "floor"),
    ]
    for name, size, pos, material in looks:
        _look(world, name, mujoco.mjtGeom.mjGEOM_BOX, size, pos, material)
    world.add_site(name="goal", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.02, 0, 0], pos=[0, 0, -4], material="goal")


def dress(compiled: mujoco.MjModel, table_height: float, finger_length: float) -> None:
    """Moves what is only seen to where a task has the table and the fingers' ends."""
    compiled.geom("table_top").pos[2] = table_height - 0.021
    for i in range(len(_CORNERS)):
        leg = compiled.geom(f"table_leg_{i}")
        leg.size[2], leg.pos[2] = 0.43 + table_height / 2, -0.47 + table_height / 2
    for side in ("right", "left"):
        claw = compiled.geom(f"{side}_claw")
        claw.size[2], claw.pos[2] = 0.044 + finger_length / 2, 0.004 - finger_length / 2


def _marks(spec: mujoco.MjSpec) -> None:
    """Of the second goal and of the zone, hidden until a task has them: seen only."""
    _material(spec, "next", [0.95, 0.69, 0.25, 0.45], 0.2, 0.2)
    _material(spec, "zone", [0.91, 0.25, 0.2, 0.3], 0.1, 0.1)
    for name, kind in (("next", "SPHERE"), ("zone", "BOX")):
        shape = getattr(mujoco.mjtGeom, f"mjGEOM_{kind}")
        # Not at the world's origin: MuJoCo would skip the transform, and a task's place be ignored.
        spec.worldbody.add_site(name=name, type=shape, size=[0.02] * 3, pos=[0, 0, -4], material=name, group=4)


_CORNERS = ((-0.64, 0.21), (0.64, 0.21), (-0.64, 0.99), (0.64, 0.99))


def _look(body, name: str, kind, size, pos, material: str, **more) -> None:
    """A geom that is seen and not felt."""
    body.add_geom(name=name, type=kind, size=size, pos=pos, material=material, contype=0, conaffinity=0, mass=0, **more)


def _hand(spec: mujoco.MjSpec) -> None:
    """A gripper on three slides; the body's origin is Meta-World's hand point, between the finger pads."""
    contype, conaffinity = _HAND
    felt = {"contype": contype, "conaffinity": conaffinity, "mass": 0.0}
    hand = spec.worldbody.add_body(name="hand", pos=[0, 0, 0])
    hand.explicitinertial = True
    hand.gravcomp = 1.0 + SAG[2] * _FREQUENCY[2] ** 2 / 9.81
    hand.mass, hand.ipos, hand.inertia = HAND_MASS - 0.04, [0, 0, 0.07], [0.01, 0.01, 0.01]
    for axis, name in enumerate("xyz"):
        direction = [float(axis == i) for i in range(3)]
        hand.add_joint(name=f"hand_{name}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=direction)
        actuator = spec.add_actuator(name=f"hand_{name}", trntype=mujoco.mjtTrn.mjTRN_JOINT, target=f"hand_{name}")
        frequency, ratio = _FREQUENCY[axis], _DAMPING_RATIO[axis]
        actuator.set_to_position(kp=HAND_MASS * frequency**2, kv=2 * ratio * HAND_MASS * frequency)
    # A capsule, not a box: sharp edges make lever-pull and door-unlock fail.
    hand.add_geom(
        name="palm",
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        size=[0.027, 0.025, 0],
        pos=[-0.006, 0, 0.066],
        quat=[0.70710678, -0.70710678, 0, 0],
        material="ink",
        condim=3,
        solref=[0.01, 1],
        solimp=[0.99, 0.99, 0.01, 0.5, 2],
        **felt,
    )
    box, cylinder = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
    _look(hand, "gripper", box, [0.024, 0.058, 0.017], [0, 0, 0.066], "ink")
    _look(hand, "collar", cylinder, [0.03, 0.018, 0], [0, 0, 0.1], "coral")
    _look(hand, "wrist", cylinder, [0.022, 0.11, 0], [0, 0, 0.225], "cream")
    for side, sign, travel in (("right", -1.0, 0.04), ("left", 1.0, 0.03)):
        finger = hand.add_body(name=side, pos=[0, sign * FINGER_GAP / 2, 0])
        finger.explicitinertial = True
        finger.mass, finger.inertia = 0.02, [1e-5, 1e-5, 1e-5]
        finger.add_joint(
            name=side,
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[0, -sign, 0],
            range=[0, travel],
            limited=True,
            damping=[_FINGER_DAMPING, 0, 0],
            armature=_FINGER_ARMATURE,
        )
        actuator = spec.add_actuator(
            name=side, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=side, ctrlrange=[-1, 1], ctrllimited=True
        )
        actuator.set_to_position(kp=_FINGER_KP)
        for end, x in (("near", -0.009), ("far", 0.009)):
            # Two capsules grip as well as a box pad and cost half in collision.
            finger.add_geom(
                name=f"{side}_{end}",
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                size=[0.006, 0.039, 0],
                pos=[x, -sign * 0.003, 0],
                material="steel",
                condim=4,
                friction=[1.5, 0.1, 0.002],
                solref=[0.01, 1],
                solimp=[0.95, 0.99, 0.001, 0.5, 2],
                **felt,
            )
        _look(finger, f"{side}_claw", box, [0.013, 0.004, 0.044], [0, 0, 0.004], "ink")
    spec.add_sensor(
        name="hand", type=mujoco.mjtSensor.mjSENS_FRAMEPOS, objtype=mujoco.mjtObj.mjOBJ_XBODY, objname="hand"
    )
    for side in ("right", "left"):
        spec.add_sensor(
            name=side, type=mujoco.mjtSensor.mjSENS_JOINTPOS, objtype=mujoco.mjtObj.mjOBJ_JOINT, objname=side
        )


def _slots(spec: mujoco.MjSpec, slots: dict[str, dict[str, int]]) -> None:
    world = spec.worldbody
    free = world.add_body(name="free", pos=[0, 4, 1])
    free.add_freejoint(name="free")
    mechanism = world.add_body(name="mechanism", pos=[0.5, 4, 1])
    for name, kind in (("slide", "SLIDE"), ("slide2", "SLIDE"), ("hinge", "HINGE")):
        mechanism.add_joint(
            name=name,
            type=getattr(mujoco.mjtJoint, f"mjJNT_{kind}"),
            axis=[1, 0, 0] if kind == "SLIDE" else [0, 0, 1],
            range=[-1, 1],
            limited=True,
            damping=[1.0, 0, 0],
            armature=0.1,
            stiffness=[1.0, 0, 0],
        )
        spec.add_sensor(
            name=name, type=mujoco.mjtSensor.mjSENS_JOINTPOS, objtype=mujoco.mjtObj.mjOBJ_JOINT, objname=name
        )
    for body in (free, mechanism):
        _weigh(body)
    _fill(free, "free", slots["free"], _FREE)
    _fill(mechanism, "mechanism", slots["mechanism"], _MECHANISM)
    _fill(world, "fixtures", slots["fixtures"], _FIXTURE)
    for body, short in (("free", "object"), ("mechanism", "mechanism")):
        _sense(spec, body, short)


def _further(spec: mujoco.MjSpec, slots: dict[str, dict[str, int]]) -> None:
    """The free objects beside the first, as many as are used, with room for the contacts that they bring."""
    used = [name for name in FURTHER if any(slots.get(name, {}).values())]
    for name in used:
        body = spec.worldbody.add_body(name=name, pos=PARKED_FURTHER[FURTHER.index(name)])
        body.add_freejoint(name=name)
        _weigh(body)
        _fill(body, name, slots[name], _FREE)
        _sense(spec, name, name)
    if used:
        spec.numeric("max_contact_points").data = [_CONTACTS]


def _weigh(body) -> None:
    """Odd on purpose, as the geoms' poses are; `derive` writes the real inertia."""
    body.explicitinertial = True
    body.mass, body.ipos, body.iquat, body.inertia = (
        1.0,
        [0.01, 0.02, 0.03],
        [0.5, 0.5, -0.5, 0.5],
        [0.01, 0.02, 0.025],
    )


def _sense(spec: mujoco.MjSpec, body: str, short: str) -> None:
    for suffix, kind in (("pos", "FRAMEPOS"), ("quat", "FRAMEQUAT")):
        spec.add_sensor(
            name=f"{short}_{suffix}",
            type=getattr(mujoco.mjtSensor, f"mjSENS_{kind}"),
            objtype=mujoco.mjtObj.mjOBJ_XBODY,
            objname=body,
        )


def _fill(body, slot: str, counts: dict[str, int], bits: tuple[int, int]) -> None:
    """Adds a slot's geoms. Their template poses are odd on purpose: MuJoCo skips the transform of a geom that
    coincides with its body, and a later edit of its pose would be ignored.
    """
    contype, conaffinity = bits
    if slot != "fixtures" and not sum(counts.values()):
        counts = {**counts, BOX: 1}  # a body that moves needs a mass and a shape
    number = 0
    for kind, count in counts.items():
        for index in range(count):
            number += 1
            body.add_geom(
                name=f"{slot}_{kind}_{index}",
                type=_GEOM[kind],
                size=[0.01 + 0.001 * number, 0.012, 0.014],
                pos=[0.01 * number, 0.02, 0.03],
                quat=[0.8, 0.2, 0.4, 0.4],
                contype=contype,
                conaffinity=conaffinity,
                condim=3,
                friction=[1, 0.005, 0.0001],
                solref=[0.01, 1],
                solimp=[0.99, 0.99, 0.01, 0.5, 2],
                group=SLOT_GROUP,
                material="steel",
            )
