from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.core.cost.latency import BlockTable, Roofline
from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.cost.latency.work import work
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.context import Silent
from stillhouse.core.measure import DeviceFile, Exported, Latency, Target
from stillhouse.core.measure.blocks import (
    block_latencies,
    general_shapes,
    latency_models,
    measure_blocks,
    write_blocks,
)

SESSION_US, COPY_US, BLOCK_US = 5.0, 1.0, 2.0


def _latency(us: float) -> Latency:
    ms = us / 1e3
    return Latency(ms, 2 * ms, 9, "2026-01-02", ms, 0.99 * ms, 1.01 * ms)


@final
class _Clockwork(Target):
    """Every block takes 2 us and 1 ns a MAC, every copy 1 us beside it, the session 5 us."""

    name = "clockwork"
    suffix = ".txt"

    def __init__(self, kinds: Sequence[str] = ("linear", "norm", "cache")) -> None:
        self._kinds = kinds
        self.measured = 0

    def identity(self) -> Mapping[str, Any]:
        return {"target": self.name}

    def export(self, module: nn.Module, example: Tensor, path: Path) -> Exported:
        raise NotImplementedError

    def measure(
        self, paths: Sequence[Path], example: Tensor | None, *, repeats: int, warmup: int
    ) -> list[Latency]:
        assert example is None
        self.measured += len(paths)
        return [_latency(float(path.read_text())) for path in paths]

    def measure_afresh(
        self, paths: Sequence[Path], *, repeats: int, warmup: int, processes: int
    ) -> list[list[Latency]]:
        raise NotImplementedError

    def run(self, path: Path, inputs: Tensor) -> NDArray[np.float32]:
        raise NotImplementedError

    def write_block(self, shape: Shape | None, copies: int, path: Path) -> Path | None:
        if not self._kinds or (shape and shape.kind not in self._kinds):
            return None
        each = BLOCK_US + 1e-3 * float(work(shape.kind, vars(shape))[0]) if shape else 0.0
        path.write_text(str(SESSION_US + copies * (COPY_US + each)))
        return path


LINEAR = [Shape("linear", 10, size, 2 * size) for size in range(4, 40, 4)]


def _device(tmp_path: Path) -> DeviceFile:
    return DeviceFile.open(tmp_path / "device.json", {"target": "clockwork"})


def test_a_block_takes_its_share_of_a_file_without_what_the_copies_cost(tmp_path: Path) -> None:
    device = _device(tmp_path)
    assert measure_blocks(_Clockwork(), LINEAR, device, Silent()) == []
    for shape in LINEAR:
        found = device.block(shape.key)
        assert found is not None
        wanted = 1e-3 * (BLOCK_US + 1e-3 * 10 * shape.inputs * shape.outputs)
        assert found.latency_ms == pytest.approx(wanted)
        assert found.low_ms < found.latency_ms < found.high_ms
    session = device.block("session")
    assert session is not None
    assert session.latency_ms == pytest.approx(1e-3 * (SESSION_US + COPY_US))


def test_what_the_device_file_knows_is_not_measured_again(tmp_path: Path) -> None:
    target, device = _Clockwork(), _device(tmp_path)
    measure_blocks(target, LINEAR[:5], device, Silent())
    before, target.measured = device.blocks(), 0
    measure_blocks(target, LINEAR[:5], device, Silent())
    assert target.measured == 0
    measure_blocks(target, LINEAR, device, Silent())
    assert {key: device.blocks()[key] for key in before} == before
    assert len(device.blocks()) == len(LINEAR) + 1


def test_shapes_that_the_target_cannot_write_are_returned(tmp_path: Path) -> None:
    device, norm, lstm = _device(tmp_path), Shape("norm", 10, 0, 8), Shape("recurrent", 10, 8, 8)
    assert measure_blocks(_Clockwork(), [norm, lstm], device, Silent()) == [lstm]
    assert set(device.blocks()) == {"session", norm.key}


def test_a_target_that_writes_no_blocks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="clockwork cannot measure single operators"):
        measure_blocks(_Clockwork(()), LINEAR, _device(tmp_path), Silent())


def test_blocks_measured_elsewhere_give_the_same_latencies(tmp_path: Path) -> None:
    target, device = _Clockwork(), _device(tmp_path)
    (tmp_path / "bundle").mkdir()
    paths = write_blocks(target, LINEAR, tmp_path / "bundle")
    results = {key: _latency(float(path.read_text())) for key, path in paths.items()}
    measure_blocks(target, LINEAR, device, Silent())
    assert dict(block_latencies(LINEAR, results)) == dict(device.blocks())


def test_a_block_lost_in_the_noise_takes_some_time_all_the_same() -> None:
    shape = LINEAR[0]
    results = {f"nothing copies={copies}": _latency(9.0) for copies in (1, 2, 4, 8, 16)}
    ((_, latency),) = [
        one
        for key, one in block_latencies([shape], {**results, shape.key: _latency(8.0)}).items()
        if key == shape.key
    ]
    assert latency.latency_ms > 0


def _sheet(kind: str = "linear") -> OperatorSheet:
    size = np.array([4.0, 20.0, 36.0])
    cells = {"positions": 10, "inputs": size, "outputs": 2 * size}
    return OperatorSheet(3, (Operator("in", "linear", "", cells),))


def test_a_file_of_the_spaces_blocks_gives_a_table_and_a_roofline(tmp_path: Path) -> None:
    device = _device(tmp_path)
    assert latency_models(device, _sheet()) == []
    measure_blocks(_Clockwork(), LINEAR, device, Silent())
    table, roofline = latency_models(device, _sheet())
    assert isinstance(table, BlockTable)
    assert isinstance(roofline, Roofline)
    size = np.array([4.0, 20.0, 36.0])
    true_ms = 1e-3 * (SESSION_US + COPY_US + BLOCK_US + 1e-3 * 10 * size * 2 * size)
    assert table.predict(_sheet()) == pytest.approx(true_ms)
    assert roofline.predict(_sheet()) == pytest.approx(true_ms, rel=0.01)


def test_a_file_of_general_blocks_gives_a_roofline_alone(tmp_path: Path) -> None:
    device = _device(tmp_path)
    measure_blocks(_Clockwork(), general_shapes(np.random.default_rng(0)), device, Silent())
    (model,) = latency_models(device, _sheet())
    assert isinstance(model, Roofline)
