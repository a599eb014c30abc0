from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.core.evaluate import Silent
from stillhouse.core.measure import (
    DeviceFile,
    Exported,
    ExportError,
    Latency,
    Measured,
    Target,
    measured,
    structure_key,
)
from stillhouse.core.measure.bench import measured_artefacts

EXAMPLE = torch.zeros(1, 4)


def _build(structure: Mapping[str, Any], generator: torch.Generator) -> nn.Module:
    network = nn.Linear(4, structure["width"], device="meta").to_empty(device="cpu")
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    return network


@final
class _Ruler(Target):
    """Writes the number of weights; takes a millisecond a weight, times how slow the machine is."""

    name = "ruler"
    suffix = ".txt"

    def __init__(self) -> None:
        self.slowness, self.merged = 1.0, False
        self.exports = 0
        self.groups: list[int] = []
        self.shown: list[Tensor] = []
        self.timed: list[Tensor | None] = []

    def identity(self) -> Mapping[str, Any]:
        return {"target": self.name}

    def export(self, module: nn.Module, example: Tensor, path: Path) -> Exported:
        weights = torch.cat([p.flatten() for p in module.parameters()])
        if len(weights) > 400:
            raise ExportError("too large for the ruler")
        self.merged = len(weights.unique()) < len(weights)
        path.write_text(str(len(weights)))
        self.exports += 1
        self.shown.append(example)
        return Exported(path, path.stat().st_size, "ruler", 0.0)

    def measure(
        self, paths: Sequence[Path], example: Tensor | None, *, repeats: int, warmup: int
    ) -> list[Latency]:
        self.groups.append(len(paths))
        self.timed.append(example)
        times = [self.slowness * int(path.read_text()) for path in paths]
        return [Latency(ms, 2 * ms, repeats, "2026-01-02", ms, ms, ms) for ms in times]

    def measure_afresh(
        self, paths: Sequence[Path], *, repeats: int, warmup: int, processes: int
    ) -> list[list[Latency]]:
        return [
            self.measure(paths, EXAMPLE, repeats=repeats, warmup=warmup) for _ in range(processes)
        ]

    def run(self, path: Path, inputs: Tensor) -> NDArray[np.float32]:
        raise NotImplementedError


def _measured(
    target: _Ruler, path: Path, widths: Sequence[int], family: str = "linear"
) -> list[Measured]:
    device_file = DeviceFile.open(path, target.identity())
    structures = [{"width": width} for width in widths]
    return measured(structures, _build, target, EXAMPLE, device_file, Silent(), 7, family=family)


def test_results_come_in_the_order_asked_and_equal_structures_are_measured_once(
    tmp_path: Path,
) -> None:
    target = _Ruler()
    found = _measured(target, tmp_path / "d.json", [3, 1, 3])
    assert [m.latency.latency_ms for m in found] == [15, 5, 15]
    assert [m.size_bytes for m in found] == [2, 1, 2]
    assert [m.latency.repeats for m in found] == [7, 7, 7]
    assert target.exports == 2
    assert not target.merged, "equal weights would make the file smaller"
    assert target.groups == [2]


def test_a_second_run_reads_the_device_file_and_gives_the_same_numbers(tmp_path: Path) -> None:
    first = _measured(_Ruler(), tmp_path / "d.json", [3, 1])
    idle = _Ruler()
    idle.slowness = 9.0
    assert _measured(idle, tmp_path / "d.json", [3, 1]) == first
    assert idle.exports == 0


def test_what_comes_later_is_measured_in_terms_of_the_first_conditions(tmp_path: Path) -> None:
    target = _Ruler()
    _measured(target, tmp_path / "d.json", [3, 4, 5, 6])
    target.slowness = 1.5
    (later,) = _measured(target, tmp_path / "d.json", [8])
    assert later.latency.latency_ms == pytest.approx(40)
    assert later.latency.p95_ms == pytest.approx(80)
    assert target.groups == [4, 4], "three anchors are timed among the new ones"


def test_finished_artefacts_are_timed_beside_the_anchors_and_left_in_place(tmp_path: Path) -> None:
    target = _Ruler()
    _measured(target, tmp_path / "d.json", [3, 4])
    finished = target.export(_build({"width": 8}, torch.Generator()), EXAMPLE, tmp_path / "a.txt")
    target.slowness = 2.0
    device_file = DeviceFile.open(tmp_path / "d.json", target.identity())
    found = [
        measured_artefacts(
            {"best": finished},
            _build,
            target,
            EXAMPLE,
            device_file,
            7,
            family="linear",
            anchors=tmp_path,
            processes=1,
        )
        for _ in range(2)
    ]
    assert found[0]["best"].latency.latency_ms == pytest.approx(40)
    assert found[0] == found[1]
    assert target.groups == [2, 3], "the second time it is read from the device file"
    assert finished.path.exists()


def test_families_do_not_share_an_anchor_or_a_key(tmp_path: Path) -> None:
    target = _Ruler()
    _measured(target, tmp_path / "d.json", [3])
    target.slowness = 2.0
    (other,) = _measured(target, tmp_path / "d.json", [3], family="affine")
    assert other.latency.latency_ms == 30


def test_a_structure_that_cannot_be_exported_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="too large"):
        _measured(_Ruler(), tmp_path / "d.json", [3, 100])


def test_a_key_follows_from_the_content_alone() -> None:
    a = structure_key("f", {"width": 8, "heads": [1, 2]})
    assert a == structure_key("f", {"heads": (1, 2), "width": 8})
    assert a != structure_key("f", {"width": 8, "heads": [2, 1]})
    assert a != structure_key("g", {"width": 8, "heads": [1, 2]})


def test_what_takes_other_inputs_is_exported_for_them_and_never_an_anchor(tmp_path: Path) -> None:
    target, wide = _Ruler(), torch.zeros(1, 9)
    device_file = DeviceFile.open(tmp_path / "d.json", target.identity())
    structures = [{"width": 3}, {"width": 2}]
    others = {structure_key("linear", structures[0]): wide}
    found = measured(
        structures, _build, target, EXAMPLE, device_file, Silent(), 7, family="linear",
        others=others,
    )  # fmt: skip
    assert [one.latency.latency_ms for one in found] == [15, 10]
    assert [tuple(one.shape) for one in target.shown] == [(1, 9), (1, 4)]
    assert target.timed == [None], "one example does not fit all that run together"
    assert device_file.anchors("linear") == [{"width": 2}]
    _measured(target, tmp_path / "d.json", [5])
    assert target.timed[1] is EXAMPLE


def test_anchors_are_of_plain_form_where_there_are_two(tmp_path: Path) -> None:
    target = _Ruler()
    device_file = DeviceFile.open(tmp_path / "d.json", target.identity())
    changed = {"width": 5, "rebuilds": [{"method": "stranger", "record": {}}]}
    structures = [changed, {"width": 3}, {"width": 2, "rebuilds": []}]
    measured(structures, _build, target, EXAMPLE, device_file, Silent(), 7, family="linear")
    assert device_file.anchors("linear") == structures[1:]
    alone = DeviceFile.open(tmp_path / "e.json", target.identity())
    measured(structures[:2], _build, target, EXAMPLE, alone, Silent(), 7, family="linear")
    assert alone.anchors("linear") == structures[:2]
