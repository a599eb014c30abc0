"""The transformer's feed-forward layer, plain and elastic, over one arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Self, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic.linear import ElasticLinear

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
    """`FeedForward` over the first `width` features and the first `hidden` of the inner layer."""

    def __init__(self, up: ElasticLinear, down: ElasticLinear, activation: Activation) -> None:
        super().__init__()
        self.up, self.down, self.activation = up, down, activation

    @classmethod
    def from_plain(cls, module: FeedForward) -> Self:
        up, down = ElasticLinear.from_plain(module.up), ElasticLinear.from_plain(module.down)
        return cls(up, down, module.activation)

    def set_active(self, width: int, hidden: int) -> None:
        self.up.set_active(width, hidden)
        self.down.set_active(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return _feed(x, self.up, self.down, self.activation)

    def extract(self) -> FeedForward:
        return FeedForward(self.up.extract(), self.down.extract(), self.activation)
