"""The elastic twin: the full network's weights, of which a subnet uses a slice.

Channels are prefixes. A smaller kernel is the centre of the full one through a learned transform,
and a shallower stage keeps its first blocks (Cai et al. 2020, sec. 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, Self, final

from torch import Tensor, nn

from stillhouse.core.elastic import ElasticBatchNorm, ElasticLinear, Units
from stillhouse.core.evaluate import ElasticModule
from stillhouse.plugins.models.cnn.elastic_blocks import (
    ElasticBlock,
    elastic_block,
    elastic_conv,
)
from stillhouse.plugins.models.cnn.genes import complete, gene_values, subnet
from stillhouse.plugins.models.cnn.importance import channel_units, sort_network
from stillhouse.plugins.models.cnn.network import Cnn, blocks_of, classify
from stillhouse.plugins.models.cnn.structure import stage_width


@final
class ElasticCnn(ElasticModule):
    """A `Cnn` whose width, depths, kernels and expansions can be chosen.

    State dict keys and shapes are those of the plain network it was made from, and beside them the
    kernel transforms.
    """

    def __init__(self, plain: Cnn) -> None:
        super().__init__()
        self._full_structure = self._structure = dict(plain.structure)
        self.full = gene_values(plain.structure)
        self._active = dict(self.full)
        self.stem = elastic_conv(plain.stem)
        self.stem_norm = ElasticBatchNorm.from_plain(plain.stem_norm)
        self.stages = nn.ModuleList(
            nn.ModuleList(map(elastic_block, blocks_of(stage))) for stage in plain.stages
        )
        self.head = ElasticLinear.from_plain(plain.head)

    @classmethod
    def from_plain(cls, plain: Cnn) -> Self:
        return cls(plain).train(plain.training)

    def set_active(self, configuration: Mapping[str, Any]) -> None:
        """Absent genes take the full network's values; block genes may be one number.

        Raises `UserError` (a ValueError), leaving the active slice as it was.
        """
        genes = complete(self._full_structure, self.full, configuration)
        structure = subnet(self._full_structure, genes)
        inputs = structure["width"]
        self.stem.set_active(self.stem.weight.shape[1], inputs)
        self.stem_norm.set_active(inputs)
        for stage, blocks in enumerate(self._kept(structure)):
            outputs = int(stage_width(structure, stage, structure["width"]))
            sizes = zip(structure["hidden"][stage], structure["kernel"][stage], strict=True)
            for block, (hidden, kernel) in zip(blocks, sizes, strict=True):
                block.set_active(inputs, outputs, hidden, kernel)
                inputs = outputs
        self.head.set_active(inputs, self.head.weight.shape[0])
        self._structure, self._active = structure, genes

    def _kept(self, structure: Mapping[str, Any]) -> list[list[ElasticBlock]]:
        return [
            elastic_blocks_of(stage)[:depth]
            for stage, depth in zip(self.stages, structure["depth"], strict=True)
        ]

    def active(self) -> Mapping[str, Any]:
        return dict(self._active)

    def forward(self, x: Tensor) -> Tensor:
        blocks = chain.from_iterable(self._kept(self._structure))
        return classify(self, self._structure, blocks, x)

    def structure(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """The structure a configuration extracts to; `UserError` outside the full network."""
        genes = complete(self._full_structure, self.full, configuration)
        return subnet(self._full_structure, genes)

    def extract(self) -> Cnn:
        return Cnn(
            dict(self._structure),
            self.stem.extract(),
            self.stem_norm.extract(),
            [[block.extract() for block in blocks] for blocks in self._kept(self._structure)],
            self.head.extract(),
        ).train(self.training)

    def sort_by_importance(self) -> None:
        """Reorder channels by the L1 norm of what reads them (Cai et al. 2020, sec. 3.3).

        Narrower subnets then keep the channels that matter. The full network's outputs stay, up to
        the order of sums. Weights change in place: call it between trainings, not within one.
        """
        sort_network(self.units())

    def units(self) -> list[Units]:
        named = [
            (f"stages.{stage}.{place}", block)
            for stage, blocks in enumerate(self._kept(self._full_structure))
            for place, block in enumerate(blocks)
        ]
        return list(channel_units(self.stem, self.stem_norm, named, self.head))


def elastic_blocks_of(stage: nn.Module) -> list[ElasticBlock]:
    return [block for block in stage.children() if isinstance(block, ElasticBlock)]
