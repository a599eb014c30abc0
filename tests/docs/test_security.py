"""docs/security.md names a test for every statement; each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    sources = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    known = {name for text in sources for name in re.findall(r"^def (test_\w+)\(", text, re.M)}
    assert len(named) > 20
    assert named <= known


def test_every_kind_of_data_names_its_tests() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    lines = page[page.index("| what | how it is read") :].splitlines()
    rows = lines[2 : lines.index("")]
    assert len(rows) > 10
    assert [row for row in rows if "`test_" not in row] == []
