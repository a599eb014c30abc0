"""The same network as ONNX, as a torch program and reloaded from safetensors: the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.evaluate import Student
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.loading import load
from stillhouse.core.run.saving import save_model
from stillhouse.plugins.models.info import KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams, TorchCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu
from stillhouse.plugins.targets.torch_cpu import torch_cpu

_TOLERANCE = 2e-5


SMALL = {"width": 10, "depth": 1, "heads": [1], "hidden": [7]}
OTHER = {"width": 24, "depth": 2, "heads": [3, 1], "hidden": [48, 12], "activation": "relu"}


@pytest.mark.parametrize(
    ("genes", "batch"),
    [
        ({}, 3),
        (SMALL, 1),
        (OTHER, 3),
        pytest.param({}, 1, marks=pytest.mark.slow),
        pytest.param(SMALL, 3, marks=pytest.mark.slow),
        pytest.param(OTHER, 1, marks=pytest.mark.slow),
    ],
)
def test_onnx_torch_program_and_safetensors_agree(
    tmp_path: Path, genes: dict[str, Any], batch: int
) -> None:
    family = KeywordTransformerFamily()
    params = KeywordTransformerParams(width=16, depth=3, heads=2, head_dim=8)
    structure = {**family.structure(params, (12, 5), 4), **genes}
    network = family.build(structure, torch.Generator().manual_seed(0)).eval()
    generator = torch.Generator().manual_seed(1)
    example = torch.randn(batch, 12, 5, generator=generator)
    runtimes = {
        "onnx": OnnxRuntimeCpu(OnnxRuntimeCpuParams(batch=batch)),
        "program": torch_cpu(TorchCpuParams(batch=batch)),
    }
    paths = {
        name: target.export(network, example, tmp_path / f"model{target.suffix}").path
        for name, target in runtimes.items()
    }
    student = Student(family.name, structure, network)
    save_model(tmp_path / "best", student, paths["program"], "", {})
    reloaded = load(tmp_path / "best", Catalogue.discover())
    for scale in (1.0, 0.0, 30.0):
        inputs = scale * torch.randn(7, 12, 5, generator=generator)
        with torch.no_grad():
            expected = network(inputs).numpy()
            assert np.array_equal(reloaded(inputs).numpy(), expected)
        for name, target in runtimes.items():
            outputs = target.run(paths[name], inputs)
            np.testing.assert_allclose(outputs, expected, atol=_TOLERANCE, err_msg=name)
