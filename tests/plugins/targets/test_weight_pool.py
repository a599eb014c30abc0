from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu
from stillhouse.plugins.targets.weight_pool import pool_weights

EXAMPLE = torch.zeros(1, 24)


def _exported(folder: Path, *widths: int) -> Path:
    torch.manual_seed(0)
    layers = [nn.Linear(a, b) for a, b in zip((24, *widths), (*widths, 3), strict=True)]
    steps = [step for layer in layers for step in (layer, nn.ReLU())]
    path = folder / f"{'-'.join(map(str, widths))}.onnx"
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams())
    return target.export(nn.Sequential(*steps), EXAMPLE, path).path


def _parts(path: Path) -> dict[str, tuple[int, int]]:
    """Offset and length of what a file reads of the pool, by tensor."""
    model = onnx.load(path, load_external_data=False)
    found = {}
    for tensor in model.graph.initializer:
        facts = {entry.key: entry.value for entry in tensor.external_data}
        if facts:
            found[tensor.name] = int(facts["offset"]), int(facts["length"])
    return found


def test_matrices_lie_in_the_pool_and_all_else_stays(tmp_path: Path) -> None:
    path = _exported(tmp_path, 64, 48)
    before = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    pool_weights([path], tmp_path / "weights.bin")
    onnx.checker.check_model(path)
    after = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    pooled = _parts(path)
    assert sorted(length for _, length in pooled.values()) == [4 * 24 * 64, 4 * 64 * 48]
    for name, values in before.items():
        assert after[name].shape == values.shape
        assert np.array_equal(after[name], values) == (name not in pooled)


def test_no_two_tensors_of_a_network_share_weights(tmp_path: Path) -> None:
    path = _exported(tmp_path, 64, 64, 64)
    pool_weights([path], tmp_path / "weights.bin")
    places = sorted(_parts(path).values())
    assert all(offset % 4096 == 0 for offset, _ in places)
    ends = [offset + length for offset, length in places]
    assert all(end <= after for end, (after, _) in zip(ends, places[1:], strict=False))
    assert (tmp_path / "weights.bin").stat().st_size >= ends[-1]


def test_networks_share_one_pool_as_large_as_the_largest_needs(tmp_path: Path) -> None:
    pool = tmp_path / "weights.bin"
    small, large = _exported(tmp_path, 32), _exported(tmp_path, 256, 256)
    pool_weights([small], pool)
    first = pool.read_bytes()
    pool_weights([large], pool)
    whole = pool.read_bytes()
    assert whole.startswith(first)
    assert len(whole) < 1.1 * 4 * (24 * 256 + 256 * 256 + 256 * 3)
    pool_weights([_exported(tmp_path, 64)], pool)
    assert pool.read_bytes() == whole


def test_the_runtime_runs_what_it_gets_and_numbers_stay_in_range(tmp_path: Path) -> None:
    path = _exported(tmp_path, 96, 96, 96)
    pool_weights([path], tmp_path / "weights.bin")
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams(patience_s=0))
    outputs = target.run(path, torch.ones(1, 24))
    assert np.isfinite(outputs).all()
    assert target.measure([path], EXAMPLE, repeats=3, warmup=1)[0].latency_ms > 0


def test_a_pool_elsewhere_is_an_error_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = _exported(tmp_path, 32)
    with pytest.raises(ValueError, match="expected every artefact beside"):
        pool_weights([path], tmp_path / "sub" / "weights.bin")
