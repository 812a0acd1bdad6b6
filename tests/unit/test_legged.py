"""The legged arenas: ground, bodies, pushes, and when a robot has failed or succeeded."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mtbench
import mtbench.env
import mtbench.suite as suites
from mtbench import physics, registry
from mtbench.errors import UsageError
from mtbench.policy import RandomPolicy, act
from mtbench.task import TaskId
from mtbench.tasks.legged import rows, terrain
from mtbench.tasks.legged.arena import QUADRUPED_KIND, Legged
from mtbench.tasks.legged.robots import QUADRUPED

LEGGED = sorted(name for name, family in registry.families().items() if family.arena != "tabletop")
STEPS = 100


def task(name: str = "quadruped-flat", **factors: float):
    """A task with all factors at their middle, save those given."""
    family = registry.family(name)
    values = {**family.midpoint(), **factors}
    return family.build({key: jnp.float32(value) for key, value in values.items()})


@pytest.fixture(scope="module")
def env():
    """A quadruped with room for a few boxes, on the C engine."""
    arena = Legged(QUADRUPED, boxes=9, iterations=50)
    return mtbench.env.Env(
        arena, physics.make(arena.model, "mujoco", substeps=arena.substeps, edits=arena.edits), horizon=600
    )


@pytest.fixture(scope="module")
def play(env):
    """Plays `STEPS` times the same action from a seed; returns the time steps, and the memory after each."""

    @jax.jit
    def roll(key, row, action):
        def step(state, _):
            state, timestep = env.step(state, action)
            return state, (timestep, state.carry)

        state, _ = env.reset(key, row)
        return jax.lax.scan(step, state, None, STEPS)[1]

    return lambda row, action=0.0, seed=0: roll(jax.random.key(seed), row, jnp.full(env.action_size, action))


def test_the_scan_sees_what_a_ray_hits():
    """Heights in closed form against MuJoCo's own rays, over courses with ramps, turned boxes, bumps and poles."""
    for name in (
        "quadruped-slope",
        "sphere_bump_lips",
        "staircase_spiral",
        "sideways_ramp",
        "agility_poles",
        "quadruped-rough",
    ):
        row = task(name, layout=321.0) if name == "quadruped-rough" else task(name)
        stacked = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], row)
        arena = QUADRUPED_KIND(stacked)
        model = arena.model
        for field, value in jax.jit(arena.causes)(row).items():
            getattr(model, field)[...] = value
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        points = np.random.default_rng(0).uniform((0.4, -1.2), (8.5, 1.2), (400, 2))
        heights, static = [], np.ones(1, np.uint8)
        for x, y in points:
            hit = mujoco.mj_ray(
                model, data, np.array([x, y, 9.0]), np.array([0, 0, -1.0]), None, static, 1, np.zeros(1, np.int32), None
            )
            heights.append(9.0 - hit)
        ground = terrain.cut(row.goal.terrain, arena.boxes, arena.rounds)
        found = np.asarray(jax.jit(terrain.height)(ground, jnp.asarray(points, jnp.float32)))
        assert np.ptp(heights) > 0.05, name
        # An edge may lie on either side of a point in single precision.
        assert (np.abs(found - np.array(heights)) < 1e-3).mean() > 0.99, name


def test_more_than_there_are_slots_for_is_refused():
    with pytest.raises(ValueError, match="a terrain with 41 boxes: the arena has slots for 40"):
        terrain.terrain([terrain.box(0, 0, 1, 1, 1)] * 41)
    with pytest.raises(ValueError, match="9 goals: a row has room for 8"):
        rows.task(QUADRUPED, rows.scene(QUADRUPED, {}), aim=rows.COURSE, points=[(0, 0, 0)] * 9)


def test_it_stands_at_the_height_of_its_legs(play):
    for length in (0.92, 1.08):
        row = task("quadruped-turn", thigh_length=length, shin_length=length, strength=1.15, base_mass=4.0)
        height = float(play(row)[0].quantities[-1, 7, 0])
        assert height == pytest.approx(float(QUADRUPED.height(jnp.full(2, length))), rel=0.15)


def test_a_load_and_a_broken_motor_weigh_on_the_stance(play):
    heights = [
        float(play(task(name, **factors))[0].quantities[40, 7, 0])
        for name, factors in (
            ("quadruped-payload", {"payload": 2.0}),
            ("quadruped-payload", {"payload": 8.0}),
            ("quadruped-broken-joint", {"joint": 2.0}),
        )
    ]
    assert heights[1] < heights[0] - 0.005 and heights[2] < heights[0] - 0.005


