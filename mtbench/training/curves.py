"""Learning curves of runs: success on training tasks, by family and on average, over steps or minutes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ..errors import MtbenchError, UsageError, why
from .checkpoint import read_run

Axis = Literal["minutes", "steps"]
LABELS = {"minutes": "minutes of training", "steps": "million steps of each seed"}
MANY = 10
"""Families that lines of different colours can still tell apart."""


@dataclass(frozen=True)
class Curves:
    """What a run has logged of its success."""

    name: str
    families: tuple[str, ...]
    env_steps: Float[np.ndarray, " line"]
    """Of each seed."""
    seconds: Float[np.ndarray, " line"]
    """Of training, over all continuations."""
    success: Float[np.ndarray, "line family seed"]
    """Running success rate; NaN before a family's first finished episode."""

    @classmethod
    def of(cls, name: str, lines: Sequence[Mapping[str, Any]]) -> Curves:
        """The curves of lines of `metrics.jsonl`."""
        families = tuple(lines[-1]["success"])
        success = np.array([[line["success"][family] for family in families] for line in lines], float)
        steps, seconds = (np.array([line[key] for line in lines], float) for key in ("env_steps", "seconds"))
        return cls(name, families, steps, seconds, success)

    @classmethod
    def read(cls, run_dir: str | Path) -> Curves:
        """The curves of a run's folder.

        Raises:
          UsageError: there is no run, or it has logged nothing yet.
          MtbenchError: its metrics are damaged.
        """
        run, path = read_run(run_dir), Path(run_dir) / "metrics.jsonl"
        try:
            lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
            if not lines:
                raise UsageError(f"{run_dir} has logged nothing yet: {path.name} appears with the first updates")
            return cls.of(f"{Path(run_dir).name} ({run['algorithm']})", lines)
        except (ValueError, KeyError, TypeError) as error:
            raise MtbenchError(
                f"{path} is damaged: {why(error)}: --resume the training, or delete its last line"
            ) from error

    def along(self, axis: Axis) -> Float[np.ndarray, " line"]:
        """Where each line stands on an axis."""
        return self.seconds / 60 if axis == "minutes" else self.env_steps / 1e6

    @property
    def mean(self) -> Float[np.ndarray, "line seed"]:
        """Success averaged over the families that have finished an episode."""
        known = np.isfinite(self.success)
        total = np.where(known, self.success, 0.0).sum(1)
        return np.divide(total, known.sum(1), out=np.full(total.shape, np.nan), where=known.any(1))


def draw(runs: Sequence[Curves], path: Path, *, axis: Axis = "minutes", title: str = "") -> None:
    """Writes a picture, PNG or SVG by the path's ending.

    Of one run a line for each family with the range of its seeds, or, where families are many, a row for each. Of
    several a panel for each family and one for their mean, with a line and a range for each run.

    Args:
      runs: what to show.
      path: where to.
      axis: what runs to the right.
      title: above it.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    if len(runs) > 1:
        figure = _compared(plt, runs, axis)
    else:
        figure = (_rows if len(runs[0].families) > MANY else _lines)(plt, runs[0], axis)
    if title:
        figure.suptitle(title)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _lines(plt: Any, run: Curves, axis: Axis) -> Any:
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for index, family in enumerate(run.families):
        _line(axes, run.along(axis), run.success[:, index], family)
    if len(run.families) > 1:
        _line(axes, run.along(axis), run.mean, "mean", color="black", linewidth=2.5)
    axes.set(xlabel=LABELS[axis], ylabel="success on training tasks", ylim=(-0.02, 1.02))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _rows(plt: Any, run: Curves, axis: Axis) -> Any:
    figure, axes = plt.subplots(figsize=(7, 0.17 * len(run.families) + 1.2), layout="constrained")
    x, success = run.along(axis), run.success.mean(-1)
    order = np.argsort(-success[-len(x) // 20 :].mean(0), kind="stable")
    # Rows share a grid: logged lines are not spaced evenly.
    grid = np.linspace(x[0], x[-1], 200)
    rows = np.stack([np.interp(grid, x, success[:, family]) for family in order])
    edges = (grid[0], grid[-1], len(run.families) - 0.5, -0.5)
    image = axes.imshow(rows, aspect="auto", extent=edges, vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
    axes.set_yticks(range(len(run.families)), [run.families[family] for family in order], fontsize=7)
    figure.colorbar(image, label="success on training tasks")
    axes.set(xlabel=LABELS[axis], title=f"mean {np.nanmean(run.mean[-1]):.0%}")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _compared(plt: Any, runs: Sequence[Curves], axis: Axis) -> Any:
    families = tuple(dict.fromkeys(family for run in runs for family in run.families))
    panels = ["mean", *families] if len(families) > 1 else list(families)
    columns = min(len(panels), 6)
    height = -(-len(panels) // columns)
    size = (max(5.0, 2.4 * columns), 1.8 * height + 1.2)
    how: dict[str, Any] = {"figsize": size, "sharex": True, "sharey": True, "squeeze": False, "layout": "constrained"}
    figure, grid = plt.subplots(height, columns, **how)
    for axes, panel in zip(grid.flat, panels, strict=False):
        for index, run in enumerate(runs):
            own = run.mean if panel == "mean" else None
            if panel in run.families:
                own = run.success[:, run.families.index(panel)]
            if own is not None:
                _line(axes, run.along(axis), own, run.name, color=f"C{index}")
        axes.set(ylim=(-0.02, 1.02))
        axes.set_title(panel, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    figure.supxlabel(LABELS[axis], fontsize=9)
    figure.supylabel("success on training tasks", fontsize=9)
    lines, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(lines, names, frameon=False, loc="outside lower right", ncols=min(len(runs), 3), fontsize=8)
    return figure


def _line(axes: Any, x: Any, seeds: Float[np.ndarray, "line seed"], label: str, **style: Any) -> None:
    """The mean over seeds and their range."""
    (drawn,) = axes.plot(x, seeds.mean(-1), label=label, **style)
    axes.fill_between(x, seeds.min(-1), seeds.max(-1), alpha=0.2, linewidth=0, color=drawn.get_color())
