"""A search on samples of several labels, from run file to report, and its model afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stillhouse.core.config.runfile import load as load_run
from stillhouse.core.errors import ConfigError
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.loading import load
from stillhouse.core.run.recertifying import recertify
from stillhouse.core.run.summary import RunSummary

pytestmark = pytest.mark.slow

RUN = """
task: {npz: {path: tones.npz, classes: [low, mid, high]}}
teacher: {model: cnn, width: 16, stages: 2, depth: 1, kernel: 3, epochs: 3, batch_size: 16}
recipe:
  - soft-labels: {weight: 0.5}
  - supernet: {space: cnn-small, full_epochs: 1, epochs: 1, batch_size: 16, inplace: add}
  - distil: {epochs: 1, batch_size: 16}
search:
  {maximize: average_precision, limits: {parameters: 80%, log_loss: 2}, evaluations: 4, batch: 2,
   finalists: 1}
target:
  {runtime: onnxruntime-cpu, profile: 5, repeats: 5, processes: 1, patience_s: 0,
   device: tones-device.json}
train: {threads: 1}
baselines: false
"""
LABELS = ["low", "mid", "high"]


def write_tones(path: Path, several: bool = True) -> None:
    """Sums of any of three sines, (samples, 12 frames, 4 features), and which, or how many."""
    rng = np.random.default_rng(0)
    targets = rng.random((120, 3)) < 0.4
    time, phase = np.arange(12)[:, None], rng.uniform(0, 6, (3, 120, 1, 4))
    waves = [np.sin((k + 1) * 0.5 * time + phase[k]) * targets[:, k, None, None] for k in range(3)]
    inputs = sum(waves) + 0.2 * rng.standard_normal((120, 12, 4))
    np.savez(path, x=np.float32(inputs), y=targets if several else targets.sum(1).clip(0, 2))


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("tones")
    write_tones(folder / "tones.npz")
    (folder / "run.yaml").write_text(RUN)
    config = load_run(folder / "run.yaml", catalogue)
    with RunDirectory.create(folder / "run", config.to_yaml()) as directory:
        execute(make_plan(config, catalogue), catalogue, directory, Silent())
    return folder / "run"


def test_the_summary_measures_what_several_labels_have(tones: Path) -> None:
    summary = RunSummary.from_json((tones / "summary.json").read_text())
    names = ["average_precision", "log_loss", "accuracy"]
    assert [metric["name"] for metric in summary.metrics] == names
    assert summary.outputs == {"several": True, "labels": LABELS}
    for row in summary.rows:
        assert list(row.test) == names
        assert all(np.isfinite(value) for value in row.test.values())
    assert all(evaluation.values for evaluation in summary.evaluations)


def test_report_card_and_model_tell_of_the_labels(tones: Path) -> None:
    record = json.loads((tones / "best" / "model.json").read_text())
    assert record["labels"] == LABELS
    assert record["outputs"] == {"several": True, "labels": LABELS}
    assert "average precision" in (tones / "report.html").read_text()
    assert "any number of the labels low, mid, high" in (tones / "best" / "README.md").read_text()


def test_the_loaded_model_has_the_scores_of_the_report(tones: Path, catalogue: Catalogue) -> None:
    config = load_run(tones / "run.yaml", catalogue)
    record = catalogue.task("npz")
    task = catalogue.resolve(record)(record.params(**config.task.fixed))
    with torch.inference_mode():
        outputs = load(tones, catalogue)(task.data.test.inputs)
    rows = RunSummary.from_json((tones / "summary.json").read_text()).rows
    (found,) = (row.test for row in rows if row.role == "found")
    assert task.score(outputs, task.data.test.targets) == pytest.approx(found, rel=1e-5)


def test_the_exported_model_is_certified_again(tones: Path, catalogue: Catalogue) -> None:
    (found,) = recertify(tones, catalogue)
    checks = {check.cost: check for check in found.checks}
    assert list(checks) == ["parameters", "log_loss"]
    assert checks["log_loss"].now == pytest.approx(checks["log_loss"].then, rel=1e-4)
    assert found.holds


def test_what_one_class_a_sample_has_not_is_refused_before_training(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    write_tones(tmp_path / "tones.npz", several=False)
    (tmp_path / "run.yaml").write_text(RUN)
    config = load_run(tmp_path / "run.yaml", catalogue)
    with (
        RunDirectory.create(tmp_path / "run", config.to_yaml()) as directory,
        pytest.raises(ConfigError, match="'npz' does not measure 'average_precision'"),
    ):
        execute(make_plan(config, catalogue), catalogue, directory, Silent())
    assert not list((tmp_path / "run").rglob("*.safetensors"))
