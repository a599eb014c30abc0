from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ModuleTeacher, Split
from stillhouse.core.similarity import Layers, observe
from stillhouse.plugins.models.encoder.bert import BertFamily
from stillhouse.plugins.models.encoder.network import Encoder
from stillhouse.plugins.models.info import BertParams


class Counting(nn.Module):
    """Doubles its inputs (batch, positions, 3), and notes how large its batches were."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.batches = nn.Linear(3, 3, bias=False), list[int]()
        nn.init.eye_(self.twice.weight)

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        out: Tensor = self.twice(2 * x)
        return out.mean(1)


def split_of(inputs: Tensor) -> Split:
    return Split("train", inputs, torch.zeros(len(inputs), dtype=torch.int64))


INPUTS = torch.randn(90, 4, 3, generator=torch.Generator().manual_seed(1))


def equal(one: Layers, other: Layers) -> bool:
    return np.array_equal(one.scatter, other.scatter) and all(
        np.array_equal(a, b) for a, b in zip(one.rows, other.rows, strict=True)
    )


def test_layers_are_the_taps_means_over_evenly_spaced_samples() -> None:
    module = Counting()
    layers = observe(
        ModuleTeacher(module, ("twice",), {"twice": 3}), ("twice",), split_of(INPUTS), samples=30
    )
    expected = 2 * INPUTS[::3].mean(1).double().numpy()
    np.testing.assert_allclose(layers.rows[0], expected, rtol=0, atol=1e-6)
    assert layers.samples == sum(module.batches) == 30
    assert len(module.batches) > 1


def test_fewer_samples_than_asked_for_are_all_taken() -> None:
    teacher = ModuleTeacher(Counting(), ("twice",), {"twice": 3})
    assert observe(teacher, ("twice",), split_of(INPUTS), samples=1000).samples == 90


def test_a_teacher_that_keeps_answers_keeps_none_of_this_pass() -> None:
    module, split = Counting(), split_of(INPUTS)
    teacher = ModuleTeacher(module, ("twice",), {"twice": 3}, seen=split)
    one = observe(teacher, ("twice",), split, samples=20)
    assert sum(module.batches) == 20
    assert equal(one, observe(teacher, ("twice",), split, samples=20))


def test_an_unknown_tap_is_refused_with_the_nearest() -> None:
    teacher = ModuleTeacher(Counting(), ("twice",), {"twice": 3})
    with pytest.raises(UserError, match="no module is called 'twise'; did you mean 'twice'"):
        observe(teacher, ("twise",), split_of(INPUTS), samples=20)


class Told:
    def __init__(self) -> None:
        self.total, self.done, self.over = 0, 0, False

    def start(self, label: str, total: int) -> None:
        self.total = total

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps

    def finish(self) -> None:
        self.over = True


def test_progress_counts_the_samples() -> None:
    told, teacher = Told(), ModuleTeacher(Counting(), ("twice",), {"twice": 3})
    observe(teacher, ("twice",), split_of(INPUTS), samples=50, progress=told)
    assert (told.total, told.done, told.over) == (50, 50, True)


def bert(length: int, outputs: int = 2) -> Encoder:
    family = BertFamily()
    params = BertParams(width=8, depth=3, heads=2, head_dim=4, vocabulary=20, positions=12)
    structure = family.structure(params, (length,), outputs)
    module = family.build(structure, torch.Generator().manual_seed(0)).double()
    assert isinstance(module, Encoder)
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(2))
    return module


def sentences(length: int) -> Tensor:
    """Forty sentences of 1 to 8 tokens, filled up with 0 to a length."""
    rng = np.random.default_rng(3)
    ids = np.zeros((40, length), np.int64)
    for row in ids:
        size = rng.integers(1, 9)
        row[:size] = rng.integers(1, 20, size)
    return torch.from_numpy(ids)


def observed(module: Any, length: int, **more: Any) -> Layers:
    taps = ("front_end", "layers.0", "layers.1", "layers.2.feed_forward")
    teacher = ModuleTeacher(module, taps, dict.fromkeys(taps, 8), **more)
    return observe(teacher, taps, split_of(sentences(length)), samples=40)


def test_what_stands_behind_the_padding_changes_nothing() -> None:
    module = bert(8)
    before = observed(module, 8)
    with torch.no_grad():
        table = module.front_end.get_submodule("table").get_parameter("weight")
        table[0] += 100 * torch.randn(8, generator=torch.Generator().manual_seed(4))
    assert equal(before, observed(module, 8))


def test_padding_to_another_length_changes_nothing() -> None:
    one, other = observed(bert(8), 8), observed(bert(12), 12)
    np.testing.assert_allclose(one.scatter, other.scatter, rtol=1e-10, atol=1e-10)


def test_a_teacher_of_tokens_tells_which_are_real_also_from_kept_answers() -> None:
    split = split_of(sentences(8))
    plain = ModuleTeacher(bert(8), ("layers.0",), {"layers.0": 8})
    keeps = ModuleTeacher(bert(8), ("layers.0",), {"layers.0": 8}, seen=split)
    for teacher in (plain, keeps):
        mask = teacher.observe(split.inputs[5:9], ("layers.0",)).mask
        assert mask is not None
        assert torch.equal(mask, split.inputs[5:9] != 0)


def test_the_elastic_twin_tells_the_same() -> None:
    inputs = sentences(8)
    mask = BertFamily().elastic(bert(8)).real_positions(inputs)
    assert mask is not None
    assert torch.equal(mask, inputs != 0)


def test_a_teacher_without_padding_has_no_mask() -> None:
    teacher = ModuleTeacher(Counting(), ("twice",), {"twice": 3})
    assert teacher.observe(INPUTS[:2]).mask is None


def test_a_teacher_is_compared_by_what_it_sees_of_the_whole() -> None:
    narrow = Split("train", INPUTS[..., :1], torch.zeros(len(INPUTS), dtype=torch.int64), INPUTS)
    teacher = ModuleTeacher(Counting(), ("twice",), {"twice": 3}, channels=(2, 0, 1))
    swapped = ModuleTeacher(Counting(), ("twice",), {"twice": 3})
    found = observe(teacher, ("twice",), narrow, samples=90)
    expected = observe(swapped, ("twice",), split_of(INPUTS[..., [2, 0, 1]]), samples=90)
    assert equal(found, expected)
