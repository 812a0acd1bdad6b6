"""A quadruped of the size and strength of Unitree's Go1 (figures of its description in MuJoCo Menagerie).

It walks towards +x. Abductions turn the legs outwards about x, hips and knees swing them about y.
"""

from __future__ import annotations

import jax.numpy as jnp
import mujoco

from .robot import ACROSS, ALONG_X, BASE, DOWN, FELT, Robot, grid, hinge, inertial, look, solid

LEGS = ("front_left", "front_right", "rear_left", "rear_right")
HINGES = ("abduction", "hip", "knee")
THIGH, CALF = 0.213, 0.213
"""Joint to joint, and knee to the foot's middle, metres."""
FOOT = 0.023
_MASSES = {"hip": 0.6, "thigh": 1.0, "calf": 0.2}
_STANCE = (0.0, 0.9, -1.8)
_AXES = ((1, 0, 0), (0, 1, 0), (0, 1, 0))
_RANGES = ((-0.86, 0.86), (-0.69, 4.5), (-2.82, -0.89))
_TORQUES = (23.7, 23.7, 35.5)


def _height(scale) -> jnp.ndarray:
    return FOOT + THIGH * scale[0] * jnp.cos(_STANCE[1]) + CALF * scale[1] * jnp.cos(_STANCE[1] + _STANCE[2])


def _add(spec: mujoco.MjSpec) -> None:
    capsule, sphere, box = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_BOX
    base = spec.worldbody.add_body(name=BASE, pos=[0, 0, 0.3])
    base.add_freejoint(name="root")
    inertial(base, 5.2, [0.01, 0.002, 0.003], [0.02, 0.06, 0.07])
    for side, y in (("left", 0.04), ("right", -0.04)):
        pose = [0, y, 0], ALONG_X
        solid(base, f"trunk_{side}", capsule, [0.055, 0.14, 0], *pose, "cream", **FELT)
    look(base, box, [0.185, 0.062, 0.05], [0, 0, 0.008], "cream")
    look(base, box, [0.12, 0.045, 0.012], [-0.01, 0, 0.062], "ink")
    look(base, box, [0.05, 0.05, 0.042], [0.225, 0, 0.012], "ink")
    look(base, capsule, [0.012, 0.03, 0], [0.272, 0, 0.02], "amber", quat=ACROSS)
    for leg in LEGS:
        end, side = leg.split("_")
        forward, left = (1 if end == "front" else -1), (1 if side == "left" else -1)
        colour = "coral" if left > 0 else "teal"
        hip = base.add_body(name=f"{leg}_hip", pos=[0.188 * forward, 0.047 * left, 0])
        inertial(hip, _MASSES["hip"], [0.001, 0.02 * left, 0.001], [5e-4, 6e-4, 7e-4])
        solid(hip, f"{leg}_motor", capsule, [0.042, 0.016, 0], [0, 0.03 * left, 0], ACROSS, "ink")
        thigh = hip.add_body(name=f"{leg}_thigh", pos=[0, 0.08 * left, 0])
        inertial(thigh, _MASSES["thigh"], [0.001, 0.002, -0.05], [5e-3, 5.5e-3, 1e-3])
        solid(thigh, f"{leg}_thigh", capsule, [0.024, THIGH / 2, 0], [0, 0, -THIGH / 2], DOWN, colour)
        solid(thigh, f"{leg}_drive", sphere, [0.038, 0, 0], [0, -0.004 * left, -0.002], DOWN, "ink")
        calf = thigh.add_body(name=f"{leg}_calf", pos=[0, 0, -THIGH])
        inertial(calf, _MASSES["calf"], [0.001, 0.001, -0.12], [1.2e-3, 1.23e-3, 6e-5])
        solid(calf, f"{leg}_calf", capsule, [0.014, CALF / 2 - 0.012, 0], [0, 0, -CALF / 2], DOWN, "cream", **FELT)
        solid(calf, f"{leg}_foot", sphere, [FOOT, 0, 0], [0, 0, -CALF], DOWN, "ink", **FELT)
        for k, (body, name) in enumerate(zip((hip, thigh, calf), HINGES, strict=True)):
            hinge(
                spec,
                body,
                f"{leg}_{name}",
                _AXES[k],
                _RANGES[k],
                stiffness=35.0,
                torque=_TORQUES[k],
                damping=0.5,
                armature=0.005,
                velocity_gain=0.5,
            )


QUADRUPED = Robot(
    name="quadruped",
    add=_add,
    joints=tuple(f"{leg}_{name}" for leg in LEGS for name in HINGES),
    stance=_STANCE * 4,
    reach=(0.25, 0.5, 0.5) * 4,
    feet=tuple(f"{leg}_foot" for leg in LEGS),
    sole=FOOT,
    segments=(tuple(f"{leg}_thigh" for leg in LEGS), tuple(f"{leg}_calf" for leg in LEGS)),
    limbs=tuple(f"{leg}_{part}" for leg in LEGS for part in _MASSES),
    base_mass=5.2,
    height=_height,
    room=(0.32, 0.18, 0.08),
    planar=False,
    scan=grid(-0.3, 0.9, 0.3, 9, 5),
    ease=(3.0, 12.0),
    stride=0.5,
    substeps=5,
    timestep=0.004,
    camera=(0.9, -2.0, 0.75),
)
