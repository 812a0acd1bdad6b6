"""`mtbench train`: a training run in a folder."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

from .common import check_backend, parse, start_jax, versions


@dataclass(frozen=True)
class Arguments[C]:
    """Train a policy on a suite. A killed or interrupted run goes on with --resume."""

    suite: tyro.conf.Positional[str]
    """Suite to train on, e.g. STARTER or MT1/reach (`mtbench tasks` lists them), or a suite's file."""
    run_dir: Path
    """Folder of the run: checkpoints, metrics, what was trained."""
    config: tyro.conf.OmitArgPrefixes[C]
    """Hyper-parameters of the algorithm."""
    algorithm: str = "mt-ppo"
    """Which algorithm; its hyper-parameters become flags."""
    split: str = "train"
    """Tasks to train on."""
    backend: str | None = None
    """Physics: mujoco (C engine, all cores) or mjx (JAX); by default mjx where there is an accelerator."""
    arena_shares: dict[str, int] | None = None
    """Lanes of each arena in a block of lanes, e.g. tabletop 3 walker 1; by default one for each of its families."""
    demonstrations: float = 0.0
    """Share of the training episodes that begin along an episode of the task's expert; to be reported with a score."""
    seed: int = 0
    """Root of all randomness."""
    resume: bool = False
    """Go on from the newest checkpoint of run_dir."""
    force: bool = False
    """Replace the run in run_dir."""
    checkpoint_seconds: float = 120.0
    """Time between checkpoints."""
    wandb: bool = False
    """Also log to Weights & Biases (pip install 'mtbench-mjx[wandb]'; WANDB_MODE=offline keeps it on this machine)."""


def run(argv: list[str]) -> int:
    """Runs the command."""
    start_jax()
    from .. import registry, stored, suite
    from ..demonstrations import demonstrated
    from ..physics import default_backend
    from ..policy import Sizes
    from ..training import train
    from ..training.wandb import wandb_log
    from .terminal import Terminal, summary

    kind = registry.algorithm(_algorithm(argv))
    arguments = parse(Arguments[kind.Config], "train", argv)
    check_backend(arguments.backend)
    chosen = suite.load(arguments.suite)
    chosen.task_ids(arguments.split)
    algorithm = kind(arguments.config)
    config: Any = arguments.config
    lanes, shares = config.lanes * config.num_seeds, arguments.arena_shares
    # What an algorithm asks of its lanes, e.g. that they keep their family.
    options = getattr(algorithm, "lane_options", {})
    env = chosen.vector_env(lanes, arguments.split, arguments.backend, shares, **options)
    if arguments.demonstrations:
        env = demonstrated(env, chosen.expert(), arguments.demonstrations)
    # Read once: an environment may be changed under a long training.
    found = versions()
    played: dict[str, Any] = {
        "split": arguments.split,
        "backend": arguments.backend or default_backend(),
        "arena_shares": shares,
    }
    if arguments.demonstrations:
        played["demonstrations"] = arguments.demonstrations
    description: dict[str, Any] = {
        "suite": chosen.name,
        "suite_version": chosen.version,
        "digest": chosen.digest,
        **played,
        "versions": found,
        "command": "mtbench train " + " ".join(argv),
    }

    def export(state: Any, folder: Path, env_steps: int) -> None:
        stored.save_policies(
            folder / "policy",
            {seed: algorithm.policy(state, seed) for seed in range(config.num_seeds)},
            algorithm=algorithm.name,
            sizes=Sizes.of(env.envs[0]),
            suite={"name": chosen.name, "version": chosen.version, "digest": chosen.digest},
            training={**played, "seed": arguments.seed, "env_steps": env_steps, "config": asdict(config)},
            versions=found,
        )

    logged = wandb_log(arguments.run_dir) if arguments.wandb else nullcontext()
    with logged as on_line, Terminal() as terminal:
        result = train(
            algorithm,
            env,
            run_dir=arguments.run_dir,
            total_steps=config.total_steps,
            description=description,
            files={stored.SUITE: suite.to_toml(chosen)},
            seed=arguments.seed,
            export=export,
            resume=arguments.resume,
            force=arguments.force,
            checkpoint_seconds=arguments.checkpoint_seconds,
            watcher=terminal,
            on_line=on_line,
        )
    how = "stopped" if result.interrupted else "done"
    terminal.say(f"{how} at {result.env_steps:,} steps: {summary(result.success)}")
    terminal.say(f"{arguments.run_dir}: run.json, metrics.jsonl, tensorboard/, checkpoints/{result.env_steps}")
    if result.interrupted:
        again = [word for word in argv if word not in ("--force", "--resume")]
        terminal.say(f"to go on: mtbench train {' '.join(again)} --resume")
        return 1
    terminal.say(f"next: mtbench eval {arguments.run_dir}      (score on held-out tasks)")
    terminal.say(f"      mtbench render {arguments.run_dir}    (a video)")
    return 0


def _algorithm(argv: list[str]) -> str:
    """The algorithm's name must be known before its flags can be."""
    for position, word in enumerate(argv):
        if word == "--algorithm" and position + 1 < len(argv):
            return argv[position + 1]
        if word.startswith("--algorithm="):
            return word.split("=", 1)[1]
    return "mt-ppo"
