"""The plots of the pages: inline SVG in the page's colours and font."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from . import statistics as st
from .estimate import Estimate, format_estimate

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The pages' colours in light mode. A page puts its variables in their place, so that plots follow light and dark mode.
_INK, _GRID, *_SERIES = "#1d2026", "#d9d9d4", "#1f5fbf", "#6d7078", "#b4540a", "#1d7a4c", "#8a3ea8"
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


_MOST_FACTORS = 12


@dataclass(frozen=True)
class Plot:
    """A figure of a page."""

    title: str
    about: str
    svg: str


@contextmanager
def style() -> Iterator[None]:
    """Within it, plots are drawn for a page."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def rungs(card: Mapping[str, Any]) -> Plot:
    """Success by split, from near to far; what is not in the headline is hollow."""
    about = (
        "Success at any time in the episode, with 95 % intervals, from training to what is farthest from it. Splits "
    )
    about += f"in the headline are filled, the dotted line is the headline: {', '.join(card['headline']['splits'])}."
    told = "; ".join(f"{rung['split']} {format_estimate(rung['success'])}" for rung in card["ladder"])
    return _svg(_rung_axes(card), "ladder", "The ladder", about, f"{card['policy']}: {told}.")


def draw_rungs(card: Mapping[str, Any], path: Path) -> None:
    """Writes the plot of `rungs` as a picture by itself, PNG or SVG by the path's ending."""
    with style():
        _with_legend(_rung_axes(card)).savefig(path, dpi=160)


def _rung_axes(card: Mapping[str, Any]) -> Axes:
    names, order = [card["policy"], *card["controls"]], card["ladder"]
    axes = _axes(1.0 + 0.36 * len(order))
    for index, name in enumerate(names):
        shown = [card["splits"][rung["split"]]["policies"].get(name) for rung in order]
        rows = [row for row, block in enumerate(shown) if block]
        found = [block["success"] for block in shown if block]
        colour, marker = _SERIES[index % 5], _MARKERS[index % 5]
        faces = [colour if order[row]["scored"] else "none" for row in rows]
        places = np.array(rows) + 0.16 * (index - (len(names) - 1) / 2)
        _bars(axes, found, places, colour, horizontal=True)
        for row, place, face in zip(found, places, faces, strict=True):
            axes.plot(row["value"], place, marker, ms=5, color=colour, mfc=face, clip_on=False, zorder=3)
        axes.plot([], [], marker, ms=5, color=colour, label=name)
    axes.axvline(card["headline"]["success"]["value"], color=_SERIES[0], linewidth=0.8, linestyle=":")
    axes.set(xlim=(0, 1), xlabel="success rate", ylim=(len(order) - 0.5, -0.5))
    axes.set_yticks(range(len(order)), [rung["split"] for rung in order])
    axes.grid(axis="y", visible=False)
    return axes


def shells(curves: Sequence[Mapping[str, Any]]) -> Plot:
    """Success over the distance from training, a panel for each factor; low sides are on the left."""
    from matplotlib.figure import Figure

    shown = curves[: _MOST_FACTORS + 1]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.0 * columns + 0.4, 1.65 * rows + 0.2), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel, curve in zip(panels, shown, strict=False):
        inside = [point for point in curve["points"] if point["at"] <= 1]
        for side in sorted({point["side"] for point in curve["points"]} - {""}) or [""]:
            sign = -1 if side == "low" else 1
            beyond = [point for point in curve["points"] if point["at"] > 1 and point["side"] == side]
            line = sorted([*inside, *beyond], key=lambda point: point["at"])
            places = np.array([0.0 if point["at"] <= 1 else sign * point["at"] for point in line])
            found = [point["success"] for point in line]
            _bars(panel, found, places, _SERIES[0])
            panel.plot(places, [e["value"] for e in found], "-o", ms=3.5, color=_SERIES[0], clip_on=False)
        panel.set_title(curve["factor"], fontsize=8.5, color=_INK)
        panel.set(ylim=(0, 1.03), xlim=(-2.1 if any(p["side"] == "low" for p in curve["points"]) else -0.1, 2.1))
        panel.axvspan(*(-1, 1), color=_GRID, alpha=0.35, linewidth=0)
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    figure.supxlabel("distance from the middle of the training range, in half widths", fontsize=8.5, color=_INK)
    figure.supylabel("success rate", fontsize=8.5, color=_INK)
    told = "; ".join(f"{c['factor']} slope {format_estimate(c['slope'])}" for c in curves)
    about = "One factor at a time lies beyond its training range (shaded), on either side; success with 95 % intervals "
    about += "on all tasks that the families generate."
    if len(curves) > len(shown):
        about += f" The first {_MOST_FACTORS} of {len(curves) - 1} factors are drawn, the table has all."
    return _svg(panels[0], "shells", "Beyond the training range", about, told, legend=False)


def adaptation(curves: Mapping[str, Mapping[str, Any]]) -> Plot:
    """Success over the number of episodes of adaptation."""
    axes = _axes(2.6)
    last = max(level for curve in curves.values() for level in curve["levels"])
    for index, (name, curve) in enumerate(curves.items()):
        colour, marker = _SERIES[index % 5], _MARKERS[index % 5]
        levels, found = np.array(curve["levels"], float), curve["success"]
        label = name + (" (flat)" if curve["flat"] else "")
        if len(levels) == 1:
            axes.axhline(found[0]["value"], color=colour, linestyle=_LINES[index % 5], label=label)
            continue
        _bars(axes, found, levels + 0.012 * last * index, colour)
        line = _LINES[index % 5]
        axes.plot(levels, [e["value"] for e in found], linestyle=line, marker=marker, ms=4, color=colour, label=label)
    axes.set(ylim=(0, 1.03), xlabel="episodes of the task played before", ylabel="success rate")
    axes.set_xticks(sorted({level for curve in curves.values() for level in curve["levels"]}))
    told = "; ".join(f"{n} {', '.join(format_estimate(e) for e in c['success'])}" for n, c in curves.items())
    about = "Success after a number of episodes of the same task whose memory is kept, with 95 % intervals. A policy "
    about += "without memory is flat."
    return _svg(axes, "adaptation", "Adaptation", about, told)


