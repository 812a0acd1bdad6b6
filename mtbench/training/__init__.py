"""Training runs: one jitted update after another, recorded in a folder from which they can be resumed.

    result = train(algorithm, env, run_dir="runs/first", total_steps=1_000_000, description={"suite": "MT10"})
    state = load_state("runs/first", algorithm, env)

A run folder holds `run.json` (what is trained, written once), `metrics.jsonl` (a line per log interval),
`tensorboard/` (the same numbers averaged over seeds) and `checkpoints/` (the last three, by `env_steps`).
"""

from .checkpoint import read_run
from .metrics import Metrics, mean
from .runner import (
    JSON,
    Algorithm,
    Status,
    TrainEnv,
    TrainResult,
    Watcher,
    checkpoint_folder,
    load_state,
    train,
)

__all__ = [
    "JSON",
    "Algorithm",
    "Metrics",
    "Status",
    "TrainEnv",
    "TrainResult",
    "Watcher",
    "checkpoint_folder",
    "load_state",
    "mean",
    "read_run",
    "train",
]
