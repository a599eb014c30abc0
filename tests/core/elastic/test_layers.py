"""Every elastic layer keeps the same four promises towards its plain twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.elastic import (
    ElasticAttention,
    ElasticBatchNorm,
    ElasticConv1d,
    ElasticConv2d,
    ElasticEmbedding,
    ElasticFeedForward,
    ElasticLayerNorm,
    ElasticLinear,
    ElasticPositionalConv,
    FeedForward,
    PositionalConv,
    SelfAttention,
    draw_weights,
)
from stillhouse.core.errors import UserError


@dataclass(frozen=True)
class Case:
    """A plain layer, its elastic twin, three settings and inputs to run a setting on."""

    plain: Callable[[], nn.Module]
    elastic: Callable[[Any], Any]
    full: dict[str, int]
    middle: dict[str, int]
    smallest: dict[str, int]
    inputs: Callable[[dict[str, int], torch.Generator], tuple[Any, ...]]


def rows(setting: dict[str, int], generator: torch.Generator) -> tuple[Tensor]:
    width = setting["inputs"] if "inputs" in setting else setting["width"]
    return (torch.randn(6, width, generator=generator),)


def samples(setting: dict[str, int], generator: torch.Generator) -> tuple[Tensor, int]:
    return (torch.randn(3 * 5, setting["width"], generator=generator), 5)


def signal(setting: dict[str, int], generator: torch.Generator) -> tuple[Tensor]:
    return (torch.randn(2, setting["inputs"], 11, generator=generator),)


def image(setting: dict[str, int], generator: torch.Generator) -> tuple[Tensor]:
    channels = setting["inputs"] if "inputs" in setting else setting["width"]
    return (torch.randn(3, channels, 9, 7, generator=generator),)


def positions(setting: dict[str, int], generator: torch.Generator) -> tuple[Tensor]:
    return (torch.randn(2, 9, setting["width"], generator=generator),)


def words(setting: dict[str, int], generator: torch.Generator) -> tuple[Tensor]:
    return (torch.randint(7, (2, 5), generator=generator),)


def conv(inputs: int, outputs: int, **options: int) -> Callable[[], nn.Module]:
    return lambda: nn.Conv1d(inputs, outputs, 5, device="meta", **options)  # type: ignore[arg-type]


CASES = {
    "linear": Case(
        lambda: nn.Linear(12, 10, device="meta"),
        ElasticLinear.from_plain,
        {"inputs": 12, "outputs": 10}, {"inputs": 7, "outputs": 5}, {"inputs": 1, "outputs": 1},
        rows,
    ),
    "linear without bias": Case(
        lambda: nn.Linear(12, 10, bias=False, device="meta"),
        ElasticLinear.from_plain,
        {"inputs": 12, "outputs": 10}, {"inputs": 7, "outputs": 5}, {"inputs": 1, "outputs": 1},
        rows,
    ),
    "layer norm": Case(
        lambda: nn.LayerNorm(16, device="meta"),
        ElasticLayerNorm.from_plain,
        {"width": 16}, {"width": 9}, {"width": 2},
        rows,
    ),
    "attention": Case(
        lambda: SelfAttention.sized(24, 4, 8),
        ElasticAttention.from_plain,
        {"width": 24, "heads": 4}, {"width": 16, "heads": 3}, {"width": 4, "heads": 1},
        samples,
    ),
    "feed-forward": Case(
        lambda: FeedForward.sized(16, 32),
        ElasticFeedForward.from_plain,
        {"width": 16, "hidden": 32}, {"width": 12, "hidden": 9}, {"width": 1, "hidden": 1},
        rows,
    ),
    "feed-forward with relu": Case(
        lambda: FeedForward.sized(16, 32, "relu"),
        ElasticFeedForward.from_plain,
        {"width": 16, "hidden": 32}, {"width": 12, "hidden": 9}, {"width": 1, "hidden": 1},
        rows,
    ),
    "convolution": Case(
        conv(6, 8, padding=2),
        ElasticConv1d.from_plain,
        {"inputs": 6, "outputs": 8, "kernel": 5}, {"inputs": 4, "outputs": 3, "kernel": 3},
        {"inputs": 1, "outputs": 1, "kernel": 1},
        signal,
    ),
    "strided dilated convolution": Case(
        conv(6, 8, padding=4, stride=2, dilation=2),
        ElasticConv1d.from_plain,
        {"inputs": 6, "outputs": 8, "kernel": 5}, {"inputs": 4, "outputs": 3, "kernel": 3},
        {"inputs": 1, "outputs": 1, "kernel": 1},
        signal,
    ),
    "depthwise convolution": Case(
        conv(8, 8, groups=8, padding=2),
        ElasticConv1d.from_plain,
        {"inputs": 8, "outputs": 8, "kernel": 5}, {"inputs": 5, "outputs": 5, "kernel": 3},
        {"inputs": 1, "outputs": 1, "kernel": 1},
        signal,
    ),
    "depthwise convolution that multiplies channels": Case(
        conv(6, 12, groups=6, padding=2),
        ElasticConv1d.from_plain,
        {"inputs": 6, "outputs": 12, "kernel": 5}, {"inputs": 4, "outputs": 8, "kernel": 3},
        {"inputs": 1, "outputs": 2, "kernel": 1},
        signal,
    ),
    "grouped convolution": Case(
        conv(8, 12, groups=4, padding=2),
        ElasticConv1d.from_plain,
        {"inputs": 8, "outputs": 12, "kernel": 5}, {"inputs": 4, "outputs": 8, "kernel": 3},
        {"inputs": 4, "outputs": 4, "kernel": 1},
        signal,
    ),
    "convolution padded to the same length": Case(
        lambda: nn.Conv1d(6, 8, 5, padding="same", device="meta"),
        ElasticConv1d.from_plain,
        {"inputs": 6, "outputs": 8, "kernel": 5}, {"inputs": 4, "outputs": 3, "kernel": 3},
        {"inputs": 1, "outputs": 1, "kernel": 1},
        signal,
    ),
    "2-d convolution": Case(
        lambda: nn.Conv2d(6, 8, 5, padding=2, stride=(1, 2), device="meta"),
        ElasticConv2d.from_plain,
        {"inputs": 6, "outputs": 8, "kernel": 5}, {"inputs": 4, "outputs": 3, "kernel": 3},
        {"inputs": 1, "outputs": 1, "kernel": 1},
        image,
    ),
    "2-d depthwise convolution without bias": Case(
        lambda: nn.Conv2d(6, 6, 5, padding=2, groups=6, bias=False, device="meta"),
        ElasticConv2d.from_plain,
        {"inputs": 6, "outputs": 6, "kernel": 5}, {"inputs": 4, "outputs": 4, "kernel": 3},
        {"inputs": 1, "outputs": 1, "kernel": 1},
        image,
    ),
    "1-d batch norm": Case(
        lambda: nn.BatchNorm1d(12, device="meta"),
        ElasticBatchNorm.from_plain,
        {"width": 12}, {"width": 7}, {"width": 1},
        rows,
    ),
    "2-d batch norm": Case(
        lambda: nn.BatchNorm2d(12, device="meta"),
        ElasticBatchNorm.from_plain,
        {"width": 12}, {"width": 7}, {"width": 1},
        image,
    ),
    "positional convolution": Case(
        lambda: PositionalConv.sized(12, 5, 3),
        ElasticPositionalConv.from_plain,
        {"width": 12}, {"width": 9}, {"width": 3},
        positions,
    ),
    "positional convolution with an even kernel": Case(
        lambda: PositionalConv.sized(12, 4, 3),
        ElasticPositionalConv.from_plain,
        {"width": 12}, {"width": 9}, {"width": 3},
        positions,
    ),
    "embedding with padding": Case(
        lambda: nn.Embedding(7, 12, 0, _weight=torch.empty(7, 12, device="meta")),
        ElasticEmbedding.from_plain,
        {"width": 12}, {"width": 5}, {"width": 1},
        words,
    ),
    "embedding": Case(
        lambda: nn.Embedding(7, 12, _weight=torch.empty(7, 12, device="meta")),
        ElasticEmbedding.from_plain,
        {"width": 12}, {"width": 5}, {"width": 1},
        words,
    ),
}  # fmt: skip

each_layer = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def with_weights(case: Case, seed: int = 0) -> nn.Module:
    """The plain layer with every weight random, biases and norms too."""
    generator = torch.Generator().manual_seed(seed)
    plain = case.plain().to_empty(device="cpu")
    for weight in plain.parameters():
        nn.init.normal_(weight, generator=generator)
    for name, buffer in plain.named_buffers():
        if name == "num_batches_tracked":
            buffer.zero_()
        else:
            nn.init.uniform_(buffer, 0.5, 1.5, generator=generator)
    return plain


def inputs(case: Case, setting: dict[str, int]) -> tuple[Any, ...]:
    return case.inputs(setting, torch.Generator().manual_seed(1))


@each_layer
def test_full_setting_equals_the_plain_layer_bit_for_bit(case: Case) -> None:
    plain = with_weights(case)
    elastic = case.elastic(plain)
    x = inputs(case, case.full)
    assert torch.equal(elastic(*x), plain(*x))
    elastic.set_active(**case.full)
    assert torch.equal(elastic(*x), plain(*x))


@each_layer
@pytest.mark.parametrize("size", ["full", "middle", "smallest"])
def test_extracted_layer_equals_the_sliced_one_bit_for_bit(case: Case, size: str) -> None:
    setting = getattr(case, size)
    elastic = case.elastic(with_weights(case))
    elastic.set_active(**setting)
    extracted, x = elastic.extract(), inputs(case, setting)
    assert type(extracted) is type(case.plain())
    assert torch.equal(extracted(*x), elastic(*x))


@each_layer
def test_extracted_layer_shares_no_storage(case: Case) -> None:
    elastic = case.elastic(with_weights(case))
    extracted, before = elastic.extract(), [w.clone() for w in elastic.parameters()]
    with torch.no_grad():
        for weight in extracted.parameters():
            weight.add_(1)
    assert all(torch.equal(w, b) for w, b in zip(elastic.parameters(), before, strict=True))


@each_layer
def test_twin_shares_no_storage_with_the_plain_layer_and_its_keys(case: Case) -> None:
    plain = with_weights(case)
    elastic = case.elastic(plain)
    assert list(elastic.state_dict()) == list(plain.state_dict())
    owned = {w.data_ptr() for w in plain.parameters()}
    assert owned.isdisjoint(w.data_ptr() for w in elastic.parameters())


@each_layer
def test_smallest_and_back_leaves_weights_and_outputs_untouched(case: Case) -> None:
    plain = with_weights(case)
    elastic = case.elastic(plain)
    elastic.set_active(**case.smallest)
    elastic(*inputs(case, case.smallest))
    elastic.extract()
    elastic.set_active(**case.full)
    x = inputs(case, case.full)
    for came, expected in zip(elastic.parameters(), plain.parameters(), strict=True):
        assert torch.equal(came, expected)
    assert torch.equal(elastic(*x), plain(*x))


@each_layer
def test_gradients_reach_the_active_slice_and_nothing_else(case: Case) -> None:
    elastic = case.elastic(with_weights(case))
    elastic.set_active(**case.middle)
    extracted, x = elastic.extract(), inputs(case, case.middle)
    elastic(*x).square().sum().backward()
    extracted(*x).square().sum().backward()
    own = dict(extracted.named_parameters())
    for name, weight in elastic.named_parameters():
        assert own[name].grad is not None
        place = torch.zeros_like(weight)
        place[region(weight, own[name], "kernel" in case.full)] = own[name].grad
        assert torch.equal(weight.grad, place), name


def region(full: Tensor, part: Tensor, centred: bool) -> tuple[slice, ...]:
    """Prefixes along every axis, but the centre along a kernel's."""
    starts = [0] * full.dim()
    for axis in range(2, full.dim() if centred else 2):
        starts[axis] = (full.shape[axis] - part.shape[axis]) // 2
    return tuple(slice(a, a + size) for a, size in zip(starts, part.shape, strict=True))