def test_a_push_moves_the_whole_body_by_its_impulse(env):
    """In the air, on both backends: momentum is force times time."""
    zeros = jnp.zeros(rows.PUSHES)
    force = jnp.zeros((rows.PUSHES, 3)).at[0].set(jnp.array([30.0, -20.0, 0.0]))
    push = rows.Pushes(zeros, zeros.at[0].set(0.1), force)
    row = rows.task(
        QUADRUPED, rows.scene(QUADRUPED, {}), aim=rows.TRACK, start=(0, 0, 5.0), pushes=push, spread=0.0, yaw_spread=0.0
    )
    model = env.arena.model.__copy__()
    for backend in physics.BACKENDS:
        engine = physics.make(env.arena.model, backend, substeps=env.arena.substeps, edits=env.arena.edits)
        params = jax.jit(lambda row, engine=engine: engine.params(env.arena.causes(row)))(row)
        state, sensors = jax.jit(engine.init)(params, *env.arena.initial_state(jax.random.key(0), row))
        carry, step = env.arena.init_carry(row, sensors), jax.jit(engine.step)
        for _ in range(8):
            command, carry = env.arena.control(row, carry, jnp.zeros(12))
            state, sensors = step(params, state, command)
            carry = env.arena.remember(row, carry, sensors)
        for name, value in engine.fields.unpack(np.asarray(params)).items():
            getattr(model, name)[...] = value
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = state.qpos, state.qvel
        mujoco.mj_forward(model, data)
        mujoco.mj_subtreeVel(model, data)
        base = model.body("base").id
        momentum = data.subtree_linvel[base, :2] * model.body_subtreemass[base]
        np.testing.assert_allclose(momentum, [3.0, -2.0], atol=0.02)


def test_a_fall_ends_the_episode_without_reward(play):
    pushes = rows.pushes(60.0, 1.5, first=0.2)
    seen, _ = play(rows.task(QUADRUPED, rows.scene(QUADRUPED, {}), aim=rows.TRACK, steps=500.0, pushes=pushes))
    end = int(np.argmax(seen.terminated))
    assert bool(seen.terminated[end]) and float(seen.reward[end]) == 0.0 and not seen.success.any()


def readings(position: jax.Array, feet: jax.Array) -> dict[str, jax.Array]:
    """What the sensors of an upright quadruped at rest say, its trunk at a place, all feet at another."""
    joints = {f"{joint}_{what}": jnp.zeros(1) for joint in QUADRUPED.joints for what in ("angle", "speed")}
    still = {"velocity": jnp.zeros(3), "turning": jnp.zeros(3), "orientation": jnp.array([1.0, 0.0, 0.0, 0.0])}
    return {**still, **joints, **dict.fromkeys(QUADRUPED.feet, feet), "position": position}


def test_progress_counts_what_is_kept_passed_and_brought(env):
    """Judged at states set by hand."""
    arena = env.arena
    row = task("jump_on_and_off_box", difficulty=0.0, speed=0.8)

    def at(x: float, z: float) -> dict:
        return readings(jnp.array([x, 0.0, z]), jnp.array([x, 0.0, QUADRUPED.sole]))

    height = float(row.goal.height)
    carry = arena.init_carry(row, at(0.0, height))
    for number, (x, y, ground) in enumerate(np.asarray(row.goal.points)):
        assert abs(y) < 0.05 and ground < 0.2
        before = arena.outcome(row, at(x - 0.5, height), carry)
        carry = arena.remember(row, carry, at(x, height + ground))
        assert int(carry.reached) == number + 1
        after = arena.outcome(row, at(x, height), carry)
        assert float(before.progress) < (number + 1) / 8 <= float(after.progress) + 1e-3
    assert bool(after.success) and float(after.progress) == 1.0
    fallen = arena.outcome(row, at(x, 0.3 * height), carry)
    assert bool(fallen.failed) and not fallen.success and float(fallen.reward) == 0.0


def test_a_goal_is_not_passed_from_below(env):
    row = task("balance_beam")
    target = row.goal.points[0]
    carry = env.arena.init_carry(row, {})
    for height, passed in ((float(row.goal.height), 1), (float(row.goal.height) - float(target[2]), 0)):
        sensors = readings(target.at[2].add(height), target)
        assert int(env.arena.remember(row, carry, sensors).reached) == passed


def test_the_goal_is_hidden_when_asked(env):
    hidden = Legged(QUADRUPED, boxes=9, show_goal=False)
    rows_ = [task(speed=speed) for speed in (0.5, 1.2)]
    state, _ = jax.jit(env.reset)(jax.random.key(0), rows_[0])
    _, sensors = env.physics.init(state.params, state.physics.qpos, state.physics.qvel)
    seen = [[arena.observe(row, sensors, state.carry) for row in rows_] for arena in (hidden, env.arena)]
    np.testing.assert_array_equal(*seen[0])
    assert float(jnp.abs(seen[1][0] - seen[1][1]).max()) == pytest.approx(0.7)


