"""A whole run whose model leaves early: found, measured by its ways, loaded, certified again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from stillhouse.core.cli.main import main
from stillhouse.core.run.loading import load
from stillhouse.core.run.summary import RunSummary

RUN = """
task: {npz: {path: waves.npz}}
teacher: {model: keyword-transformer, width: 24, depth: 3, heads: 2, epochs: 2}
recipe:
  - fresh
  - distil: {epochs: 1}
  - early-exit: {exits: {low: 1, high: 2}, leave: {low: 0.2, high: 0.8}, epochs: 1}
search: {maximize: accuracy, limits: {macs: 80%, latency_ms: 300%}, evaluations: 6, batch: 3,
         finalists: 2, fidelity: 0.5}
target: {runtime: onnxruntime-cpu, profile: 6, repeats: 5, device: device.json, processes: 1,
         patience_s: 0}
baselines: false
train: {threads: 1}
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory,
    measured_once: Callable[[], AbstractContextManager[None]],
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("early")
    rng = np.random.default_rng(0)
    targets = np.arange(240) % 3
    phase = rng.uniform(0, 6, (240, 1, 4))
    inputs = np.sin((targets[:, None, None] + 1) * 0.4 * np.arange(12)[None, :, None] + phase)
    np.savez(folder / "waves.npz", x=inputs.astype(np.float32), y=targets)
    (folder / "run.yaml").write_text(RUN)
    with pytest.MonkeyPatch.context() as patch, measured_once():
        patch.chdir(folder)
        assert main(["search", "run.yaml", "--out", "found"]) == 0
        yield folder / "found"


def test_the_loaded_model_answers_as_the_exported_one(found: Path) -> None:
    inputs = np.load(found.parent / "waves.npz")["x"]
    session = onnxruntime.InferenceSession(
        found / "best" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    exported = np.concatenate([session.run(None, {name: one[None]})[0] for one in inputs])
    with torch.no_grad():
        ours = load(found)(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(ours, exported, atol=1e-4)


def test_latency_and_macs_are_means_over_the_ways_of_validation_samples(found: Path) -> None:
    record = json.loads((found / "best" / "model.json").read_text())
    policy, measured = record["policy"], record["certificate"]["measured"]
    assert policy["name"] == "early-exit"
    shares = [way["share"] for way in policy["ways"]]
    assert shares == policy["settings"]["left"]["validation"]
    mean = sum(way["share"] * way["latency_ms"] for way in policy["ways"])
    assert measured["latency_ms"] == pytest.approx(mean, rel=1e-12)
    summary = RunSummary.from_json((found / "summary.json").read_text())
    assert any("stops early where it is sure" in note for note in summary.notes)
    predicted = next(e for e in summary.evaluations if e.configuration == record["configuration"])
    assert measured["macs"] != predicted.costs["macs"]
    assert measured["macs"] == pytest.approx(predicted.costs["macs"], rel=0.5)


def test_it_is_measured_again_by_its_ways(
    found: Path, measured_once: Callable[[], AbstractContextManager[None]]
) -> None:
    with measured_once():
        assert main(["certify", str(found)]) == 0


def test_a_bundle_without_data_is_refused(found: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", str(found), "--bundle", str(found.parent / "bundle")]) != 0
    assert "latency depends on data" in capsys.readouterr().err
