"""Signs, their gradient, and their bytes."""

from __future__ import annotations

import pytest
import torch

from stillhouse.plugins.binary.signs import packed, sign, unpacked


def test_zero_is_positive_and_the_gradient_is_one_within_the_clip_and_none_outside() -> None:
    x = torch.tensor([-2.0, -1.25, -0.0, 0.0, 0.5, 1.25, 1.2501], requires_grad=True)
    out = sign(x, 1.25)
    assert out.tolist() == [-1, -1, 1, 1, 1, 1, 1]
    out.backward(torch.arange(1.0, 8.0))
    assert x.grad is not None
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 6, 0]
    with torch.no_grad():
        assert torch.equal(sign(x, 1.25), out)


@pytest.mark.parametrize("entries", [1, 7, 8, 9, 64, 100])
def test_packed_signs_come_back_and_take_a_bit_each(entries: int) -> None:
    drawn = torch.randn(5, entries, generator=torch.Generator().manual_seed(entries))
    signs = sign(drawn, 1.0)
    stored = packed(signs)
    assert stored.shape == (5, -(-entries // 8))
    assert torch.equal(unpacked(stored, entries), signs)


def test_the_first_entry_is_the_lowest_bit_and_bits_past_the_last_are_none() -> None:
    row = torch.tensor([[1.0, -1, -1, -1, -1, -1, -1, -1, 1, 1]])
    assert packed(row).tolist() == [[1, 3]]
