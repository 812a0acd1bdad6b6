"""Every registered family keeps the contract of `mtbench.task.Family` and its arena's."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtbench.suite as suites
from mtbench import registry
from mtbench.errors import UsageError
from mtbench.evaluate import play, play_jobs
from mtbench.physics import BACKENDS
from mtbench.policy import RandomPolicy, act
from mtbench.task import TaskId

OWN = sorted(name for name, family in registry.families().items() if not family.base)
VARIED = sorted(set(registry.families()) - set(OWN))
FAMILIES = [*OWN, *VARIED[::8]]
"""Of those that vary another family further, some."""
ARENAS = sorted({family.arena for family in registry.families().values()})
LANES = 4


def suite_of(names: list[str]) -> suites.Suite:
    """An unfrozen suite of some families."""
    return suites.Suite("contract", 1, "", tuple(names), 60, True, {"train": {n: () for n in names}}, {}, {})


@pytest.fixture(scope="module", params=ARENAS)
def arena(request):
    """All families of one arena in one environment per backend, and a random walk through it."""
    names = [name for name in FAMILIES if registry.family(name).arena == request.param]
    suite = suite_of(names)
    ids = [TaskId(name, registry.family(name).version, seed) for name in names for seed in range(LANES)]
    rows = jax.tree.map(jnp.asarray, suite.rows(ids))
    keys = jax.random.split(jax.random.key(0), len(ids))
    envs = {backend: suite.envs(backend)[request.param] for backend in BACKENDS}
    return suite, ids, rows, keys, envs


@pytest.fixture(scope="module")
def walks(arena):
    """60 steps of every lane: random ones, and the expert's in each family's first. Other tasks compile nothing."""
    suite, ids, rows, keys, envs = arena
    env = envs["mujoco"]
    player = suite.expert()
    memory = player.init_carry(jax.random.key(2))
    chex.clear_trace_counter()  # it counts by a function's place in the source, whatever the arena
    led = jnp.asarray([task_id.seed == 0 for task_id in ids])[:, None]

    def walked(carry, actions):
        state, timestep = carry
        _, wise = jax.vmap(lambda seen: act(env, player, jax.random.key(2), memory, seen))(timestep)
        state, timestep = jax.vmap(env.step)(state, jnp.where(led, wise, actions))
        return (state, timestep), timestep

    @jax.jit
    @chex.assert_max_traces(n=1)
    def walk(keys, rows, params):
        state, first = jax.vmap(env.begin)(keys, rows, params)
        actions = jax.random.uniform(jax.random.key(1), (60, len(ids), env.action_size), minval=-1, maxval=1)
        _, seen = jax.lax.scan(walked, (state, first), actions)
        return first, seen

    params = env.params_of(rows)
    return walk, walk(keys, rows, params), walk(keys, rows, params)


def test_shapes_and_values(arena, walks):
    _, ids, _, _, envs = arena
    _, (first, seen), _ = walks
    env = envs["mujoco"]
    chex.assert_shape(first.observation, (len(ids), env.observation_size))
    chex.assert_shape(first.quantities, (len(ids), len(env.arena.quantities), 3))
    chex.assert_tree_all_finite((first, seen))
    assert not bool(seen.diverged.any())


def test_rewards_lie_in_the_unit_interval_and_progress_is_one_at_success(arena, walks):
    """On the tabletop, where success is a state, the reward is 1 there too."""
    _, (_, seen), _ = walks
    assert float(seen.reward.min()) >= 0.0 and float(seen.reward.max()) <= 1.0
    assert float(seen.progress.min()) >= 0.0 and float(seen.progress.max()) <= 1.0
    np.testing.assert_array_equal(np.asarray(seen.progress) == 1.0, np.asarray(seen.success))
    if arena[-1]["mujoco"].arena.name == "tabletop":
        np.testing.assert_array_equal(np.asarray(seen.reward) == 1.0, np.asarray(seen.success))


def test_no_task_begins_solved(arena):
    """On 40 tasks of every family."""
    suite, _, _, _, envs = arena
    ids = [TaskId(name, registry.family(name).version, seed) for name in suite.families for seed in range(40)]
    keys = jax.random.split(jax.random.key(5), len(ids))
    rows = suite.rows(ids)
    _, first = jax.jit(jax.vmap(envs["mujoco"].begin))(keys, rows, envs["mujoco"].params_of(rows))
    solved = {task_id.family for task_id, progress in zip(ids, first.progress, strict=True) if progress >= 1.0}
    assert not solved


def test_determinism_and_one_trace(arena, walks):
    walk, first, again = walks
    chex.assert_trees_all_equal(first, again)
    _, _, rows, keys, envs = arena
    flipped = jax.tree.map(lambda leaf: leaf[::-1], rows)
    walk(keys, flipped, envs["mujoco"].params_of(flipped))


def test_observations_tell_what_changes(arena, walks):
    """Of every family: the hand and the gripper move, places of objects and goals differ where tasks do, and each
    frame remembers the one before. Over all families every entry moves.
    """
    suite, ids, rows, _, envs = arena
    _, (first, seen), _ = walks
    frames = np.concatenate([first.observation[None], seen.observation])
    stuck = set(np.flatnonzero(np.ptp(frames, axis=(0, 1)) == 0.0))
    if envs["mujoco"].arena.name != "tabletop":
        assert not stuck
        return
    # Nobody walks into a zone in so few steps.
    assert stuck <= {49}
    np.testing.assert_array_equal(frames[1:, :, 18:36], frames[:-1, :, :18])
    families = np.array([task_id.family for task_id in ids])
    nothing = envs["mujoco"].arena.quantities.index("origin")
    for name in suite.families:
        mine = families == name
        varies = np.ptp(frames[:, mine], axis=(0, 1)) > 0.0
        assert varies[:4].all() and varies[4:7].any(), name
        goals = np.ptp(np.asarray(rows.goal.point)[mine], axis=0) > 0.0
        if np.asarray(rows.goal.rules.relative)[mine].any():
            assert varies[36:38].all(), name
        else:
            np.testing.assert_array_equal(varies[36:39], goals, err_msg=name)
        second = np.asarray(rows.goal.observed)[mine, 1] != nothing
        assert frames[:, mine, 11:14].any() == second.any(), name


def test_backends_agree_on_every_family(arena):
    """The first observations are equal; after three steps of the same actions they still are, to a millimetre."""
    _, ids, rows, keys, envs = arena
    one_each = np.arange(0, len(ids), LANES)
    rows, keys = jax.tree.map(lambda leaf: leaf[one_each], rows), keys[one_each]
    seen = {}
    for backend, env in envs.items():
        state, first = jax.jit(jax.vmap(env.begin))(keys, rows, env.params_of(rows))
        step = jax.jit(jax.vmap(env.step))
        frames = [first.observation]
        for _ in range(3):
            state, timestep = step(state, jnp.full((len(one_each), env.action_size), 0.2))
            frames.append(timestep.observation)
        seen[backend] = frames
    np.testing.assert_allclose(seen["mujoco"][0], seen["mjx"][0], atol=1e-5)
    np.testing.assert_allclose(seen["mujoco"][-1], seen["mjx"][-1], atol=2e-3)


def test_the_expert_solves_its_tasks(arena):
    """Scripts: at least 95 % of 40 tasks of each family that no suite lists (benchmarks/experts.py measures more).
    Trained oracles: most of what they have certified, since a gait may go astray where a program rounds otherwise.
    """
    suite, _, _, _, _ = arena
    (kind,) = {registry.family(name).arena for name in suite.families}
    names, horizon = suite.families, registry.arena(kind).horizon
    player = suites.Suite("contract", 1, "", names, horizon, True, {"train": {n: () for n in names}}, {}, {})
    envs = player.envs("mujoco")
    if kind != "tabletop":
        listed = suites.load("LOCO-MT")
        certified = [task_id for task_id in listed.scored_ids("iid", 3) if task_id.family in names]
        jobs = [(task_id, listed.certificate(task_id)) for task_id in certified]
        table = play_jobs(envs, player, player.expert(), jobs, name="expert", split="train")
        assert table["success"].mean() >= 0.8
        return
    jobs = [(TaskId(n, registry.family(n).version, 500_000 + s), 0) for n in names for s in range(40)]
    table = play_jobs(envs, player, player.expert(), jobs, name="expert", split="train")
    for (name,), part in table.group_by("family"):
        assert part["success"].mean() >= (0.85 if registry.family(name).base else 0.95), name
    random = play_jobs(envs, player, RandomPolicy(4), jobs[::5], name="random", split="train")
    assert random["success"].mean() < 0.2, "tasks that chance solves measure nothing"


def test_episodes_do_not_depend_on_their_neighbours(arena):
    _, _, rows, keys, envs = arena
    env = envs["mujoco"]
    policy = RandomPolicy(env.action_size)
    params = env.params_of(rows)
    run = jax.jit(jax.vmap(lambda key, row, params: play(env, policy, key, row, 20, params=params)[0]))
    together = run(keys, rows, params)
    alone = run(keys[:2], jax.tree.map(lambda leaf: leaf[:2], rows), params[:2])
    np.testing.assert_allclose(together.return_[:2], alone.return_, rtol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_tasks_are_named_for_ever_and_distinct(name):
    family = registry.family(name)
    factors = family.samples(np.arange(10_000))
    table = np.stack([factors[f.name] for f in family.factors], 1)
    assert len(np.unique(table, axis=0)) > 9_990
    for column, factor in zip(table.T, family.factors, strict=True):
        edge = 1e-6 * max(1.0, abs(factor.low), abs(factor.high))
        assert column.min() >= factor.low - edge and column.max() <= factor.high + edge, factor.name
    assert "{" not in family.describe(3) and family.describe(3) == family.describe(3)
    if family.accept is not None:
        assert bool(jax.vmap(family.accept)(factors).all())


def test_factors_set_by_hand():
    family = registry.family("push")
    task = family.with_factors(0, {"object_mass": 0.6})
    assert float(task.scene.free_mass) == pytest.approx(0.6)
    with pytest.raises(UsageError, match="did you mean object_mass"):
        family.with_factors(0, {"object_mas": 0.6})
    with pytest.raises(UsageError, match=r"object_mass = 9.0: expected within \[0.4, 0.8\] kg"):
        family.with_factors(0, {"object_mass": 9})
