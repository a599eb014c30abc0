"""Chunked slicing of feed-forward layers, as LightHuBERT does it."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from stillhouse.core.elastic import ElasticFeedForward, FeedForward
from stillhouse.core.errors import UserError

WIDTH, HIDDEN = 12, 48


def numbered(hidden: int = HIDDEN) -> ElasticFeedForward:
    """A layer whose weights are their own storage indices, exact in double precision."""
    plain = FeedForward.sized(WIDTH, hidden).to_empty(device="cpu").double()
    with torch.no_grad():
        for weight in plain.parameters():
            weight.copy_(torch.arange(weight.numel()).view(weight.shape))
    return ElasticFeedForward.from_plain(plain, chunk=WIDTH)


def indices(elastic: ElasticFeedForward, width: int, ratio: float) -> list[set[float]]:
    elastic.set_active(width, int(ratio * width))
    return [set(weight.flatten().tolist()) for weight in elastic.extract().parameters()]


def test_rows_are_the_first_of_every_chunk() -> None:
    elastic = numbered()
    elastic.set_active(8, 28)
    rows = [*range(8), *range(12, 20), *range(24, 32), *range(36, 40)]
    extracted = elastic.extract()
    assert extracted.up.bias.tolist() == rows
    assert extracted.up.weight[:, 0].tolist() == [WIDTH * row for row in rows]
    assert extracted.down.weight[0].tolist() == rows
    assert (extracted.up.in_features, extracted.down.out_features) == (8, 8)


def test_full_width_is_a_plain_prefix() -> None:
    elastic = numbered()
    elastic.set_active(12, 42)
    assert elastic.extract().up.bias.tolist() == list(range(42))


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ((w, r), (wide, ratio))
        for (w, r), (wide, ratio) in product(product((4, 8, 12), (3.0, 3.5, 4.0)), repeat=2)
        if w <= wide and r <= ratio
    ],
)
def test_every_weight_of_a_smaller_layer_is_one_of_a_larger(
    small: tuple[int, float], large: tuple[int, float]
) -> None:
    elastic = numbered()
    pairs = zip(indices(elastic, *small), indices(elastic, *large), strict=True)
    assert all(few <= many for few, many in pairs)


@pytest.mark.parametrize("setting", [(8, 28), (4, 16), (5, 17), (12, 48), (12, 5), (8, 3)])
def test_extraction_equals_the_sliced_forward_bit_for_bit(setting: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    plain = FeedForward.sized(WIDTH, HIDDEN).to_empty(device="cpu")
    for weight in plain.parameters():
        torch.nn.init.normal_(weight, generator=generator)
    elastic = ElasticFeedForward.from_plain(plain, chunk=WIDTH)
    x = torch.randn(5, setting[0], generator=generator)
    elastic.set_active(*setting)
    assert torch.equal(elastic.extract()(x), elastic(x))
    elastic.set_active(WIDTH, HIDDEN)
    wide = torch.randn(5, WIDTH, generator=generator)
    assert torch.equal(elastic(wide), plain(wide))


def test_gradients_reach_the_chunks_in_use_alone() -> None:
    elastic = numbered()
    elastic.set_active(8, 20)
    elastic(torch.ones(1, 8, dtype=torch.float64)).sum().backward()
    rows = [*range(8), *range(12, 20), *range(24, 28)]
    down = elastic.down.weight.grad
    assert down[:8].any(0).nonzero().flatten().tolist() == rows
    assert not down[8:].any()


def test_more_than_the_full_ratio_is_refused() -> None:
    elastic = numbered()
    with pytest.raises(UserError, match=r"hidden expected 1 to 32 .* came 33"):
        elastic.set_active(8, 33)
    partial = numbered(hidden=42)
    with pytest.raises(UserError, match=r"hidden expected 1 to 30 .* came 31"):
        partial.set_active(8, 31)
