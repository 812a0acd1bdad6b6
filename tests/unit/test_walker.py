"""The walker arena: its physics, what its factors do, and when a walk has failed or succeeded."""

from __future__ import annotations

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mtbench
from mtbench import physics, registry
from mtbench.env import Env
from mtbench.errors import UsageError
from mtbench.tasks.walker import arena as walker
from mtbench.tasks.walker import model as topology
from mtbench.tasks.walker.families import WALK

BACKENDS = physics.BACKENDS
MIDDLE = WALK.midpoint()
STEPS = 60
OTHER = {"torso_mass": 29.0, "leg_mass": 7.0, "leg_length": 0.78, "foot_friction": 0.6, "joint_damping": 3.0}


def task(**factors: float):
    """The walk with all factors at their middle, save those given."""
    row = WALK.build({name: jnp.float32(value) for name, value in {**MIDDLE, **factors}.items()})
    return row.replace(family=jnp.int32(0))


@pytest.fixture(scope="module")
def arena() -> walker.Walker:
    """Converged solver settings, so that the backends may be compared."""
    return walker.Walker(iterations=50)


@pytest.fixture(scope="module")
def envs(arena) -> dict[str, Env]:
    return {
        name: Env(arena, physics.make(arena.model, name, substeps=arena.substeps, edits=arena.edits), horizon=500)
        for name in BACKENDS
    }


@pytest.fixture(scope="module")
def states(envs):
    """Joint positions and speeds after each control step, from a given state, per backend."""
    compiled = {}

    def run(name: str, params, qpos, qvel, ctrl):
        engine = envs[name].physics
        if name not in compiled:
            compiled[name] = jax.jit(engine.step)
        zero = jnp.zeros(())
        state = physics.State(qpos, qvel, jnp.zeros(0), jnp.zeros(9), zero)
        path = []
        for row in ctrl:
            state, sensors = compiled[name](params, state, row)
            path.append((np.asarray(state.qpos), np.asarray(state.qvel), jax.tree.map(np.asarray, sensors)))
        return path

    return run


@pytest.fixture(scope="module")
def derive(envs):
    return jax.jit(envs["mujoco"].params)


@pytest.fixture(scope="module")
def play(envs, derive):
    """Plays `STEPS` actions [step, 6] on the C engine; returns the time steps."""
    env = envs["mujoco"]

    @jax.jit
    def roll(key, row, params, actions):
        state, _ = env.begin(key, row, params)
        return jax.lax.scan(env.step, state, actions)[1]

    return lambda key, row, actions: roll(key, row, derive(row), actions)


def pose(row, height: float) -> tuple[jax.Array, jax.Array]:
    """The nominal pose with the soles at some height above the floor, metres."""
    qpos = jnp.array([0.0, 0.0, 0.0, *topology.NOMINAL, *topology.NOMINAL])
    return qpos.at[1].set(row.initial.height + height), jnp.zeros(9)


def compare(states, params, start, ctrl, *, qpos: float, qvel: float) -> list:
    """Checks every step to tolerances (m and rad, m/s and rad/s); returns the C engine's path."""
    paths = [states(name, params, *start, ctrl) for name in BACKENDS]
    for one, other in zip(*paths, strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=qpos)
        np.testing.assert_allclose(one[1], other[1], atol=qvel)
        for name, value in one[2].items():
            np.testing.assert_allclose(value, other[2][name], atol=qvel, err_msg=name)
    return paths[0]


def test_backends_agree_in_the_air(states, derive):
    """To 1e-4 (m, rad) over 20 control steps of a kicking, tumbling fall with another body than the template's."""
    row = task(**OTHER)
    qpos, qvel = pose(row, 3.0)
    qvel = qvel.at[jnp.array([0, 2, 4])].set(jnp.array([0.5, 2.0, -3.0]))
    targets = jnp.array(topology.NOMINAL * 2) + 0.4 * jnp.sin(jnp.arange(20)[:, None] * 0.5 + jnp.arange(6))
    path = compare(states, derive(row), (qpos, qvel), targets, qpos=1e-4, qvel=2e-3)
    assert np.abs(path[-1][0] - np.asarray(qpos)).max() > 0.5


def test_backends_agree_in_contact(states, derive):
    """Within 0.1 mm (and 0.1 mrad) and 10 mm/s after one control step with both soles 2 mm in the floor."""
    row = task(**OTHER)
    qpos, qvel = pose(row, -0.002)
    qvel = qvel.at[0].set(0.8).at[1].set(-0.4)
    path = compare(states, derive(row), (qpos, qvel), jnp.array([topology.NOMINAL * 2]), qpos=1e-4, qvel=1e-2)
    assert path[0][1][1] > -0.3, "the floor must have slowed the fall for this test to mean anything"


