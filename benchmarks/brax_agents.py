"""The agents of brax beside ours: success on held-out tasks after the same number of environment steps.

    python benchmarks/brax_agents.py
    python benchmarks/brax_agents.py --suites MT1/reach --steps 500000 --seeds 1

Brax's PPO and SAC train through `mtbench.adapters.brax` with brax's own networks and defaults, but for what decides how
much is learnt from a step (`AGENTS`); ours with theirs. What is known is written after each training and not trained
again. Runs unchanged on a GPU.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from learning import Row, metrics, train
from machine import describe

from mtbench import files
from mtbench.adapters import brax
from mtbench.cli.common import start_jax

HERE = Path(__file__).parent
AGENTS: dict[str, dict[str, Any]] = {
    "ppo": {
        "num_envs": 512,
        "unroll_length": 32,
        "batch_size": 64,
        "num_minibatches": 8,
        "num_updates_per_batch": 4,
        "learning_rate": 1e-3,
        "discounting": 0.98,
        "entropy_cost": 1e-3,
    },
    "sac": {
        "num_envs": 128,
        "grad_updates_per_step": 32,
        "batch_size": 512,
        "learning_rate": 1e-3,
        "discounting": 0.98,
        "min_replay_size": 8_192,
        "max_replay_size": 262_144,
    },
}
OURS = {"ppo": "mt-ppo", "sac": "mt-sac"}
HELD_OUT = 250
"""Episodes of an evaluation of brax's."""


def brax_agent(agent: str, suite: str, steps: int, seed: int) -> list[dict[str, float]]:
    """The curve of one training: success in held-out tasks, and minutes, over environment steps."""
    env, held_out = brax.SuiteEnv(suite), brax.SuiteEnv(suite, split="iid")
    start, curve = time.monotonic(), []

    def told(done: int, figures: dict[str, Any]) -> None:
        success = float(np.asarray(figures["eval/episode_success"]))
        curve.append({"env_steps": int(done), "minutes": (time.monotonic() - start) / 60, "success": success})
        print(f"brax {agent} on {suite}, seed {seed}: {int(done):,} steps, success {success:.2f}", flush=True)

    import_module(f"brax.training.agents.{agent}.train").train(
        env,
        num_timesteps=steps,
        episode_length=env.horizon,
        wrap_env_fn=brax.wrap,
        eval_env=held_out,
        num_eval_envs=HELD_OUT,
        num_evals=6,
        normalize_observations=True,
        deterministic_eval=True,
        max_devices_per_host=1,
        seed=seed,
        progress_fn=told,
        **AGENTS[agent],
    )
    return curve


def our_agent(agent: str, suite: str, steps: int, seeds: int, run: Path) -> dict[str, Any]:
    """Success of our training in held-out tasks, by seed, and minutes of all seeds together."""
    record = train(Row(suite=suite, algorithm=OURS[agent], seeds=seeds, steps=steps), run)
    card = json.loads((run / "eval" / "scorecard.json").read_text())
    estimate = card["splits"]["iid"]["policies"][OURS[agent]]["success"]
    return {"success": estimate, "minutes": record["wall_minutes"], "env_steps": metrics(run)[-1]["env_steps"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", nargs="+", default=["MT1/reach", "STARTER"])
    parser.add_argument("--agents", nargs="+", default=list(AGENTS), choices=list(AGENTS))
    parser.add_argument("--steps", type=int, default=1_000_000, help="of each seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/brax"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "brax-agents.json")
    arguments = parser.parse_args()
    start_jax()
    record = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"agents": AGENTS, "results": {}}
    for suite in arguments.suites:
        for agent in arguments.agents:
            found = record["results"].setdefault(f"{agent} on {suite}, {arguments.steps} steps", {"brax": []})
            for seed in range(len(found["brax"]), arguments.seeds):
                found["brax"].append(brax_agent(agent, suite, arguments.steps, seed))
                files.write(arguments.out, json.dumps({**record, "machine": describe()}) + "\n")
            if "ours" not in found:
                run = arguments.runs / f"{agent}-{suite.replace('/', '-')}"
                found["ours"] = our_agent(agent, suite, arguments.steps, arguments.seeds, run)
                files.write(arguments.out, json.dumps({**record, "machine": describe()}) + "\n")
            last = [curve[-1]["success"] for curve in found["brax"]]
            ours = found["ours"]["success"]
            print(
                f"{agent} on {suite} after {arguments.steps:,} steps: brax {np.mean(last):.2f} "
                f"(seeds {', '.join(f'{x:.2f}' for x in last)}), ours {ours['value']:.2f} "
                f"[{ours['low']:.2f}, {ours['high']:.2f}]"
            )


if __name__ == "__main__":
    main()
