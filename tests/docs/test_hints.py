"""The page about hints is true: its loss trains, its names exist, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.core.distill.hint_loss import Hints, HintShapes
from stillhouse.core.plugin import Catalogue, declared
from stillhouse.plugins.hints.info import HintsParams

PAGE = (Path(__file__).parents[2] / "docs" / "hints.md").read_text("utf-8")


@pytest.fixture
def loss() -> Any:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "docs/hints.md", "exec"), names)  # noqa: S102 - our own page
    return names["Huber"]


def test_the_pages_loss_compares_pairs_of_layers(loss: Any) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        module = loss(HintShapes(((4, 6), (8, 6)), samples=10, classes=3))
        own = torch.randn(2, 5, 4), torch.randn(2, 5, 8)
        other = torch.randn(2, 5, 6), torch.randn(2, 5, 6)
        zero = torch.zeros(2, 3)
        hints = Hints(own, other, zero, zero, torch.zeros(2).long(), torch.arange(2))
    value = module(hints)
    value.backward()
    assert value.ndim == 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_every_loss_and_similarity_is_named() -> None:
    catalogue = Catalogue.discover()
    for kind in ("loss", "similarity"):
        for name in catalogue.names(kind):
            assert f"`{name}`" in PAGE, name


def test_every_way_to_select_is_named() -> None:
    select = next(p for p in declared(HintsParams) if p.name == "select")
    for choice in select.choices:
        assert choice in PAGE, choice
