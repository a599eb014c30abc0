"""Channels in the order of their importance, so that a prefix keeps the ones that matter.

As once-for-all does before it shrinks widths (Cai et al. 2020, sec. 3.3): a channel is as important
as the L1 norm of the weights that read it. The full network's output stays, up to the order of
sums. Everything here changes plain and elastic layers alike, in place, weights only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from stillhouse.core.elastic.attention import ElasticAttention, SelfAttention
from stillhouse.core.elastic.embedding import ElasticEmbedding
from stillhouse.core.elastic.feed_forward import ElasticFeedForward, FeedForward

Side = Literal["inputs", "outputs"]


def importance(weight: Tensor, repeat: int = 1) -> Tensor:
    """L1 norm of what reads each input of a weight (outputs, inputs, ...), (inputs / repeat,).

    `repeat` neighbouring inputs belong to one channel: positions flattened behind channels.
    """
    return weight.detach().abs().transpose(0, 1).reshape(weight.shape[1] // repeat, -1).sum(1)


def descending(scores: Tensor) -> Tensor:
    """Indices from the most important on; equals stay in their order."""
    return scores.argsort(descending=True, stable=True)


def sort_channels(
    producers: Iterable[nn.Module], consumers: Iterable[nn.Module], *, repeat: int = 1
) -> Tensor:
    """Reorder the channels that producers give and consumers read, by all consumers' norms.

    Producers are layers with those outputs, and norms and depthwise convolutions on the way;
    `repeat` as in `importance`, for consumers. Returns the order: entry i was `order[i]`.
    """
    readers = list(consumers)
    scores = torch.stack([importance(_weight(reader), repeat) for reader in readers]).sum(0)
    order = descending(scores)
    for producer in producers:
        permute(producer, order, "outputs")
    for reader in readers:
        permute(reader, repeated(order, repeat), "inputs")
    return order


def sort_hidden(layer: FeedForward | ElasticFeedForward, chunk: int | None = None) -> None:
    """Reorder a feed-forward layer's inner features by the norms of the second matrix.

    With `chunk`, which an elastic layer knows itself, the first place of every chunk comes before
    any second one, as narrower subnets use them.
    """
    chunk = layer.chunk if isinstance(layer, ElasticFeedForward) else chunk
    order = descending(importance(_weight(layer.down)))
    if chunk is not None:
        place = torch.arange(len(order), device=order.device)
        order = torch.empty_like(order).index_copy_(0, descending(-(place % chunk)), order)
    permute(layer.up, order, "outputs")
    permute(layer.down, order, "inputs")


def sort_heads(layer: SelfAttention | ElasticAttention) -> None:
    """Reorder whole heads by the norms of the output projection's columns."""
    permute_heads(layer, descending(importance(_weight(layer.out), layer.head_dim)))


@torch.no_grad()
def permute_heads(layer: SelfAttention | ElasticAttention, order: Tensor) -> None:
    """Reorder whole heads in place: head i becomes what was head `order[i]`."""
    features = repeated(order, layer.head_dim)
    layer.qkv_weight.copy_(layer.qkv_weight[:, features])
    layer.qkv_bias.copy_(layer.qkv_bias[:, features])
    permute(layer.out, features, "inputs")


def order_width(layers: Iterable[tuple[nn.Module, Side]], order: Tensor) -> None:
    """Apply one order to the features that many layers share, such as a residual stream.

    Each layer comes with the side on which it meets them; attention and feed-forward layers meet
    them on both at once, whichever is named.
    """
    for layer, side in layers:
        permute(layer, order, side)


@torch.no_grad()
def permute(layer: nn.Module, order: Tensor, side: Side) -> None:
    """Reorder one side of a layer in place: feature i becomes what was feature `order[i]`.

    Raises ValueError for grouped convolutions other than depthwise ones, whose channels cannot
    change places.
    """
    match layer:
        case SelfAttention() | ElasticAttention():
            layer.qkv_weight.copy_(layer.qkv_weight[:, :, order])
            permute(layer.out, order, "outputs")
        case FeedForward() | ElasticFeedForward():
            permute(layer.up, order, "inputs")
            permute(layer.down, order, "outputs")
        case _:
            _permute_weight(layer, order, side)


def _permute_weight(layer: nn.Module, order: Tensor, side: Side) -> None:
    weight = _weight(layer)
    axis = _axis(layer, weight, side)
    if weight.shape[axis] != len(order):
        raise ValueError(f"expected an order of {weight.shape[axis]} {side}, came {len(order)}")
    weight.copy_(weight.index_select(axis, order))
    if axis == 0 and weight.dim() > 0:
        for name in ("bias", "running_mean", "running_var"):
            vector = getattr(layer, name, None)
            if isinstance(vector, Tensor):
                vector.copy_(vector[order])


def _axis(layer: nn.Module, weight: Tensor, side: Side) -> int:
    """Where a layer's weight holds the features of one side."""
    if isinstance(layer, (nn.Embedding, ElasticEmbedding)):
        return 1
    groups = int(getattr(layer, "groups", 1))
    if weight.dim() == 1 or (groups > 1 and weight.shape[1] == 1):
        return 0
    if groups > 1:
        raise ValueError(f"channels of {groups} groups cannot change places: {layer}")
    return 0 if side == "outputs" else 1


def repeated(order: Tensor, repeat: int) -> Tensor:
    """The order of features that come `repeat` to a channel."""
    inner = torch.arange(repeat, device=order.device)
    return (order[:, None] * repeat + inner).flatten()


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    if not isinstance(weight, Tensor):
        raise TypeError(f"no features to reorder in {type(layer).__name__}")
    return weight
