"""The page about adding a target is true: it exports, answers and measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.core.measure import ExportError
from stillhouse.core.plugin.conformance import check_plugin

PAGE = "add-a-target"


@pytest.fixture
def target(shown: Any) -> Any:
    info = shown.catalogue.target("onnx-reference")
    return shown.catalogue.resolve(info)(info.params())


def linear() -> torch.nn.Module:
    layer = torch.nn.Linear(3, 2, device="meta").to_empty(device="cpu")
    torch.nn.init.constant_(layer.weight, 0.5)
    torch.nn.init.zeros_(layer.bias)
    return layer


@pytest.mark.slow
def test_the_package_shown_keeps_the_contract(shown: Any) -> None:
    check_plugin(shown.distribution)


@pytest.mark.slow
def test_it_measures_here_and_in_fresh_processes(target: Any, tmp_path: Path) -> None:
    path = tmp_path / "linear.onnx"
    exported = target.export(linear(), torch.ones(1, 3), path)
    assert exported.size_bytes == path.stat().st_size
    assert target.run(path, torch.ones(2, 3)).tolist() == [[1.5, 1.5], [1.5, 1.5]]
    (here,) = target.measure([path], torch.ones(1, 3), repeats=3, warmup=1)
    ((there,),) = target.measure_afresh([path], repeats=3, warmup=1, processes=1)
    assert 0 < here.latency_ms < 1000
    assert 0 < there.latency_ms < 1000


def test_a_network_that_answers_differently_there_is_not_exported(
    target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(target), "run", lambda *_: torch.zeros(1, 2).numpy())
    with pytest.raises(ExportError, match=r"Linear answers 1\.5 away"):
        target.export(linear(), torch.ones(1, 3), tmp_path / "linear.onnx")
    assert not (tmp_path / "linear.onnx").exists()
