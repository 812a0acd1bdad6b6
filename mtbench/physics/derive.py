"""Effects from causes: what MuJoCo's compiler computes once and nothing recomputes after an edit.

A task sets causes (sizes, poses, masses, armatures). Bounding radii, inertia, subtree masses and the inverse
weights that scale constraint stiffness follow from them here, and nowhere else.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float
from mujoco import mjx

from .protocol import Causes

_MIN = 1e-15  # mjMINVAL
_SHAPES = tuple(
    int(t) for t in (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_BOX)
)


SLOT_GROUP = 3
"""Group of the geoms that tasks reshape; an arena's other geoms keep their template."""


_TRIPLES = {int(mujoco.mjtJoint.mjJNT_FREE): (3, 3), int(mujoco.mjtJoint.mjJNT_BALL): (3,)}
"""Degrees of freedom that share the mean of their inverse weights, by kind of joint."""


def check_template(model: mujoco.MjModel, edits: tuple[str, ...]) -> None:
    """Refuses a model in which the compiler has taken shortcuts that an edit would break.

    MuJoCo marks geoms and inertial frames that coincide with their body's, and skips their transform.
    """
    geoms = model.geom_group == SLOT_GROUP
    if {"geom_pos", "geom_quat"} & set(edits) and model.geom_sameframe[geoms].any():
        names = [model.geom(i).name for i in np.flatnonzero(geoms & (model.geom_sameframe != 0))]
        raise ValueError(f"geoms {names} coincide with their body's frame: give them another pose in the template")
    moving = edited_bodies(model)
    if "geom_size" in edits and (model.body_sameframe[moving].any() or model.body_simple[moving].any()):
        raise ValueError("an edited body's inertial frame coincides with its own: make the template asymmetric")
    if (model.actuator_trntype != mujoco.mjtTrn.mjTRN_JOINT).any() or "actuator_gear" in edits:
        raise ValueError("actuators must act on joints, with gears that no task edits")


def edited_bodies(model: mujoco.MjModel) -> np.ndarray:
    """Bodies that tasks reshape: the moving ones with slot geoms."""
    bodies = np.unique(model.geom_bodyid[model.geom_group == SLOT_GROUP])
    return bodies[bodies > 0]


def derive(model: mujoco.MjModel, template: mjx.Model, causes: Causes) -> dict[str, Array]:
    """All model fields that follow from `causes`, for one lane.

    Args:
      model: the compiled model (static structure).
      template: the same model on the JAX side.
      causes: edited fields, each of full shape.

    Returns:
      The edited and the derived fields, by name.
    """
    values: dict[str, Array] = dict(causes)
    size = values.get("geom_size", jnp.asarray(model.geom_size))
    values["geom_rbound"], values["geom_aabb"] = _bounds(model, size)
    values.update(_inertias(model, values, size))
    values.update(_constants(model, template, values))
    return values


def _bounds(model: mujoco.MjModel, size: Float[Array, "geom 3"]) -> tuple[Array, Array]:
    kind = model.geom_type
    sphere = kind == mujoco.mjtGeom.mjGEOM_SPHERE
    capsule = kind == mujoco.mjtGeom.mjGEOM_CAPSULE
    box = kind == mujoco.mjtGeom.mjGEOM_BOX
    rbound = jnp.asarray(model.geom_rbound, jnp.float32)
    rbound = jnp.where(sphere, size[:, 0], rbound)
    rbound = jnp.where(capsule, size[:, 0] + size[:, 1], rbound)
    rbound = jnp.where(box, jnp.linalg.norm(size, axis=-1), rbound)
    round_half = jnp.stack([size[:, 0], size[:, 0], size[:, 0] + jnp.where(capsule, size[:, 1], 0.0)], -1)
    half = jnp.where((sphere | capsule)[:, None], round_half, size)
    known = np.isin(kind, _SHAPES)[:, None]
    centre = jnp.asarray(model.geom_aabb[:, :3], jnp.float32)
    aabb = jnp.concatenate([jnp.where(known, 0.0, centre), jnp.where(known, half, model.geom_aabb[:, 3:])], -1)
    return rbound, aabb


