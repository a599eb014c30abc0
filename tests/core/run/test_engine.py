"""A whole run, and the same run killed at many moments."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from stillhouse.core.config.runfile import load as load_run
from stillhouse.core.errors import LimitError, RunDirectoryError
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.loading import load
from stillhouse.core.run.status import Status
from stillhouse.core.run.summary import RunSummary

Run = Callable[..., RunSummary]


class Killed(BaseException):
    """Stands for the death of the process: nothing but the disk survives it."""


@final
class DyingProgress:
    """A progress display that dies after so many steps, and counts them."""

    def __init__(self, after: int | None = None) -> None:
        self.steps, self._after = 0, after

    def start(self, label: str, total: int) -> None: ...

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.steps += 1
        if self._after is not None and self.steps >= self._after:
            raise Killed

    def finish(self) -> None: ...


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()[1:]]


def outcome(folder: Path) -> dict[str, Any]:
    """All of a run that must not depend on how often it was interrupted."""
    entries = [{k: v for k, v in line.items() if k != "seconds"} for line in lines(folder)]
    summary = RunSummary.from_json((folder / "summary.json").read_text())
    weights = load_file(folder / "best" / "model.safetensors")
    return {
        "ledger": entries,
        "found": summary.found,
        "rows": [dataclasses.asdict(row) for row in summary.rows],
        "weights": {name: tensor.tolist() for name, tensor in weights.items()},
    }


@dataclasses.dataclass(frozen=True)
class Again:
    """The reference run once more, and the steps of progress that it told."""

    folder: Path
    steps: int


@pytest.fixture(scope="module")
def again(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Again:
    folder, counting = tmp_path_factory.mktemp("again") / "run", DyingProgress()
    run(folder, counting)
    return Again(folder, counting.steps)


def test_a_run_leaves_models_results_and_report(project: Path) -> None:
    folder = project / "reference"
    for name in (
        "run.yaml", "ledger.jsonl", "device.json", "summary.json", "results.csv", "pareto.json",
        "report.html", "best/model.onnx", "best/model.safetensors", "best/model.json",
        "best/README.md",
    ):  # fmt: skip
        assert (folder / name).stat().st_size > 0, name
    assert not (folder / "checkpoints").exists()


def test_a_run_leaves_a_status_that_says_it_is_finished(project: Path) -> None:
    folder = project / "reference"
    summary = RunSummary.read(folder / "summary.json")
    status = Status.read(folder / "status.json")
    assert (status.name, status.state, status.stage) == (summary.name, "finished", "controls")
    assert (status.work, status.workers) == ([], [])
    assert status.evaluations is not None
    assert (status.evaluations.done, status.evaluations.total) == (6, 6)
    best = max(one.values["accuracy"] for one in summary.evaluations)
    assert status.best == f"best accuracy {best:.4f}"


def test_no_evaluation_is_spent_on_a_candidate_beyond_the_limits(project: Path) -> None:
    summary = RunSummary.from_json((project / "reference" / "summary.json").read_text())
    bound = next(limit.bound for limit in summary.limits if limit.cost == "parameters")
    entries = lines(project / "reference")
    assert len(entries) == 6
    assert [e["costs"]["parameters"] for e in entries if e["costs"]["parameters"] > bound] == []


def test_the_certificate_holds_what_was_measured_on_the_returned_file(project: Path) -> None:
    record = json.loads((project / "reference" / "best" / "model.json").read_text())
    certificate = record["certificate"]
    size = (project / "reference" / "best" / "model.onnx").stat().st_size
    assert certificate["measured"]["size_bytes"] == size
    assert certificate["measured"]["latency_ms"] > 0
    assert certificate["max_difference"] <= 1e-4


def test_the_loaded_model_answers_as_the_exported_one(project: Path, catalogue: Catalogue) -> None:
    folder = project / "reference"
    model = load(folder, catalogue)
    inputs = torch.randn(1, 12, 4, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(str(folder / "best" / "model.onnx"))
    with torch.no_grad():
        ours = model(inputs).numpy()
    theirs = session.run(None, {"input": inputs.numpy()})[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_controls_had_as_many_updates_as_the_found_model(project: Path) -> None:
    summary = RunSummary.from_json((project / "reference" / "summary.json").read_text())
    rows = {row.role: row for row in summary.rows}
    assert rows["found"].updates == rows["scratch"].updates == rows["scaled"].updates > 0
    assert rows["scratch"].structure == rows["found"].structure
    assert rows["scaled"].parameters <= rows["found"].parameters


def test_the_same_seed_and_device_file_give_the_same_run(project: Path, again: Again) -> None:
    assert outcome(again.folder) == outcome(project / "reference")


@pytest.mark.parametrize(
    "share",
    [
        0.05,
        pytest.param(0.3, marks=pytest.mark.slow),
        0.5,
        pytest.param(0.7, marks=pytest.mark.slow),
        pytest.param(0.8, marks=pytest.mark.slow),
        pytest.param(0.97, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_resumes_to_the_same_end_and_repeats_nothing(
    project: Path, run: Run, again: Again, tmp_path: Path, share: float
) -> None:
    with pytest.raises(Killed):
        run(tmp_path / "killed", DyingProgress(max(1, round(share * again.steps))))
    before = lines(tmp_path / "killed") if (tmp_path / "killed" / "ledger.jsonl").exists() else []
    run(tmp_path / "killed")
    assert lines(tmp_path / "killed")[: len(before)] == before
    assert outcome(tmp_path / "killed") == outcome(project / "reference")


def test_resuming_a_finished_run_changes_nothing(project: Path, run: Run, finished: Path) -> None:
    ledger = (finished / "ledger.jsonl").read_bytes()
    run(finished)
    assert (finished / "ledger.jsonl").read_bytes() == ledger
    assert outcome(finished) == outcome(project / "reference")


def test_a_run_whose_data_changed_is_refused(
    finished: Path, run: Run, project: Path, other_waves: Path
) -> None:
    text = (finished / "run.yaml").read_text()
    (finished / "run.yaml").write_text(text.replace(str(project / "waves.npz"), str(other_waves)))
    with pytest.raises(RunDirectoryError, match="fingerprint"):
        run(finished)


@pytest.mark.parametrize(
    ("limit", "named"),
    [
        ("parameters <= 100", r"parameters.*\b\d+"),
        ("latency_ms <= 0.000001", r"latency_ms"),
        ("size_kb <= 0.5", r"size_kb"),
        ("macs <= 1%", r"macs"),
    ],
)
def test_an_impossible_limit_ends_within_two_seconds_and_names_what_is_reachable(
    project: Path, tmp_path: Path, catalogue: Catalogue, limit: str, named: str
) -> None:
    config = load_run(project / "run.yaml", catalogue, limits=[limit])
    directory = RunDirectory.create(tmp_path / "run", config.to_yaml())
    began = time.perf_counter()
    with directory, pytest.raises(LimitError, match=named) as refused:
        execute(make_plan(config, catalogue), catalogue, directory, Silent())
    assert time.perf_counter() - began < 2
    assert "nearest" in str(refused.value)
    assert not (tmp_path / "run" / "artefacts").exists()
