"""The plain Keyword Transformer (Berg et al. 2021, fig. 1), pre-norm and with mean pooling.

Unlike the paper's, its blocks normalise before attention and feed-forward, a final norm follows
the last, and the mean over frames takes the class token's place; there is no dropout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from stillhouse.core.elastic import FeedForward, SelfAttention

FAMILY: Final = "keyword-transformer"


def classify(
    x: Tensor,
    frames: nn.Module,
    positions: Tensor,
    blocks: Iterable[nn.Module],
    norm: nn.Module,
    head: nn.Module,
) -> Tensor:
    """Inputs (batch, frames, features) to logits (batch, outputs): plain and elastic alike."""
    x = frames(x) + positions
    for block in blocks:
        x = block(x)
    logits: Tensor = head(norm(x).mean(1))
    return logits


def residual(
    x: Tensor, norm1: nn.Module, attention: nn.Module, norm2: nn.Module, feed_forward: nn.Module
) -> Tensor:
    """One pre-norm block over (batch, frames, width); frames are rows of one matrix inside."""
    rows = x.flatten(0, 1)
    rows = rows + attention(norm1(rows), x.shape[1])
    out: Tensor = rows + feed_forward(norm2(rows))
    return out.view(x.shape)


@final
class Block(nn.Module):
    """Attention and feed-forward, each behind its own norm and added to what came in."""

    def __init__(
        self,
        norm1: nn.LayerNorm,
        attention: SelfAttention,
        norm2: nn.LayerNorm,
        feed_forward: FeedForward,
    ) -> None:
        super().__init__()
        self.norm1, self.attention = norm1, attention
        self.norm2, self.feed_forward = norm2, feed_forward

    def forward(self, x: Tensor) -> Tensor:
        return residual(x, self.norm1, self.attention, self.norm2, self.feed_forward)


@final
class KeywordTransformer(nn.Module):
    """Inputs (batch, frames, features) to logits (batch, outputs); `structure` is its shape."""

    def __init__(
        self,
        structure: Mapping[str, Any],
        frames: nn.Linear,
        positions: nn.Embedding,
        blocks: Iterable[Block],
        norm: nn.LayerNorm,
        head: nn.Linear,
    ) -> None:
        super().__init__()
        self.structure = structure
        self.frames, self.positions = frames, positions
        self.blocks = nn.ModuleList(blocks)
        self.norm, self.head = norm, head

    def forward(self, x: Tensor) -> Tensor:
        return classify(x, self.frames, self.positions.weight, self.blocks, self.norm, self.head)


def skeleton(structure: Mapping[str, Any]) -> KeywordTransformer:
    """The network of a structure on the meta device: every shape, no weights."""
    frames, features = structure["input_shape"]
    width = structure["width"]
    # Given its weight, a table is not initialised: on the meta device that would import
    # torch._dynamo, two seconds of every process that builds or loads a network.
    positions = torch.empty(frames, width, device="meta")
    return KeywordTransformer(
        structure,
        nn.Linear(features, width, device="meta"),
        nn.Embedding(frames, width, _weight=positions),
        [_block(structure, layer) for layer in range(structure["depth"])],
        nn.LayerNorm(width, device="meta"),
        nn.Linear(width, structure["outputs"], device="meta"),
    )


def _block(structure: Mapping[str, Any], layer: int) -> Block:
    width, heads, hidden = (
        structure["width"], structure["heads"][layer], structure["hidden"][layer],
    )  # fmt: skip
    return Block(
        nn.LayerNorm(width, device="meta"),
        SelfAttention.sized(width, heads, structure["head_dim"]),
        nn.LayerNorm(width, device="meta"),
        FeedForward.sized(width, hidden, structure["activation"]),
    )
