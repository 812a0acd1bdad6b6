"""From a table of episodes to figures with intervals, a scorecard, a comparison, a plan, and a page to read."""

from .comparison import compare
from .episodes import (
    SCHEMA,
    read_episodes,
    read_metadata,
    read_tables,
    read_tasks,
    task_facts,
    validate,
    write_episodes,
)
from .report import write_report
from .scorecard import scorecard, summary_table, write_csv, write_json

__all__ = [
    "SCHEMA",
    "compare",
    "read_episodes",
    "read_metadata",
    "read_tables",
    "read_tasks",
    "scorecard",
    "summary_table",
    "task_facts",
    "validate",
    "write_csv",
    "write_episodes",
    "write_json",
    "write_report",
]
