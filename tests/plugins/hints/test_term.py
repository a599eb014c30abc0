"""Losses and similarities that strangers supply: what they do wrong is said of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import PluginError
from stillhouse.core.evaluate import Artefact, Choice, Context
from stillhouse.core.plugin import Catalogue, LossInfo, SimilarityInfo, hookimpl
from stillhouse.core.plugin.records import Provenance
from stillhouse.core.similarity import Layers, Similarity
from stillhouse.plugins.distil.fresh import Fresh
from stillhouse.plugins.hints.hints import HintLayers
from stillhouse.plugins.hints.info import HintsParams

STRANGER = Provenance("stranger", "1.2", "foreign")


class Raising(HintLoss):
    def forward(self, hints: Hints) -> Tensor:
        raise IndexError("no such row")


class Uneven(HintLoss):
    def forward(self, hints: Hints) -> Tensor:
        return hints.student[0].mean(-1)


class Number(HintLoss):
    def forward(self, hints: Hints) -> Tensor:
        return 1.0  # type: ignore[return-value]


class Beginning(Number):
    def begin(self, hints: Hints) -> None:
        raise KeyError("constant")


class NoLoss(nn.Module):
    def __init__(self, shapes: HintShapes) -> None:
        super().__init__()


class Half(Similarity):
    def matrix(self, layers: Layers) -> np.ndarray:
        raise ZeroDivisionError("no layers")


LOSSES = {"raising": Raising, "uneven": Uneven, "number": Number, "begins": Beginning, "no": NoLoss}


@pytest.fixture
def context(bench: Any, tmp_path: Path) -> Iterator[Context]:
    module = ModuleType("stranger_losses")

    @hookimpl
    def stillhouse_losses() -> Iterator[LossInfo]:
        for name in LOSSES:
            yield LossInfo(name=name, summary=name, build=f"stranger_losses:{name}")

    @hookimpl
    def stillhouse_similarities() -> Iterator[SimilarityInfo]:
        yield SimilarityInfo(name="half", summary="half", build="stranger_losses:half")

    hooks = {
        "stillhouse_losses": stillhouse_losses,
        "stillhouse_similarities": stillhouse_similarities,
    }
    vars(module).update(LOSSES, half=Half, **hooks)
    sys.modules["stranger_losses"] = module
    losses = [("loss", name, module, STRANGER) for name in LOSSES]
    extra = [*losses, ("similarity", "half", module, STRANGER)]
    yield replace(
        bench.context,
        catalogue=Catalogue.discover(extra=extra),  # type: ignore[arg-type]
        shared=tmp_path,
    )
    del sys.modules["stranger_losses"]


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("raising", "IndexError: no such row"),
        ("uneven", r"expected a loss that is a scalar tensor, got shape \(8, "),
        ("number", "expected a loss that is a scalar tensor, got float"),
        ("begins", "KeyError: 'constant'"),
        ("no", "expected a HintLoss, got NoLoss"),
    ],
)
def test_a_loss_that_fails_is_named_with_who_supplied_it(
    loss: str, said: str, bench: Any, context: Context
) -> None:
    method, params = HintLayers(), HintsParams(loss=loss, select="taps", taps=(0, 1))
    artefact = method.prepare(bench.state, params, context)
    state = method.apply(bench.state, Choice(params), artefact, context)
    student = Fresh().apply(state, Choice(None), Artefact(), context).student
    assert student is not None
    with pytest.raises(PluginError, match=rf"loss '{loss}' \(stranger 1\.2\) failed: .*{said}"):
        fit(
            student.module,
            structure=student.structure,
            state=state,
            settings=TrainSettings(epochs=1, batch_size=8),
            context=context,
            label="student",
        )


def test_a_similarity_that_fails_is_named_with_who_supplied_it(
    bench: Any, context: Context
) -> None:
    with pytest.raises(PluginError, match=r"'half' \(stranger 1\.2\) failed: ZeroDivisionError"):
        HintLayers().prepare(bench.state, HintsParams(similarity="half"), context)


def test_memory_that_runs_out_is_not_the_losss_fault(
    bench: Any, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(loss: Raising, hints: Hints) -> Tensor:
        raise torch.OutOfMemoryError("all of it")

    monkeypatch.setattr(Raising, "forward", exhausted)
    with pytest.raises(torch.OutOfMemoryError):
        test_a_loss_that_fails_is_named_with_who_supplied_it("raising", "", bench, context)
