"""Certifying a finished run again: what holds, what changed, what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.errors import UserError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.exported_model import Recertified
from stillhouse.core.run.recertifying import recertify

NOW = "2030-01-02T03:04:05+00:00"


def edited(path: Path, change: Mapping[str, Any]) -> None:
    """Replace values in a JSON file, by dotted names."""
    content = json.loads(path.read_text())
    for name, value in change.items():
        *folders, last = name.split(".")
        place = content
        for folder in folders:
            place = place[folder]
        place[last] = value
    path.write_text(json.dumps(content))


def limited(run: Path, cost: str, bound: float) -> None:
    line = {"cost": cost, "relation": "<=", "bound": bound, "text": f"<= {bound}"}
    edited(run / "summary.json", {"limits": [line]})


def test_a_model_that_still_holds_is_told_and_kept(finished: Path, catalogue: Catalogue) -> None:
    (found,) = recertify(finished, catalogue, lambda: NOW)
    (check,) = found.checks
    assert (found.model, found.holds, found.date) == ("best", True, NOW)
    assert (check.cost, check.verdict, check.then) == ("parameters", "met", check.now)
    assert [line for line in found.changed if not line.startswith("the whole machine is")] == []
    (line,) = (finished / "certificates.jsonl").read_text().splitlines()
    assert json.loads(line)["latency"] == found.latency.to_json()


def test_latency_is_in_terms_of_the_runs_own_anchors(finished: Path, catalogue: Catalogue) -> None:
    then = json.loads((finished / "summary.json").read_text())["certificate"]["measured"]
    device = json.loads((finished / "device.json").read_text())
    for entry in device["latencies"].values():
        entry["latency_ms"] *= 10
    (finished / "device.json").write_text(json.dumps(device))
    (found,) = recertify(finished, catalogue)
    assert found.latency.latency_ms > 4 * then["latency_ms"]


def test_a_broken_limit_is_told_by_the_exit_code(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limited(finished, "latency_ms", 1e-6)
    assert main(["certify", str(finished), "--json"]) == 1
    (model,) = json.loads(capsys.readouterr().out)
    assert model["holds"] is False
    assert model["checks"][0]["verdict"] == "broken"


@pytest.fixture(scope="module")
def elsewhere(
    project: Path, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Recertified:
    """The reference certified again, as if found on another machine, with other limits."""
    folder = shutil.copytree(project / "reference", tmp_path_factory.mktemp("elsewhere") / "run")
    energy = {"cost": "energy_mj", "relation": "<=", "bound": 1.0, "text": "<= 1"}
    metric = {"cost": "accuracy", "relation": ">=", "bound": 0.0, "text": ">= 0"}
    change = {"limits": [energy, metric], "versions.numpy": "0.1"}
    edited(folder / "summary.json", change)
    change = {"certificate.machine.cpu": "Another 9000", "certificate.sha256": "0" * 64}
    edited(folder / "best" / "model.json", change)
    (found,) = recertify(folder, catalogue)
    return found


def test_what_nobody_measures_is_not_called_met(elsewhere: Recertified) -> None:
    assert elsewhere.checks[0].verdict == "not measured"
    assert elsewhere.checks[1].verdict == "met"
    assert not elsewhere.holds


def test_metrics_are_scored_again_in_the_runtime(elsewhere: Recertified, project: Path) -> None:
    rows = json.loads((project / "reference" / "summary.json").read_text())["rows"]
    best = next(row for row in rows if row["role"] == "found")
    assert elsewhere.checks[1].now == pytest.approx(best["validation"]["accuracy"])


def test_another_machine_is_told_and_its_times_are_its_own(elsewhere: Recertified) -> None:
    assert any(line.startswith("cpu: 'Another 9000' then,") for line in elsewhere.changed)


def test_a_changed_artefact_is_told(elsewhere: Recertified) -> None:
    assert "model.onnx is not the file that was certified: its hash differs" in elsewhere.changed


def test_another_version_is_told(elsewhere: Recertified) -> None:
    assert [line for line in elsewhere.changed if line.startswith("numpy: 0.1 then,")]


def test_an_unreadable_model_is_one_clear_error(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "best" / "model.onnx").write_bytes(b"no graph")
    assert main(["certify", str(finished)]) == 2
    said = capsys.readouterr().err
    assert "model.onnx" in said
    assert "Traceback" not in said


def test_an_unfinished_run_is_refused(finished: Path, catalogue: Catalogue) -> None:
    (finished / "best" / "model.json").unlink()
    with pytest.raises(UserError, match=r"expected a finished run .* search --resume"):
        recertify(finished, catalogue)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, catalogue: Catalogue) -> None:
    with pytest.raises(UserError, match="expected a run directory"):
        recertify(tmp_path, catalogue)
