"""How many seeds and tasks it takes to see a difference, from variance components of an episodes table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
from jaxtyping import Float

from ..errors import UsageError
from .components import TAIL, coded, sums
from .outcomes import Pool, common

if TYPE_CHECKING:
    from rich.table import Table

SEEDS = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30)
TASKS = (5, 10, 25, 50, 100, 250, 1000)


@dataclass(frozen=True)
class Components:
    """Variances of success in which seeds are crossed with tasks, tasks in families, initial states in tasks."""

    seed: float
    """Of a training's level."""
    task: float
    """Of tasks within families."""
    seed_task: float
    """Of what a training is good at."""
    episode: float
    """Of episodes, beyond their initial states."""
    method_task: float
    """Of what two methods differ by from task to task; cancels in a claim about exactly these tasks."""
    assumed: bool
    """Whether `method_task` is assumed: twice `seed_task`, as if methods differed on a task as trainings do."""
    seeds: int
    """That the figures were estimated from."""
    families: int

    @property
    def seed_deviation(self) -> tuple[float, float, float]:
        """Standard deviation of a training's level, with its 95 % interval."""
        free = self.seeds - 1
        low, high = scipy.stats.chi2.ppf([TAIL, 1 - TAIL], free)
        return tuple(float(np.sqrt(self.seed * free / x)) for x in (free, low, high))  # type: ignore[return-value]


def components(played: Pool, against: Pool | None = None) -> Components:
    """Estimates by the method of moments; those below zero count as zero.

    Args:
      played: a method's trainings, two or more.
      against: another method on the same tasks, which tells how methods differ from task to task.
    """
    seeds = len(played.seeds)
    if seeds < 2:
        raise UsageError("one seed tells nothing of how trainings differ: a plan needs two or more in the table")
    strata = [f"{number} {name}" for number, part in enumerate(played.parts) for name in part.families]
    codes, counts = coded(strata, np.ones(len(strata)))
    free = len(codes) - len(counts)
    if free < 1:
        raise UsageError("one task a family tells nothing of how tasks differ: a plan needs two or more of some family")

    def within(scores: Float[np.ndarray, "*batch task"]) -> np.ndarray:
        """Mean square of tasks within their families."""
        return ((scores - (sums(scores, codes) / counts)[..., codes]) ** 2).sum(-1) / free

    rates = played.rates
    crossed = within(rates - rates.mean(0)).sum() / (seeds - 1)
    episode, noise = _episodes(played)
    seed_task = max(crossed - noise, 0.0)
    task = max(within(rates.mean(0)) - crossed / seeds, 0.0)
    seed = max(rates.mean(-1).var(ddof=1) - crossed / len(codes), 0.0)
    method_task = 2 * seed_task
    if against is not None:
        a, b = common(played, against)
        if a.tasks != played.tasks:
            raise UsageError("the two methods have not played the same tasks: evaluate both on the same ones")
        others = len(b.seeds)
        rest = within(b.rates - b.rates.mean(0)).sum() / (others - 1) if others > 1 else crossed
        method_task = max(float(within(a.rates.mean(0) - b.rates.mean(0)) - crossed / seeds - rest / others), 0.0)
    return Components(
        seed=float(seed),
        task=float(task),
        seed_task=float(seed_task),
        episode=episode,
        method_task=float(method_task),
        assumed=against is None,
        seeds=seeds,
        families=len(counts),
    )


def detectable(
    found: Components,
    seeds: Float[np.ndarray, "*shape"] | Sequence[int],
    tasks: Float[np.ndarray, "*shape"] | Sequence[int],
    episodes: int,
    power: float = 0.8,
) -> Float[np.ndarray, "*shape"]:
    """The least difference of two methods that a paired comparison finds with this power, at p < 0.05, two-sided.

    Var = 2 seed / S + 2 (seed × task + episode / E) / (S T) + method × task / T; degrees of freedom by Satterthwaite.
    What initial states have in common cancels, since both methods meet the same. No difference exceeds 1: nan says
    that none would be found.
    """
    seeds, tasks = np.asarray(seeds, float), np.asarray(tasks, float)
    crossed = 2 * (found.seed_task + found.episode / episodes) / (seeds * tasks)
    from_seeds, from_tasks = 2 * found.seed / seeds + crossed, found.method_task / tasks + crossed
    variance = from_seeds + from_tasks - crossed
    # Few tasks are of few families: two of each tell how tasks differ.
    free = np.maximum(tasks - np.minimum(found.families, tasks / 2), 1)
    curvature = from_seeds**2 / (2 * (seeds - 1)) + from_tasks**2 / free + crossed**2 / free / (2 * (seeds - 1))
    freedom = np.maximum(variance**2 / curvature, np.minimum(seeds - 1, free))
    error, quantile = np.sqrt(variance), scipy.stats.t.ppf(TAIL, freedom)
    low, high = np.zeros_like(error), np.full_like(error, 200.0)
    for _ in range(50):  # power rises with the difference
        middle = (low + high) / 2
        weak = scipy.stats.nct.sf(quantile, freedom, middle) < power
        low, high = np.where(weak, middle, low), np.where(weak, high, middle)
    difference = high * error
    return np.where(difference <= 1, difference, np.nan)


