"""Tables with known truth: what every interval of the scorecard is held to.

Success of an episode is Φ(family + seed + task + seed × task) of a regime, so that expectations are known in closed
form. `claims` computes the intervals that a card prints, beside what they claim to cover; `table` is an episodes table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
import scipy
from jaxtyping import Bool, Float

from . import contrasts, statistics
from .components import Batch, Plays, Scores
from .contrasts import Group
from .episodes import validate
from .statistics import Interval


@dataclass(frozen=True)
class Regime:
    """How tasks, trainings and episodes vary."""

    seeds: int = 5
    sizes: tuple[int, ...] = (5,) * 5
    """Tasks in each family."""
    episodes: int = 6
    level: float = 0.5
    apart: float = 0.5
    """How far families lie from their middle."""
    seed_spread: float = 0.3
    task_spread: float = 0.6
    cell_spread: float = 0.3
    collapse: float = 0.0
    """Share of seeds that fail everywhere."""
    hopeless: float = 0.0
    """Share of tasks that nobody can do."""
    blind: float = 0.0
    """Share of tasks that the control cannot do."""
    shared: float = 0.5
    """Share of an episode's chance that is in its initial state, which all meet."""


REGIMES = {
    "ordinary": Regime(),
    "correlated seeds": Regime(seed_spread=0.8),
    "two seeds": Regime(seeds=2, seed_spread=0.5),
    "three seeds": Regime(seeds=3, seed_spread=0.5),
    "ten seeds": Regime(seeds=10, seed_spread=0.5, sizes=(3,) * 5),
    "few tasks": Regime(seeds=3, sizes=(3, 3)),
    "one family of five": Regime(sizes=(5,)),
    "pairs of tasks": Regime(sizes=(2,) * 5),
    "uneven families": Regime(sizes=(2, 3, 4, 6, 10)),
    "some families of one task": Regime(sizes=(1, 1, 1, 7, 7)),
    "ceiling": Regime(level=2.5),
    "floor": Regime(level=-2.5),
    "some hopeless tasks": Regime(level=2.5, task_spread=0.2, hopeless=0.04),
    "tasks all or nothing": Regime(task_spread=3.0),
    "tasks alike": Regime(shared=0.0, seed_spread=0.05, task_spread=0.05, cell_spread=0.05),
    "one episode": Regime(episodes=1),
    "families far apart": Regime(sizes=(40,) * 6, episodes=1, apart=2.5, seed_spread=0.05),
    "hard ceiling": Regime(level=3.2, seed_spread=0.1, task_spread=0.2, cell_spread=0.1, blind=0.05),
    "initial states decide": Regime(shared=1.0, seed_spread=0.0, cell_spread=0.0, blind=0.05),
    "collapse": Regime(level=1.5, collapse=0.1),
    "collapse, three seeds": Regime(seeds=3, level=1.5, collapse=0.1),
}
HANDICAP = 0.6
"""What a control lacks in level; the splits beyond training lack a part of it."""
BEYOND = {"near": 0.4, "far": 0.8}
ADAPTED = (0.0, 0.3, 0.6)
"""What a policy gains by adaptation, at three levels."""

Claims = dict[str, tuple[Interval, Batch]]
"""An interval beside its truth."""