def _volume_and_inertia(kind: np.ndarray, size: Float[Array, "n 3"]) -> tuple[Array, Array]:
    """Volumes [n] and principal inertia per unit mass [n, 3] of spheres, capsules and boxes."""
    r, h = size[:, 0], size[:, 1]
    sphere_volume = 4 / 3 * jnp.pi * r**3
    sphere_inertia = jnp.stack([0.4 * r**2] * 3, -1)
    cylinder = jnp.pi * r**2 * 2 * h
    capsule_volume = cylinder + sphere_volume
    share = cylinder / capsule_volume
    across = share * (3 * r**2 + (2 * h) ** 2) / 12 + (1 - share) * (0.4 * r**2 + h**2 + 0.75 * r * h)
    along = share * 0.5 * r**2 + (1 - share) * 0.4 * r**2
    capsule_inertia = jnp.stack([across, across, along], -1)
    box_volume = 8 * jnp.prod(size, -1)
    square = size**2
    box_inertia = (square.sum(-1, keepdims=True) - square) / 3
    is_sphere, is_capsule = kind == mujoco.mjtGeom.mjGEOM_SPHERE, kind == mujoco.mjtGeom.mjGEOM_CAPSULE
    volume = jnp.where(is_sphere, sphere_volume, jnp.where(is_capsule, capsule_volume, box_volume))
    inertia = jnp.where(
        is_sphere[:, None], sphere_inertia, jnp.where(is_capsule[:, None], capsule_inertia, box_inertia)
    )
    return volume, inertia


def _inertias(model: mujoco.MjModel, values: dict[str, Array], size: Array) -> dict[str, Array]:
    """Inertial frames of the edited bodies: `body_mass` spread over the geoms in proportion to volume."""
    mass = values.get("body_mass", jnp.asarray(model.body_mass))
    ipos, iquat = jnp.asarray(model.body_ipos), jnp.asarray(model.body_iquat)
    inertia = jnp.asarray(model.body_inertia)
    pos = values.get("geom_pos", jnp.asarray(model.geom_pos))
    quat = values.get("geom_quat", jnp.asarray(model.geom_quat))
    for body in edited_bodies(model):
        geoms = np.flatnonzero((model.geom_bodyid == body) & (model.geom_group == SLOT_GROUP))
        volume, principal = _volume_and_inertia(model.geom_type[geoms], size[geoms])
        m = mass[body] * volume / volume.sum()
        centre = (m[:, None] * pos[geoms]).sum(0) / mass[body]
        rotation = jax.vmap(mjx._src.math.quat_to_mat)(quat[geoms])
        own = jnp.einsum("gij,gj,gkj->gik", rotation, principal, rotation)
        arm = pos[geoms] - centre
        steiner = (arm**2).sum(-1)[:, None, None] * jnp.eye(3) - arm[:, :, None] * arm[:, None, :]
        # The frame of a geom's own inertia stays well conditioned in float32 when lengths are in centimetres.
        total = (m[:, None, None] * (own + steiner)).sum(0) * 1e4
        moments, axes = jnp.linalg.eigh(total)
        axes = axes.at[:, 2].multiply(jnp.sign(jnp.linalg.det(axes)))
        ipos, iquat = ipos.at[body].set(centre), iquat.at[body].set(_mat_to_quat(axes))
        inertia = inertia.at[body].set(moments * 1e-4)
    total_mass = mass
    for body in range(model.nbody - 1, 0, -1):
        total_mass = total_mass.at[model.body_parentid[body]].add(total_mass[body])
    return {"body_ipos": ipos, "body_iquat": iquat, "body_inertia": inertia, "body_subtreemass": total_mass}


def _mat_to_quat(m: Float[Array, "3 3"]) -> Float[Array, " 4"]:
    """Rotation matrix to quaternion (w, x, y, z), by its largest component (Shepperd 1978)."""
    xx, yy, zz = m[0, 0], m[1, 1], m[2, 2]
    candidates = jnp.array(
        [
            [1 + xx + yy + zz, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], 1 + xx - yy - zz, m[1, 0] + m[0, 1], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[1, 0] + m[0, 1], 1 - xx + yy - zz, m[2, 1] + m[1, 2]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[2, 1] + m[1, 2], 1 - xx - yy + zz],
        ]
    )
    best = candidates[jnp.argmax(jnp.diag(candidates))]
    return best / jnp.linalg.norm(best)


