"""Units change places together, and weigh what their weights on both sides do."""

from __future__ import annotations

import torch
from torch import nn

from stillhouse.core.elastic import ElasticLinear, SelfAttention, Units


def drawn(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    module = module.to_empty(device="cpu")
    for weight in module.parameters():
        nn.init.normal_(weight, generator=generator)
    return module


def linear(inputs: int, outputs: int) -> nn.Linear:
    layer = drawn(nn.Linear(inputs, outputs, device="meta"))
    assert isinstance(layer, nn.Linear)
    return layer


def test_without_biases_a_unit_weighs_what_it_adds_to_the_product() -> None:
    up, down = linear(5, 7), linear(7, 3)
    with torch.no_grad():
        up.bias.zero_()
    units = Units("feed_forward", "x", (up,), (up,), (down,))
    parts = torch.einsum("oh,hi->hoi", down.weight, up.weight)
    torch.testing.assert_close(units.magnitude(), parts.detach().flatten(1).norm(dim=1))
    assert len(units) == 7


def test_a_factor_that_moves_from_one_side_to_the_other_leaves_the_magnitude() -> None:
    up, down = linear(5, 7), linear(7, 3)
    units = Units("feed_forward", "x", (up,), (up,), (down,))
    before = units.magnitude()
    with torch.no_grad():
        up.weight.mul_(4)
        up.bias.mul_(4)
        down.weight.div_(4)
    torch.testing.assert_close(units.magnitude(), before)


def test_of_a_head_the_values_and_what_reads_them_count() -> None:
    attention = drawn(SelfAttention.sized(6, 3, 2))
    assert isinstance(attention, SelfAttention)
    units = Units("heads", "x", (attention,), (attention,), (attention.out,), 2)
    assert len(units) == 3
    before = units.magnitude()
    with torch.no_grad():
        attention.qkv_weight[:2].mul_(9)
    assert torch.equal(units.magnitude(), before)
    with torch.no_grad():
        attention.qkv_weight[2, 2:4], attention.qkv_bias[2, 2:4] = 0.0, 0.0
    assert units.magnitude()[1] == 0


def test_any_order_of_heads_leaves_the_answers() -> None:
    attention = drawn(SelfAttention.sized(6, 3, 2))
    assert isinstance(attention, SelfAttention)
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))
    before, second = attention(x, 4), attention.qkv_weight[:, 2:4].clone()
    units = Units("heads", "x", (attention,), (attention,), (attention.out,), 2)
    units.reorder(torch.tensor([1, 2, 0]))
    torch.testing.assert_close(attention(x, 4), before)
    assert torch.equal(attention.qkv_weight[:, :2], second)


def test_any_order_of_flattened_channels_leaves_the_answers() -> None:
    conv = drawn(nn.Conv1d(2, 3, 1, device="meta"))
    reader = ElasticLinear.from_plain(linear(3 * 4, 5))
    units = Units("channels", "x", (conv,), (conv,), (reader,), 4)
    x = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(1))
    before = reader(conv(x).flatten(1))
    units.reorder(torch.tensor([2, 0, 1]))
    torch.testing.assert_close(reader(conv(x).flatten(1)), before)
    assert len(units) == 3