@each_layer
def test_more_than_the_weights_is_refused_with_what_was_expected(case: Case) -> None:
    elastic = case.elastic(with_weights(case))
    for name in case.full:
        for came in (case.full[name] + 1, 0):
            with pytest.raises(ValueError, match=rf"expected 1 to \d+.*came {came}"):
                elastic.set_active(**{**case.full, name: came})


def test_message_names_layer_quantity_and_numbers() -> None:
    elastic = ElasticLinear.from_plain(nn.Linear(4, 3))
    with pytest.raises(ValueError, match=r"ElasticLinear: outputs expected 1 to 3 .* came 5"):
        elastic.set_active(inputs=4, outputs=5)


def test_refused_setting_leaves_the_layer_as_it_was() -> None:
    elastic = ElasticAttention.from_plain(with_weights(CASES["attention"]))  # type: ignore[arg-type]
    elastic.set_active(width=16, heads=2)
    with pytest.raises(ValueError, match="heads"):
        elastic.set_active(width=8, heads=5)
    assert (elastic.width, elastic.heads, elastic.out.inputs) == (16, 2, 16)


def test_heads_are_nested() -> None:
    elastic = ElasticAttention.from_plain(with_weights(CASES["attention"]))  # type: ignore[arg-type]
    elastic.set_active(width=24, heads=2)
    assert torch.equal(elastic.extract().qkv_weight, elastic.qkv_weight[:, :16])