Tasks = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of `Draw.tasks`."""


class Draw:
    """Random numbers of many replicates of one regime: what policies, seeds and tasks are like."""

    def __init__(self, regime: Regime, replicates: int, seed: int):
        """Draws the trainings and the training tasks."""
        self.regime, self.replicates = regime, replicates
        self.random = np.random.default_rng(seed)
        self.families = np.repeat(np.arange(len(regime.sizes)), regime.sizes).astype(str)
        self.middles = np.linspace(-regime.apart, regime.apart, len(regime.sizes)) + regime.level
        self.base = np.repeat(self.middles, regime.sizes)
        self.level, self.alive = self.trainings()

    def normal(self, spread: float, *shape: int) -> Float[np.ndarray, " replicate *shape"]:
        """Normal draws in single precision, for speed."""
        return spread * self.random.standard_normal((self.replicates, *shape), np.float32)

    def lasting(self, share: float, *shape: int) -> Bool[np.ndarray, " replicate *shape"]:
        """False with probability `share`."""
        return self.random.random((self.replicates, *shape)) >= share

    def trainings(self) -> tuple[np.ndarray, np.ndarray]:
        """Levels of independent seeds, and which of them have not collapsed."""
        seeds = self.regime.seeds
        return self.normal(self.regime.seed_spread, seeds, 1), self.lasting(self.regime.collapse, seeds, 1)

    def tasks(self, count: int) -> Tasks:
        """Ease of tasks, the chance of their initial states, and which of them can be done at all."""
        state = self.normal(np.sqrt(self.regime.shared), 1, count, self.regime.episodes)
        possible = self.lasting(self.regime.hopeless, 1, count)
        return self.normal(self.regime.task_spread, 1, count), state, possible

    def play(self, latent: np.ndarray, able: np.ndarray, state: np.ndarray) -> Plays:
        """Success of episodes."""
        chance = state + self.normal(np.sqrt(1 - self.regime.shared), latent.shape[1], *state.shape[-2:])
        return ((latent[..., None] > chance) & able[..., None]).astype(float)


def rate(latent: np.ndarray, *spreads: float) -> np.ndarray:
    """Expected success over normal spreads of these sizes."""
    return scipy.stats.norm.cdf(latent / np.sqrt(1 + np.square(spreads).sum()))


def claims(regime: Regime, replicates: int, seed: int) -> Claims:
    """Every interval that a card prints of the regime, beside its truth."""
    draw = Draw(regime, replicates, seed)
    families, tasks = draw.families, len(draw.base)
    task, state, possible = draw.tasks(tasks)
    cell = draw.normal(regime.cell_spread, regime.seeds, tasks)
    latent = draw.base + draw.level + task + cell
    plays = draw.play(latent, draw.alive & possible, state)
    one, scores = plays[:, :1].mean(-1), plays.mean(-1)

    doable, lasting = 1 - regime.hopeless, 1 - regime.collapse
    seeds, all_tasks = (regime.seed_spread, regime.cell_spread), (regime.task_spread, regime.cell_spread)
    per_task = rate(draw.base + task[:, 0], *seeds) * possible[:, 0] * lasting
    these = rate(latent)[:, 0] * possible[:, 0] * draw.alive[:, 0]

    def population(shift: float, base: np.ndarray = draw.base) -> float:
        """Of the training method on all tasks of the families."""
        return float(rate(base - shift, *seeds, regime.task_spread).mean()) * doable * lasting

    def artefact(shift: float, base: np.ndarray = draw.base) -> np.ndarray:
        """Of the first training on all tasks of the families, [replicate, task]."""
        return rate(base - shift + draw.level[:, 0], *all_tasks) * doable * draw.alive[:, 0]

    found: Claims = {
        "suite": (statistics.suite_interval(plays), per_task.mean(-1)),
        "tasks": (statistics.task_intervals(plays), per_task),
        "population": (statistics.population_interval(scores, families), population(0)),
        "artefact": (statistics.population_interval(one, families), artefact(0).mean(-1)),
        "artefact, these tasks": (statistics.suite_interval(plays[:, :1]), these.mean(-1)),
        "artefact, single tasks": (statistics.task_intervals(plays[:, :1]), these),
    }
    found |= _of_policies(draw, scores, (task, state, possible), population, artefact)
    found |= _of_splits(draw, scores, population, artefact)
    return found | _of_adaptation(draw, latent, (task, state, possible))


def _of_policies(draw: Draw, scores: Scores, tasks: Tasks, population: Callable, artefact: Callable) -> Claims:
    """Differences to a control with one seed, and to a rival with as many seeds of its own."""
    regime, families, (task, state, possible) = draw.regime, draw.families, tasks
    one, count = scores[:, :1], len(families)
    handicap = 0.0 if regime.blind else HANDICAP
    sighted = possible & draw.lasting(regime.blind, 1, count)
    latent = draw.base - handicap + task + draw.normal(regime.cell_spread, 1, count)
    control = draw.play(latent, sighted, state).mean(-1)
    level, alive = draw.trainings()
    latent = draw.base - 0.3 + task + level + draw.normal(regime.cell_spread, regime.seeds, count)
    rival = draw.play(latent, alive & possible, state).mean(-1)
    spreads, able = (regime.task_spread, regime.cell_spread), (1 - regime.hopeless) * (1 - regime.blind)
    opponent = rate(draw.base - handicap, *spreads).mean() * able
    own = artefact(0)
    found: Claims = {
        "difference": (contrasts.paired_difference(scores, control, families), population(0) - opponent),
        "rival": (contrasts.paired_difference(scores, rival, families), population(0) - population(0.3)),
        "artefact, difference": (contrasts.paired_difference(one, control, families), own.mean(-1) - opponent),
    }
    size = regime.sizes[0]
    if 1 < size < count:
        part, name = one[..., :size], families[:size]
        assumed = statistics.clustering(one, families)
        found["artefact, family"] = statistics.population_interval(part, name, assumed), own[:, 0]
        assumed = np.minimum(np.maximum(assumed, statistics.clustering(control, families)), 1)
        rate_of_one = rate(draw.base[:1] - handicap, *spreads) * able
        difference = contrasts.paired_difference(part, control[..., :size], name, assumed)
        found["artefact, family difference"] = difference, own[:, 0] - rate_of_one
    return found


def _of_splits(draw: Draw, scores: Scores, population: Callable, artefact: Callable) -> Claims:
    """The headline over two splits of unequal size, its gap, retention and slope."""
    regime = draw.regime
    halves = tuple((size + 1) // 2 for size in regime.sizes)
    layout = {
        "near": (draw.base, draw.families),
        "far": (np.repeat(draw.middles, halves), np.repeat(np.arange(len(halves)), halves).astype(str)),
    }
    seen = Group(scores, draw.families)
    parts, plays, strata, weights = [], [], [], []
    exact, whole, own = np.zeros(draw.replicates), [], []
    for split, (base, families) in layout.items():
        lacking = BEYOND[split]
        task, state, possible = draw.tasks(len(families))
        latent = base - lacking + task + draw.level + draw.normal(regime.cell_spread, regime.seeds, len(families))
        played = draw.play(latent, draw.alive & possible, state)
        parts.append(Group(played.mean(-1), families, 0.5))
        plays.append(played.reshape(*played.shape[:2], -1))
        strata += [f"{split} {number}" for number in range(len(families)) for _ in range(regime.episodes)]
        weights.append(np.full(plays[-1].shape[-1], 0.5 / plays[-1].shape[-1]))
        expected = rate(base - lacking + task[:, 0], regime.seed_spread, regime.cell_spread) * possible[:, 0]
        exact += expected.mean(-1) * (1 - regime.collapse) / 2
        whole.append(population(lacking, base))
        own.append(artefact(lacking, base).mean(-1))

    def headline(groups: Sequence[Group]) -> Interval:
        names = [f"{number} {name}" for number, group in enumerate(groups) for name in group.strata]
        shares = np.concatenate([group.share() for group in groups])
        return statistics.population_interval(np.concatenate([g.values for g in groups], -1), names, weights=shares)

    within, beyond = population(0), sum(whole) / 2
    within_own, beyond_own = artefact(0).mean(-1), sum(own) / 2
    points, counts = [1.0, 1.25, 1.5], [len(group.strata) for group in (seen, *parts)]
    line = np.polyfit(points, [within, *whole], 1, w=np.sqrt(counts))[0]
    first, *rest = (Group(group.values[:, :1], group.strata, group.weight) for group in (seen, *parts))
    units = statistics.population_interval(np.concatenate(plays, -1), strata, weights=np.concatenate(weights))
    return {
        "headline": (units, exact),
        "headline, population": (headline(parts), beyond),
        "gap": (contrasts.generalization_gap(seen, parts), within - beyond),
        "retention": (contrasts.retention(seen, parts), beyond / within),
        "slope": (contrasts.slope(points, [seen, *parts]), line),
        "artefact, headline": (headline(rest), beyond_own),
        "artefact, gap": (contrasts.generalization_gap(first, rest), within_own - beyond_own),
        "artefact, retention": (
            contrasts.retention(first, rest),
            beyond_own / np.where(draw.alive[:, 0, 0], within_own, np.nan),
        ),
    }


def _of_adaptation(draw: Draw, latent: np.ndarray, tasks: Tasks) -> Claims:
    """Gain and height of an adaptation curve, on exactly these tasks."""
    regime, (task, state, possible) = draw.regime, tasks
    curve = [draw.play(latent + gain, draw.alive & possible, state) for gain in ADAPTED]
    rates = [rate(draw.base + gain + task[:, 0], regime.seed_spread, regime.cell_spread) for gain in ADAPTED]
    expected = [(one * possible[:, 0]).mean(-1) * (1 - regime.collapse) for one in rates]
    first, last = (played.reshape(*played.shape[:2], -1) for played in (curve[0], curve[-1]))
    strata = np.repeat(np.arange(len(draw.base)), regime.episodes)
    gain = contrasts.paired_difference(last, first, strata, same_seeds=True)
    return {
        "adaptation gain": (gain, expected[-1] - expected[0]),
        "adaptation area": (
            statistics.suite_interval((curve[0] + 2 * curve[1] + curve[2]) / 4),
            (expected[0] + 2 * expected[1] + expected[2]) / 4,
        ),
    }


SPLITS = {
    "train": 0.0,
    "iid": 0.1,
    "interpolation": 0.2,
    "extrapolation": 0.6,
    "extrapolation-1.5": 1.0,
    "extrapolation-2": 1.6,
    "combination": 0.5,
    "family": 1.2,
    "embodiment": 0.9,
}
"""What a policy lacks in level on each rung of the ladder."""


@dataclass(frozen=True)
class Player:
    """A policy in a simulated table."""

    level: float = 0.0
    """Above that of the regime."""
    seeds: int = 5
    gains: Mapping[int, float] = field(default_factory=lambda: {0: 0.0})
    """What it gains in level by numbers of episodes of adaptation."""


PLAYERS = {
    "learner": Player(),
    "random": Player(level=-3.0, seeds=1),
    "constant": Player(level=-2.0, seeds=1),
    "expert": Player(level=3.0, seeds=1),
}


def table(
    regime: Regime,
    players: Mapping[str, Player] = PLAYERS,
    splits: Mapping[str, float] = SPLITS,
    seed: int = 0,
    horizon: int = 200,
) -> pl.DataFrame:
    """An episodes table. Families of split `family` are new ones; episodes are the same for all players.

    Args:
      regime: how tasks and episodes vary; its number of seeds is the players' matter.
      players: by name.
      splits: by name, with what a policy lacks in level there.
      seed: of the random numbers.
      horizon: control steps of an episode that fails.
    """
    draw = Draw(regime, 1, seed)
    trained = {
        name: Draw(replace(regime, seeds=player.seeds), 1, seed + 1 + number)
        for number, (name, player) in enumerate(players.items())
    }
    parts = []
    for split, lacking in splits.items():
        task, state, possible = draw.tasks(len(draw.base))
        names = [f"{'new' if split == 'family' else 'known'}-{family}" for family in draw.families]
        ids = [f"{name}/1/{split}-{number}" for number, name in enumerate(names)]
        for name, player in players.items():
            own = trained[name]
            latent = draw.base + player.level - lacking + task + own.level
            latent = latent + own.normal(regime.cell_spread, player.seeds, len(ids))
            for adaptation, gain in player.gains.items():
                won = own.play(latent + gain, own.alive & possible, state)[0] > 0
                parts.append(_rows(won, ids, names, name, split, adaptation, own.random, horizon))
    return validate(pl.concat(parts))


def _rows(
    won: Bool[np.ndarray, "seed task episode"],
    ids: list[str],
    families: list[str],
    policy: str,
    split: str,
    adaptation: int,
    random: np.random.Generator,
    horizon: int,
) -> pl.DataFrame:
    seed, task, episode = (axis.ravel() for axis in np.indices(won.shape))
    success = won.ravel()
    solved_at = random.integers(horizon // 4, horizon, len(success))
    return pl.DataFrame(
        {
            "policy": [policy] * len(success),
            "seed": seed,
            "suite": ["SIMULATED"] * len(success),
            "protocol": ["ours"] * len(success),
            "split": [split] * len(success),
            "family": np.array(families)[task],
            "task": np.array(ids)[task],
            "episode": episode,
            "success": success,
            "success_final": success & (random.random(len(success)) < 0.95),
            "return": np.where(success, 0.8, 0.3) * horizon,
            "progress": np.where(success, 1.0, random.random(len(success))),
            "length": [horizon] * len(success),
            "diverged": [False] * len(success),
            "adaptation": [adaptation] * len(success),
            "failure": [""] * len(success),
            "solved_at": pl.Series(np.where(success, solved_at, 0)).replace(0, None),
        }
    )


def coverage(regime: Regime, replicates: int = 4000, parts: int = 8) -> dict[str, float]:
    """Share of replicates in which each interval covers its truth; in parts, which need little memory."""
    found = [claims(regime, replicates // parts, seed) for seed in range(parts)]
    return {name: float(np.mean([covered(*part[name]) for part in found])) for name in found[0]}


def covered(interval: Interval, truth: Batch) -> float:
    """Share of the intervals that cover; what has no truth, such as a ratio to zero, does not count."""
    hit = np.asarray((interval.low <= truth + 1e-9) & (truth - 1e-9 <= interval.high))
    return float(hit[np.broadcast_to(~np.isnan(truth), hit.shape)].mean())
