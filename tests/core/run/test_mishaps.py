"""What goes wrong around a run: failing candidates, damaged files, moved folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stillhouse.core.config.runfile import load as load_run
from stillhouse.core.errors import (
    ConfigError,
    LimitError,
    PlanError,
    RunDirectoryError,
    StillhouseError,
    TrainingError,
    UserError,
)
from stillhouse.core.evaluate import Silent
from stillhouse.core.evaluate.evaluator import CandidateError, Evaluator
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run import engine, finalists
from stillhouse.core.run.costing import open_device, settle_costs
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.opened import open_run
from stillhouse.core.run.summary import RunSummary

Run = Callable[..., RunSummary]


@pytest.fixture
def searched(project: Path, tmp_path: Path, catalogue: Catalogue) -> Callable[..., RunSummary]:
    """Search with overrides, in a folder of its own."""

    def search(*sets: str, limits: tuple[str, ...] = ()) -> RunSummary:
        config = load_run(project / "run.yaml", catalogue, sets=sets, limits=limits)
        directory = RunDirectory.create(tmp_path / "run", config.to_yaml(), overwrite=True)
        with directory:
            return engine.execute(make_plan(config, catalogue), catalogue, directory, Silent())

    return search


@pytest.mark.slow
def test_a_finalist_that_cannot_be_realised_is_dropped_and_the_next_is_tried(
    searched: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    realise, failed = finalists.realised, []

    def once(opened, evaluator, entry):  # type: ignore[no-untyped-def]
        if not failed:
            failed.append(entry.key)
            raise CandidateError("it would not")
        return realise(opened, evaluator, entry)

    monkeypatch.setattr(finalists, "realised", once)
    certificate = searched("baselines=false").certificate
    assert [d["error"] for d in certificate.dropped] == ["it would not"]


def test_when_every_candidate_fails_the_first_error_is_told(
    searched: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise CandidateError("no such layer")

    monkeypatch.setattr(Evaluator, "realise", fail)
    with pytest.raises(StillhouseError, match=r"no candidate could be evaluated.*no such layer"):
        searched()


@pytest.mark.slow
def test_a_diverging_control_costs_the_control_and_not_the_model(
    searched: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def diverge(*_: object) -> None:
        raise TrainingError("scratch: loss is nan")

    monkeypatch.setattr(engine, "control_networks", diverge)
    summary = searched()
    assert any("scratch: loss is nan" in note for note in summary.notes)
    assert (tmp_path / "run" / "best" / "model.onnx").exists()


@pytest.mark.slow
def test_candidates_that_the_sampler_did_not_find_are_told(searched: Run) -> None:
    summary = searched(
        "search.sampler={optuna-random: {tries: 1}}", "baselines=false", "search.finalists=1"
    )
    assert any("drawn at random within the limits" in note for note in summary.notes)


def test_an_overwritten_run_survives_a_new_one_that_cannot_be(
    searched: Run, project: Path, tmp_path: Path
) -> None:
    shutil.copytree(project / "reference", tmp_path / "run")
    with pytest.raises(LimitError):
        searched(limits=("parameters <= 1",))
    assert (tmp_path / "run" / "best" / "model.onnx").exists()


def test_the_reachable_latency_that_a_refusal_names_is_not_refused(
    searched: Run, project: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    with pytest.raises(LimitError) as refused:
        searched(limits=("latency_ms <= 0.000001",))
    advised = str(refused.value).rpartition("at least ")[2].partition(",")[0]
    config = load_run(project / "run.yaml", catalogue, limits=[f"latency_ms <= {advised}"])
    directory = RunDirectory.create(tmp_path / "advised", config.to_yaml())
    with directory:
        opened = open_run(make_plan(config, catalogue), catalogue, directory, Silent())
        costing = settle_costs(opened, open_device(opened))
    assert len(costing.feasible) > 0
    assert (costing.costs.table(costing.feasible)["latency_ms"] <= float(advised)).all()


@pytest.mark.parametrize("device", ["nonsense", "cuda:77"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_measured(
    searched: Run, device: str
) -> None:
    with pytest.raises(UserError, match=r"train\.device"):
        searched(f"train.device={device}")


def test_optimising_a_metric_the_wrong_way_is_refused(searched: Run) -> None:
    with pytest.raises(ConfigError, match="minimize: log_loss"):
        searched("search.maximize=log_loss")


def test_searching_what_the_search_does_not_train_is_refused(searched: Run) -> None:
    with pytest.raises(PlanError, match=r"recipe\.distil\.learning_rate: searched, but"):
        searched("recipe.distil.learning_rate={low: 0.001, high: 0.01}")


@pytest.mark.slow
def test_a_deleted_device_file_does_not_change_a_started_run(
    finished: Path, run: Run, project: Path
) -> None:
    (finished / "device.json").unlink()
    (finished / "summary.json").unlink()
    assert (
        run(finished).found
        == RunSummary.from_json((project / "reference" / "summary.json").read_text()).found
    )


@pytest.mark.parametrize("text", ["", "[]", '{"costs": 1', '{"costs": "x"}'])
def test_damaged_stage_times_are_counted_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stages.json"
    path.write_text(text)
    ticks = iter((3.0, 5.0))
    watch = engine.Stopwatch(path, lambda: next(ticks))
    with watch.stage("search"):
        pass
    assert watch.seconds == json.loads(path.read_text()) == {"search": 2.0}


@pytest.mark.slow
def test_damaged_stage_times_do_a_run_no_harm(finished: Path, run: Run) -> None:
    (finished / "stages.json").write_text('{"costs": "x"}')
    assert run(finished).stages["search"] > 0


@pytest.mark.parametrize("text", ["", "{}", '{"latency": 1}'])
def test_damaged_costs_are_one_clear_error(finished: Path, run: Run, text: str) -> None:
    (finished / "costs.json").write_text(text)
    with pytest.raises(RunDirectoryError, match=r"costs\.json: damaged"):
        run(finished)


def test_a_run_goes_on_when_its_data_was_moved(
    finished: Path, run: Run, project: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copy(project / "waves.npz", tmp_path / "moved.npz"))
    text = (finished / "run.yaml").read_text()
    (finished / "run.yaml").write_text(text.replace(str(project / "waves.npz"), str(moved)))
    before = json.loads((finished / "summary.json").read_text())["found"]
    assert run(finished).found == before
