"""The elastic twin of an encoder: the full network's weights, of which a subnet uses a slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

from torch import Tensor, nn

from stillhouse.core.elastic import (
    ElasticAttention,
    ElasticFeedForward,
    ElasticLayerNorm,
    ElasticLinear,
    Units,
)
from stillhouse.core.elastic.sorting import sort_heads, sort_hidden
from stillhouse.core.evaluate import ElasticModule, Padded
from stillhouse.plugins.models.encoder.front_ends import front_end
from stillhouse.plugins.models.encoder.front_ends.choice import ElasticChoice
from stillhouse.plugins.models.encoder.genes import complete, gene_values, subnet
from stillhouse.plugins.models.encoder.network import Encoder, Layer, encode, kept_positions, layer
from stillhouse.plugins.models.encoder.positions import elastic_positions
from stillhouse.plugins.models.transformer.genes import kept
from stillhouse.plugins.models.transformer.pruning import layer_units


@final
class ElasticLayer(nn.Module):
    """`Layer` with elastic width, heads and hidden features."""

    def __init__(self, plain: Layer, chunk: int | None) -> None:
        super().__init__()
        self.norm1 = ElasticLayerNorm.from_plain(plain.norm1)
        self.attention = ElasticAttention.from_plain(plain.attention)
        self.norm2 = ElasticLayerNorm.from_plain(plain.norm2)
        self.feed_forward = ElasticFeedForward.from_plain(plain.feed_forward, chunk)
        self.before = plain.before

    def set_active(self, width: int, heads: int, hidden: int) -> None:
        self.norm1.set_active(width)
        self.attention.set_active(width, heads)
        self.norm2.set_active(width)
        self.feed_forward.set_active(width, hidden)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return layer(self, x, mask)

    def extract(self) -> Layer:
        return Layer(
            self.norm1.extract(),
            self.attention.extract(),
            self.norm2.extract(),
            self.feed_forward.extract(),
            before=self.before,
        )


@final
class ElasticEncoder(ElasticModule, Padded):
    """An `Encoder` whose width, depth, heads, hidden features and front end can be chosen.

    State dict keys and shapes are those of the plain network it was made from. Layer i of a
    shallower subnet is the i-th of those it keeps (`kept_layers`); `tap` says which that is.
    """

    def __init__(self, plain: Encoder) -> None:
        super().__init__()
        facts = plain.structure
        self._full_structure, self._structure = dict(facts), subnet(facts, {})
        self.full = gene_values(facts)
        self._active = dict(self.full)
        self._layers = list(range(facts["depth"]))
        self.front_end = front_end(facts["front_end"]).elastic(plain.front_end)
        self.positions = elastic_positions(plain.positions)
        self.norm = None if plain.norm is None else ElasticLayerNorm.from_plain(plain.norm)
        self.layers = nn.ModuleList(
            ElasticLayer(one, facts["chunk"]) for one in plain.layers if isinstance(one, Layer)
        )
        final = plain.final_norm
        self.final_norm = None if final is None else ElasticLayerNorm.from_plain(final)
        self.pooler = None if plain.pooler is None else ElasticLinear.from_plain(plain.pooler)
        self.head = None if plain.head is None else ElasticLinear.from_plain(plain.head)

    @classmethod
    def from_plain(cls, plain: Encoder) -> Self:
        return cls(plain).train(plain.training)

    def set_active(self, configuration: Mapping[str, Any]) -> None:
        """Absent genes take the full network's values; per-layer genes may be one number.

        Raises `UserError` (a ValueError), leaving the active slice as it was.
        """
        found = subnet(self._full_structure, configuration)
        active = complete(self._full_structure, configuration)
        if isinstance(self.front_end, ElasticChoice):
            self.front_end.choose(active["front_end"])
        self._set_width(found["width"])
        self._layers = list(kept(self._full_structure, found["depth"]))
        for one, heads, hidden in zip(self._kept(), found["heads"], found["hidden"], strict=True):
            one.set_active(found["width"], heads, hidden)
        self._structure, self._active = found, active

    def _set_width(self, width: int) -> None:
        for part in (self.front_end, self.positions, self.norm, self.final_norm):
            if part is not None:
                part.set_active(width)
        if self.pooler is not None:
            self.pooler.set_active(width, width)
        if self.head is not None:
            self.head.set_active(width, self.head.outputs)

    def _kept(self) -> list[ElasticLayer]:
        layers = (self.layers[place] for place in self._layers)
        return [one for one in layers if isinstance(one, ElasticLayer)]

    def active(self) -> Mapping[str, Any]:
        return dict(self._active)

    def forward(self, x: Tensor) -> Tensor:
        return encode(self, self._structure, self._kept(), x)

    def real_positions(self, inputs: Tensor) -> Tensor | None:
        return kept_positions(self._structure, inputs)

    def structure(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """The structure a configuration extracts to; `UserError` outside the full network."""
        return subnet(self._full_structure, configuration)

    def tap(self, name: str, configuration: Mapping[str, Any]) -> str:
        """`layers.2` of the subnet may be `layers.3` here."""
        first, _, rest = name.partition(".")
        place, _, inside = rest.partition(".")
        if first != "layers" or not place.isdecimal():
            return name
        depth = int(configuration.get("depth", self._full_structure["depth"]))
        there = kept(self._full_structure, depth)[int(place)]
        return ".".join(filter(None, ("layers", str(there), inside)))

    def sort_by_importance(self) -> None:
        """Heads and hidden features of every layer; the width keeps its order.

        A positional convolution's groups tie the width's features to their places.
        """
        for one in self.layers:
            if isinstance(one, ElasticLayer):
                sort_heads(one.attention)
                sort_hidden(one.feed_forward)

    def units(self) -> list[Units]:
        layers = [one for one in self.layers if isinstance(one, ElasticLayer)]
        return [
            found
            for place, one in enumerate(layers)
            for found in layer_units(f"layers.{place}", one.attention, one.feed_forward)
        ]

    def extract(self) -> Encoder:
        positions = self.positions
        return Encoder(
            dict(self._structure),
            self.front_end.extract(),
            None if positions is None else positions.extract(),
            None if self.norm is None else self.norm.extract(),
            [one.extract() for one in self._kept()],
            None if self.final_norm is None else self.final_norm.extract(),
            None if self.pooler is None else self.pooler.extract(),
            None if self.head is None else self.head.extract(),
        ).train(self.training)
