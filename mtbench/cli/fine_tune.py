"""Fine-tuning for an evaluation: a run's training goes on, on the held-out tasks."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

if TYPE_CHECKING:
    from ..training import Algorithm, Metrics
    from .policies import Opened


@dataclass(frozen=True, eq=False)
class FineTuning[S]:
    """An algorithm whose training begins with what was learnt before; the rest of its state is that of a beginning."""

    algorithm: Algorithm[S]
    learnt_before: list[jax.Array]
    """The leaves of its `learnt`, in the order in which they are in its state."""

    def init(self, key: jax.Array, env: Any) -> S:
        """The algorithm's first state, with what was learnt before."""
        leaves, structure = jax.tree.flatten(self.algorithm.init(key, env))
        for place, leaf in zip(_learnt_places(self.algorithm, structure), self.learnt_before, strict=True):
            leaves[place] = leaf
        return jax.tree.unflatten(structure, leaves)

    @property
    def name(self) -> str:
        """The algorithm's."""
        return self.algorithm.name

    @property
    def config(self) -> Any:
        """The algorithm's."""
        return self.algorithm.config

    def train_step(self, env: Any, state: S) -> tuple[S, Metrics]:
        """The algorithm's."""
        return self.algorithm.train_step(env, state)

    def steps_per_update(self, env: Any) -> int:
        """The algorithm's."""
        return self.algorithm.steps_per_update(env)

    def policy(self, state: S, seed: int) -> Any:
        """The algorithm's."""
        return self.algorithm.policy(state, seed)

    def learnt(self, state: S) -> Any:
        """The algorithm's."""
        return self.algorithm.learnt(state)


def _learnt_places(algorithm: Algorithm[Any], structure: Any) -> list[int]:
    """Which leaves of its state an algorithm has learnt: what it picks from their numbers."""
    numbered = jax.tree.unflatten(structure, range(structure.num_leaves))
    return sorted(jax.tree.leaves(algorithm.learnt(numbered)))


def _learnt(algorithm: Algorithm[Any], env: Any, run_dir: Path, step: int) -> list[jax.Array]:
    """What a run's checkpoint has learnt. The rest of its state, on the tasks of its training, is not read."""
    from ..training.checkpoint import Checkpoints

    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda key: algorithm.init(key, env), jax.random.key(0)))
    places = _learnt_places(algorithm, structure)
    wanted = [leaf if place in places else None for place, leaf in enumerate(leaves)]
    return jax.tree.leaves(Checkpoints(run_dir).restore(step, jax.tree.unflatten(structure, wanted)))


def fine_tuned(opened: Opened, split: str, steps: int, folder: Path) -> dict[int, Any]:
    """What a run's policies become by training on a split, by seed: all its tasks together, open ones too.

    A training schedule (an annealed learning rate, say) begins anew and is as long as this training.

    Args:
      opened: the run.
      split: of its suite.
      steps: environment steps of each seed, rounded up to whole updates.
      folder: holds a run for each policy, split and number of steps, which is gone on with, or used again.

    Raises:
      UsageError: it is no run, or its suite is not that of the training.
      MtbenchError: it was interrupted; says that it can go on.
    """
    from .. import registry
    from ..errors import MtbenchError, UsageError
    from ..training import read_run, train
    from .terminal import Terminal

    origin = opened.origin
    if not (opened.folder / "run.json").exists():
        raise UsageError(f"--fine-tune: {opened.name} is no run: an export and a function cannot be trained further")
    if opened.suite.digest != (origin.get("suite") or {}).get("digest"):
        raise UsageError(f"--fine-tune: the run was not trained on {opened.suite.name}: leave --suite out")
    run, trained = read_run(opened.folder), origin["training"]
    kind: Any = registry.algorithm(run["algorithm"])
    config = kind.Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in run["config"].items()})
    lanes = config.lanes * config.num_seeds
    learner = kind(replace(config, total_steps=steps))
    options = getattr(learner, "lane_options", {})  # trials of several episodes, say
    env = opened.suite.vector_env(lanes, split, opened.backend, trained.get("arena_shares"), **options)
    algorithm = FineTuning(learner, _learnt(learner, env, opened.folder, trained["env_steps"]))
    description = {"suite": opened.suite.name, "split": split, "backend": opened.backend, "policy": origin}
    description = json.loads(json.dumps(description))
    own = folder / f"{split}-{trained['env_steps']}+{steps}"
    resume = (own / "run.json").exists() and read_run(own).get("policy") == description["policy"]
    with Terminal() as terminal:
        result = train(
            algorithm,
            env,
            run_dir=own,
            total_steps=steps,
            description=description,
            resume=resume,
            force=not resume,
            watcher=terminal,
        )
    if result.interrupted:
        raise MtbenchError(
            f"{own}: interrupted at {result.env_steps:,} steps: without --force, the same command goes on"
        )
    return {seed: algorithm.policy(result.state, seed) for seed in opened.policies}
