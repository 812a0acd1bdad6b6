"""The best constant action of every family: what a family is worth to somebody who looks at nothing.

    python benchmarks/constants.py                     (all families that have none yet, or are of a newer version)
    python benchmarks/constants.py --only reach push   (these, anew)
    python benchmarks/constants.py --minutes 3         (as many as can be begun in that time)

Every action of a fixed set is played for one episode in each of a family's first training tasks, all side by side.
The one that solves most is the family's; the first, if several do. It is chosen on these tasks, so what it solves of
them is a little too good: `mtbench eval` plays it, as the control `constant`, on the tasks of an evaluation. The files
lie beside the arenas: tasks/tabletop/constants.json, tasks/legged/constants.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float
from machine import describe

from mtbench import files, registry
from mtbench.cli.common import progress, start_jax
from mtbench.env import Env
from mtbench.episode import play
from mtbench.policy import CONSTANTS, PolicyInput
from mtbench.suite import Suite, reset_key
from mtbench.task import Task, TaskId

CORNERS, RANDOM = 16, 15
"""Actions of these kinds, at most."""


@struct.dataclass
class Same:
    """The same action always."""

    action: Float[Array, " a"]

    def init_carry(self, key: jax.Array) -> tuple[()]:
        return ()

    def act(self, key: jax.Array, carry: tuple[()], seen: PolicyInput) -> tuple[tuple[()], Float[Array, " a"]]:
        return carry, self.action


def candidates(size: int) -> Float[np.ndarray, "action a"]:
    """Nothing, the middles of the cube's faces, its corners (some, where there are many), and draws from within."""
    random = np.random.default_rng(0)
    corners = np.array(np.meshgrid(*[(-1.0, 1.0)] * size)).reshape(size, -1).T if 2**size <= CORNERS else None
    if corners is None:
        corners = random.choice((-1.0, 1.0), (CORNERS, size))
    within = random.uniform(-1.0, 1.0, (RANDOM, size)).round(3)
    return np.concatenate([np.zeros((1, size)), np.eye(size), -np.eye(size), corners, within])


@partial(jax.jit, static_argnums=0)
def _solved(env: Env, actions: jax.Array, keys: jax.Array, tasks: Task, params: jax.Array) -> Bool[Array, " lane"]:
    def lane(action, key, task, params):
        return play(env, Same(action), key, task, params=params)[0].success

    return jax.vmap(lane)(actions, keys, tasks.replace(scene=()), params)


def search(env: Env, rows: Callable[[list[TaskId]], Task], ids: list[TaskId]) -> dict[str, Any]:
    """The best constant action for some tasks of one family."""
    actions, tasks = candidates(env.action_size), rows(ids)
    keys = jax.vmap(jax.random.key)(np.array([reset_key(task_id, 0) for task_id in ids], np.uint32))
    action, task = (index.ravel() for index in np.indices((len(actions), len(ids))))
    lanes = jax.tree.map(lambda leaf: jnp.asarray(leaf[task]), tasks)
    solved = _solved(env, jnp.asarray(actions[action], jnp.float32), keys[task], lanes, env.params_of(tasks)[task])
    shares = np.asarray(solved).reshape(len(actions), len(ids)).mean(1)
    best = int(shares.argmax())
    return {"version": ids[0].version, "action": actions[best].tolist(), "success": round(float(shares[best]), 4)}


def load(path: Path) -> dict[str, Any]:
    """What has been found so far."""
    return json.loads(path.read_text()) if path.exists() else {"machine": {}, "families": {}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="families; by default those that are missing")
    parser.add_argument("--arenas", nargs="*", help="by default all")
    parser.add_argument("--tasks", type=int, default=16, help="training tasks per family")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further family after so long")
    arguments = parser.parse_args()
    start_jax()
    until = time.monotonic() + 60 * arguments.minutes
    for name in arguments.only or ():
        registry.family(name)
    for arena in sorted({family.arena for family in registry.families().values()}):
        package = type(registry.arena(arena)).__module__.rpartition(".")[0]
        path = Path(str(find_spec(package).origin)).parent / CONSTANTS
        known = load(path)
        families = {name: family for name, family in registry.families().items() if family.arena == arena}
        wanted = [
            name
            for name, family in families.items()
            if name in (arguments.only or ())
            or (arguments.only is None and known["families"].get(name, {}).get("version") != family.version)
        ]
        if not wanted or (arguments.arenas and arena not in arguments.arenas):
            continue
        # All families of the arena share one program, whichever are searched.
        suite = Suite("constants", 1, "", tuple(families), registry.arena(arena).horizon, True, {})
        env = suite.envs("mujoco")[arena]
        with progress(f"constant actions, {arena}") as told:
            for done, name in enumerate(wanted):
                if time.monotonic() > until:
                    print(f"{arena}: {len(wanted) - done} families are left: {' '.join(wanted[done:])}")
                    break
                ids = [TaskId(name, families[name].version, seed) for seed in range(arguments.tasks)]
                found = search(env, suite.rows, ids) | {"tasks": arguments.tasks}
                print(f"{name}: {found['success']:.0%} by {found['action']}", flush=True)
                known = load(path)
                ordered = dict(sorted({**known["families"], name: found}.items()))
                files.write(path, _text({"machine": describe(), "families": ordered}))
                told(done + 1, len(wanted))


def _text(content: dict[str, Any]) -> str:
    """JSON with a line for each family."""
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in content["families"].items())
    return f'{{\n "machine": {json.dumps(content["machine"])},\n "families": {{\n{rows}\n }}\n}}\n'


if __name__ == "__main__":
    main()
