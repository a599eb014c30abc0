"""Writes `report.html`."""

from __future__ import annotations

from pathlib import Path

from stillhouse.core.atomic import write_atomically
from stillhouse.core.plugin import Params
from stillhouse.core.report import render
from stillhouse.core.run.summary import RunSummary


def write(params: Params, summary: RunSummary, folder: Path) -> None:
    """Render the page into `folder`; the reader sees the old or the new file, never half."""
    del params  # it has none
    write_atomically(folder / "report.html", render(summary))