def _constants(model: mujoco.MjModel, template: mjx.Model, values: dict[str, Array]) -> dict[str, Array]:
    """What `mj_setConst` computes at the reference configuration: inverse weights and actuator accelerations.

    From the bodies' Jacobians J, M = Σ m Jpᵀ Jp + Jrᵀ I Jr + diag(armature): with the few bodies of an arena this
    compiles in half the time of the composite-rigid-body algorithm.
    """
    known = {name: value for name, value in values.items() if hasattr(template, name)}
    m = template.tree_replace({name: jnp.asarray(value, jnp.float32) for name, value in known.items()})
    data = mjx.kinematics(m, mjx.make_data(m).replace(qpos=m.qpos0))
    jacp, jacr = _jacobians(model, data)
    inertia = jnp.einsum("bij,bj,bkj->bik", data.ximat, m.body_inertia, data.ximat)
    mass_matrix = (
        jnp.einsum("b,bid,bie->de", m.body_mass, jacp, jacp)
        + jnp.einsum("bid,bij,bje->de", jacr, inertia, jacr)
        + jnp.diag(m.dof_armature)
    )
    inverse = jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(mass_matrix), jnp.eye(model.nv))

    diagonal = jnp.diag(inverse)
    dof_weight = diagonal
    for joint in range(model.njnt):
        start = model.jnt_dofadr[joint]
        for count in _TRIPLES.get(int(model.jnt_type[joint]), ()):
            dof_weight = dof_weight.at[start : start + count].set(diagonal[start : start + count].mean())
            start += count

    weights = jnp.stack([jnp.einsum("bid,de,bie->b", jac, inverse, jac) / 3 for jac in (jacp, jacr)], axis=-1)
    moves = (model.body_weldid > 0)[:, None]
    return {
        "body_invweight0": jnp.where(moves, jnp.maximum(_MIN, weights), 0.0),
        "dof_invweight0": dof_weight,
        "dof_M0": jnp.diag(mass_matrix),
        "actuator_acc0": jnp.linalg.norm(_moments(model) @ inverse, axis=-1),
    }


def _jacobians(model: mujoco.MjModel, data: mjx.Data) -> tuple[Float[Array, "b 3 d"], Float[Array, "b 3 d"]]:
    """How the bodies' centres of mass move, and how the bodies turn, with each degree of freedom."""
    joint = model.dof_jntid
    body, kind = model.dof_bodyid, model.jnt_type[joint]
    place = np.arange(model.nv) - model.jnt_dofadr[joint]
    free = kind == mujoco.mjtJoint.mjJNT_FREE
    ball = kind == mujoco.mjtJoint.mjJNT_BALL
    slides = (kind == mujoco.mjtJoint.mjJNT_SLIDE) | (free & (place < 3))
    # A free joint moves along the world's axes and turns, like a ball, about its body's own.
    own = data.xmat[body, :, place % 3]
    axis = jnp.where((free | ball)[:, None], own, data.xaxis[joint])
    axis = jnp.where((free & (place < 3))[:, None], np.eye(3)[place % 3], axis)
    anchor = jnp.where(free[:, None], data.xpos[body], data.xanchor[joint])
    moved = np.array([[_below(model, b, d) for d in body] for b in range(model.nbody)], np.float32)[:, None]
    turning = jnp.where(slides[:, None], 0.0, axis).T
    arm = data.xipos[:, None] - anchor
    along = jnp.where(slides[:, None], axis, jnp.cross(axis, arm)).swapaxes(1, 2)
    return along * moved, turning * moved


def _below(model: mujoco.MjModel, body: int, ancestor: int) -> bool:
    while body > ancestor:
        body = model.body_parentid[body]
    return body == ancestor


def _moments(model: mujoco.MjModel) -> Float[np.ndarray, "nu nv"]:
    """Moment arms of actuators, which `check_template` has found to act on joints."""
    moments = np.zeros((model.nu, model.nv), np.float32)
    moments[np.arange(model.nu), model.jnt_dofadr[model.actuator_trnid[:, 0]]] = model.actuator_gear[:, 0]
    return moments
