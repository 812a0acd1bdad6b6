"""What rules add to a table of stages: turns, order, goals that change, zones, and time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtbench.suite as suites
from mtbench import registry
from mtbench.task import TaskId
from mtbench.tasks.tabletop import rows
from mtbench.tasks.tabletop.rows import GOAL, NEXT_GOAL, OBJECT, TCP, Stage
from mtbench.tasks.tabletop.rules import Past

A, B = (0.3, 0.0, 0.0), (0.0, 0.3, 0.0)


def ruled(*stages, **rules):
    return rows.goal(point=A, **rows.staged(*stages, next=B, **rules))


def follow(goal, path):
    """What has happened, and the verdicts, as the fingertips go along a path of points."""
    past, verdicts = Past.none(), []
    for step, point in enumerate(path):
        quantities = jnp.zeros((len(rows.QUANTITIES), 3)).at[TCP].set(jnp.array(point))
        quantities = quantities.at[GOAL].set(jnp.array(A)).at[NEXT_GOAL].set(jnp.array(B))
        past = past.replace(steps=jnp.int32(step)).with_now(goal.table, goal.rules, quantities)
        verdicts.append(goal.table.judge(quantities, past.passed, past.ready(goal.rules)))
    progress, success, stage = (np.array(column) for column in zip(*verdicts, strict=True))
    return past, progress, success, stage


TWO = (Stage(TCP, GOAL, 0.01, in_turn=True), Stage(TCP, NEXT_GOAL, 0.01, required=True))
HOME = (0.0, 0.0, 0.0)


def test_what_comes_second_counts_after_the_first_alone():
    _, _, success, stage = follow(ruled(*TWO), [HOME, B, HOME, A, HOME, B])
    np.testing.assert_array_equal(success, [False] * 5 + [True])
    np.testing.assert_array_equal(stage[:5], [0, 0, 0, 1, 1])


def test_progress_does_not_fall_when_a_stage_in_turn_is_left():
    _, progress, _, _ = follow(ruled(*TWO), [HOME, A, (0.2, 0.1, 0.0), (0.1, 0.2, 0.0), B])
    assert (np.diff(progress) > 0).all() and progress[-1] == 1.0


def test_success_may_have_to_last():
    stay = ruled(Stage(TCP, GOAL, 0.01, required=True), hold=2)
    _, progress, success, _ = follow(stay, [A, A, HOME, A, A, A, A])
    np.testing.assert_array_equal(success, [False] * 5 + [True] * 2)
    np.testing.assert_array_equal(progress == 1.0, success)


def test_who_was_in_the_zone_succeeds_no_more():
    zone = ((0.1, 0.0, 0.0), (0.02, 0.02, 0.02))
    reach = ruled(Stage(TCP, GOAL, 0.01, required=True), zone=zone, zone_of=(TCP, OBJECT))
    past, _, success, _ = follow(reach, [A, (0.13, 0.0, 0.0), A])
    assert success[0] and success[2] and not past.void
    past, _, success, _ = follow(reach, [A, (0.11, 0.0, 0.0), A])
    assert success[0] and not success[2] and past.void


def test_a_goal_is_switched_by_time_or_by_a_stage():
    by_time = ruled(Stage(TCP, GOAL, 0.01, required=True), switch_step=3)
    assert [bool(by_time.rules.switched(follow(by_time, [HOME] * n)[0])) for n in (3, 4)] == [False, True]
    by_stage = ruled(*TWO, switch_stage=1)
    paths = ([HOME], [B, A, HOME])
    assert [bool(by_stage.rules.switched(follow(by_stage, path)[0])) for path in paths] == [False, True]


def test_tables_with_rules_are_written_with_staged():
    with pytest.raises(ValueError, match="write them with `staged`"):
        rows.stages(Stage(TCP, GOAL, 0.01, required=True, in_turn=True))
    with pytest.raises(ValueError, match="one of them required"):
        rows.staged(Stage(TCP, GOAL, 0.01))


NAMES = ("reach-switch", "touch-in-order", "reach-avoid", "place-left-of", "push")


@pytest.fixture(scope="module", params=[True, False], ids=["shown", "hidden"])
def played(request):
    """Every first observation of some families, and those under two kinds of actions: none, and straight ahead."""
    suite = suites.Suite("rules", 1, "", NAMES, 200, request.param, {"train": {name: () for name in NAMES}}, {}, {})
    env = suite.envs("mujoco")["tabletop"]
    tasks = jax.tree.map(jnp.asarray, suite.rows([TaskId(name, registry.family(name).version, 7) for name in NAMES]))
    begin = jax.jit(jax.vmap(env.begin))(jax.random.split(jax.random.key(0), len(NAMES)), tasks, env.params_of(tasks))

    @jax.jit
    def walk(action):
        def step(carry, _):
            state, _ = carry
            state, timestep = jax.vmap(lambda s: env.step(s, action))(state)
            return (state, timestep), timestep

        return jax.lax.scan(step, begin, None, length=110)[1]

    still, ahead = (jax.device_get(walk(jnp.array(a))) for a in ((0.0, 0.0, 0.0, 0.0), (0.0, 1.0, -0.4, 0.0)))
    return request.param, jax.device_get(tasks), still, ahead


def of(name, tree):
    """One family's part of what is stacked [step, family, …]."""
    return jax.tree.map(lambda leaf: leaf[:, NAMES.index(name)], tree)


