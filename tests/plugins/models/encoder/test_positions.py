"""Positions: tables, their length, convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.family import checked
from stillhouse.plugins.models.encoder.network import Encoder, skeleton
from stillhouse.plugins.models.encoder.positions import SinusoidPositions, sinusoids

Structure = dict[str, Any]


def framed(tiny: Callable[..., Structure], count: int, *, learned: bool) -> Structure:
    return {
        **tiny(),
        "input_shape": [9, 5],
        "front_end": {"kind": "frames", "features": 5},
        "positions": {"kind": "table", "count": count, "learned": learned},
    }


@pytest.mark.parametrize("learned", [True, False])
def test_the_first_rows_of_the_table_are_added(
    tiny: Callable[..., Structure], built: Callable[[Structure], Encoder], learned: bool
) -> None:
    module = built(framed(tiny, 12, learned=learned))
    x = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(0))
    state = module.positions.state_dict()
    table = state["table.weight"] if learned else state["table"]
    assert torch.equal(module.positions(x), x + table[:9])
    assert torch.equal(module.positions(x[:, :4]), x[:, :4] + table[:4])


@pytest.mark.parametrize("learned", [True, False])
def test_inputs_longer_than_the_table_are_refused(
    tiny: Callable[..., Structure], learned: bool
) -> None:
    short = framed(tiny, 8, learned=learned)
    for use in (checked, skeleton):
        with pytest.raises(UserError, match=r"at most 8 positions.*\[9, 5\] have 9"):
            use(short)


def test_sinusoids_are_those_of_whisper() -> None:
    """transformers' WhisperEncoder: sines of all rates, then cosines, from 1 to 1/10000."""
    table = sinusoids(7, 8)
    angle = 5 * 10_000 ** (-1 / 3)
    torch.testing.assert_close(table[5, 1], torch.tensor(angle).sin())
    torch.testing.assert_close(table[5, 5], torch.tensor(angle).cos())
    assert torch.equal(table[0], torch.tensor([0.0] * 4 + [1.0] * 4))


def test_sinusoids_are_stored_but_never_trained(
    tiny: Callable[..., Structure], built: Callable[[Structure], Encoder]
) -> None:
    module = built(framed(tiny, 12, learned=False))
    assert isinstance(module.positions, SinusoidPositions)
    assert not list(module.positions.parameters())
    assert torch.equal(module.state_dict()["positions.table"], sinusoids(12, 16))


def test_a_width_that_the_groups_do_not_divide_is_refused(
    tiny: Callable[..., Structure],
) -> None:
    with pytest.raises(UserError, match=r"multiple of 4, the groups .* came 18"):
        tiny(width=18)
