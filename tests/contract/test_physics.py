"""Both backends keep the protocol's promises, on the tabletop with a drawer, a puck and fixtures in one scene."""

from __future__ import annotations

import copy
import dataclasses

import chex
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from jax import export
from jax.sharding import Mesh

import mtbench.suite as suites
from mtbench import physics
from mtbench.env import Env
from mtbench.task import Task
from mtbench.tasks.tabletop import model as topology
from mtbench.tasks.tabletop import rows
from mtbench.tasks.tabletop.arena import Tabletop
from mtbench.vector import VectorEnv

BACKENDS = physics.BACKENDS
SHELF = 0.13


def scene(shelf_x: float = 0.3, shelf_half: float = 0.06) -> Task:
    """A lid of two boxes and a capsule over a shelf, a drawer turned on its joint, odd numbers throughout."""
    return Task(
        scene=rows.scene(
            free=[
                rows.box((0.03, 0.02, 0.015), (0.01, 0.0, 0.0)),
                rows.box((0.01, 0.01, 0.03), (-0.02, 0.01, 0.02)),
                rows.capsule(0.008, 0.03, (0.0, 0.0, 0.03), rows.ALONG_X),
            ],
            free_mass=0.37,
            free_friction=0.9,
            mechanism=[rows.box((0.05, 0.02, 0.03), (0.02, 0.01, 0.0)), rows.capsule(0.01, 0.04, (0.0, -0.05, 0.02))],
            mechanism_mass=0.6,
            mechanism_pos=(-0.3, 0.8, 0.2),
            mechanism_quat=(0.96, 0.0, 0.0, 0.28),
            slide=rows.Joint((0.0, 1.0, 0.0), (-0.2, 0.1), damping=1.5, armature=0.31, stiffness=2.0, spring=-0.05),
            hinge=rows.Joint((0.0, 0.0, 1.0), (-1.0, 1.2), damping=0.2, armature=0.01),
            fixtures=[rows.box((shelf_half, shelf_half, 0.01), (shelf_x, 0.7, SHELF))],
        ),
        initial=rows.initial(object=(shelf_x, 0.7, SHELF + 0.026), hand_spread=(0, 0, 0)),
        goal=rows.goal(point=(0, 0, 0), stages=rows.stages(rows.Stage(rows.TCP, rows.OBJECT, 0.01, required=True))),
        family=jnp.int32(0),
    )


@pytest.fixture(scope="module")
def arena() -> Tabletop:
    """Converged solver settings, so that the backends may be compared."""
    one = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], scene())
    return Tabletop(rows.slots_used(one.scene), iterations=50)


@pytest.fixture(scope="module")
def envs(arena) -> dict[str, Env]:
    return {
        name: Env(arena, physics.make(arena.model, name, substeps=arena.substeps, edits=arena.edits), horizon=20)
        for name in BACKENDS
    }


def derived(env: Env, task: Task):
    """Parameters of one task, by the program that all share."""
    return env.params_of(jax.tree.map(lambda leaf: np.asarray(leaf)[None], task))[0]


@pytest.fixture(scope="module")
def rollout(envs):
    """Runs one lane for some control steps and returns all states, per backend."""
    compiled = {}

    def run(name: str, params, qpos, qvel, ctrl):
        engine = envs[name].physics
        if name not in compiled:

            def roll(params, qpos, qvel, ctrl):
                state, _ = engine.init(params, qpos, qvel)
                return jax.lax.scan(lambda s, c: (engine.step(params, s, physics.Command(c))[0],) * 2, state, ctrl)[1]

            compiled[name] = jax.jit(roll)
        return compiled[name](params, qpos, qvel, ctrl)

    return run


def start(env: Env, task: Task, lift: float = 0.0):
    qpos, qvel = env.arena.initial_state(jax.random.key(0), task)
    at = env.arena._index.free_qpos
    return qpos.at[at[2]].add(lift), qvel.at[env.arena._index.dofs[2]].set(0.5).at[env.arena._index.dofs[0]].set(0.2)


def test_backends_agree_without_contact(envs, rollout):
    """To 1e-4 over 20 control steps: falling and tumbling, a swinging mechanism, a moving hand, closing fingers."""
    env = envs["mujoco"]
    params = derived(env, scene())
    qpos, qvel = start(env, scene(), lift=0.6)
    qvel = qvel.at[env.arena._index.free_dofs].set(jnp.array([0.1, -0.2, 0.3, 0.3, 0.5, -0.4]))
    ctrl = jnp.tile(jnp.array([0.05, 0.65, 0.25, 0.8, 0.8]), (20, 1))
    states = [rollout(name, params, qpos, qvel, ctrl) for name in BACKENDS]
    assert float(jnp.abs(states[0].qpos - qpos).max()) > 0.05
    np.testing.assert_allclose(states[0].qpos, states[1].qpos, atol=1e-4)
    np.testing.assert_allclose(states[0].qvel, states[1].qvel, atol=2e-3)


