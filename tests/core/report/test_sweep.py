"""The trials of a sweep on the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.report import render
from stillhouse.core.report.sweep import Share, sweeps
from stillhouse.core.run.summary import RunSummary


def trial(key: str, folder: str, rate: float, accuracy: float | None, **more: Any) -> Any:
    known = {} if accuracy is None else {"accuracy": accuracy, "seconds": 7.25}
    return {
        "key": key,
        "rung": 2.0,
        "folder": folder,
        "reported": False,
        "values": {"recipe.supernet.learning_rate": rate, "teacher.epochs": 3},
        "known": known,
        "meets": accuracy is not None,
        "error": "",
        **more,
    }


@pytest.fixture
def exhibit() -> dict[str, Any]:
    return {
        "kind": "sweep",
        "best": "0001",
        "objectives": ["accuracy"],
        "limits": ["size_kb <= 40"],
        "scheduler": "asha",
        "budget": "recipe.supernet.epochs",
        "mattered": {"teacher.epochs": 0.125, "recipe.supernet.learning_rate": 0.5},
        "rungs": [
            {"rung": 2.0, "trials": 2, "best": 0.91},
            {"rung": 6.0, "trials": 1, "best": None},
        ],
        "trials": [
            trial("0000", "0000-1", 0.001, None, error="LimitError: <none> can"),
            trial("0001", "0001-1", 0.002, 0.91, reported=True),
        ],
    }


def test_each_trial_has_a_line_that_leads_to_its_run(exhibit: Any, summary: RunSummary) -> None:
    (found,) = sweeps(replace(summary, exhibits=[exhibit]))
    assert found.headings == [
        "recipe.supernet.epochs", "learning_rate", "teacher.epochs", "accuracy", "seconds",
    ]  # fmt: skip
    first, second = found.rows
    assert (first.link, first.best, first.error) == (
        "trials/0000-1/",
        False,
        "LimitError: <none> can",
    )
    assert (second.link, second.best) == ("trials/0001-1/report.html", True)
    assert second.cells == ["2", "0.002", "3", "0.9100", "7.250"]
    assert found.lead == (
        "2 trials, each a search of its own; the best is 0001; asha rationed "
        "recipe.supernet.epochs; limits: size_kb <= 40; 1 failed."
    )


def test_what_mattered_comes_first(exhibit: Any, summary: RunSummary) -> None:
    (found,) = sweeps(replace(summary, exhibits=[exhibit]))
    assert found.shares == [Share("learning_rate", 50.0), Share("teacher.epochs", 12.5)]
    assert found.rungs == [("2", "2", "0.9100"), ("6", "1", "–")]


def test_the_page_shows_it_and_escapes_what_failed(exhibit: Any, summary: RunSummary) -> None:
    page = render(replace(summary, exhibits=[exhibit]))
    assert '<a href="trials/0001-1/report.html">0001</a>' in page
    assert "failed: LimitError: &lt;none&gt; can" in page
    assert 'id="trials"' not in render(summary)


def test_a_link_leads_nowhere_else(exhibit: Any, summary: RunSummary) -> None:
    exhibit["trials"][0]["folder"] = "../../secret"
    with pytest.raises(UserError, match=r"expected the folder of a trial, got '\.\./\.\./secret'"):
        sweeps(replace(summary, exhibits=[exhibit]))
