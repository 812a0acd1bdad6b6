"""What varied families vary: nothing at the neutral value, and what is said elsewhere."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtbench.suite as suites
from mtbench import registry
from mtbench.suite.rows import specimens
from mtbench.task import digest
from mtbench.tasks.tabletop import rows, variations

NAMES = ("push", "door-open", "faucet-open", "stick-pull", "window-close", "lever-pull", "plate-slide-side")
"""A free object, hinges about z and x, slides, tips, cages that are turned, a palm that pushes."""
VARIED = tuple(variations.PREFIX + name for name in NAMES)
STEPS = 60
SHOWN = {"damping": "door-open", "palm_size": "window-close", "finger_width": "plate-slide-side"}
"""By factor the family in which it is seen to matter; else it is push."""


def stacked(*tables):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *tables)


def row(name, seed=3, **values):
    """A row with its base's factors drawn from a seed, neutral but for some values."""
    family = registry.family(variations.PREFIX + name)
    own = registry.family(name).sample(seed)
    chosen = {f.name: jnp.float32(variations.NEUTRAL[f.name]) for f in family.factors if f.name not in own}
    assert set(values) <= set(chosen)
    task = family.build({**own, **chosen, **{k: jnp.float32(v) for k, v in values.items()}})
    return replace(task, family=np.int32(NAMES.index(name)))


@pytest.fixture(scope="module")
def suite():
    return suites.Suite("varied", 1, "", VARIED, STEPS, True, {"train": {n: () for n in VARIED}}, {}, {})


@pytest.fixture(scope="module")
def env(suite):
    return suite.envs("mujoco")["tabletop"]


@pytest.fixture(scope="module")
def played(env, suite):
    """Plays rows with their experts; returns what was seen, and what was done."""
    script = suite.expert().scripts["tabletop"]

    @jax.jit
    def run(keys, table, params):
        def step(carry, _):
            state, timestep = carry
            action = jax.vmap(lambda seen: script.act(None, (), seen)[1])(timestep)
            state, timestep = jax.vmap(env.step)(state, action)
            return (state, timestep), (timestep, action)

        first = jax.vmap(env.begin)(keys, table, params)
        return jax.lax.scan(step, first, length=STEPS)[1]

    def play(*tasks, key=0):
        table = stacked(*tasks)
        return run(jnp.broadcast_to(jax.random.key(key), len(tasks)), table, env.params_of(table))

    return play


@pytest.mark.parametrize("name", NAMES)
def test_a_neutral_row_is_its_bases(name):
    plain = replace(registry.family(name).task(3), family=np.int32(NAMES.index(name)))
    neutral = row(name)
    jax.tree.map(np.testing.assert_array_equal, neutral, plain)
    assert digest(neutral) == digest(plain)


def test_a_digest_leaves_out_what_no_row_varies():
    plain, late = row("push"), row("push", delay=2)
    assert digest(stacked(plain, plain)) != digest(stacked(plain, late)) != digest(stacked(late, plain))
    told = replace(plain, goal=replace(plain.goal, setting=()))
    assert digest(told) == digest(plain), "as if the row had no setting"


def test_every_varied_family_keeps_its_bases_factors_and_says_what_varies():
    families = registry.families()
    for family in families.values():
        if family.base is None or family.arena != "tabletop":
            continue
        base, extra = families[family.base], variations.variations(families[family.base])
        assert family.factors == (*base.factors, *(v.factor for v in extra))
        assert len({f.name for f in family.factors}) == len(family.factors)
        for variation in extra:
            factor = variation.factor
            assert factor.low <= variation.neutral <= factor.high, (family.name, factor.name)
            assert f"{{{factor.name}" in family.description and factor.meaning
    assert "{" not in families["varied-push"].describe(3)
    assert "damping" not in {f.name for f in families["varied-push"].factors}
    assert "shape" not in {f.name for f in families["varied-stick-pull"].factors}
    assert any("scene mirrored" in families["varied-push"].describe(seed) for seed in range(8))