def test_backends_agree_in_contact(envs, rollout):
    """Within 1 mm after one control step with the object pressed into the shelf."""
    env = envs["mujoco"]
    params = derived(env, scene())
    qpos, qvel = start(env, scene(), lift=-0.012)
    # Only the first step is looked at; 20 share the program of the other rollouts.
    ctrl = jnp.zeros((20, 5)).at[:, :3].set(qpos[:3])
    states = [jax.tree.map(lambda leaf: leaf[:1], rollout(name, params, qpos, qvel, ctrl)) for name in BACKENDS]
    moved = float(jnp.abs(states[0].qvel[0, env.arena._index.free_dofs]).max())
    assert moved > 0.05, "the object must be in contact for this test to mean anything"
    np.testing.assert_allclose(states[0].qpos, states[1].qpos, atol=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_moved_and_resized_fixture_carries_an_object(envs, rollout, backend):
    env = envs[backend]
    for x, half in ((0.3, 0.06), (-0.1, 0.15), (0.2, 0.05)):
        task = scene(x, half)
        params = derived(env, task)
        qpos, qvel = start(env, task)
        ctrl = jnp.tile(jnp.array([0.0, 0.6, 0.3, 0.0, 0.0]), (20, 1))
        height = rollout(backend, params, qpos, qvel * 0, ctrl).qpos[-1, env.arena._index.free_qpos[2]]
        assert SHELF + 0.02 < float(height) < SHELF + 0.04


def test_an_edited_model_equals_one_compiled_from_scratch(arena, envs):
    task = scene()
    engine = envs["mujoco"].physics
    edited = copy.copy(arena.model)
    for name, value in engine.fields.unpack(np.asarray(derived(envs["mujoco"], task))).items():
        getattr(edited, name)[...] = value
    scratch = from_scratch(arena, task)
    # Constraints are scaled by these: MuJoCo's compiler computes them once.
    for name in ("body_invweight0", "dof_invweight0", "body_subtreemass", "geom_rbound", "dof_M0", "actuator_acc0"):
        np.testing.assert_allclose(getattr(edited, name), getattr(scratch, name), rtol=2e-3, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(edited.geom_aabb[:, 3:], scratch.geom_aabb[:, 3:], rtol=1e-4, atol=1e-5)
    # Inertial frames may be turned by symmetry, so compare what they do: the mass matrix somewhere, and a motion.
    states = []
    for model in (edited, scratch):
        data = mujoco.MjData(model)
        qpos, qvel = start(envs["mujoco"], task, lift=-0.005)
        data.qpos[:], data.qvel[:] = qpos, qvel
        data.qpos[arena._index.free_qpos[3:]] = [0.6, 0.0, 0.8, 0.0]
        for _ in range(20):
            mujoco.mj_step(model, data)
        mass = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, mass)
        states.append((data.qpos.copy(), mass))
    np.testing.assert_allclose(states[0][1], states[1][1], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(states[0][0], states[1][0], atol=2e-5)


def from_scratch(arena: Tabletop, task: Task) -> mujoco.MjModel:
    """The scene's model by MuJoCo's own compiler: densities instead of derived inertias."""
    row = jax.tree.map(np.asarray, task.scene)
    spec = topology.build(arena.slots, iterations=arena.iterations)
    spec.geom("table").pos = [0, 0, 0]
    names = ("slide", "slide2", "hinge")
    for k, name in enumerate(names):
        joint = spec.joint(name)
        joint.axis, joint.range = row.axis[k], row.range[k]
        joint.damping[0], joint.armature = row.damping[k], row.armature[k]
        joint.stiffness[0], joint.springref = row.stiffness[k], row.spring[k]
    spec.body("mechanism").pos, spec.body("mechanism").quat = row.mechanism_pos, row.mechanism_quat
    for slot, (ids, order) in arena._index.geoms.items():
        shapes = getattr(row, slot)
        for geom, k in zip(ids, order, strict=True):
            g = spec.geom(arena.model.geom(geom).name)
            g.size, g.pos, g.quat = shapes.size[k], shapes.pos[k], shapes.quat[k]
            g.density = 1.0
            if slot == "free":
                g.friction[0] = row.free_friction
    for name in ("free", "mechanism"):
        spec.body(name).explicitinertial = False
        spec.body(name).ipos = [np.nan] * 3  # unset, so that the geoms decide
    volumes = spec.compile()
    for slot, mass in (("free", row.free_mass), ("mechanism", row.mechanism_mass)):
        density = mass / volumes.body_mass[volumes.body(slot).id]
        for geom in arena._index.geoms[slot][0]:
            spec.geom(arena.model.geom(geom).name).density = density
    return spec.compile()


@pytest.fixture(scope="module")
def starter():
    suite = suites.load("STARTER")
    return suite, suite.envs("mujoco")["tabletop"]


@pytest.fixture(scope="module")
def six(starter):
    """Six lanes, their first state and their compiled step."""
    suite, env = starter
    lanes = VectorEnv(env, suite.tables("train")["tabletop"], 6, suite.families, resample=False, stagger=False)
    return lanes, jax.jit(lanes.reset)(jax.random.key(0))[0], jax.jit(lanes.step)


def test_a_lane_that_diverges_is_ended_and_harms_no_other(six):
    _, state, step = six
    action = jnp.full((6, 4), 0.3)
    good, _ = step(state, action)
    _, expected = step(good, action)
    qvel = good.env.physics.qvel.at[2].set(jnp.nan)
    broken = dataclasses.replace(good, env=good.env.replace(physics=good.env.physics.replace(qvel=qvel)))
    after, timestep = step(broken, action)
    assert timestep.diverged.tolist() == [False, False, True, False, False, False]
    assert bool(timestep.terminated[2]) and float(timestep.reward[2]) == 0.0
    chex.assert_tree_all_finite(timestep)
    others = jnp.array([0, 1, 3, 4, 5])
    np.testing.assert_array_equal(timestep.observation[others], expected.observation[others])
    # The lane has begun a new episode and goes on as if nothing had happened.
    _, timestep = step(after, action)
    assert not timestep.diverged.any() and int(timestep.episode_length[2]) == 1


def test_an_action_that_is_not_finite_ends_its_lane_only(six):
    lanes, state, step = six
    _, timestep = step(state, jnp.zeros((6, 4)).at[1, 0].set(jnp.inf))
    assert timestep.diverged.tolist() == [False, True, False, False, False, False]
    with pytest.raises(ValueError, match=r"actions have shape \(6, 4\), got \(6, 5\)"):
        lanes.step(state, jnp.zeros((6, 5)))


def test_lanes_shard_over_devices_with_the_same_result(starter):
    suite, env = starter
    assert len(jax.devices()) == 4
    actions = jax.random.uniform(jax.random.key(1), (12, 8, 4), minval=-1, maxval=1)
    short = dataclasses.replace(env, horizon=7)
    results = []
    for mesh in (None, Mesh(np.array(jax.devices()), ("lane",))):
        lanes = VectorEnv(short, suite.tables("train")["tabletop"], 8, suite.families, mesh=mesh)
        state, _ = jax.jit(lanes.reset)(jax.random.key(0))
        _, seen = jax.jit(lambda s, a, lanes=lanes: jax.lax.scan(lanes.step, s, a))(state, actions)
        results.append(seen)
    assert bool(results[0].truncated.any())
    np.testing.assert_allclose(results[0].observation, results[1].observation, atol=1e-6)
    np.testing.assert_array_equal(results[0].family, results[1].family)


def test_the_mjx_step_lowers(envs):
    platforms = ("cpu", "cuda", "tpu")
    env = envs["mjx"]
    params = jax.eval_shape(env.params, scene())
    state, _ = jax.eval_shape(
        env.physics.init, params, *jax.eval_shape(env.arena.initial_state, jax.random.key(0), scene())
    )
    ctrl = physics.Command(jax.ShapeDtypeStruct((5,), jnp.float32))
    lanes = jax.tree.map(lambda x: jax.ShapeDtypeStruct((4, *x.shape), x.dtype), (params, state, ctrl))
    exported = export.export(jax.jit(jax.vmap(env.physics.step)), platforms=platforms)(*lanes)
    assert exported.platforms == platforms and len(exported.mlir_module_serialized) > 10_000


def test_a_snapshot_moves_between_backends(envs):
    """A state of one backend is a state of the other: the next step differs by no more than one step would."""
    key, task = jax.random.key(3), scene()
    step = {name: jax.jit(env.step) for name, env in envs.items()}
    params = {name: derived(env, task) for name, env in envs.items()}
    np.testing.assert_array_equal(params["mjx"], params["mujoco"])
    state, _ = jax.jit(envs["mjx"].begin)(key, task, params["mjx"])
    for name in ("mjx", "mujoco", "mjx", "mujoco"):
        state, timestep = step[name](state, jnp.array([0.2, 0.1, -0.3, 1.0]))
    pure, _ = jax.jit(envs["mujoco"].begin)(key, task, params["mujoco"])
    for _ in range(4):
        pure, expected = step["mujoco"](pure, jnp.array([0.2, 0.1, -0.3, 1.0]))
    np.testing.assert_allclose(timestep.observation, expected.observation, atol=1e-3)
