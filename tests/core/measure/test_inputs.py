from __future__ import annotations

from typing import Any

import pytest
import torch

from stillhouse.core.measure.inputs import at_length, drawn, drawn_as, facts, ids_of


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_range_of_ids_leaves_zero_out() -> None:
    assert ids_of(torch.tensor([[7, 3, 0], [9, 0, 0]])) == (3, 9)
    assert ids_of(torch.zeros(2, 3, dtype=torch.int64)) == (0, 0)
    assert ids_of(torch.randn(2, 3, generator=generator())) is None


def test_made_up_ids_reach_both_ends_of_the_range() -> None:
    ids = drawn((40, 20), torch.int64, (3, 6), generator())
    assert set(ids.flatten().tolist()) == {3, 4, 5, 6}


def test_made_up_numbers_are_normal_and_of_their_type() -> None:
    numbers = drawn((100, 20), torch.float64, None, generator())
    assert numbers.dtype == torch.float64
    assert abs(numbers.mean()) < 0.1
    assert abs(numbers.std() - 1) < 0.1


@pytest.mark.parametrize(
    ("inputs", "known"),
    [
        (torch.tensor([[5, 8, 0]]), {"dtype": "int64", "ids": [5, 8]}),
        (torch.zeros(1, 3), {"dtype": "float32"}),
    ],
)
def test_facts_are_enough_to_make_inputs_up(inputs: torch.Tensor, known: dict[str, Any]) -> None:
    assert facts(inputs) == known
    made = drawn_as(known, (2, 3), generator())
    assert (made.dtype, made.shape) == (inputs.dtype, (2, 3))


def test_without_facts_inputs_are_single_precision() -> None:
    assert drawn_as({}, (2, 3), generator()).dtype == torch.float32


@pytest.mark.parametrize(
    "known",
    [{"dtype": "nn"}, {"dtype": "int64", "ids": [1]}, {"dtype": "int64", "ids": [5, 2]}],
)
def test_other_facts_are_refused(known: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected a torch type and the range of its numbers"):
        drawn_as(known, (2, 3), generator())


def test_inputs_of_another_length_are_cut_or_repeated() -> None:
    inputs = torch.arange(6).reshape(2, 3)
    assert torch.equal(at_length(inputs, 2), inputs[:, :2])
    assert torch.equal(at_length(inputs, 7), torch.cat([inputs, inputs, inputs[:, :1]], 1))
    frames = torch.arange(12).reshape(1, 3, 4)
    assert torch.equal(at_length(frames, 4)[0, 3], frames[0, 0])
