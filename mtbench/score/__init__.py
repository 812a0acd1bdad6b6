"""From a table of episodes to figures with intervals, a scorecard and a page to read."""

from .episodes import SCHEMA, read_episodes, read_metadata, validate, write_episodes
from .report import write_report
from .scorecard import scorecard, summary_table, write_json

__all__ = [
    "SCHEMA",
    "read_episodes",
    "read_metadata",
    "scorecard",
    "summary_table",
    "validate",
    "write_episodes",
    "write_json",
    "write_report",
]
