from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.core.errors import UserError
from stillhouse.core.measure import ExportError
from stillhouse.core.measure.processor import cores
from stillhouse.plugins.targets import torch_fresh
from stillhouse.plugins.targets.info import TorchCpuParams
from stillhouse.plugins.targets.torch_cpu import torch_cpu
from stillhouse.plugins.targets.torch_module import TorchModule, reference_work


class _Net(nn.Module):
    """Features (5, 6) to four classes, with dropout that only training sees."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.up, self.dropout, self.head = nn.Linear(6, width), nn.Dropout(0.5), nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.dropout(nn.functional.gelu(self.up(x))).mean(1))
        return out


def _target(**params: object) -> TorchModule:
    params.setdefault("patience_s", 0.0)
    return torch_cpu(TorchCpuParams(**params), date=lambda: "2026-01-02")  # type: ignore[arg-type]


def _example(batch: int = 1, seed: int = 1) -> Tensor:
    return torch.randn(batch, 5, 6, generator=torch.Generator().manual_seed(seed))


def test_an_export_answers_as_torch_does_for_inputs_it_has_not_seen(tmp_path: Path) -> None:
    net, target = _Net().train(), _target(batch=4)
    exported = target.export(net, _example(4), tmp_path / "net.aten")
    assert net.training
    inputs = _example(6, seed=2)
    with torch.no_grad():
        expected = net.eval()(inputs).numpy()
    outputs = target.run(exported.path, inputs)
    assert outputs.shape == (6, 4)
    assert np.abs(outputs - expected).max() < 1e-6
    assert exported.max_difference < 1e-6
    assert exported.exporter == "torch.export"
    assert exported.size_bytes == exported.path.stat().st_size


def test_an_artefact_is_also_a_file_of_the_networks_weights(tmp_path: Path) -> None:
    net = _Net()
    path = _target().export(net, _example(), tmp_path / "net.aten").path
    again = _Net()
    again.load_state_dict(load_file(path), strict=True)
    inputs = _example(3)
    with torch.no_grad():
        assert torch.equal(again.eval()(inputs), net.eval()(inputs))


def test_outputs_that_differ_by_more_than_the_tolerance_are_refused(tmp_path: Path) -> None:
    class _Undecided(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            _Undecided.calls += 1
            return x + _Undecided.calls

    with pytest.raises(ExportError, match=r"_Undecided: .*more than the tolerance of 0.0001"):
        _target().export(_Undecided(), _example(), tmp_path / "net.aten")
    assert list(tmp_path.iterdir()) == []


def test_a_measurement_is_a_positive_time_and_dated(tmp_path: Path) -> None:
    target = _target()
    paths = [target.export(_Net(w), _example(), tmp_path / f"{w}.aten").path for w in (8, 2048)]
    for example in (_example(), None):
        small, large = target.measure(paths, example, repeats=9, warmup=2)
        assert 0 < small.latency_ms < large.latency_ms
        assert small.low_ms <= small.latency_ms <= small.high_ms
        assert small.date == "2026-01-02"


def test_threads_are_as_set_while_measuring_and_as_they_were_afterwards(tmp_path: Path) -> None:
    before, seen = torch.get_num_threads(), []

    class _Watching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(torch.get_num_threads())
            return x

    torch.set_num_threads(2)
    try:
        _target(threads=1).export(_Watching(), _example(), tmp_path / "net.aten")
        assert seen[-1] == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(UserError):
            _target(threads=1).measure([tmp_path / "none"], None, repeats=1, warmup=0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_a_fresh_process_measures_the_same_artefacts(tmp_path: Path) -> None:
    target = _target()
    paths = [target.export(_Net(w), _example(), tmp_path / f"{w}.aten").path for w in (8, 2048)]
    target.reference_ms = 1e-6
    ((small, large),) = target.measure_afresh(paths, repeats=9, warmup=2, processes=1)
    assert 0 < small.latency_ms < large.latency_ms
    assert target.reference_ms == 1e-6
    assert small.conditions != "quiet"


@pytest.mark.slow
def test_peak_memory_is_at_least_the_weights(tmp_path: Path) -> None:
    target = _target()
    path = target.export(_Net(1_000_000), _example(), tmp_path / "net.aten").path
    (peak,) = target.peak_memory([path])
    assert path.stat().st_size < peak < 4 * path.stat().st_size


def test_what_a_fresh_process_refuses_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = {
        "target": "torch-cpu", "settings": {}, "paths": [str(tmp_path / "none.aten")],
        "reference_ms": None, "repeats": 1, "warmup": 0, "answer": str(tmp_path / "answer.json"),
    }  # fmt: skip
    (tmp_path / "job.json").write_text(json.dumps(job))
    assert torch_fresh.main([str(tmp_path / "job.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "answer.json").exists()


def test_an_example_of_another_shape_is_refused(tmp_path: Path) -> None:
    target = _target()
    with pytest.raises(ValueError, match="batches of 1, the example has 2"):
        target.export(_Net(), _example(2), tmp_path / "net.aten")
    path = target.export(_Net(), _example(), tmp_path / "net.aten").path
    with pytest.raises(UserError, match=r"takes inputs of shape \(1, 5, 6\), got \(1, 9, 6\)"):
        target.measure([path], torch.zeros(1, 9, 6), repeats=1, warmup=0)
    with pytest.raises(UserError, match=r"takes inputs of shape \(5, 6\), got \(9, 6\)"):
        target.run(path, torch.zeros(1, 9, 6))


def test_an_impossible_thread_count_is_refused() -> None:
    with pytest.raises(UserError, match=rf"threads: expected 1 to {cores()} .*got {cores() + 1}"):
        _target(threads=cores() + 1)


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match="needs the C\\+\\+ compiler 'no-such-compiler'"):
        _target(mode="compile")


def test_settings_that_change_a_latency_change_the_identity() -> None:
    identity = _target().identity()
    assert identity == json.loads(json.dumps(identity))
    assert identity["runtime"] == f"torch {torch.__version__}"
    assert _target(batch=2).identity() != identity
    assert _target(tolerance=1e-3).identity() == identity


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_more_networks_can_be_compiled_side_by_side_than_torch_allows_one_function(
    tmp_path: Path,
) -> None:
    target = _target(mode="compile")
    paths = []
    for width in range(8, 18):
        net = _Net(width)
        paths.append(target.export(net, _example(), tmp_path / f"{width}.aten").path)
        with torch.no_grad():
            expected = net.eval()(_example(3, seed=2)).numpy()
        assert np.abs(target.run(paths[-1], _example(3, seed=2)) - expected).max() < 1e-5
    assert len(target.measure(paths, None, repeats=6, warmup=1)) == 10
    assert target.identity() != _target().identity()


def test_the_reference_of_another_device_is_timed_there_and_a_processors_is_the_usual_one() -> None:
    assert reference_work(torch.device("cpu")) is None
    work = reference_work(torch.device("meta"))
    assert work is not None
    with FlopCounterMode(display=False) as counter:
        work()
    assert counter.get_total_flops() == 4 * 2 * 512**3