def test_mirrored_actions_walk_the_mirrored_path(env, played):
    """The expert's actions, mirrored in the mirrored task: to round-off through the air, to 2 mm in contact."""
    sides = [row(name, mirrored=side) for name in NAMES for side in (0, 1)]
    seen, done = played(*sides)
    plain, mirrored = np.asarray(seen.quantities)[:, 0::2], np.asarray(seen.quantities)[:, 1::2]
    turn = np.ones((len(rows.QUANTITIES), 3))
    turn[[*rows.POINTS, rows.LAYOUT, rows.PENDING], 0] = -1.0
    np.testing.assert_allclose(mirrored[:10], plain[:10] * turn, atol=1e-5)
    np.testing.assert_allclose(mirrored, plain * turn, atol=2e-3)
    np.testing.assert_allclose(np.asarray(done)[:, 1::2], np.asarray(done)[:, 0::2] * [-1, 1, 1, 1], atol=0.05)
    np.testing.assert_allclose(seen.progress[:, 1::2], seen.progress[:, 0::2], atol=0.02)
    moved = np.ptp(plain, axis=0).max(-1)
    parts = {"push": rows.OBJECT, "stick-pull": rows.OBJECT}
    assert all(moved[k, parts.get(name, rows.MECHANISM)] > 0.02 for k, name in enumerate(NAMES)), "nothing is touched"
    assert np.abs(plain[:, :, rows.HAND, 0]).max(0).min() > 0.02, "what keeps to the middle proves nothing"


def test_a_delay_delays_by_its_steps(env):
    """The commanded hand; half a step mixes two actions."""
    actions = np.random.default_rng(0).uniform(-1, 1, (12, 4)).astype(np.float32)

    def commands(delay):
        task = row("push", delay=delay)
        _, _ = state, _ = env.begin(jax.random.key(0), task, env.params_of(stacked(task))[0])
        carry, found = state.carry, []
        for action in actions:
            command, carry = env.arena.control(task, carry, jnp.asarray(action))
            found.append(np.asarray(command.ctrl))
        return np.array(found)

    at_once = commands(0)
    for steps in (1, 2, 3):
        late = commands(steps)
        np.testing.assert_allclose(late[steps:], at_once[:-steps], atol=1e-6)
        assert not np.ptp(late[:steps, :3], axis=0).any() and not late[:steps, 3:].any()
    np.testing.assert_allclose(commands(1.5)[2:, 3], (at_once[1:-1, 3] + at_once[:-2, 3]) / 2, atol=1e-6)


def test_noise_is_of_its_size_and_a_function_of_the_start_and_the_step(played):
    (clear, _), (once, _), (again, _), (other, _) = (
        played(*[row("push", noise=noise)] * 2, key=key) for noise, key in ((0, 0), (0.01, 0), (0.01, 0), (0.01, 1))
    )
    np.testing.assert_array_equal(once.observation, again.observation)
    np.testing.assert_array_equal(clear.quantities, once.quantities)
    np.testing.assert_array_equal(np.asarray(clear.observation)[:, 0, :3], clear.quantities[:, 0, rows.HAND])
    difference = np.asarray(once.observation - clear.observation)[:, 0]
    where = np.r_[0:3, 4:7]
    noise = difference[:, where]
    assert 0.008 < noise.std() < 0.012 and abs(noise.mean()) < 0.002
    assert np.abs(np.corrcoef(noise.T) - np.eye(6)).max() < 0.45 and np.abs(noise[1:] * noise[:-1]).mean() < 2e-4
    assert abs((noise[1:] * noise[:-1]).mean()) < 2e-5, "from step to step it is new"
    np.testing.assert_array_equal(np.delete(difference, np.r_[0:7, 18:25], axis=1), 0.0)
    assert np.abs(np.asarray(once.observation - other.observation)[:, 0, :3]).min() > 0.0, "another start"


def test_every_factor_changes_what_happens(played):
    """At both ends rows are sound, and the same start and expert lead elsewhere than at the neutral value."""
    cases = []
    for name in ("push", *SHOWN.values()):
        for variation in variations.variations(registry.family(name)):
            factor = variation.factor
            if SHOWN.get(factor.name, "push") == name:
                values = range(len(factor.levels)) if factor.levels else (factor.low, factor.high)
                cases += [(name, factor.name, value) for value in values if value != variation.neutral]
    assert {factor for _, factor, _ in cases} == set(variations.NEUTRAL)
    plain, _ = played(*[row(name) for name in NAMES])
    seen, _ = played(*[row(name, **{factor: value}) for name, factor, value in cases])
    assert not np.asarray(seen.diverged).any() and np.isfinite(seen.observation).all()
    for case, path in zip(cases, np.asarray(seen.observation).swapaxes(0, 1), strict=True):
        other = np.asarray(plain.observation)[:, NAMES.index(case[0])]
        assert np.abs(path - other).max() > 2e-4, case


def test_a_suite_has_the_slots_of_every_shape():
    """Also where the first task of a family is a box."""
    table = specimens([registry.family("varied-push"), registry.family("reach")])
    assert rows.slots_used(table.scene)["free"] == {"box": 1, "capsule": 6, "sphere": 1}
    assert len(table.family) == len(variations.SHAPES) + 1
