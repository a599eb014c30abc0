"""The plain encoder: front end, positions, transformer layers, pooling, head.

One network for HuBERT-, BERT-, ViT- and Whisper-shaped encoders; its structure says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from stillhouse.core.elastic import FeedForward, SelfAttention
from stillhouse.core.evaluate.padding import Padded
from stillhouse.plugins.models.encoder.front_ends import front_end
from stillhouse.plugins.models.encoder.positions import positions_of


@final
class Layer(nn.Module):
    """Attention and feed-forward, each added to what came in; norms before or after (`before`).

    Before: Xiong et al. 2020 (ViT, Whisper, HuBERT Large); after: Vaswani et al. 2017 (BERT,
    HuBERT Base).
    """

    def __init__(
        self,
        norm1: nn.LayerNorm,
        attention: SelfAttention,
        norm2: nn.LayerNorm,
        feed_forward: FeedForward,
        *,
        before: bool,
    ) -> None:
        super().__init__()
        self.norm1, self.attention = norm1, attention
        self.norm2, self.feed_forward, self.before = norm2, feed_forward, before

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return layer(self, x, mask)


def layer(parts: Any, x: Tensor, mask: Tensor | None) -> Tensor:
    """One layer over (batch, positions, width), plain and elastic alike.

    Positions are rows of one matrix inside: with two axes every product exports as one Gemm.
    """
    rows, positions = x.flatten(0, 1), x.shape[1]
    if parts.before:
        rows = rows + parts.attention(parts.norm1(rows), positions, mask)
        rows = rows + parts.feed_forward(parts.norm2(rows))
    else:
        rows = parts.norm1(rows + parts.attention(rows, positions, mask))
        rows = parts.norm2(rows + parts.feed_forward(rows))
    out: Tensor = rows.view(x.shape)
    return out


@final
class Encoder(nn.Module, Padded):
    """Inputs as the front end takes them to logits (batch, outputs).

    With 0 outputs there is no head, and the result is the last layer's (batch, positions, width).
    """

    def __init__(
        self,
        structure: Mapping[str, Any],
        front_end: nn.Module,
        positions: nn.Module | None,
        norm: nn.LayerNorm | None,
        layers: Iterable[Layer],
        final_norm: nn.LayerNorm | None,
        pooler: nn.Linear | None,
        head: nn.Linear | None,
    ) -> None:
        super().__init__()
        self.structure = structure
        self.front_end, self.positions, self.norm = front_end, positions, norm
        self.layers = nn.ModuleList(layers)
        self.final_norm, self.pooler, self.head = final_norm, pooler, head

    def forward(self, x: Tensor) -> Tensor:
        return encode(self, self.structure, self.layers, x)

    def real_positions(self, inputs: Tensor) -> Tensor | None:
        return kept_positions(self.structure, inputs)


def kept_positions(structure: Mapping[str, Any], x: Tensor) -> Tensor | None:
    """Which tokens (batch, tokens) are not padding; None for a network that has no padding."""
    padding = structure["padding"]
    return None if padding is None else x.ne(padding)


def encode(
    network: Any, structure: Mapping[str, Any], layers: Iterable[nn.Module], x: Tensor
) -> Tensor:
    """The encoder's arithmetic, plain and elastic alike."""
    kept = kept_positions(structure, x)
    mask = None if kept is None else kept[:, None, None, :]
    x = network.front_end(x)
    if network.positions is not None:
        x = network.positions(x)
    if network.norm is not None:
        x = network.norm(x)
    for one in layers:
        x = one(x, mask)
    if network.final_norm is not None:
        x = network.final_norm(x)
    return x if network.head is None else _answer(network, structure["pool"], x, kept)


def _answer(network: Any, pool: str, x: Tensor, kept: Tensor | None) -> Tensor:
    if pool == "first":
        x = x[:, 0]
    elif kept is None:
        x = x.mean(1)
    else:
        weight = kept.to(x.dtype)[..., None]
        x = (x * weight).sum(1) / weight.sum(1).clamp(min=1)
    if network.pooler is not None:
        x = network.pooler(x).tanh()
    logits: Tensor = network.head(x)
    return logits


def skeleton(structure: Mapping[str, Any]) -> Encoder:
    """The network of a structure on the meta device: every shape, no weights."""
    width, outputs = structure["width"], structure["outputs"]
    kind = front_end(structure["front_end"])
    return Encoder(
        structure,
        kind.skeleton(structure["front_end"], width),
        positions_of(structure),
        _norm(structure) if structure["norm"] else None,
        [_layer(structure, place) for place in range(structure["depth"])],
        _norm(structure) if structure["final_norm"] else None,
        nn.Linear(width, width, device="meta") if structure["pooler"] and outputs else None,
        nn.Linear(width, outputs, device="meta") if outputs else None,
    )


def _norm(structure: Mapping[str, Any]) -> nn.LayerNorm:
    return nn.LayerNorm(structure["width"], structure["eps"], device=torch.device("meta"))


def _layer(structure: Mapping[str, Any], place: int) -> Layer:
    width, heads, hidden = (
        structure["width"], structure["heads"][place], structure["hidden"][place],
    )  # fmt: skip
    return Layer(
        _norm(structure),
        SelfAttention.sized(width, heads, structure["head_dim"]),
        _norm(structure),
        FeedForward.sized(width, hidden, structure["activation"]),
        before=structure["before"],
    )