def test_samples_of_a_batch_do_not_attend_to_each_other() -> None:
    attention = with_weights(CASES["attention"])
    x = torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(3))
    changed = x.clone()
    changed[1] += 1
    first, second = attention(x.flatten(0, 1), 5), attention(changed.flatten(0, 1), 5)
    assert torch.equal(first[:5], second[:5])
    assert not torch.equal(first[5:], second[5:])


def test_attention_agrees_with_its_definition() -> None:
    attention = with_weights(CASES["attention"]).double()
    x = torch.randn(5, 24, generator=torch.Generator().manual_seed(3)).double()
    heads = []
    for head in range(4):
        part = slice(8 * head, 8 * head + 8)
        q, k, v = (
            x @ attention.qkv_weight[i, part].T + attention.qkv_bias[i, part] for i in range(3)
        )
        heads.append((q @ k.T / 8**0.5).softmax(-1) @ v)
    expected = attention.out(torch.cat(heads, 1))
    torch.testing.assert_close(attention(x, 5), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", [4, 2])
def test_kernel_without_a_centre_is_refused(kernel: int) -> None:
    elastic = ElasticConv1d.from_plain(nn.Conv1d(2, 2, 5, padding=2))
    with pytest.raises(ValueError, match=rf"less an even number.*came \({kernel},\)"):
        elastic.set_active(2, 2, kernel)


def test_kernel_that_would_change_the_number_of_positions_is_refused() -> None:
    elastic = ElasticConv1d.from_plain(nn.Conv1d(2, 2, 5, padding=1))
    with pytest.raises(ValueError, match=r"padding \(1,\)"):
        elastic.set_active(2, 2, 1)


def test_smaller_kernel_keeps_the_number_of_positions() -> None:
    elastic = ElasticConv1d.from_plain(nn.Conv1d(2, 2, 5, padding=2, stride=2))
    before = elastic(torch.zeros(1, 2, 9)).shape
    elastic.set_active(2, 2, 1)
    assert elastic(torch.zeros(1, 2, 9)).shape == before


def test_depthwise_channels_move_together() -> None:
    elastic = ElasticConv1d.from_plain(nn.Conv1d(4, 4, 3, padding=1, groups=4))
    with pytest.raises(ValueError, match="outputs = inputs"):
        elastic.set_active(2, 3, 3)
    with pytest.raises(ValueError, match=r"outputs expected 1 to 4 .* came 5"):
        elastic.set_active(4, 5, 3)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv1d(4, 4, 4, padding="same"),
        nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular"),
    ],
)
def test_convolutions_without_an_elastic_twin_are_refused(module: nn.Conv1d) -> None:
    with pytest.raises(ValueError, match="equal padding of both sides with zeros"):
        ElasticConv1d.from_plain(module)


