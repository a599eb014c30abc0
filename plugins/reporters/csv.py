"""Writes `results.csv` and `pareto.json`."""

from __future__ import annotations

from pathlib import Path

from stillhouse.core.atomic import write_atomically
from stillhouse.core.plugin import Params
from stillhouse.core.report import pareto_json, results_csv
from stillhouse.core.run.summary import RunSummary


def write(params: Params, summary: RunSummary, folder: Path) -> None:
    """Write both files into `folder`; the reader sees the old or the new ones, never half."""
    del params  # it has none
    write_atomically(folder / "results.csv", results_csv(summary))
    write_atomically(folder / "pareto.json", pareto_json(summary))
