"""Heads, hidden features and channels as units that can change places, or go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast, final

import torch
from torch import Tensor, nn

from stillhouse.core.elastic.attention import ElasticAttention, SelfAttention
from stillhouse.core.elastic.sorting import permute, permute_heads, repeated

Axis = Literal["heads", "feed_forward", "channels", "inner_channels"]
"""What units are: an attention's heads, a feed-forward's hidden features, the channels of a whole
stream, or those inside one block."""


@final
@dataclass(frozen=True, eq=False)
class Units:
    """The units of one part of a network. `name` is unique, and begins with the layer's name.

    `producers` are the layers with these outputs, and norms and depthwise convolutions on the way;
    of heads it is the attention. `last` are those among them whose outputs the `readers` meet:
    weights before them do not tell how large a unit's outputs are. A reader meets `repeat`
    neighbouring inputs for each unit.
    """

    axis: Axis
    name: str
    producers: tuple[nn.Module, ...]
    last: tuple[nn.Module, ...]
    readers: tuple[nn.Module, ...]
    repeat: int = 1

    def __len__(self) -> int:
        return _inputs(self.readers[0]) // self.repeat

    def reorder(self, order: Tensor) -> None:
        """Unit i becomes what was unit `order[i]`, in place; outputs stay, up to float order."""
        if self.axis == "heads":
            permute_heads(_attention(self), order)
            return
        for producer in self.producers:
            permute(producer, order, "outputs")
        for reader in self.readers:
            permute(reader, repeated(order, self.repeat), "inputs")

    def magnitude(self) -> Tensor:
        """Norm of what gives each unit times norm of what reads it, (units,).

        For one producer and one reader without bias that is the Frobenius norm of the unit's part
        of their product. It is 0 for a unit that always gives 0 or that nothing reads, and stays
        when a factor moves from one side to the other. Of a head the values count.
        """
        given = sum((squares.sum(1) for squares in self._given()), torch.zeros(()))
        read = [_weight(reader).detach().square().transpose(0, 1) for reader in self.readers]
        taken = sum((squares.reshape(len(self), -1).sum(1) for squares in read), torch.zeros(()))
        return given.sqrt() * taken.sqrt()

    def _given(self) -> Iterable[Tensor]:
        """Squared weights and biases that give each unit, (units, any) each."""
        if self.axis == "heads":
            attention = _attention(self)
            yield attention.qkv_weight[2].detach().square().reshape(len(self), -1)
            yield attention.qkv_bias[2].detach().square().reshape(len(self), -1)
            return
        for part in self.last:
            for weight in (_weight(part), getattr(part, "bias", None)):
                if weight is not None:
                    yield weight.detach().square().reshape(len(self), -1)


def _attention(units: Units) -> SelfAttention | ElasticAttention:
    (attention,) = units.producers
    if not isinstance(attention, (SelfAttention, ElasticAttention)):
        raise TypeError(f"expected the heads of an attention, came {type(attention).__name__}")
    return attention


def _inputs(reader: nn.Module) -> int:
    return int(_weight(reader).shape[1])


def _weight(layer: nn.Module) -> Tensor:
    return cast("Any", layer).weight  # type: ignore[no-any-return]
