"""Searches over hints, with their control arms, from run file to report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.core.config.runfile import load
from stillhouse.core.errors import TrainingError, UserError
from stillhouse.core.evaluate import Context, Silent, State
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.summary import RunSummary
from stillhouse.plugins.distil.distil import Distil
from stillhouse.plugins.losses.pkt import PKT

HINTS = """
task: {npz: {path: waves.npz, shift: 0}}
teacher: {model: keyword-transformer, width: 24, depth: 4, heads: 2, epochs: 3, batch_size: 16}
student: {model: keyword-transformer, width: 8, depth: 2, heads: 1, head_dim: 8}
recipe:
  - soft-labels: {weight: 0.5}
  - hints:
      k: 2
      select: {choices: [auto, contiguous, paper]}
      loss: {choices: [fitnets, pkt]}
      weight: {choices: [0.3, 3.0]}
  - fresh
  - distil: {epochs: 2, batch_size: 16}
search:
  {minimize: log_loss, evaluations: 4, batch: 2, fidelity: 0.5, finalists: 2, repeats: 2,
   proposals: 2, regressions: 2}
target:
  {runtime: onnxruntime-cpu, profile: 5, repeats: 5, processes: 1, patience_s: 0,
   device: hints-device.json}
train: {threads: 1}
baselines: false
"""


def searched(project: Path, folder: Path, *sets: str) -> RunSummary:
    catalogue = Catalogue.discover()
    (project / "hints.yaml").write_text(HINTS)
    run = load(project / "hints.yaml", catalogue, sets=sets)
    directory = (
        RunDirectory.existing(folder)
        if folder.is_dir()
        else RunDirectory.create(folder, run.to_yaml())
    )
    with directory:
        return execute(make_plan(run, catalogue), catalogue, directory, Silent())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("STILLHOUSE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def hinted(
    project: Path, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunSummary, Path]:
    folder = tmp_path_factory.mktemp("runs") / "hints"
    return searched(project, folder), folder


def exhibit(summary: RunSummary, kind: str) -> dict[str, Any]:
    return dict(next(shown for shown in summary.exhibits if shown["kind"] == kind))


def artefacts(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "artefacts").iterdir())


def test_every_search_over_hints_trains_its_control_arms_as_often_as_the_found_one(
    hinted: tuple[RunSummary, Path],
) -> None:
    arms = exhibit(hinted[0], "arms")
    roles = [arm["role"] for arm in arms["arms"]]
    assert roles == ["found", "uniform-spacing", "stage-ends", "no-hints"]
    assert (arms["metric"], arms["repeats"]) == ("log_loss", 2)
    for arm in arms["arms"]:
        assert len(arm["validation"]) == len(arm["test"]) == 2
        assert arm["test"][0] != arm["test"][1]


def test_what_is_returned_is_the_best_arm_on_validation(hinted: tuple[RunSummary, Path]) -> None:
    arms = exhibit(hinted[0], "arms")
    means = {arm["role"]: sum(arm["validation"]) for arm in arms["arms"]}
    assert means[arms["chosen"]] == min(means.values())
    best = next(arm for arm in arms["arms"] if arm["role"] == arms["chosen"])
    found = next(row for row in hinted[0].rows if row.role == "found")
    assert found.test["log_loss"] == best["test"][0]


def test_the_report_shows_the_matrix_and_the_model_holds_no_adapter(
    hinted: tuple[RunSummary, Path],
) -> None:
    summary, folder = hinted
    layers = exhibit(summary, "layer-similarity")
    assert layers["layers"] == [f"blocks.{i}" for i in range(4)]
    assert "linear-cka" in (folder / "report.html").read_text("utf-8")
    model = json.loads((folder / "best" / "model.json").read_text("utf-8"))
    assert model["structure"]["width"] == 8
    found = next(row for row in summary.rows if row.role == "found")
    teacherless = next(row for row in summary.rows if row.role == "teacher")
    assert found.parameters < teacherless.parameters


def test_more_hints_than_taps_are_refused_before_the_teacher_is_trained(
    project: Path, home: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="at most 2 hints, as many as the student has taps, got 3"):
        searched(project, tmp_path / "hopeless", "recipe.hints.k=3")
    assert not list((tmp_path / "hopeless").glob("artefacts/teacher-*"))


@pytest.mark.slow
def test_two_runs_of_one_seed_agree_and_the_second_reuses_the_matrix(
    hinted: tuple[RunSummary, Path], project: Path, home: Path, tmp_path: Path
) -> None:
    kept = sorted(path.name for path in (home / "similarities").iterdir())
    again = searched(project, tmp_path / "again")
    assert [e.values for e in again.evaluations] == [e.values for e in hinted[0].evaluations]
    assert exhibit(again, "arms") == exhibit(hinted[0], "arms")
    assert artefacts(tmp_path / "again") == artefacts(hinted[1])
    assert sorted(path.name for path in (home / "similarities").iterdir()) == kept


@pytest.mark.slow
def test_a_control_that_is_better_is_returned_in_place_of_what_was_found(
    project: Path, home: Path, tmp_path: Path
) -> None:
    spoilt = "recipe.hints.weight=10000"
    summary = searched(project, tmp_path / "spoilt", spoilt, "recipe.hints.loss=fitnets")
    arms = exhibit(summary, "arms")
    means = {arm["role"]: sum(arm["validation"]) for arm in arms["arms"]}
    assert means["no-hints"] < means["found"]
    assert arms["chosen"] == min(means, key=lambda role: means[role])
    assert any("control arm" in note for note in summary.notes)


def test_proposals_are_screened_before_they_are_evaluated(
    hinted: tuple[RunSummary, Path],
) -> None:
    summary, folder = hinted
    assert len(summary.evaluations) == 4
    regressed = list((folder / "artefacts").glob("regression-*"))
    assert len(regressed) >= 4


@pytest.mark.slow
def test_candidates_that_cannot_be_had_are_screened_out(
    project: Path, home: Path, tmp_path: Path
) -> None:
    sets = ("recipe.hints.k={low: 1, high: 4}", "search.proposals=4", "search.repeats=1")
    summary = searched(project, tmp_path / "mixed", *sets)
    assert {e.configuration["hints.k"] for e in summary.evaluations} <= {1, 2}
    assert all(e.values for e in summary.evaluations)


@pytest.mark.slow
def test_hints_that_diverge_in_the_screening_end_no_run(
    project: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = PKT.forward
    monkeypatch.setattr(PKT, "forward", lambda loss, hints: forward(loss, hints) * torch.nan)
    sets = ("search.proposals=3", "search.regressions=3", "search.repeats=1")
    summary = searched(project, tmp_path / "diverging", *sets)
    found = [e for e in summary.evaluations if e.configuration["hints.loss"] == "fitnets"]
    assert found
    assert all(e.values for e in found)


@pytest.mark.slow
def test_finalists_that_cannot_be_trained_again_are_returned_as_they_were_certified(
    project: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = Distil.apply

    def once(method: Distil, state: State, *given: Any) -> State:
        context: Context = given[-1]
        if context.repeat:
            raise TrainingError("diverged")
        return apply(method, state, *given)

    monkeypatch.setattr(Distil, "apply", once)
    summary = searched(project, tmp_path / "once")
    assert [row.role for row in summary.rows if row.role == "found"] == ["found"]
    assert sum("could not be trained again: diverged" in note for note in summary.notes) == 2
    assert not any(shown["kind"] == "arms" for shown in summary.exhibits)
