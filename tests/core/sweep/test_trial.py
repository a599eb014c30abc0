"""A trial is a run of its own that shares what was prepared, and fails alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stillhouse.core.errors import (
    DataError,
    LimitError,
    PluginError,
    RunDirectoryError,
    TrainingError,
)
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.sweep.directory import SweepDirectory
from stillhouse.core.sweep.outcomes import OUTCOME, Outcome, Point, is_fault
from stillhouse.core.sweep.trial import Trials

RATE = "recipe.supernet.learning_rate"
Made = Callable[..., SweepDirectory]


def point(number: int, bound: int = 9000, evaluations: int = 2) -> Point:
    values = {RATE: 0.005, "search.evaluations": evaluations, "search.limits.parameters": bound}
    return Point(number, 0, values)


def test_trials_share_what_they_have_in_common(made: Made, catalogue: Catalogue) -> None:
    trials = Trials(made(), catalogue)
    first, second = trials.outcome(point(0)), trials.outcome(point(1, evaluations=1))
    assert first.error == second.error == ""
    assert {"accuracy", "log_loss", "seconds"} <= first.measured.keys()
    assert {"size_kb", "latency_ms", "parameters"} <= first.costs.keys()
    shared = [path.name for path in trials.directory.artefacts.glob("*/*") if path.is_dir()]
    kinds = sorted(name.partition("-")[0] for name in shared)
    assert kinds.count("teacher") == 1
    assert kinds.count("supernet") == 1
    run = RunDirectory.existing(trials.directory.folder / "trials" / "0001")
    assert "sweep:" not in run.run_file.read_text()


def test_what_is_on_disk_is_not_run_again(made: Made, catalogue: Catalogue) -> None:
    directory = made()
    place = directory.trials / "0003"
    trials = Trials(directory, catalogue)
    place.mkdir(parents=True)
    (place / "run.yaml").write_text(trials.run_file(point(3)).to_yaml())
    kept = Outcome(3, 0, point(3).values, measured={"accuracy": 0.25})
    (place / OUTCOME).write_text(json.dumps(kept.__dict__))
    assert trials.outcome(point(3)) == kept


def test_a_trial_that_cannot_meet_its_limits_fails_alone(made: Made, catalogue: Catalogue) -> None:
    trials = Trials(made(), catalogue)
    found = trials.outcome(point(0, bound=1))
    assert found.error.startswith("LimitError: ")
    assert "parameters" in found.error
    assert (found.costs, found.measured) == ({}, {})
    assert Outcome.read(trials.directory.trials / "0000" / OUTCOME) == found


def test_values_that_do_not_go_together_are_a_trials_failure(
    made: Made, catalogue: Catalogue
) -> None:
    batch = "sweep.parameters={recipe.supernet.sampler: {choices: [uniform, sandwich]}}"
    trials = Trials(made(batch, "recipe.supernet.inplace=add"), catalogue)
    found = trials.outcome(Point(0, 0, {"recipe.supernet.sampler": "uniform"}))
    assert found.error.startswith("UserError: inplace: add needs a sampler that draws the largest")


def test_the_machines_faults_are_no_trials_own(made: Made, catalogue: Catalogue) -> None:
    full = PluginError("method 'x' met a fault of this machine")
    full.__cause__ = OSError(28, "No space left on device")
    assert [is_fault(e) for e in (full, DataError("a"), RunDirectoryError("b"))] == [True] * 3
    assert [is_fault(e) for e in (LimitError("a"), TrainingError("b"))] == [False, False]
    trials = Trials(made(), catalogue)
    (trials.directory.trials / "0000").mkdir(parents=True)
    (trials.directory.trials / "0000" / "something").touch()
    with pytest.raises(RunDirectoryError, match="found something that is no run"):
        trials.outcome(point(0))


def test_a_rung_sets_the_budget_and_has_a_folder(made: Made, catalogue: Catalogue) -> None:
    budget = "sweep.budget={parameter: recipe.supernet.epochs, rungs: [1, 3, 4]}"
    halving = Trials(made("sweep.scheduler=asha", budget), catalogue)
    later = Point(7, 2, point(7).values)
    assert halving.place(later) == halving.directory.trials / "0007-3"
    assert epochs(halving, later) == 4


def test_a_population_goes_on_from_rung_to_rung(
    made: Made, catalogue: Catalogue, tmp_path: Path
) -> None:
    budget = "sweep.budget={parameter: recipe.supernet.epochs, rungs: [1, 3, 4]}"
    population = Trials(made("sweep.scheduler=pbt", budget), catalogue)
    later = Point(7, 1, point(7).values, start=str(tmp_path / "weights"))
    assert epochs(population, later) == 2
    supernet = population.run_file(later).recipe[0]
    assert supernet.fixed["start"] == str(tmp_path / "weights")


def test_a_damaged_outcome_names_its_file(tmp_path: Path) -> None:
    (tmp_path / OUTCOME).write_text('{"number": "one"}')
    with pytest.raises(RunDirectoryError, match=r"trial\.json: damaged \(.*remove it and resume"):
        Outcome.read(tmp_path / OUTCOME)


def epochs(trials: Trials, at: Point) -> object:
    return trials.run_file(at).recipe[0].fixed["epochs"]