def test_a_goal_to_come_is_not_seen_before(played):
    shown, tasks, still, _ = played
    k, seen = NAMES.index("reach-switch"), of("reach-switch", still).observation
    when = int(tasks.goal.rules.switch_step[k])
    first, then = (tasks.goal.point[k], tasks.goal.rules.next[k]) if shown else (np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(seen[: when - 1, 36:39], np.tile(first, (when - 1, 1)), atol=1e-6)
    np.testing.assert_allclose(seen[when - 1 :, 36:39], np.tile(then, (110 - when + 1, 1)), atol=1e-6)


def test_the_order_is_seen_and_says_which_leads(played):
    _, tasks, still, _ = played
    k, seen = NAMES.index("touch-in-order"), of("touch-in-order", still)
    order = int(tasks.goal.rules.order[k])
    leads = seen.quantities[:, (rows.OBJECT, rows.SECOND)[order]]
    np.testing.assert_array_equal(seen.quantities[:, rows.LEAD], leads)
    np.testing.assert_allclose(seen.observation[:, 39:42], leads, atol=1e-6)
    np.testing.assert_array_equal(seen.observation[:, 50], order)


def test_a_goal_beside_an_object_moves_with_it(played):
    shown, tasks, still, _ = played
    k, seen = NAMES.index("place-left-of"), of("place-left-of", still)
    place = seen.quantities[:, rows.SECOND] + tasks.goal.point[k]
    np.testing.assert_allclose(seen.quantities[:, GOAL], place, atol=1e-6)
    np.testing.assert_allclose(seen.observation[:, 36:39], place if shown else 0.0, atol=1e-6)


def test_straight_through_the_zone_is_seen_and_earns_nothing_more(played):
    _, tasks, _, ahead = played
    k, seen = NAMES.index("reach-avoid"), of("reach-avoid", ahead)
    centre, half = tasks.goal.rules.zone[k]
    entered = np.maximum.accumulate(
        (np.abs(seen.quantities[:, list(tasks.goal.rules.zone_of[k])] - centre) < half).all(-1).any(-1)
    )
    assert entered.any() and not entered[0]
    np.testing.assert_array_equal(seen.observation[:, 49], entered)
    assert (seen.progress[entered] == 0.0).all() and (seen.progress[~entered] > 0.0).all()
    np.testing.assert_allclose(seen.observation[:, 42:48], np.tile([*centre, *half], (110, 1)), atol=1e-6)


def test_a_task_without_rules_sees_none(played):
    """Beside families that have them: what rules tell is zero, and the rest is as in a suite without."""
    shown, _, still, _ = played
    seen = of("push", still).observation
    assert seen.shape[-1] == 51 and not seen[:, 39:].any()
    alone = suites.Suite("push", 1, "", ("push",), 200, shown, {"train": {"push": ()}}, {}, {}).envs("mujoco")[
        "tabletop"
    ]
    assert alone.observation_size == 39
