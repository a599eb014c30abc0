"""A run for another device: latencies from its file, and no certificate without measuring."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.config.runfile import load
from stillhouse.core.errors import LimitError
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.summary import RunSummary
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu

pytestmark = pytest.mark.slow


def moved(source: Path, path: Path) -> Path:
    """A device file as another machine would have written it."""
    content = json.loads(source.read_text())
    content["identity"]["cpu"] = "Another 9000"
    path.write_text(json.dumps(content))
    return path


def searched(project: Path, folder: Path, catalogue: Catalogue, *settings: str) -> RunSummary:
    run_file = load(project / "run.yaml", catalogue, sets=settings)
    directory = RunDirectory.create(folder, run_file.to_yaml())
    with directory:
        return execute(make_plan(run_file, catalogue), catalogue, directory, Silent())


def as_large_as_its_file(_: OnnxRuntimeCpu, paths: Sequence[Path]) -> list[int]:
    """In place of measuring each in a process of its own, which the target's tests do."""
    return [path.stat().st_size for path in paths]


@pytest.fixture(scope="module")
def elsewhere(
    project: Path, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RunSummary]:
    """A finished run for a device that is not this machine."""
    place = tmp_path_factory.mktemp("elsewhere")
    device = moved(project / "reference" / "device.json", place / "device.json")
    limits = "search.limits={latency_ms: 100%, size_kb: 90%}"
    before = device.read_text()
    summary = searched(
        project, place / "run", catalogue, limits, f"target.device={device}", "baselines=false"
    )
    assert device.read_text() == before
    return place / "run", summary


def test_its_model_is_found_but_not_certified(elsewhere: tuple[Path, RunSummary]) -> None:
    folder, summary = elsewhere
    assert summary.certificate.certified is False
    assert summary.notes[0].startswith("NOT certified: latencies are predicted for")
    assert "Another 9000" in summary.notes[0]
    assert "not certified" in (folder / "report.html").read_text()
    assert "**Not certified.**" in (folder / "best" / "README.md").read_text()


def test_limits_hold_with_the_margin_of_the_prediction(
    elsewhere: tuple[Path, RunSummary],
) -> None:
    _, summary = elsewhere
    bound = next(line.bound for line in summary.limits if line.cost == "latency_ms")
    assert summary.certificate.measured["high_ms"] <= bound
    assert [pair for pair in summary.latency_pairs if pair["held_out"]] == []


def test_a_bundle_measured_there_certifies_it(
    elsewhere: tuple[Path, RunSummary], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(elsewhere[0], tmp_path / "run"))
    bundle = tmp_path / "bundle"
    assert main(["certify", str(folder), "--bundle", str(bundle)]) == 0
    script = [sys.executable, str(bundle / "measure.py")]
    subprocess.run(script, check=True, capture_output=True, timeout=100)
    capsys.readouterr()
    result = str(bundle / "result.json")
    code = main(
        ["certify", str(folder), "--bundle", str(bundle), "--from-result", result, "--json"]
    )
    (model,) = json.loads(capsys.readouterr().out)
    assert code == (0 if model["holds"] else 1)
    assert {check["cost"]: check["verdict"] for check in model["checks"]}["size_kb"] == "met"
    assert any(line.startswith("cpu: 'Another 9000' then") for line in model["changed"])
    assert len((folder / "certificates.jsonl").read_text().splitlines()) == 1


def test_a_result_without_its_bundle_is_refused(
    elsewhere: tuple[Path, RunSummary], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["certify", str(elsewhere[0]), "--from-result", "result.json"]) == 2
    assert "--from-result FILE needs --bundle OUT" in capsys.readouterr().err


def test_operators_alone_make_a_run(
    project: Path, catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device file of blocks without one network serves through its roofline or table."""
    monkeypatch.setattr("stillhouse.core.measure.timing._MOST_TIMES", 1)
    there = tmp_path / "there.json"
    run_file = project / "run.yaml"
    arguments = ["profile", "--run", str(run_file), "--networks", "1", "--out", str(there)]
    assert main(arguments) == 0
    content = json.loads(there.read_text())
    content.update(latencies={}, structures={}, anchors={})
    content["identity"]["cpu"] = "Another 9000"
    there.write_text(json.dumps(content))
    settings = ("search.limits={parameters: 70%}", f"target.device={there}", "baselines=false")
    summary = searched(project, tmp_path / "run", catalogue, *settings)
    assert summary.certificate.certified is False
    assert summary.certificate.measured["latency_ms"] > 0
    assert any(note.startswith("latency model: table") for note in summary.notes)


def test_costs_measured_on_request_are_held_to_their_limits(
    project: Path, catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRuntimeCpu, "peak_memory", as_large_as_its_file)
    limits = "search.limits={resident_kb: 300%, latency_ms@16: <= 5, latency_p95_ms: 100%}"
    quick = ("baselines=false", "search.finalists=1")
    summary = searched(project, tmp_path / "run", catalogue, limits, *quick)
    measured = summary.certificate.measured
    assert measured["latency_p95_ms"] == measured["latency_ms"]
    assert 0 < measured["latency_ms@16"] < 5
    assert measured["resident_kb"] <= summary.limits[0].bound


def test_an_impossible_limit_on_memory_is_refused_before_anything_is_timed(
    project: Path, catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRuntimeCpu, "peak_memory", as_large_as_its_file)
    device = tmp_path / "device.json"
    settings = ("search.limits={resident_kb: <= 1}", f"target.device={device}")
    with pytest.raises(LimitError, match="resident_kb <= 1"):
        searched(project, tmp_path / "run", catalogue, *settings)
    assert json.loads(device.read_text())["latencies"] == {}
