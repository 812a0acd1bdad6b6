"""The page on compatibility says what the committed results say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "compatibility.py"


@pytest.fixture(scope="module")
def compatibility():
    sys.path.insert(0, str(SCRIPT.parent))
    import compatibility

    return compatibility


def test_the_page_is_what_the_script_writes(compatibility):
    assert compatibility.page() == compatibility.PAGE.read_text(), "run python benchmarks/compatibility.py"


def test_low_success_needs_an_explanation(compatibility, monkeypatch):
    monkeypatch.setitem(compatibility.TEXTS, "explanations", {"soccer": "the ball slips"})
    columns = {
        "Meta-World's, mjx": {"success": {"reach": 0.79, "push": 0.8, "soccer": 0.1}},
        "Meta-World's, at home": {"success": {"push": 0.1}},
        "ours, mjx": {"success": {"push": 0.1}},
    }
    assert compatibility.unexplained(columns) == ["reach"]
