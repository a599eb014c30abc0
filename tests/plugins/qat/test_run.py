"""A whole run in which bits are searched: found, exported, loaded, certified again."""

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
teacher: {model: keyword-transformer, width: 24, depth: 2, heads: 2, epochs: 2}
recipe:
  - supernet: {space: keyword-transformer-tiny, full_epochs: 1, epochs: 2}
  - qat: {bits: {choices: [32, 8, 4]}, attention: {choices: [8, 4]}}
  - distil: {epochs: 1}
search: {maximize: accuracy, limits: {size_kb: 45%}, evaluations: 6, batch: 3, finalists: 2}
target: {runtime: onnxruntime-cpu, profile: 8, repeats: 5, device: device.json, processes: 1,
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
    folder = tmp_path_factory.mktemp("quantised")
    rng = np.random.default_rng(0)
    targets = np.arange(120) % 3
    phase = rng.uniform(0, 6, (120, 1, 4))
    inputs = np.sin((targets[:, None, None] + 1) * 0.4 * np.arange(12)[None, :, None] + phase)
    np.savez(folder / "waves.npz", x=inputs.astype(np.float32), y=targets)
    (folder / "run.yaml").write_text(RUN)
    with pytest.MonkeyPatch.context() as patch, measured_once():
        patch.chdir(folder)
        assert main(["search", "run.yaml", "--out", "found"]) == 0
        yield folder / "found"


def test_the_found_model_is_as_small_as_was_asked_and_has_the_bits_that_were_chosen(
    found: Path,
) -> None:
    summary = RunSummary.from_json((found / "summary.json").read_text())
    record = json.loads((found / "best" / "model.json").read_text())
    (limit,) = summary.limits
    assert summary.certificate.measured["size_kb"] <= limit.bound
    assert (found / "best" / "model.onnx").stat().st_size / 1000 <= limit.bound
    (change,) = record["rebuilds"]
    assert set(change["record"]["bits"].values()) <= {8, 4}
    parameters = sum(w.numel() for w in load(found).parameters())
    assert summary.certificate.measured["parameters"] == parameters


def test_the_loaded_model_answers_as_the_exported_one(found: Path) -> None:
    inputs = np.load(found.parent / "waves.npz")["x"][:8]
    session = onnxruntime.InferenceSession(
        found / "best" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    exported = np.concatenate([session.run(None, {name: one[None]})[0] for one in inputs])
    with torch.no_grad():
        ours = load(found)(torch.from_numpy(inputs)).numpy()
    assert np.median(np.abs(ours - exported)) < 1e-5


def test_its_models_are_measured_again(
    found: Path, measured_once: Callable[[], AbstractContextManager[None]]
) -> None:
    with measured_once():
        assert main(["certify", str(found)]) == 0