def test_norms_and_embeddings_without_an_elastic_twin_are_refused() -> None:
    with pytest.raises(ValueError, match="one axis"):
        ElasticLayerNorm.from_plain(nn.LayerNorm((2, 3)))
    with pytest.raises(ValueError, match="scale and bias"):
        ElasticLayerNorm.from_plain(nn.LayerNorm(3, elementwise_affine=False))
    with pytest.raises(ValueError, match="without max_norm"):
        ElasticEmbedding.from_plain(nn.Embedding(3, 2, max_norm=1.0))
    with pytest.raises(ValueError, match="running statistics"):
        ElasticBatchNorm.from_plain(nn.BatchNorm1d(3, track_running_stats=False))


def test_channels_that_groups_do_not_divide_are_refused() -> None:
    elastic = ElasticPositionalConv.from_plain(PositionalConv(nn.Conv1d(12, 12, 3, groups=4)))
    with pytest.raises(UserError, match="4 groups divide, came 6 inputs"):
        elastic.set_active(6)


def test_grouped_convolution_keeps_the_first_channels_of_every_group() -> None:
    plain = nn.Conv1d(12, 12, 3, groups=3)
    elastic = ElasticConv1d.from_plain(plain)
    elastic.set_active(9, 9)
    assert torch.equal(elastic.extract().weight, plain.weight[:9, :3])


def test_padding_entry_learns_nothing() -> None:
    elastic = ElasticEmbedding.from_plain(nn.Embedding(5, 6, padding_idx=2))
    elastic.set_active(4)
    elastic(torch.tensor([1, 2, 2])).sum().backward()
    assert elastic.weight.grad[1, :4].tolist() == [1.0] * 4
    assert not elastic.weight.grad[2].any()
    assert elastic.extract().padding_idx == 2


def test_fresh_weights_depend_on_the_generator_alone() -> None:
    drawn = []
    for _ in range(2):
        torch.rand(1)
        module = nn.Sequential(SelfAttention.sized(8, 2, 4), FeedForward.sized(8, 8))
        module.to_empty(device="cpu")
        state = torch.get_rng_state()
        draw_weights(module, torch.Generator().manual_seed(5))
        assert torch.equal(torch.get_rng_state(), state)
        drawn.append(module.state_dict())
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])


def test_building_and_extracting_never_touch_the_global_generator() -> None:
    state = torch.get_rng_state()
    for case in CASES.values():
        case.elastic(with_weights(case)).extract()
    assert torch.equal(torch.get_rng_state(), state)


def test_modules_without_a_rule_for_their_weights_are_refused() -> None:
    with pytest.raises(TypeError, match="GRU"):
        draw_weights(nn.GRU(2, 2), torch.Generator())
