"""Limits on metrics and objectives that are costs, through whole runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.core import load
from stillhouse.core.config.runfile import load as load_run
from stillhouse.core.errors import ConfigError, LimitError
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run import engine
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.summary import RunSummary
from stillhouse.plugins.samplers import random
from stillhouse.plugins.samplers.random import Random

Search = Callable[..., RunSummary]
QUICK = ("baselines=false", "recipe.distil.epochs=1", "search.finalists=1")


@pytest.fixture
def searched(project: Path, tmp_path: Path, catalogue: Catalogue) -> Search:
    def search(*sets: str, limits: tuple[str, ...] = ()) -> RunSummary:
        config = load_run(project / "run.yaml", catalogue, sets=(*QUICK, *sets), limits=limits)
        directory = RunDirectory.create(tmp_path / "run", config.to_yaml())
        with directory:
            return engine.execute(make_plan(config, catalogue), catalogue, directory, Silent())

    return search


def ledger(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()[1:]]


def validation(summary: RunSummary) -> float:
    return next(row.validation["accuracy"] for row in summary.rows if row.role == "found")


def test_the_smallest_model_that_is_accurate_enough(searched: Search, tmp_path: Path) -> None:
    summary = searched(
        "search.maximize=[]", "search.minimize=parameters", limits=("accuracy >= 0.4",)
    )
    assert validation(summary) >= 0.4
    sound = [e for e in summary.evaluations if e.values["accuracy"] >= 0.4]
    assert {e.key for e in summary.evaluations if e.on_front} <= {e.key for e in sound}
    assert summary.certificate.measured["accuracy"] == validation(summary)
    assert [limit.text for limit in summary.limits] == ["<= 70%", ">= 0.4"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "minimize parameters" in page
    assert "validation accuracy" in page


@pytest.mark.slow
def test_what_nothing_reaches_is_told_with_the_nearest_and_nothing_is_lost(
    searched: Search, tmp_path: Path
) -> None:
    with pytest.raises(LimitError) as refused:
        searched("search.finalists=2", limits=("log_loss <= 0.0001",))
    told = str(refused.value)
    best = min(entry["values"]["log_loss"] for entry in ledger(tmp_path / "run"))
    assert (
        f"no candidate met the limits on metrics in the search, the nearest had log_loss {best:.4g}"
        in told
    )
    assert "--reuse" in told
    assert refused.value.exit_code == 2
    assert len(ledger(tmp_path / "run")) == 6


@pytest.mark.slow
def test_a_percentage_of_a_metric_is_of_the_teachers(searched: Search) -> None:
    summary = searched(limits=("log_loss <= 300%",))
    teacher = next(row for row in summary.rows if row.role == "teacher")
    line = next(limit for limit in summary.limits if limit.cost == "log_loss")
    assert line.bound == pytest.approx(3 * teacher.validation["log_loss"])


@pytest.mark.slow
def test_a_range_of_a_cost_holds_from_both_sides(searched: Search) -> None:
    summary = searched(limits=("30% <= parameters <= 60%",))
    low, high = (limit.bound for limit in summary.limits)
    assert all(low <= e.costs["parameters"] <= high for e in summary.evaluations)
    assert low <= summary.certificate.measured["parameters"] <= high


@pytest.mark.slow
def test_what_the_sampler_says_of_its_choices_is_in_the_report(
    searched: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Random, "notes", ("random was chosen because it was asked for",))
    summary = searched("search.sampler=random")
    said = "sampler: random was chosen because it was asked for"
    assert said in summary.notes
    assert said in (tmp_path / "run" / "report.html").read_text()


def test_the_sampler_is_told_the_limits_on_metrics_and_the_budget(
    searched: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    class Listening(Random):  # type: ignore[misc]
        def __init__(self, params: Any, problem: Any) -> None:
            told.append((problem.outcomes, problem.budget))
            super().__init__(params, problem)

        def tell(self, codes: Any, values: Any, excess: Any = None) -> None:
            told.append(excess)
            super().tell(codes, values, excess)

    monkeypatch.setattr(random, "Random", Listening)
    summary = searched("search.sampler=random", limits=("0.2 <= accuracy <= 1",))
    (names, budget), *excesses = told
    assert (names, budget) == (("accuracy >= 0.2", "accuracy <= 1"), 6)
    found = [e.values["accuracy"] for e in summary.evaluations]
    expected = [[(0.2 - a) / 0.2, a - 1.0] for a in found]
    assert np.concatenate(excesses).tolist() == [pytest.approx(row) for row in expected]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("accuracy >= 97", r"accuracy >= 97.*nearest reachable value, is 1;.*'>= 0\.97'"),
        ("log_loss <= -1", r"log_loss <= -1.*is 0; write for example.*'<= 0'"),
    ],
)
def test_a_limit_beyond_the_best_there_is_is_refused_by_the_plan(
    project: Path, catalogue: Catalogue, limit: str, message: str
) -> None:
    config = load_run(project / "run.yaml", catalogue, limits=[limit])
    with pytest.raises(LimitError, match=message):
        make_plan(config, catalogue)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.maximize=latency_ms", "of 'latency_ms' lower is better; write minimize: latency"),
        ("search.minimize=latency", "does not measure 'latency'; did you mean 'latency_ms'"),
    ],
)
def test_an_objective_is_a_metric_or_a_cost_in_its_own_direction(
    project: Path, catalogue: Catalogue, override: str, message: str
) -> None:
    config = load_run(project / "run.yaml", catalogue, sets=[override])
    with pytest.raises(ConfigError, match=message):
        make_plan(config, catalogue)


@pytest.mark.slow
def test_several_objectives_leave_every_model_of_the_certified_front_ready_to_load(
    searched: Search, tmp_path: Path
) -> None:
    summary = searched(
        "search.minimize=parameters", "search.finalists=6", "recipe.supernet.epochs=12",
        "recipe.supernet.full_epochs=6", "recipe.distil.epochs=4",
    )  # fmt: skip
    along = [row for row in summary.rows if row.role == "finalist"]
    found = next(row for row in summary.rows if row.role == "found")
    assert (tmp_path / "run" / "front").is_dir() == bool(along)
    assert [row.label for row in along] == [f"front {i}" for i in range(2, 2 + len(along))]
    for i, row in enumerate(along, 2):
        assert row.parameters < found.parameters
        assert row.validation["accuracy"] < found.validation["accuracy"]
        module = load(tmp_path / "run" / "front" / str(i))
        assert sum(p.numel() for p in module.parameters()) == row.parameters
