from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.core.plugin import Params
from stillhouse.core.report import pareto_json, render, results_csv
from stillhouse.core.run.summary import Certificate, Evaluation, LimitLine, ModelRow, RunSummary
from stillhouse.plugins.reporters import csv, html, info


@pytest.fixture
def summary() -> RunSummary:
    limit = LimitLine("latency_ms", "<=", 1.0, "<= 1")
    found = ModelRow(
        "found", "found", {"width": 16}, {"accuracy": 0.9}, {"accuracy": 0.91},
        1000, 4000, 90_000, 2000, 0.5, 0.6, 0.5,
    )  # fmt: skip
    return RunSummary(
        name="small", task="digits", objectives=[{"name": "accuracy", "maximize": True}],
        limits=[limit], sampler="random", seed=0, space_size="4",
        evaluations=[Evaluation(0, "k", {"width": 16}, {"latency_ms": 0.5}, {"accuracy": 0.91},
                                0.1, on_front=True)],
        latency_pairs=[], predictor={}, rows=[found], full={"width": 32}, found={"width": 16},
        certificate=Certificate("best/model.onnx", "00", {"latency_ms": 0.5}, [limit], 1e-6,
                                "torch", {"threads": 1}, "2025-06-12"),
    )  # fmt: skip


def test_html_writes_the_page_and_nothing_else(summary: RunSummary, tmp_path: Path) -> None:
    html.write(Params(), summary, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text("utf-8") == render(summary)


def test_csv_writes_results_and_front(summary: RunSummary, tmp_path: Path) -> None:
    csv.write(Params(), summary, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pareto.json", "results.csv"]
    assert (tmp_path / "results.csv").read_text("utf-8") == results_csv(summary)
    assert (tmp_path / "pareto.json").read_text("utf-8") == pareto_json(summary)


def test_an_older_report_is_replaced(summary: RunSummary, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old", "utf-8")
    html.write(Params(), summary, tmp_path)
    assert "small" in (tmp_path / "report.html").read_text("utf-8")


def test_records_name_code_that_exists() -> None:
    records = {record.name: record for record in info.stillhouse_reporters()}
    assert set(records) == {"html", "csv"}
    assert records["html"].build == f"{html.write.__module__}:write"
    assert records["csv"].build == f"{csv.write.__module__}:write"


def test_describing_reporters_imports_neither_numpy_nor_jinja() -> None:
    code = (
        "import sys, stillhouse.plugins.reporters.info as i; list(i.stillhouse_reporters()); "
        "sys.exit(bool({'numpy', 'jinja2', 'torch', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
