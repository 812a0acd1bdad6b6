"""The scorecard as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from .. import files
from . import statistics as st
from .episodes import outcomes
from .scorecard import Card, format_estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Plots are drawn in these and recoloured by the page, so that they follow light and dark mode.
_INK, _GRID, *_SERIES = (f"#0102{number:02}" for number in range(10, 17))
_LINES, _MARKERS = ["-", ":", "--", "-.", (0, (1, 4))], "oDs^v"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: selectable, in the page's font
    "svg.hashsalt": "mtbench",  # the same card gives the same page
    "text.parse_math": False,
    "font.size": 8.5,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "ytick.major.pad": 6,
    "legend.frameon": False,
}


def write_report(card: Card, episodes: pl.DataFrame, path: str | Path) -> None:
    """Writes the page.

    Args:
      card: of `scorecard`.
      episodes: the table that the card was made from: the plots over tasks are drawn from it, if a task has several
        episodes.
      path: of the HTML file.
    """
    import jinja2
    import matplotlib

    names = [card["policy"], *card["controls"]]
    blocks = {name: card["splits"][card["split"]]["policies"][name] for name in names}
    rows = episodes.filter(split=card["split"])
    played = {name: outcomes(rows, name) for name in names}
    # With one episode a task is solved or not: how tasks differ in their success rates does not show.
    graded = len(played[card["policy"]].episodes) > 1
    with matplotlib.rc_context(_STYLE):
        figures = [_families(blocks, card["claim"])]
        if graded:
            rates = {name: one.rates for name, one in played.items()}
            figures += [_profile(rates), _distribution(rates)]
    loader = jinja2.PackageLoader("mtbench.score", ".")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["estimate"] = format_estimate
    template = environment.get_template("report.html.j2")
    page = template.render(card=card, blocks=blocks, names=names, figures=figures, graded=graded)
    files.write(path, page)


def _families(blocks: Mapping[str, dict], claim: str) -> dict[str, str]:
    """Bars of the policy, points of the controls, all with intervals; a row for each family."""
    first = next(iter(blocks))
    families = list(blocks[first]["families"])
    axes = _axes(0.9 + 0.34 * len(families))
    for index, (name, block) in enumerate(blocks.items()):
        colour, marker = _SERIES[index % 5], _MARKERS[index % 5]
        rows = [row for row, family in enumerate(families) if family in block["families"]]
        found = [block["families"][families[row]]["success"] for row in rows]
        value, low, high = (np.array([e[key] for e in found]) for key in ("value", "low", "high"))
        if index == 0:
            axes.barh(rows, value, height=0.72, color=colour, alpha=0.3)
        places = np.array(rows) + 0.2 * (index - (len(blocks) - 1) / 2)
        bars = [value - low, high - value]
        axes.errorbar(value, places, xerr=bars, fmt=marker, ms=3.5, color=colour, label=name, clip_on=False)
    axes.set(xlim=(0, 1), xlabel="success rate", ylim=(len(families) - 0.5, -0.5))
    axes.set_yticks(range(len(families)), families)
    axes.grid(axis="y", visible=False)
    values = "; ".join(f"{f} {format_estimate(blocks[first]['families'][f]['success'])}" for f in families)
    about = f"Success at any time in the episode, with 95 % intervals; for {first}, about {claim}."
    return _svg(axes, "families", "Success by family", about, f"{first}: {values}.")


def _profile(rates: Mapping[str, np.ndarray]) -> dict[str, str]:
    axes, thresholds = _axes(2.5), np.linspace(0, 1, 201)
    for index, (name, values) in enumerate(rates.items()):
        shares, colour = st.performance_profile(values, thresholds), _SERIES[index % 5]
        axes.step(thresholds, shares, color=colour, linestyle=_LINES[index % 5], label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="success rate", ylabel="share of tasks at or above")
    half = "; ".join(f"{name} {(values >= 0.5).mean():.0%}" for name, values in rates.items())
    about = "How many tasks, counted for each training seed, reach at least a success rate. Higher is better."
    return _svg(axes, "profile", "Performance profile", about, f"Share of tasks at 0.5 or above: {half}.")


def _distribution(rates: Mapping[str, np.ndarray]) -> dict[str, str]:
    axes, edges = _axes(2.5), np.linspace(0, 1, 11)
    for index, (name, values) in enumerate(rates.items()):
        counts, width = np.histogram(values.mean(0), edges)[0], 0.09 / len(rates)
        places = edges[:-1] + 0.005 + (index + 0.5) * width
        axes.bar(places, counts, width, color=_SERIES[index % 5], label=name)
    axes.set(xlim=(0, 1), xticks=edges, xlabel="success rate of a task", ylabel="number of tasks")
    axes.locator_params(axis="y", integer=True)
    axes.grid(axis="x", visible=False)
    means = {name: values.mean(0) for name, values in rates.items()}
    ends = [f"{name} {(m < 0.1).sum()} and {(m >= 0.9).sum()} of {len(m)}" for name, m in means.items()]
    about = "A mean hides whether every task succeeds at times, or some always and others never."
    described = f"Number of tasks below 0.1, and at 0.9 or above: {'; '.join(ends)}."
    return _svg(axes, "distribution", "Distribution over tasks", about, described)


def _axes(height: float) -> Axes:
    from matplotlib.figure import Figure

    return Figure(figsize=(5.4, height), layout="constrained").add_subplot()


def _svg(axes: Axes, name: str, title: str, about: str, described: str) -> dict[str, str]:
    """The plot as an inline SVG, with the page's colours and font; `described` is for its alt text."""
    figure, file = cast("Figure", axes.figure), StringIO()
    figure.legend(loc="outside upper left", ncols=5, borderpad=0)
    nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = re.sub(r' (width|height)="[\d.]+pt"| xmlns(:\w+)?="[^"]*"', "", svg[svg.index("<svg") :])
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\1{name}-", svg)  # three plots share the page's ids
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(f"{title}. {described}")}" ', 1)
    for number, colour in enumerate([_INK, _GRID, *_SERIES]):
        svg = svg.replace(colour, f"var(--plot-{number})")
    return {"title": title, "about": about, "svg": svg.replace("'DejaVu Sans'", "system-ui")}
