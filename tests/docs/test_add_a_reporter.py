"""The page about adding a reporter is true: it writes the closing table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.errors import PluginError
from stillhouse.core.plugin.conformance import check_plugin
from stillhouse.core.run.reporting import write_reports
from stillhouse.core.run.summary import Certificate, ModelRow, RunSummary

PAGE = "add-a-reporter"


def summary() -> RunSummary:
    """A run that found a model of 12 parameters."""
    row = ModelRow("found", "found", {}, {"accuracy": 0.75}, {}, 12, 48, 10, 99, 0.5, 0.6, 0.55)
    certificate = Certificate("model.onnx", "0" * 64, {}, (), 0.0, "torchscript", {}, "2026-01-01")
    return RunSummary(
        "run", "digits", (), (), "auto", 0, "2", (), (), {}, (row,), {}, {}, certificate
    )


def test_the_package_shown_keeps_the_contract(shown: Any) -> None:
    check_plugin(shown.distribution)


def test_a_finished_run_is_reported_as_markdown(shown: Any, tmp_path: Path) -> None:
    info = shown.catalogue.reporter("markdown")
    shown.catalogue.resolve(info)(info.params(), summary(), tmp_path)
    assert (tmp_path / "models.md").read_text() == (
        "| model | test | parameters | bytes | ms |\n| --- | --- | --- | --- | --- |\n"
        "| found | accuracy 0.7500 | 12 | 48 | 0.5 |\n"
    )


def test_it_has_written_even_where_another_reporter_fails(shown: Any, tmp_path: Path) -> None:
    with pytest.raises(PluginError) as failed:  # the built-in ones want an objective
        write_reports(shown.catalogue, summary(), tmp_path)
    assert "reporter 'csv' failed" in str(failed.value)
    assert "markdown" not in str(failed.value)
    assert (tmp_path / "models.md").is_file()
