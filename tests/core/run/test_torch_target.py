"""A search for another runtime than ONNX, and a found model written for another target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.cli.main import main
from stillhouse.core.config.runfile import load as load_run
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.loading import load
from stillhouse.plugins.targets import torch_fresh
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams, TorchCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu
from stillhouse.plugins.targets.torch_cpu import torch_cpu

pytestmark = pytest.mark.slow

SETS = (
    "target.runtime=torch-cpu", "target.profile=5", "target.processes=1", "search.evaluations=3",
    "search.finalists=1", "target.device=torch.json", "target.patience_s=0", "baselines=false",
)  # fmt: skip


def asked_here(target: str, settings: Mapping[str, Any], **job: Any) -> Any:
    """A fresh process's answer from this one, which spares the imports of torch."""
    return torch_fresh._answer({"target": target, "settings": settings, **job})


def test_a_search_for_torch_returns_a_program_that_it_measured(
    project: Path, catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_fresh, "_asked", asked_here)
    config = load_run(project / "run.yaml", catalogue, sets=list(SETS))
    with RunDirectory.create(tmp_path / "run", config.to_yaml()) as directory:
        execute(make_plan(config, catalogue), catalogue, directory, Silent())
    best = tmp_path / "run" / "best"
    certificate = json.loads((best / "model.json").read_text())["certificate"]
    assert certificate["artefact"] == "model.aten"
    assert certificate["machine"]["runtime"] == f"torch {torch.__version__}"
    assert certificate["measured"]["size_bytes"] == (best / "model.aten").stat().st_size
    assert certificate["measured"]["latency_ms"] > 0
    inputs = torch.randn(3, 12, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = load(tmp_path / "run", catalogue)(inputs).numpy()
    outputs = torch_cpu(TorchCpuParams()).run(best / "model.aten", inputs)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["torch-cpu", "onnxruntime-cpu"])
def test_a_found_model_is_written_for_another_target(
    finished: Path, catalogue: Catalogue, tmp_path: Path, name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "new" / "model.bin"
    arguments = ["export", str(finished), "--target", name, "--set", "batch=2", "--out", str(out)]
    assert main(arguments) == 0
    assert f"for {name}" in capsys.readouterr().out
    inputs = torch.randn(5, 12, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = load(finished, catalogue)(inputs).numpy()
    target = (
        torch_cpu(TorchCpuParams())
        if name == "torch-cpu"
        else OnnxRuntimeCpu(OnnxRuntimeCpuParams())
    )
    np.testing.assert_allclose(target.run(out, inputs), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "torch-cpu"], "expected --out FILE"),
        (["--target", "torch-cqu", "--out", "new"], "did you mean 'torch-cpu'"),
        (["--target", "torch-cpu", "--out", "new", "--set", "bach=2"], "did you mean 'batch'"),
        (["--target", "torch-cpu", "--out", "run.yaml/new"], "choose another with --out"),
        (["--optuna", "sqlite:///new", "--out", "new"], "belong to --target"),
    ],
)
def test_an_export_that_cannot_be_made_is_one_clear_error(
    finished: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(finished)
    assert main(["export", str(finished), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (finished / "new").exists()


def test_a_model_without_a_usable_input_shape_is_refused(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((finished / "best" / "model.json").read_text())
    (finished / "best" / "model.json").write_text(json.dumps({**record, "input_shape": "wide"}))
    arguments = ["export", str(finished), "--target", "torch-cpu", "--out", str(finished / "new")]
    assert main(arguments) == 2
    assert "input_shape: expected a list of sizes, got 'wide'" in capsys.readouterr().err
