"""Sorting by importance changes the order and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.elastic import (
    ElasticAttention,
    ElasticFeedForward,
    ElasticLinear,
    FeedForward,
    SelfAttention,
)
from stillhouse.core.elastic.sorting import (
    descending,
    importance,
    order_width,
    permute,
    sort_channels,
    sort_heads,
    sort_hidden,
)


def drawn(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    module = module.to_empty(device="cpu")
    for weight in module.parameters():
        nn.init.normal_(weight, generator=generator)
    return module


def close(came: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(came, expected, rtol=1e-5, atol=1e-5)


def falling(scores: Tensor) -> bool:
    return bool((scores.diff() <= 0).all())


def test_channels_of_a_chain_are_sorted_by_their_readers() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(), nn.Conv2d(8, 4, 1),
    )  # fmt: skip
    with torch.no_grad():
        net[1].running_mean.normal_()
        net[1].weight.normal_()
        net[1].bias.normal_()
    net.eval()
    x = torch.randn(2, 3, 6, 6)
    before, first = net(x), net[0].weight.clone()
    order = sort_channels([net[0], net[1], net[3]], [net[5]])
    close(net(x), before)
    assert falling(importance(net[5].weight))
    assert torch.equal(net[0].weight, first[order])
    assert order.tolist() != list(range(8))


def test_channels_behind_a_flatten_move_with_their_positions() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4, 5))
    x = torch.randn(3, 2, 6)
    before = net(x)
    sort_channels([net[0]], [net[3]], repeat=4)
    close(net(x), before)
    assert falling(importance(net[3].weight, 4))


def test_several_readers_are_heard_together() -> None:
    torch.manual_seed(0)
    producer, one, two = nn.Linear(3, 6), nn.Linear(6, 2), ElasticLinear.from_plain(nn.Linear(6, 9))
    x = torch.randn(4, 3)
    before = one(producer(x)), two(producer(x))
    sort_channels([producer], [one, two])
    close(one(producer(x)), before[0])
    close(two(producer(x)), before[1])
    assert falling(importance(one.weight) + importance(two.weight))


@pytest.mark.parametrize("elastic", [False, True])
def test_heads_are_sorted_whole(elastic: bool) -> None:
    plain = drawn(SelfAttention.sized(12, 4, 3))
    layer = ElasticAttention.from_plain(plain) if elastic else plain  # type: ignore[arg-type]
    x = torch.randn(10, 12)
    before = layer(x, 5)
    sort_heads(layer)  # type: ignore[arg-type]
    close(layer(x, 5), before)
    assert falling(importance(layer.out.weight, 3))  # type: ignore[union-attr]


@pytest.mark.parametrize("elastic", [False, True])
def test_hidden_features_are_sorted_by_the_second_matrix(elastic: bool) -> None:
    plain = drawn(FeedForward.sized(6, 18))
    layer = ElasticFeedForward.from_plain(plain) if elastic else plain  # type: ignore[arg-type]
    x = torch.randn(4, 6)
    before = layer(x)
    sort_hidden(layer)  # type: ignore[arg-type]
    close(layer(x), before)
    assert falling(importance(layer.down.weight))  # type: ignore[union-attr]


def test_chunks_share_the_important_features_out() -> None:
    plain = drawn(FeedForward.sized(6, 18))
    elastic = ElasticFeedForward.from_plain(plain, chunk=6)  # type: ignore[arg-type]
    x = torch.randn(4, 6)
    before = elastic(x)
    sort_hidden(elastic)
    close(elastic(x), before)
    scores = importance(elastic.down.weight).view(3, 6)
    assert falling(scores.T.flatten())


def test_a_residual_width_is_reordered_across_layers() -> None:
    embedding, norm = nn.Embedding(9, 12), drawn(nn.LayerNorm(12))
    attention, feed = drawn(SelfAttention.sized(12, 2, 3)), drawn(FeedForward.sized(12, 20))
    head = nn.Linear(12, 4)

    def forward(ids: Tensor) -> Tensor:
        x = embedding(ids)
        x = norm(x + attention(x, 5))
        return head(x + feed(x))

    ids = torch.arange(5)
    before = forward(ids)
    order = descending(embedding.weight.abs().sum(0))
    columns = embedding.weight.detach().clone()
    layers = [(embedding, "outputs"), (norm, "outputs"), (attention, "inputs"), (feed, "inputs")]
    order_width([*layers, (head, "inputs")], order)  # type: ignore[list-item]
    close(forward(ids), before)
    assert torch.equal(embedding.weight, columns[:, order])


def test_channels_of_groups_cannot_change_places() -> None:
    with pytest.raises(ValueError, match="channels of 2 groups"):
        permute(nn.Conv1d(4, 4, 3, groups=2), torch.arange(4), "outputs")


def test_an_order_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an order of 4 inputs, came 3"):
        permute(nn.Linear(4, 2), torch.arange(3), "inputs")