def plan(
    played: Pool,
    against: Pool | None = None,
    *,
    difference: float = 0.05,
    power: float = 0.8,
    seeds: Sequence[int] = SEEDS,
    tasks: Sequence[int] = TASKS,
    episodes: int | None = None,
) -> dict[str, Any]:
    """Seeds × tasks to the difference that they find, and for each number of tasks the fewest seeds for one.

    Args:
      played: a method's trainings.
      against: another method's, if there are any.
      difference: to see.
      power: with which probability.
      seeds: numbers of trainings of each method.
      tasks: numbers of tasks.
      episodes: per task; by default as many as were played.
    """
    if not 0 < difference < 1 or not 0 < power < 1:
        raise UsageError("a plan needs a difference and a power between 0 and 1")
    if min(*seeds, 2) < 2 or min(*tasks, 1) < 1 or (episodes is not None and episodes < 1):
        raise UsageError("a plan needs two seeds or more, one task or more and one episode or more")
    found = components(played, against)
    episodes = episodes or min(len(part.episodes) for part in played.parts)
    grid = detectable(found, *np.meshgrid(seeds, tasks, indexing="ij"), episodes, power)
    # Bisection over seeds would be quicker and longer: there are few.
    many = np.arange(2, 201)
    fewest = {}
    for count in tasks:
        enough = detectable(found, many, np.full(len(many), count), episodes, power) <= difference
        fewest[str(count)] = int(many[enough.argmax()]) if enough.any() else None
    return {
        "difference": difference,
        "power": power,
        "episodes": episodes,
        "components": asdict(found),
        "seed_deviation": found.seed_deviation,
        "seeds": list(seeds),
        "tasks": list(tasks),
        "detectable": [[None if np.isnan(x) else float(x) for x in row] for row in grid],
        "fewest_seeds": fewest,
    }


def plan_table(plan: dict[str, Any]) -> Table:
    """Seeds × tasks for a terminal; bold where the difference that was asked for is found."""
    from rich.table import Table

    title = f"Difference found with power {plan['power']:.0%}, {plan['episodes']} episodes a task"
    table = Table("seeds of each", title=title)
    for count in plan["tasks"]:
        table.add_column(f"{count} tasks", justify="right")
    for seeds, row in zip(plan["seeds"], plan["detectable"], strict=True):
        table.add_row(str(seeds), *(_cell(value, plan["difference"]) for value in row))
    return table


def told(plan: dict[str, Any]) -> list[str]:
    """The plan in sentences."""
    found, (_, low, high) = plan["components"], plan["seed_deviation"]
    names = {"seed_task": "seed × task", "method_task": "method × task"}
    names = {name: names.get(name, name) for name in ("seed", "task", "seed_task", "episode", "method_task")}
    spreads = ", ".join(f"{name} {np.sqrt(found[key]):.3f}" for key, name in names.items())
    lines = [f"Standard deviations from {found['seeds']} seeds: {spreads}."]
    lines.append(f"That of seeds lies between {low:.3f} and {high:.3f} (95 %): a plan is no better than this.")
    if found["assumed"]:
        lines.append(
            "Method × task is assumed to be that of two trainings of one method; --against POLICY measures it."
        )
    wanted = f"a difference of {plan['difference']:g} with power {plan['power']:.0%}"
    fewest = [f"{n or 'more than 200'} seeds at {tasks} tasks" for tasks, n in plan["fewest_seeds"].items()]
    return [*lines, f"For {wanted}: {', '.join(fewest)}."]


def _cell(value: float | None, wanted: float) -> str:
    if value is None:
        return "–"
    return f"[bold]{value:.3f}[/bold]" if value <= wanted else f"{value:.3f}"


def _episodes(played: Pool) -> tuple[float, float]:
    """Variance of an episode that is not its initial state's, and what it adds to a (seed, task) cell's mean.

    With one episode a task both are in the spread of the cells, and counted there.
    """
    squares, freedom, share = 0.0, 0, 0.0
    for part in played.parts:
        values, count = part.values, len(part.episodes)
        if count == 1:
            continue
        rest = values - values.mean(-1, keepdims=True)
        rest = rest - rest.mean(0, keepdims=True)
        squares += float((rest**2).sum())
        freedom += values.shape[1] * (len(part.seeds) - 1) * (count - 1)
        share += len(part.tasks) / len(played.tasks) / count
    episode = squares / freedom if freedom else 0.0
    return episode, episode * share