def ranking(comparison: Mapping[str, Any]) -> Plot:
    """Policies, best first, with their letters."""
    policies = comparison["policies"]
    axes = _axes(0.7 + 0.34 * len(policies))
    found, rows = [one["success"] for one in policies], np.arange(len(policies))
    _bars(axes, found, rows, _SERIES[0], horizontal=True)
    axes.plot([e["value"] for e in found], rows, "o", ms=5, color=_SERIES[0], clip_on=False)
    for row, one in enumerate(policies):
        axes.annotate(
            one["letters"], (1.0, row), xytext=(6, 0), textcoords="offset points", va="center", annotation_clip=False
        )
    axes.set(xlim=(0, 1), xlabel="success rate", ylim=(len(policies) - 0.5, -0.5))
    axes.set_yticks(rows, [one["name"] for one in policies])
    axes.grid(axis="y", visible=False)
    told = "; ".join(f"{one['name']} {format_estimate(one['success'])}, {one['letters']}" for one in policies)
    about = "Success with 95 % intervals. Policies that share a letter are not distinct. Paired differences are more "
    about += "precise than these intervals, which may overlap all the same."
    return _svg(axes, "ranking", "Success", about, told, legend=False)


def families(blocks: Mapping[str, dict], claim: str) -> Plot:
    """Bars of the policy, points of the controls, all with intervals; a row for each family."""
    first = next(iter(blocks))
    names = list(blocks[first]["families"])
    axes = _axes(0.9 + 0.34 * len(names))
    for index, (name, block) in enumerate(blocks.items()):
        colour, marker = _SERIES[index % 5], _MARKERS[index % 5]
        rows = [row for row, family in enumerate(names) if family in block["families"]]
        found = [block["families"][names[row]]["success"] for row in rows]
        value, low, high = (np.array([e[key] for e in found]) for key in ("value", "low", "high"))
        if index == 0:
            axes.barh(rows, value, height=0.72, color=colour, alpha=0.3)
        places = np.array(rows) + 0.6 / len(blocks) * (index - (len(blocks) - 1) / 2)
        bars = [value - low, high - value]
        axes.errorbar(value, places, xerr=bars, fmt=marker, ms=3.5, color=colour, label=name, clip_on=False)
    axes.set(xlim=(0, 1), xlabel="success rate", ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", visible=False)
    values = "; ".join(f"{f} {format_estimate(blocks[first]['families'][f]['success'])}" for f in names)
    about = f"Success at any time in the episode, with 95 % intervals; for {first}, about {claim}."
    return _svg(axes, "families", "Success by family", about, f"{first}: {values}.")


def profile(rates: Mapping[str, np.ndarray]) -> Plot:
    """Share of tasks at or above each success rate."""
    axes, thresholds = _axes(2.5), np.linspace(0, 1, 201)
    for index, (name, values) in enumerate(rates.items()):
        shares, colour = st.performance_profile(values, thresholds), _SERIES[index % 5]
        axes.step(thresholds, shares, color=colour, linestyle=_LINES[index % 5], label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="success rate", ylabel="share of tasks at or above")
    half = "; ".join(f"{name} {(values >= 0.5).mean():.0%}" for name, values in rates.items())
    about = "How many tasks, counted for each training seed, reach at least a success rate. Higher is better."
    return _svg(axes, "profile", "Performance profile", about, f"Share of tasks at 0.5 or above: {half}.")


def distribution(rates: Mapping[str, np.ndarray]) -> Plot:
    """How many tasks have which success rate."""
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


def _bars(axes: Axes, found: Sequence[Estimate], places: np.ndarray, colour: str, *, horizontal: bool = False) -> None:
    """Intervals alone, so that markers may differ within a series."""
    value, low, high = (np.array([e[key] for e in found], float) for key in ("value", "low", "high"))
    bars: dict[str, Any] = {"fmt": "none", "color": colour, "elinewidth": 1.2, "zorder": 2}
    if horizontal:
        axes.errorbar(value, places, xerr=[value - low, high - value], **bars)
    else:
        axes.errorbar(places, value, yerr=[value - low, high - value], **bars)


def _with_legend(axes: Axes) -> Figure:
    """The figure, with its legend above the plot."""
    figure = cast("Figure", axes.figure)
    figure.legend(loc="outside upper left", ncols=5, borderpad=0)
    return figure


def _svg(axes: Axes, name: str, title: str, about: str, described: str, *, legend: bool = True) -> Plot:
    """The plot as an inline SVG; `described` is for its alt text."""
    figure, file = _with_legend(axes) if legend else cast("Figure", axes.figure), StringIO()
    nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = re.sub(r' (width|height)="[\d.]+pt"| xmlns(:\w+)?="[^"]*"', "", svg[svg.index("<svg") :])
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\1{name}-", svg)  # the plots share the page's ids
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(f"{title}. {described}")}" ', 1)
    for number, colour in enumerate([_INK, _GRID, *_SERIES]):
        svg = svg.replace(colour, f"var(--plot-{number})")
    return Plot(title, about, svg.replace("'DejaVu Sans'", "system-ui"))