def test_an_edited_body_equals_one_compiled_from_scratch(arena, envs, derive):
    row = task(**OTHER)
    edited = arena.model.__copy__()
    for name, value in envs["mujoco"].physics.fields.unpack(np.asarray(derive(row))).items():
        getattr(edited, name)[...] = value
    scratch = from_scratch(arena, row)
    for name in ("body_mass", "body_invweight0", "dof_invweight0", "body_subtreemass", "geom_rbound", "dof_M0"):
        np.testing.assert_allclose(getattr(edited, name), getattr(scratch, name), rtol=2e-3, atol=1e-5, err_msg=name)
    # Inertial frames may be turned by symmetry, so compare what they do.
    masses, ends = [], []
    for model in (edited, scratch):
        data = mujoco.MjData(model)
        data.qpos[:], _ = pose(row, 0.0)
        data.qvel[0] = 0.7
        for _ in range(40):
            mujoco.mj_step(model, data)
        ends.append(data.qpos.copy())
        masses.append(np.zeros((model.nv, model.nv)))
        mujoco.mj_fullM(model, data, masses[-1])
    np.testing.assert_allclose(masses[0], masses[1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-4)


def from_scratch(arena: walker.Walker, row) -> mujoco.MjModel:
    """The task's body by MuJoCo's own compiler: masses of geoms instead of derived inertias."""
    scene = jax.tree.map(np.asarray, row.scene)
    spec = topology.build(iterations=arena.iterations)
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE
    spec.geom("trunk").mass = scene.torso_mass
    for side in topology.SIDES:
        for k, segment in enumerate(topology.SEGMENTS):
            body = spec.body(f"{side}_{segment}")
            geom = spec.geom(f"{side}_{'sole' if segment == 'foot' else segment}")
            geom.mass = scene.leg_mass[k]
            if k:
                body.pos[2] = -scene.leg_length[k - 1]
            if segment == "foot":
                geom.friction[0] = scene.foot_friction
            else:
                geom.size[1], geom.pos[2] = scene.leg_length[k] / 2, -scene.leg_length[k] / 2
            spec.joint(f"{side}_{topology.HINGES[k]}").damping[0] = scene.joint_damping
    return spec.compile()


@pytest.mark.parametrize("name", OTHER)
def test_every_factor_changes_the_motion(play, name):
    """The same actions from the same pose lead elsewhere, by a centimetre at least."""
    # A push with the ankles, so that friction counts.
    actions = jnp.zeros((STEPS, 6)).at[10:].set(jnp.array([-0.9, -0.5, -1.0, 0.9, 0.5, 1.0]))
    paths = []
    for value in (MIDDLE[name], OTHER[name]):
        row = task(**{name: value})
        paths.append(np.asarray(play(jax.random.key(0), row, actions).quantities[:, [walker.TORSO, walker.RIGHT_FOOT]]))
    assert np.abs(paths[0] - paths[1]).max() > 0.01


def test_a_heavier_torso_is_moved_less_by_the_same_force(derive, envs):
    weights = []
    for mass in (18.0, 30.0):
        fields = envs["mujoco"].physics.fields.unpack(np.asarray(derive(task(torso_mass=mass))))
        weights.append(fields["dof_invweight0"][0])
        assert fields["body_subtreemass"][1] == pytest.approx(mass + 2 * MIDDLE["leg_mass"], rel=1e-5)
    # The root slides carry the whole body.
    assert weights[0] > 1.1 * weights[1]


def test_a_fall_ends_the_episode_without_reward(play):
    """Both hips bent at full force: the torso folds over."""
    actions = jnp.tile(jnp.array([1.0, -0.5, 1.0, 1.0, -0.5, 1.0]), (STEPS, 1))
    seen = play(jax.random.key(1), task(), actions)
    end = int(np.argmax(seen.terminated))
    assert bool(seen.terminated[end]) and 2 < end < STEPS
    assert not seen.diverged.any() and not seen.success.any()
    assert float(seen.reward[end]) == 0.0 and float(seen.reward[: end - 1].min()) > 0.0
    upright, height = seen.quantities[end, walker.UP, 2], seen.quantities[end, walker.TORSO, 2]
    low = walker.FALLEN_HEIGHT * float(task().goal.height)
    assert float(upright) < np.cos(walker.FALLEN_PITCH) or float(height) < low


def test_it_stands_for_a_second_when_nothing_is_done(play):
    for seed in range(5):
        row = WALK.task(seed).replace(family=jnp.int32(0))
        seen = jax.tree.map(lambda leaf: leaf[:50], play(jax.random.key(seed), row, jnp.zeros((STEPS, 6))))
        assert not seen.terminated.any() and float(seen.reward.min()) > 0.1


def quantities(arena, row, *, x: float = 0.0, height: float = 1.0, pitch: float = 0.0, **more: float) -> jax.Array:
    """Quantities of a state that need not be reached; `height` is a share of the nominal one."""
    zero = jnp.zeros(1)
    sensors = {name: zero for name in (*topology.ROOT, *topology.JOINTS)}
    sensors |= {f"{name}_velocity": zero for name in (*topology.ROOT, *topology.JOINTS)}
    sensors["root_x"] = zero + x
    sensors["root_z"] = zero + height * row.goal.height
    sensors["root_pitch"] = zero + pitch
    sensors["velocity"] = jnp.zeros(3).at[0].set(more.get("speed", 0.0))
    sensors["clock"] = zero + more.get("time", 0.0)
    sensors["right_foot"] = jnp.zeros(3).at[0].set(more.get("apart", 0.0))
    sensors["left_foot"] = jnp.zeros(3)
    return arena.measure(row, sensors)


def test_success_is_the_distance_walked_upright(arena):
    row = task(target_speed=1.0)
    distance = float(row.goal.distance)
    assert distance == pytest.approx(8.0)

    def judge(**state: float):
        return arena.outcome(row, quantities(arena, row, **state))

    shares = [float(judge(x=share * distance).progress) for share in (-0.1, 0.0, 0.25, 0.5, 0.99)]
    np.testing.assert_allclose(shares, [0.0, 0.0, 0.25, 0.5, 0.99], atol=1e-6)
    assert not judge(x=distance - 0.01).success
    done = judge(x=distance)
    assert bool(done.success) and float(done.progress) == 1.0 and not done.failed
    for fallen in (judge(x=distance + 1, height=0.6), judge(x=distance + 1, pitch=-1.1)):
        assert not fallen.success and float(fallen.progress) < 1.0 and bool(fallen.failed)
        assert float(fallen.reward) == 0.0


def test_reward_is_one_when_all_is_well_and_less_otherwise(arena):
    row = task(target_speed=1.0)
    # A quarter of a stride, when the right foot is furthest in front.
    quarter = 0.25 / walker.CADENCE
    good = {"speed": 1.0, "time": quarter, "apart": walker.SPREAD * 0.5 / walker.CADENCE}

    def reward(**state: float) -> float:
        return float(arena.outcome(row, quantities(arena, row, **{**good, **state})).reward)

    assert reward() == pytest.approx(1.0)
    assert reward(x=3.0) == pytest.approx(1.0), "the place does not count"
    speeds = [reward(speed=speed) for speed in (0.0, 0.3, 0.6, 0.9)]
    assert speeds == sorted(speeds) and speeds[-1] - speeds[0] > 0.4
    for worse in ({"speed": 1.6}, {"pitch": 0.6}, {"height": 0.75}, {"apart": -0.3}):
        assert 0.0 <= reward(**worse) < 0.8, worse


def test_the_goal_is_hidden_when_asked(arena, envs, derive):
    """With hidden goals, two target speeds look the same."""
    hidden = walker.Walker(show_goal=False)
    sensors = envs["mujoco"].physics.init(derive(task()), *pose(task(), 0.0))[1]
    slow, fast = task(target_speed=0.7), task(target_speed=1.3)
    np.testing.assert_array_equal(hidden.observe(slow, sensors, ())[0], hidden.observe(fast, sensors, ())[0])
    shown = [arena.observe(row, sensors, ())[0] for row in (slow, fast)]
    assert float((shown[1] - shown[0])[-1]) == pytest.approx(0.6)
    np.testing.assert_array_equal(shown[0][:-1], shown[1][:-1])


def test_there_is_no_expert():
    with pytest.raises(UsageError, match="no scripted expert"):
        registry.arena("walker").expert([None])


def test_the_core_knows_nothing_of_the_walker():
    root = Path(mtbench.__file__).parent
    files = [path for path in root.rglob("*.py") if not {"tasks", "baselines"} & set(path.relative_to(root).parts)]
    assert len(files) > 10
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names = [node.value] if node.value == "walker" else []
            assert not any("walker" in name for name in names), path
