"""The transformer's feed-forward layer, plain and elastic, over one arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Self, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.bounds import check_slice
from stillhouse.core.elastic.linear import ElasticLinear
from stillhouse.core.elastic.pieces import chunked, prefix

Activation = Literal["gelu", "relu"]

ACTIVATIONS: Final[dict[Activation, Callable[[Tensor], Tensor]]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
}


def _feed(x: Tensor, up: nn.Module, down: nn.Module, activation: Activation) -> Tensor:
    out: Tensor = down(ACTIVATIONS[activation](up(x)))
    return out


@final
class FeedForward(nn.Module):
    """Linear, activation, linear: (..., width) to (..., width) through `hidden` features."""

    def __init__(self, up: nn.Linear, down: nn.Linear, activation: Activation = "gelu") -> None:
        super().__init__()
        self.up, self.down, self.activation = up, down, activation

    @classmethod
    def sized(cls, width: int, hidden: int, activation: Activation = "gelu") -> Self:
        """A skeleton on the meta device, to be given weights."""
        up = nn.Linear(width, hidden, device="meta")
        return cls(up, nn.Linear(hidden, width, device="meta"), activation)

    def forward(self, x: Tensor) -> Tensor:
        return _feed(x, self.up, self.down, self.activation)


@final
class ElasticFeedForward(nn.Module):
    """`FeedForward` over the first `width` features and `hidden` of the inner layer's.

    Those are the first ones; or with `chunk`, the full width, the first `width` of every chunk of
    them, as LightHuBERT slices (Wang et al. 2022, arXiv:2203.15610), so that what a ratio of the
    width uses is nested from width to width.
    """

    def __init__(
        self,
        up: ElasticLinear,
        down: ElasticLinear,
        activation: Activation,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        self.up, self.down, self.activation, self.chunk = up, down, activation, chunk
        self._full = down.outputs, up.outputs

    @classmethod
    def from_plain(cls, module: FeedForward, chunk: int | None = None) -> Self:
        up, down = ElasticLinear.from_plain(module.up), ElasticLinear.from_plain(module.down)
        return cls(up, down, module.activation, chunk)

    def set_active(self, width: int, hidden: int) -> None:
        """Raises `UserError` beyond the weights: with `chunk`, already beyond the full ratio."""
        check_slice("ElasticFeedForward", width=(width, self._full[0]))
        check_slice("ElasticFeedForward", hidden=(hidden, self._most(width)))
        features = prefix(width)
        inner = prefix(hidden) if self.chunk is None else chunked(width, hidden, self.chunk)
        self.up.set_pieces(features, inner)
        self.down.set_pieces(inner, features)

    def _most(self, width: int) -> int:
        """Hidden features there are for a width."""
        full = self._full[1]
        if self.chunk is None:
            return full
        whole, rest = divmod(full, self.chunk)
        return whole * width + min(rest, width)

    def forward(self, x: Tensor) -> Tensor:
        return _feed(x, self.up, self.down, self.activation)

    def extract(self) -> FeedForward:
        return FeedForward(self.up.extract(), self.down.extract(), self.activation)
