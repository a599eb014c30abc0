"""A layer that a shallower subnet lacks is stood for by the last one before it that runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.core.distill.paths import PathSampler
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import Choice, Context, LossTerm, State
from stillhouse.core.evaluate.method import Artefact
from stillhouse.plugins.distil.fresh import Fresh


@final
class Depths(PathSampler):
    """The full network, then its first layer alone."""

    name, leads_with_largest = "depths", True

    def __init__(self, full: dict[str, Any]) -> None:
        per_layer = {k: v[:1] for k, v in full.items() if isinstance(v, (list, tuple))}
        self._pair = [full, {**full, **per_layer, "depth": 1}]

    def draw(self, step: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        return self._pair


def test_the_last_layer_before_it_is_read(bench: Any) -> None:
    context: Context = bench.context
    state: State = bench.state
    student = Fresh().apply(state, Choice(None), Artefact(), context).student
    assert student is not None
    elastic = context.family.elastic(student.module)
    shown: list[tuple[str, Tensor]] = []
    read: list[Tensor] = []
    for name in ("blocks.0", "blocks.1"):
        elastic.get_submodule(name).register_forward_hook(keeper(name, shown))

    def value(student: Any, teachers: Any, batch: Any, adapter: nn.Module | None) -> Tensor:
        read.append(student.features["blocks.1"].detach())
        return torch.as_tensor(student.features["blocks.1"].mean())

    term = LossTerm("tap", 1.0, value, student_taps=("blocks.1",))
    fit(
        elastic,
        structure=student.structure,
        state=replace(state, terms=(term,)),
        settings=TrainSettings(epochs=1, batch_size=8),
        context=context,
        label="taps",
        paths=Depths(dict(elastic.full)),
        stop_after=1,
    )
    assert [name for name, _ in shown] == ["blocks.0", "blocks.1", "blocks.0"]
    assert torch.equal(read[0], shown[1][1])
    assert torch.equal(read[1], shown[2][1])


def keeper(name: str, shown: list[tuple[str, Tensor]]) -> Any:
    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        shown.append((name, output.detach()))

    return keep
