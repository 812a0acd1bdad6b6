"""The scorecard and the comparison as HTML pages that need nothing else: no network, no script."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from .. import files
from ..errors import UsageError
from . import plots
from .episodes import validate
from .estimate import format_estimate
from .outcomes import pool
from .scorecard import Card, worst_tasks

if TYPE_CHECKING:
    from .comparison import Comparison

MEDIA = {
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
MOST_TASKS = 400
"""Tasks that the page lists, the worst first; the CSV file has all."""


def write_report(
    card: Card, episodes: pl.DataFrame, path: str | Path, animations: Mapping[str, str | Path] | None = None
) -> None:
    """Writes the page of a card.

    Args:
      card: of `scorecard`.
      episodes: the table that the card was made from: the plots over tasks are drawn from it, if a task has several
        episodes.
      path: of the HTML file.
      animations: by task, the file of a picture or a short video of it, which the page embeds.
    """
    episodes = validate(episodes)
    names = [card["policy"], *card["controls"]]
    blocks, splits = card["pooled"]["policies"], card["headline"]["splits"]
    played = {name: pool(episodes, name, splits) for name in names}
    # With one episode a task is solved or not: how tasks differ in their success rates does not show.
    graded = min(len(part.episodes) for part in played[card["policy"]].parts) > 1
    with plots.style():
        figures = {"ladder": plots.rungs(card)} if len(card["splits"]) > 1 else {}
        figures["families"] = plots.families(blocks, card["claim"])
        if card["shells"]:
            figures["shells"] = plots.shells(card["shells"])
        if card["adaptation"]:
            figures["adaptation"] = plots.adaptation(card["adaptation"])
        if graded:
            rates = {name: one.rates for name, one in played.items()}
            figures |= {"profile": plots.profile(rates), "distribution": plots.distribution(rates)}
    controls = {
        name: {k: v for split in splits for k, v in card["splits"][split]["policies"][name]["per_task"].items()}
        for name in names[1:]
    }
    _write(
        path,
        "report.html.j2",
        card=card,
        blocks=blocks,
        names=names,
        figures=figures,
        graded=graded,
        tasks=worst_tasks(card)[:MOST_TASKS],
        controls=controls,
        media={task: _embedded(Path(file)) for task, file in (animations or {}).items()},
    )


def write_comparison(comparison: Comparison, path: str | Path) -> None:
    """Writes the page of a comparison of `compare`."""
    with plots.style():
        figure = plots.ranking(comparison)
    _write(path, "comparison.html.j2", comparison=comparison, figure=figure)


def find_animations(folder: str | Path, tasks: Sequence[str]) -> dict[str, Path]:
    """The pictures and videos in a folder that are of these tasks: named after them, with `-` for `/`."""
    found = {}
    for file in sorted(Path(folder).iterdir()):
        for task in tasks:
            if file.stem == task.replace("/", "-") and file.suffix.lower() in MEDIA:
                found[task] = file
    return found


def _embedded(file: Path) -> dict[str, Any]:
    kind = MEDIA.get(file.suffix.lower())
    if kind is None:
        raise UsageError(f"{file} is no animation: expected {', '.join(MEDIA)}")
    return {
        "video": kind.startswith("video"),
        "uri": f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}",
    }


def _write(path: str | Path, template: str, **values: Any) -> None:
    import jinja2

    loader = jinja2.PackageLoader("mtbench.score", ".")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["estimate"] = format_estimate
    environment.filters["p_value"] = lambda p: f"{p:.1g}" if p >= 1e-4 else "< 0.0001"
    environment.filters["percent"] = lambda share: f"{100 * share:.0f} %"
    files.write(path, environment.get_template(template).render(**values))
