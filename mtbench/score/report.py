"""The scorecard as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from . import statistics as st
from .episodes import outcomes, write_atomic
from .scorecard import Card, format_estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Drawn in these, then replaced by the page's own colours, which follow light and dark mode.
_INK, _GRID = "#010203", "#010204"
_SERIES = ["#010210", "#010211", "#010212", "#010213", "#010214"]
_MARKERS, _LINES = "oDs^v", ["-", ":", "--", "-.", (0, (1, 4))]
_STYLE = {
    "svg.fonttype": "none",  # text stays text: readable, selectable, in the page's font
    "font.size": 8.5,
    "axes.edgecolor": _GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _GRID,
    "ytick.color": _GRID,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "legend.frameon": False,
}


def write_report(card: Card, episodes: pl.DataFrame, path: str | Path) -> None:
    """Writes the page.

    Args:
      card: of `scorecard`.
      episodes: the table that the card was made from; the performance profile is drawn from it.
      path: of the HTML file.
    """
    import jinja2
    import matplotlib

    blocks = card["splits"][card["split"]]["policies"]
    names = [card["policy"], *card["controls"]]
    rates = {name: outcomes(episodes, name, card["split"]).values.mean(-1) for name in names}
    with matplotlib.rc_context(_STYLE):
        figures = [_families(blocks, names), _profile(rates), _distribution(rates)]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["estimate"] = format_estimate
    page = environment.get_template("report.html.j2").render(card=card, blocks=blocks, names=names, figures=figures)
    write_atomic(path, lambda file: file.write(page.encode()))


def _families(blocks: Mapping[str, dict], names: Sequence[str]) -> dict[str, str]:
    """Bars of the policy and points of the controls, with intervals, a row for each family."""
    families = sorted(blocks[names[0]]["families"])
    figure, axes = _figure(0.9 + 0.34 * len(families))
    for index, (name, colour, marker) in enumerate(zip(names, _SERIES, _MARKERS, strict=False)):
        found = [blocks[name]["families"].get(family, {}).get("success") for family in families]
        rows = [row for row, estimate in enumerate(found) if estimate]
        value, low, high = (np.array([e[key] for e in found if e]) for key in ("value", "low", "high"))
        place = np.array(rows) + 0.17 * (index - (len(names) - 1) / 2)
        if index == 0:
            axes.barh(rows, value, height=0.72, color=colour, alpha=0.3, label=name)
        axes.errorbar(
            value, place, xerr=[value - low, high - value], fmt=marker, markersize=3.5, color=colour,
            elinewidth=1.2, label=None if index == 0 else name,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(len(families) - 0.5, -0.5), yticks=range(len(families)), xlabel="success rate")
    axes.set_yticklabels(families)
    axes.grid(axis="y", visible=False)
    values = "; ".join(f"{name}: {format_estimate(blocks[names[0]]['families'][name]['success'])}" for name in families)
    return _svg(figure, axes, "families", f"Success rate of {names[0]} by family. {values}.")


def _profile(rates: Mapping[str, np.ndarray]) -> dict[str, str]:
    thresholds = np.linspace(0, 1, 101)
    figure, axes = _figure(2.5)
    for (name, values), colour, line in zip(rates.items(), _SERIES, _LINES, strict=False):
        axes.step(thresholds, st.performance_profile(values, thresholds), color=colour, linestyle=line, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="success rate", ylabel="share of tasks at or above")
    half = "; ".join(f"{name}: {(values >= 0.5).mean():.0%}" for name, values in rates.items())
    return _svg(figure, axes, "profile", f"Share of tasks (of each seed) with at least a success rate. At 0.5: {half}.")


def _distribution(rates: Mapping[str, np.ndarray]) -> dict[str, str]:
    figure, axes = _figure(2.5)
    edges = np.linspace(0, 1, 11)
    for (name, values), colour, line in zip(rates.items(), _SERIES, _LINES, strict=False):
        counts = np.histogram(values.mean(0), edges)[0]
        if line == "-":
            axes.bar(edges[:-1], counts, 0.1, align="edge", color=colour, alpha=0.3)
        axes.stairs(counts, edges, color=colour, linestyle=line, label=name, linewidth=1.5)
    axes.set(xlim=(0, 1), xlabel="success rate of a task, over its seeds and episodes", ylabel="number of tasks")
    axes.yaxis.get_major_locator().set_params(integer=True)
    first, values = next(iter(rates.items()))
    bottom, top = ((values.mean(0) < 0.1).sum(), (values.mean(0) >= 0.9).sum())
    about = f"Tasks by success rate. {first}: {bottom} below 0.1 and {top} at 0.9 or above, of {values.shape[1]}."
    return _svg(figure, axes, "distribution", about)


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, axes: Axes, name: str, about: str) -> dict[str, str]:
    """The figure as an inline SVG that takes its colours and font from the page."""
    axes.tick_params(length=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3, borderpad=0)
    text = StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata=dict.fromkeys(["Creator", "Date", "Format", "Type"]))
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\1{name}-", text.getvalue())
    svg = re.sub(r' (width|height)="[\d.]+pt"| xmlns(:\w+)?="[^"]*"', "", svg[svg.index("<svg") :])
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(about)}" ', 1)
    for number, colour in enumerate([_INK, _GRID, *_SERIES]):
        svg = svg.replace(colour, f"var(--plot-{number})")
    return {"name": name, "svg": svg.replace("'DejaVu Sans'", "system-ui"), "about": about}
