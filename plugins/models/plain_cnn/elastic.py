"""The elastic twin: the full network's weights, of which a narrower subnet uses a slice.

Channels are prefixes (slimmable networks, Yu et al. 2019, sec. 3). What is flattened lies channel
by channel, so that fewer channels are a prefix of it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Self, final

from torch import Tensor, nn

from stillhouse.core.elastic import ElasticBatchNorm, ElasticLinear, Units
from stillhouse.core.evaluate import ElasticModule
from stillhouse.plugins.models.cnn.blocks import Tap
from stillhouse.plugins.models.cnn.elastic_blocks import elastic_conv
from stillhouse.plugins.models.cnn.importance import sort_network
from stillhouse.plugins.models.plain_cnn.genes import GENE, subnet
from stillhouse.plugins.models.plain_cnn.network import ConvBlock, PlainCnn, classify, conv_block
from stillhouse.plugins.models.plain_cnn.structure import (
    channels,
    hidden_width,
    input_channels,
    sides,
)


@final
class ElasticConvBlock(nn.Module):
    """`ConvBlock` with elastic channels."""

    def __init__(self, plain: ConvBlock) -> None:
        super().__init__()
        self.conv = elastic_conv(plain.conv)
        self.norm = ElasticBatchNorm.from_plain(plain.norm)
        self.tap = Tap()

    def set_active(self, inputs: int, outputs: int) -> None:
        self.conv.set_active(inputs, outputs)
        self.norm.set_active(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return conv_block(self, x)

    def extract(self) -> ConvBlock:
        return ConvBlock(self.conv.extract(), self.norm.extract())


@final
class ElasticPlainCnn(ElasticModule):
    """A `PlainCnn` whose width can be chosen.

    State dict keys and shapes are those of the plain network it was made from.
    """

    def __init__(self, plain: PlainCnn) -> None:
        super().__init__()
        self._full_structure = self._structure = dict(plain.structure)
        self.full = {GENE: plain.structure[GENE]}
        self.stages = nn.ModuleList(
            nn.ModuleList(ElasticConvBlock(b) for b in stage.children() if isinstance(b, ConvBlock))
            for stage in plain.stages
        )
        self.hidden = None if plain.hidden is None else ElasticLinear.from_plain(plain.hidden)
        self.head = ElasticLinear.from_plain(plain.head)

    @classmethod
    def from_plain(cls, plain: PlainCnn) -> Self:
        return cls(plain).train(plain.training)

    def set_active(self, configuration: Mapping[str, Any]) -> None:
        """An absent width is the full network's.

        Raises `UserError` (a ValueError), leaving the active slice as it was.
        """
        structure = subnet(self._full_structure, configuration)
        inputs = input_channels(structure)
        for blocks, outputs in zip(self._blocks(), channels(structure), strict=True):
            for block in blocks:
                block.set_active(inputs, outputs)
                inputs = outputs
        inputs *= self._area()
        if self.hidden is not None:
            self.hidden.set_active(inputs, hidden_width(structure))
            inputs = hidden_width(structure)
        self.head.set_active(inputs, self.head.weight.shape[0])
        self._structure = structure

    def _blocks(self) -> list[list[ElasticConvBlock]]:
        stages = (stage.children() for stage in self.stages)
        return [[b for b in stage if isinstance(b, ElasticConvBlock)] for stage in stages]

    def _area(self) -> int:
        """Positions of a channel where it is flattened."""
        height, width = sides(self._structure)[-1]
        return height * width

    def active(self) -> Mapping[str, Any]:
        return {GENE: self._structure[GENE]}

    def forward(self, x: Tensor) -> Tensor:
        return classify(self, self._structure, x)

    def structure(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """The structure a configuration extracts to; `UserError` outside the full network."""
        return subnet(self._full_structure, configuration)

    def extract(self) -> PlainCnn:
        return PlainCnn(
            dict(self._structure),
            [[block.extract() for block in blocks] for blocks in self._blocks()],
            None if self.hidden is None else self.hidden.extract(),
            self.head.extract(),
        ).train(self.training)

    def sort_by_importance(self) -> None:
        """Reorder channels by the L1 norm of what reads them (Cai et al. 2020, sec. 3.3).

        Narrower subnets then keep the channels that matter. The full network's outputs stay, up to
        the order of sums. Weights change in place: call it between trainings, not within one.
        """
        sort_network(self.units())

    def units(self) -> list[Units]:
        """All go with one gene, so that every part keeps the same share of its channels."""
        named = {
            f"stages.{stage}.{place}": block
            for stage, blocks in enumerate(self._blocks())
            for place, block in enumerate(blocks)
        }
        found = [
            Units("channels", name, (block.conv, block.norm), (block.norm,), (reader.conv,))
            for (name, block), (_, reader) in pairwise(named.items())
        ]
        name, last = next(reversed(named.items()))
        first = self.head if self.hidden is None else self.hidden
        ends = (last.conv, last.norm), (last.norm,), (first,)
        found.append(Units("channels", name, *ends, self._area()))
        if self.hidden is not None:
            found.append(Units("channels", "hidden", (self.hidden,), (self.hidden,), (self.head,)))
        return found
