"""The stage table's reward has the shape that its docstring promises."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtbench.stages import BEYOND
from mtbench.tasks.tabletop import rows
from mtbench.tasks.tabletop.rows import Stage

TABLE = rows.stages(
    Stage(rows.TCP, rows.OBJECT, 0.02),
    Stage(rows.OBJECT, rows.ORIGIN, 0.0, (0, 0, 0.1), weights=(0, 0, 1), relation=BEYOND),
    Stage(rows.OBJECT, rows.GOAL, 0.05, required=True),
)


def judge(tcp, obj, goal):
    quantities = jnp.zeros((len(rows.QUANTITIES), 3))
    quantities = quantities.at[rows.TCP].set(jnp.array(tcp)).at[rows.OBJECT].set(jnp.array(obj))
    return TABLE.judge(quantities.at[rows.GOAL].set(jnp.array(goal)))


@pytest.mark.parametrize(
    ("tcp", "obj", "stage"),
    [((0.5, 0, 0), (0, 0, 0), 0), ((0.01, 0, 0.05), (0, 0, 0.05), 1), ((0, 0, 0.2), (0, 0, 0.19), 2)],
)
def test_stages_reached(tcp, obj, stage):
    progress, success, reached = judge(tcp, obj, (0, 0, 1))
    assert int(reached) == stage and not success
    assert 0.75 * stage / 3 <= float(progress) < 0.75 * (stage + 1) / 3


def test_success_needs_only_what_is_required():
    progress, success, _ = judge((9, 9, 9), (0, 0, 0.02), (0, 0, 0))
    assert success and float(progress) == 1.0


def test_progress_rises_all_the_way():
    distances = jnp.linspace(1.0, 0.021, 60)
    progress = jax.vmap(lambda d: judge((d, 0, 0), (0, 0, 0), (0, 0, 1))[0])(distances)
    assert (np.diff(np.asarray(progress)) > 0).all()


def test_a_table_without_a_goal_is_refused():
    with pytest.raises(ValueError, match="one of them required"):
        rows.stages(Stage(rows.TCP, rows.OBJECT, 0.02))
    with pytest.raises(ValueError, match="slot 'free' has 2 of type sphere, 3 are asked for"):
        rows.slot("free", [rows.sphere(0.01)] * 3)