@pytest.mark.parametrize("arena", ["quadruped", "walker", "humanoid"])
def test_doing_nothing_and_chance_succeed_nowhere(arena):
    """Three tasks of every family, a whole episode each: none is solved."""
    names = [name for name in LEGGED if registry.family(name).arena == arena]
    kind = registry.arena(arena)
    suite = suites.Suite("legs", 1, "", tuple(names), kind.horizon, True, {"train": {n: () for n in names}}, {}, {})
    env = suite.envs("mujoco")[arena]
    ids = [TaskId(name, 1, 2_000_000 + seed) for name in names for seed in range(3)]
    table = suite.rows(ids)
    lanes, policy = len(ids), RandomPolicy(env.action_size)

    @jax.jit
    def succeed(scale, params):
        state, _ = jax.vmap(env.begin)(jax.random.split(jax.random.key(0), lanes), table, params)

        def step(state, key):
            keys = jax.random.split(key, lanes)
            actions = jax.vmap(lambda key: policy.act(key, (), None)[1])(keys)
            state, seen = jax.vmap(env.step)(state, scale * actions)
            return state, (seen.success, seen.terminated, seen.diverged)

        return jax.lax.scan(step, state, jax.random.split(jax.random.key(1), kind.horizon))[1]

    params = env.params_of(table)
    for scale in (0.0, 1.0):
        success, over, diverged = map(np.asarray, succeed(scale, params))
        alive = np.cumsum(over, axis=0) == 0
        assert not diverged.any()
        solved = {task_id.family for task_id, won in zip(ids, (success & alive).any(0), strict=True) if won}
        assert not solved, f"actions of scale {scale} solve {solved}"


def test_a_robot_needs_room_to_start():
    """An obstacle, a roof, and factors that make no task are refused with the task's name."""
    stone, roof = terrain.box(0.3, 0.0, 0.2, 0.2, 0.1), terrain.box(0.0, 0.0, 0.5, 2.0, 0.1, bottom=0.3, overhead=True)
    arena, row = registry.arena("quadruped"), task("quadruped-flat")
    for boxes, words in (([stone], r"own/7: .* rises 0.09 m above its soles"), ([roof], "hangs .* above its hips")):
        built = replace(row, goal=replace(row.goal, terrain=terrain.terrain(boxes)))
        with pytest.raises(UsageError, match=words):
            arena.check(jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], built), ["own/7"])
    family = registry.family("quadruped-turn")
    with pytest.raises(UsageError, match="quadruped-turn with turning = 0.1: no task"):
        family.with_factors(0, {"turning": 0.1})

    def build(factors):
        return replace(family.build(factors), goal=replace(row.goal, terrain=terrain.terrain([stone])))

    with pytest.raises(UsageError, match="quadruped-turn with turning = 1: the terrain rises"):
        replace(family, build=build).with_factors(0, {"turning": 1.0})


def test_a_task_looks_the_same_in_every_suite():
    """Slots that other families fill and the object of others are neither seen nor felt."""
    seen = []
    for families in (("quadruped-flat",), ("quadruped-flat", "quadruped-push-ball", "agility_poles", "squeeze")):
        suite = suites.Suite("legs", 1, "", families, 600, True, {"train": {}}, {}, {})
        env = suite.envs("mujoco")["quadruped"]
        row = jax.tree.map(lambda leaf: leaf[0], suite.rows([TaskId("quadruped-flat", 1, 3)]))
        state, first = jax.jit(env.reset)(jax.random.key(0), row)
        step, frames = jax.jit(env.step), [first.observation]
        for _ in range(3):
            state, timestep = step(state, jnp.full(env.action_size, 0.3))
            frames.append(timestep.observation)
        seen.append(jnp.stack(frames))
    np.testing.assert_allclose(*seen, atol=1e-4)


def test_an_oracle_acts_the_same_where_goals_are_hidden():
    """It takes the goal from what experts are told."""
    suite = suites.Suite("legs", 1, "", ("quadruped-push-ball", "squeeze"), 600, True, {"train": {}}, {}, {})
    actions = []
    for told in (True, False):
        own = replace(suite, show_goal=told)
        env, oracle = own.envs("mujoco")["quadruped"], own.expert()
        row = jax.tree.map(lambda leaf: leaf[0], own.rows([TaskId("squeeze", 1, 3)]))
        _, first = jax.jit(env.reset)(jax.random.key(0), row)
        seen = jnp.count_nonzero(first.observation[-8:])
        assert (seen > 0) == told
        actions.append(act(env, oracle, jax.random.key(0), oracle.init_carry(jax.random.key(0)), first)[1])
    np.testing.assert_allclose(*actions, atol=1e-6)


def test_the_core_knows_nothing_of_robots():
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
            assert not any("legged" in name or "tabletop" in name for name in names), path
