"""A whole run in which the scheme is searched: found, exported, loaded, with its controls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from stillhouse.core.cli.main import main
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.run.loading import load
from stillhouse.core.run.summary import RunSummary
from stillhouse.plugins.quantize.checking import integers_held
from stillhouse.plugins.targets.sessions import session

RUN = """
task: {npz: {path: waves.npz}}
teacher: {model: keyword-transformer, width: 24, depth: 2, heads: 2, epochs: 2}
recipe:
  - soft-labels: {}
  - supernet: {space: keyword-transformer-tiny, full_epochs: 1, epochs: 2}
  - distil: {epochs: 1}
  - int8: {scheme: {choices: [dynamic, static]}, head: {choices: [none, dynamic]}, samples: 8}
search: {maximize: accuracy, limits: {size_kb: 80%}, evaluations: 6, batch: 3, finalists: 2}
target: {runtime: onnxruntime-cpu, profile: 8, repeats: 5, device: device.json, processes: 1,
         patience_s: 0}
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


def test_the_loaded_model_answers_as_the_exported_one_bit_for_bit(found: Path) -> None:
    inputs = np.load(found.parent / "waves.npz")["x"]
    at = session(str(found / "best" / "model.onnx"), 1)
    name = at.get_inputs()[0].name
    exported = np.concatenate([at.run(None, {name: row[None]})[0] for row in inputs])
    assert np.array_equal(load(found)(torch.from_numpy(inputs)), exported)


def test_the_found_model_has_the_size_that_was_predicted(found: Path) -> None:
    model = found / "best" / "model.onnx"
    configuration = json.loads((found / "best" / "model.json").read_text())["configuration"]
    lines = (found / "ledger.jsonl").read_text().splitlines()
    known = [json.loads(line) for line in lines if '"costs"' in line]
    predicted_kb = next(
        one["costs"]["size_kb"] for one in known if one["configuration"] == configuration
    )
    assert predicted_kb == pytest.approx(model.stat().st_size / 1e3, rel=0.02)
    assert integers_held(onnx.load(model)) > 0


def test_controls_are_trained_as_floats_and_end_as_integers(found: Path) -> None:
    summary = RunSummary.from_json((found / "summary.json").read_text())
    rows = {row.role: row for row in summary.rows}
    assert {"found", "scratch", "scaled"} <= rows.keys()
    assert rows["scratch"].size_bytes == rows["found"].size_bytes
    assert rows["scratch"].updates == rows["found"].updates > 0
    assert not [note for note in summary.notes if "controls" in note]


def test_it_cannot_be_exported_for_a_target_without_graphs(
    found: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "model.pt")
    assert main(["export", str(found), "--target", "torch-cpu", "--out", out]) != 0
    assert "runs in ONNX Runtime alone" in capsys.readouterr().err
    four = ["export", str(found), "--target", "onnxruntime-cpu", "--set", "batch=4"]
    assert main([*four, "--out", out]) != 0
    assert "finished graph for inputs of shape (1, 12, 4)" in capsys.readouterr().err


def test_a_damaged_graph_is_refused_with_the_reason(found: Path, tmp_path: Path) -> None:
    place = tmp_path / "model"
    place.mkdir()
    for name in ("model.json", "model.onnx"):
        (place / name).write_bytes((found / "best" / name).read_bytes())
    graph = load_file(found / "best" / "model.safetensors")["graph"]
    save_file({"graph": graph[:-100].clone()}, place / "model.safetensors")
    with pytest.raises(RunDirectoryError, match="expected an ONNX model"):
        load(place)


def test_the_record_says_what_became_of_each_layer(found: Path) -> None:
    (change,) = json.loads((found / "best" / "model.json").read_text())["rebuilds"]
    assert change["method"] == "int8"
    assert set(change["record"]["layers"].values()) <= {"dynamic", "static"}
    assert change["record"]["weights"] in ("signed", "reduced")
