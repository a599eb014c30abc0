"""A run read back with Optuna is the run that was searched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from stillhouse.core.cli.main import main
from stillhouse.core.config.runfile import load
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue

COMMAND = "import sys; from stillhouse.core.cli.main import main; main(sys.argv[1:]); "


def entries(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "ledger.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


def rewrite(folder: Path, *changed: dict[str, Any]) -> None:
    ledger = folder / "ledger.jsonl"
    header = ledger.read_text().splitlines()[0]
    ledger.write_text("\n".join([header, *map(json.dumps, changed)]) + "\n")


def exported(folder: Path, tmp_path: Path, *arguments: str) -> optuna.Study:
    url = f"journal:{tmp_path}/study.log"
    assert main(["export", str(folder), "--optuna", url, *arguments]) == 0
    backend = optuna.storages.journal.JournalFileBackend(f"{tmp_path}/study.log")
    storage = optuna.storages.JournalStorage(backend)
    return optuna.load_study(study_name=None, storage=storage)


def test_every_evaluation_comes_back_with_costs_and_limits(finished: Path, tmp_path: Path) -> None:
    study = exported(finished, tmp_path)
    assert study.study_name == "run"
    assert study.directions == [optuna.study.StudyDirection.MAXIMIZE]
    assert study.metric_names == ["accuracy"]
    bound = json.loads((finished / "summary.json").read_text())["limits"][0]["bound"]
    for trial, entry in zip(study.trials, entries(finished), strict=True):
        assert trial.state == TrialState.COMPLETE
        assert trial.values == [entry["values"]["accuracy"]]
        others = {n: v for n, v in entry["values"].items() if n != "accuracy"}
        facts = {"key": entry["key"], "seconds": entry["seconds"], **entry["costs"], **others}
        assert trial.user_attrs == facts
        assert trial.constraints == {
            f"parameters <= {bound:.10g}": (entry["costs"]["parameters"] - bound) / bound
        }
        assert trial.duration is not None
        assert trial.duration.total_seconds() == pytest.approx(entry["seconds"], abs=2e-6)
        assert trial.params == named(entry["configuration"])


def named(configuration: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in configuration.items():
        layers = {f"{name}[{i}]": v for i, v in enumerate(value)} if isinstance(value, list) else {}
        out |= layers or {name: value}
    return out


def test_a_failed_evaluation_is_a_failed_trial_with_its_reason(
    finished: Path, tmp_path: Path
) -> None:
    first, second, *rest = entries(finished)
    rewrite(finished, first, {**second, "values": {}, "error": "diverged"}, *rest)
    study = exported(finished, tmp_path, "--name", "other")
    assert study.study_name == "other"
    assert [t.number for t in study.trials if t.state == TrialState.FAIL] == [1]
    assert study.trials[1].user_attrs["error"] == "diverged"
    assert study.trials[1].values is None
    assert len(study.trials) == 6


def test_a_candidate_on_several_rungs_is_one_trial(finished: Path, tmp_path: Path) -> None:
    first, second, *_ = entries(finished)
    low = [{**entry, "fidelity": 0.25} for entry in (first, second)]
    high = {**second, "number": 2, "fidelity": 1.0, "values": {"accuracy": 0.875}, "seconds": 2.0}
    rewrite(finished, *low, high)
    stopped, whole = exported(finished, tmp_path).trials
    assert (stopped.state, whole.state) == (TrialState.PRUNED, TrialState.COMPLETE)
    assert stopped.intermediate_values == {0: first["values"]["accuracy"]}
    assert whole.intermediate_values == {0: second["values"]["accuracy"], 1: 0.875}
    assert (whole.value, whole.user_attrs["fidelity"]) == (0.875, 1.0)
    assert whole.duration is not None
    assert whole.duration.total_seconds() == pytest.approx(second["seconds"] + 2, abs=2e-6)


@pytest.mark.slow
def test_an_export_needs_no_torch_and_changes_nothing(finished: Path, tmp_path: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*")}
    url = f"sqlite:///{tmp_path}/study.db"
    done = subprocess.run(
        [sys.executable, "-c", COMMAND + "print('torch' in sys.modules)", "export", str(finished),
         "--optuna", url],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        f"study    run with 6 trials in {url}",
        f"look at  optuna-dashboard {url}",
        "False",
    ]
    assert done.stderr == ""
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*")} == before


def test_a_run_that_is_going_on_is_exported_as_far_as_it_is(
    finished: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    (finished / "summary.json").unlink()
    first, *_ = entries(finished)
    rewrite(finished, first)
    with (finished / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"number": 1, "key"')
    plan = make_plan(load(finished / "run.yaml", catalogue), catalogue)
    (trial,) = exported(finished, tmp_path).trials
    assert (
        trial.user_attrs["key"]
        == plan.space.keys(plan.space.encode(first["configuration"])[None])[0]
    )


def test_exporting_twice_leaves_with_2_and_says_what_to_do(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported(finished, tmp_path)
    again = ["export", str(finished), "--optuna", f"journal:{tmp_path}/study.log"]
    assert main(again) == 2
    assert "has a study called 'run' already; export under another name" in capsys.readouterr().err
