"""Networks over token ids: exported, checked, run and timed on ids that are valid."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.elastic import SelfAttention
from stillhouse.core.elastic.initial import draw_weights
from stillhouse.core.errors import UserError
from stillhouse.core.measure import Target
from stillhouse.plugins.targets import sessions
from stillhouse.plugins.targets.agreement import difference
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams, TorchCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu
from stillhouse.plugins.targets.program_file import read_program
from stillhouse.plugins.targets.program_module import made_up
from stillhouse.plugins.targets.runner import MANIFEST
from stillhouse.plugins.targets.standalone import script
from stillhouse.plugins.targets.torch_cpu import torch_cpu

TOKENS, VOCABULARY = 12, 50


class _Net(nn.Module):
    """Token ids (batch, 12), 0 for padding, to four classes; attention passes padding over."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, 16, device="meta")
        self.attention = SelfAttention.sized(16, 2, 8)
        self.head = nn.Linear(16, 4, device="meta")

    def forward(self, ids: Tensor) -> Tensor:
        kept = ids.ne(0)
        x = self.table(ids)
        x = x + self.attention(x.flatten(0, 1), ids.shape[1], kept[:, None, None]).view(x.shape)
        weight = kept.to(x.dtype)[..., None]
        out: Tensor = self.head((x * weight).sum(1) / weight.sum(1))
        return out


def network() -> nn.Module:
    net = _Net().to_empty(device="cpu")
    draw_weights(net, torch.Generator().manual_seed(0))
    return net.eval()


def sentences(count: int, seed: int = 0) -> Tensor:
    """Ids from 3 up, with padding on the right of all but the longest."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCABULARY, (count, TOKENS), generator=generator)
    lengths = torch.randint(2, TOKENS + 1, (count, 1), generator=generator)
    return ids.masked_fill(torch.arange(TOKENS) >= lengths, 0)


def targets(batch: int) -> list[Target]:
    return [
        OnnxRuntimeCpu(OnnxRuntimeCpuParams(batch=batch, patience_s=0)),
        torch_cpu(TorchCpuParams(batch=batch, patience_s=0)),
    ]


@pytest.mark.parametrize("target", targets(3), ids=lambda target: target.name)
def test_exports_answer_as_torch_does_for_sentences_they_have_not_seen(
    target: Target, tmp_path: Path
) -> None:
    net, unseen = network(), sentences(20, seed=1)
    path = target.export(net, sentences(3), tmp_path / "net").path
    with torch.no_grad():
        expected = net(unseen).numpy()
    np.testing.assert_allclose(target.run(path, unseen), expected, atol=1e-5)


@pytest.mark.parametrize(
    "target",
    [targets(1)[0], pytest.param(targets(1)[1], marks=pytest.mark.slow)],
    ids=lambda target: target.name,
)
def test_latency_and_memory_are_measured_here_and_in_fresh_processes(
    target: Target, tmp_path: Path
) -> None:
    path = target.export(network(), sentences(1), tmp_path / "net").path
    (with_example,) = target.measure([path], sentences(1), repeats=3, warmup=1)
    ((afresh,),) = target.measure_afresh([path], repeats=3, warmup=1, processes=1)
    assert min(with_example.latency_ms, afresh.latency_ms) > 0
    assert target.peak_memory([path])[0] > 0


def test_ids_are_made_up_within_the_range_of_real_ones(tmp_path: Path) -> None:
    onnx_target, torch_target = targets(2)
    example = sentences(2)
    real = example[example != 0]
    low, high = int(real.min()), int(real.max())
    path = onnx_target.export(network(), example, tmp_path / "net.onnx").path
    (ids,) = sessions.made_up(path, sessions.opened(path, 1)).values()
    program = read_program(torch_target.export(network(), example, tmp_path / "net.aten").path)
    for found in (ids, made_up(program, torch.device("cpu")).numpy()):
        assert (found.shape, found.dtype) == ((2, TOKENS), np.int64)
        assert low <= found.min() < found.max() <= high


def test_a_bundles_script_runs_where_stillhouse_is_not(tmp_path: Path) -> None:
    target = targets(1)[0]
    target.export(network(), sentences(1), tmp_path / "net.onnx")
    manifest = {
        "format": 1, "target": "onnxruntime-cpu", "settings": {"threads": 1, "patience_s": 0},
        "repeats": 2, "warmup": 1, "artefacts": [{"key": "net", "path": "net.onnx"}],
    }  # fmt: skip
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    (tmp_path / "measure.py").write_text(script())
    command = [sys.executable, "-I", str(tmp_path / "measure.py"), "--memory"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["latencies"]["net"]["latency_ms"] > 0
    assert result["memory"]["net"]["peak_bytes"] > 0


def test_pooled_weights_keep_the_range_of_ids(tmp_path: Path) -> None:
    target = targets(1)[0]
    path = target.export(network(), sentences(1), tmp_path / "net.onnx").path
    before = sessions.made_up(path, sessions.opened(path, 1))
    target.pool_weights([path], tmp_path / "pool.bin")
    after = sessions.made_up(path, sessions.opened(path, 1))
    np.testing.assert_array_equal(*before.values(), *after.values())
    target.measure([path], None, repeats=1, warmup=1)


def test_a_file_with_another_range_than_two_numbers_is_refused(tmp_path: Path) -> None:
    path = targets(1)[0].export(network(), sentences(1), tmp_path / "net.onnx").path
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {sessions.IDS: "many"})
    onnx.save(model, path)
    with pytest.raises(UserError, match=r"whole numbers as stillhouse\.ids, got 'many'"):
        targets(1)[0].measure([path], None, repeats=1, warmup=1)


def test_a_branch_that_tracing_froze_is_noticed_on_the_mirror_image(tmp_path: Path) -> None:
    class Branch(nn.Module):
        def forward(self, ids: Tensor) -> Tensor:
            return ids.float() if ids[0, 0] > 0 else -ids.float()

    net, example = Branch(), torch.tensor([[3, 4, 0]])
    frozen = lambda ids: ids.float().numpy()  # noqa: E731 - what a trace of it would do
    with pytest.raises(Exception, match="differ from torch's by 8"):
        difference(net, example, frozen, 1e-3, "mend it")
    assert difference(net, torch.tensor([[3, 4, 5]]), frozen, 1e-3, "mend it") == 0


def test_files_of_floating_point_networks_say_nothing_of_ids(tmp_path: Path) -> None:
    target = targets(1)[0]
    net = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    path = target.export(net, torch.randn(1, 4), tmp_path / "net.onnx").path
    assert onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map == {}
