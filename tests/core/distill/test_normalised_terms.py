from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import LAST, Batch, LossTerm, Observation

SETTINGS = TrainSettings(epochs=2, batch_size=16, learning_rate=0.01)


def hint(factor: float, begun: list[Batch] | None = None) -> LossTerm:
    def value(student: Observation, teachers: Any, batch: Batch, adapter: Any) -> Tensor:
        target = teachers["teacher"].features["second"]
        return factor * (adapter(student.features[LAST]) - target).square().mean()

    def begin(student: Observation, teachers: Any, batch: Batch, adapter: Any) -> None:
        assert not torch.is_grad_enabled()
        if begun is not None:
            begun.append(batch)

    def adapter(widths: Any) -> nn.Module:
        return nn.Linear(widths[LAST], 16)

    taps = {"teacher": ("second",)}
    return LossTerm("hint", 0.5, value, (LAST,), taps, adapter, begin=begin, normalised=True)


def trained(bench: Any, term: LossTerm, **changes: Any) -> tuple[dict[str, Tensor], Any]:
    module = bench.student()
    state = replace(bench.state, terms=(term,))
    settings = replace(SETTINGS, **changes)
    result = fit(
        module, structure=bench.context.full, state=state, settings=settings,
        context=bench.context, label="student",
    )  # fmt: skip
    return module.state_dict(), result


def test_a_normalised_term_trains_alike_whatever_constant_it_carries(bench: Any) -> None:
    plain, _ = trained(bench, hint(1.0))
    scaled, _ = trained(bench, hint(1024.0))
    assert all(torch.equal(plain[name], scaled[name]) for name in plain)


def test_a_normalised_term_is_one_on_the_first_batch(bench: Any) -> None:
    samples = len(bench.state.data.train)
    _, result = trained(bench, hint(7.0), epochs=1, batch_size=samples)
    assert result.updates == 1
    assert result.history[0].losses["hint"] == pytest.approx(1.0, rel=1e-5)


def test_a_term_sees_the_first_batch_once_before_training(bench: Any) -> None:
    begun: list[Batch] = []
    trained(bench, hint(1.0, begun))
    assert [len(batch.targets) for batch in begun] == [16]


def test_what_a_term_is_divided_by_survives_an_interruption(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stillhouse.core.distill.loop import Loop

    whole, _ = trained(bench, hint(3.0))
    context = replace(bench.context, checkpoints=tmp_path)
    update = Loop._update
    left = [3]

    def dying(self: Loop, batch: Batch) -> Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return update(self, batch)

    monkeypatch.setattr(Loop, "_update", dying)
    settings = replace(SETTINGS, save_every=1)
    module = bench.student()
    state = replace(bench.state, terms=(hint(3.0),))
    with pytest.raises(KeyboardInterrupt):
        fit(module, structure=bench.context.full, state=state, settings=settings, context=context,
            label="student")  # fmt: skip
    monkeypatch.setattr(Loop, "_update", update)
    module = bench.student()
    fit(module, structure=bench.context.full, state=state, settings=settings, context=context,
        label="student")  # fmt: skip
    assert all(torch.equal(whole[name], module.state_dict()[name]) for name in whole)


def test_running_statistics_do_not_see_the_first_batch_twice(bench: Any) -> None:
    seen: list[int] = []

    class Counting(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner
            self.register_buffer("passes", torch.zeros((), dtype=torch.long))

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.passes += 1
            out: Tensor = self.inner(x)
            return out

    def value(student: Observation, teachers: Any, batch: Batch, adapter: Any) -> Tensor:
        return student.logits.square().mean()

    module = Counting(bench.student())
    state = replace(bench.state, terms=(LossTerm("size", 1.0, value, normalised=True),))
    fit(module, structure=bench.context.full, state=state, settings=SETTINGS, context=bench.context,
        label="student")  # fmt: skip
    seen.append(int(module.passes))
    updates = SETTINGS.epochs * -(-len(bench.state.data.train) // SETTINGS.batch_size)
    assert seen == [updates]


def test_a_tap_that_the_network_has_not_is_one_clear_error(bench: Any) -> None:
    term = replace(hint(1.0), student_taps=("blocks.9",))
    with pytest.raises(
        UserError, match=r"student tap 'blocks\.9', but the network .* has .*largest"
    ):
        trained(bench, term)
