from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.targets.info import TorchCudaParams
from stillhouse.plugins.targets.torch_cuda import EventClock, torch_cuda
from stillhouse.plugins.targets.torch_module import TorchModule

on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def _target(**params: object) -> TorchModule:
    params.setdefault("patience_s", 0.0)
    return torch_cuda(TorchCudaParams(**params))  # type: ignore[arg-type]


def _net() -> nn.Module:
    net = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Flatten(), nn.Linear(256 * 5, 4))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return net


def _example(batch: int = 1, seed: int = 1) -> Tensor:
    return torch.randn(batch, 5, 64, generator=torch.Generator().manual_seed(seed))


def test_a_device_that_is_not_there_is_refused_with_the_next_step() -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = f"{count} " if count else "none; use runtime: torch-cpu"
    with pytest.raises(UserError, match=rf"expected a CUDA device number {count}, .*{found}"):
        _target(gpu=count)


@final
class _Tick:
    """An event at the given millisecond, known no better than in single precision."""

    def __init__(self, at_ms: float) -> None:
        self.at_ms, self.waited = at_ms, False

    def record(self) -> None: ...

    def synchronize(self) -> None:
        self.waited = True

    def elapsed_time(self, end: _Tick) -> float:
        assert end.waited
        return float(np.float32(end.at_ms - self.at_ms))


def test_a_clock_of_events_waits_for_each_and_stays_fine_for_days() -> None:
    hour_ms = 3_600_000.0
    times = itertools.chain([0.0], [hour_ms * h for h in range(1, 49)], [48 * hour_ms + 0.001])
    clock = EventClock(lambda: _Tick(next(times)))
    readings = [clock() for _ in range(49)]
    assert readings[47] == 48 * 3_600_000_000_000
    assert readings[48] - readings[47] == 1_000


@on_cuda
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.1)])
def test_an_export_answers_as_torch_on_the_cpu(
    tmp_path: Path, precision: str, tolerance: float
) -> None:
    net, target = _net(), _target(precision=precision, batch=4)
    exported = target.export(net, _example(4), tmp_path / "net.aten")
    assert exported.max_difference <= tolerance
    assert (exported.max_difference > 1e-6) == (precision == "bfloat16")
    with torch.no_grad():
        expected = net.eval()(_example(6, seed=2)).numpy()
    assert np.abs(target.run(exported.path, _example(6, seed=2)) - expected).max() <= tolerance


@on_cuda
def test_a_larger_batch_takes_longer_here_and_in_a_fresh_process(tmp_path: Path) -> None:
    latencies = []
    for batch in (1, 65536):
        target = _target(batch=batch)
        path = target.export(_net(), _example(batch), tmp_path / f"{batch}.aten").path
        (here,) = target.measure([path], _example(batch), repeats=9, warmup=3)
        ((there,),) = target.measure_afresh([path], repeats=9, warmup=3, processes=1)
        latencies.append((here.latency_ms, there.latency_ms))
    assert all(0 < small < large for small, large in zip(*latencies, strict=True))


@on_cuda
def test_the_reference_is_timed_on_the_card(tmp_path: Path) -> None:
    target = _target()
    path = target.export(_net(), _example(), tmp_path / "net.aten").path
    before = torch.cuda.memory_allocated(0)
    target.measure([path], None, repeats=9, warmup=3)
    assert target.reference_ms is not None
    assert 0 < target.reference_ms < 100
    assert torch.cuda.max_memory_allocated(0) - before >= 3 * 4 * 512**2


@on_cuda
def test_peak_memory_is_at_least_the_weights(tmp_path: Path) -> None:
    target = _target()
    path = target.export(_net(), _example(), tmp_path / "net.aten").path
    (peak,) = target.peak_memory([path])
    assert peak >= 4 * sum(parameter.numel() for parameter in _net().parameters())


@on_cuda
def test_the_identity_names_device_driver_and_settings() -> None:
    identity = _target().identity()
    assert identity == json.loads(json.dumps(identity))
    assert identity["device"] == torch.cuda.get_device_name(0)
    assert identity["driver"].startswith("CUDA ")
    assert _target(precision="bfloat16").identity() != identity


@on_cuda
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_compiled_network_answers_as_torch_on_the_cpu(tmp_path: Path) -> None:
    target = _target(mode="compile")
    exported = target.export(_net(), _example(), tmp_path / "net.aten")
    assert exported.max_difference <= 1e-3
    (latency,) = target.measure([exported.path], None, repeats=9, warmup=3)
    assert latency.latency_ms > 0
