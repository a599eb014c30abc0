"""Images as patches (Dosovitskiy et al. 2021, eq. 1): one convolution, a class token before all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from stillhouse.core.cost.sheet import Cells, Operator
from stillhouse.core.elastic import ElasticConv2d, ElasticEmbedding
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.front_ends.contract import ElasticPart, Facts, FrontEnd


def patched(x: Tensor, projection: nn.Module, token: Tensor) -> Tensor:
    """Images (batch, channels, height, width), or (batch, height, width) of one channel, to
    (batch, 1 + patches, features): `token` (1, features), then the patches row by row.

    What a last patch lacks is cut.
    """
    images = x[:, None] if x.dim() == 3 else x
    found = projection(images).flatten(2).transpose(1, 2)
    return torch.cat([token.expand(len(x), 1, -1), found], 1)


@final
class PatchProjection(nn.Module):
    """The class token and the projected patches of an image, see `patched`."""

    def __init__(self, projection: nn.Conv2d, token: nn.Embedding) -> None:
        super().__init__()
        self.projection, self.token = projection, token

    def forward(self, x: Tensor) -> Tensor:
        return patched(x, self.projection, self.token.weight)


@final
class ElasticPatchProjection(ElasticPart):
    """`PatchProjection` over the first features; an image's channels are all used."""

    def __init__(self, plain: PatchProjection) -> None:
        super().__init__()
        self.projection = ElasticConv2d.from_plain(plain.projection)
        self.token = ElasticEmbedding.from_plain(plain.token)

    def set_active(self, width: int) -> None:
        self.projection.set_active(self.projection.inputs, width)
        self.token.set_active(width)

    def forward(self, x: Tensor) -> Tensor:
        return patched(x, self.projection, self.token.table())

    def extract(self) -> PatchProjection:
        return PatchProjection(self.projection.extract(), self.token.extract())


@final
class Patches(FrontEnd):
    """Facts: `patch`, the sides (height, width) of a patch, and `channels`.

    Inputs are (channels, height, width), or (height, width) of one channel.
    """

    kind = "patches"

    def skeleton(self, facts: Facts, width: int) -> PatchProjection:
        sides = tuple(facts["patch"])
        weight = torch.empty(1, width, device="meta")
        return PatchProjection(
            nn.Conv2d(facts["channels"], width, sides, sides, device="meta"),
            nn.Embedding(1, width, _weight=weight),
        )

    def elastic(self, plain: nn.Module) -> ElasticPatchProjection:
        if not isinstance(plain, PatchProjection):
            raise TypeError(f"expected a PatchProjection, came {type(plain).__name__}")
        return ElasticPatchProjection(plain)

    def positions(self, facts: Facts, input_shape: Sequence[int]) -> int:
        """One for each patch and one for the class token; `UserError` for other images."""
        channels, *sides = (1, *input_shape) if len(input_shape) == 2 else input_shape
        if len(sides) != 2 or channels != facts["channels"]:
            raise UserError(
                f"patches: expected inputs of shape ({facts['channels']}, height, width), the task "
                f"gives {tuple(input_shape)}"
            )
        counts = [side // patch for side, patch in zip(sides, facts["patch"], strict=True)]
        if min(counts) < 1:
            raise UserError(
                f"patches: expected images of at least one patch {tuple(facts['patch'])}, the "
                f"task gives {tuple(sides)}; choose a smaller patch"
            )
        return 1 + int(math.prod(counts))

    def rows(
        self, facts: Facts, input_shape: Sequence[int], width: Cells, active: Cells | float
    ) -> Iterator[Operator]:
        """The convolution, the class token, and the copy that joins them."""
        positions = self.positions(facts, input_shape)
        always: dict[str, Any] = {"active": active, "outputs": width}
        convolution = {
            **always,
            "inputs": facts["channels"],
            "kernel": math.prod(facts["patch"]),
            "positions": positions - 1,
            "read_positions": math.prod(input_shape[-2:]),
            "bias": 1,
        }
        yield Operator("front_end.projection", "conv2d", "front_end", convolution)
        token = {**always, "inputs": 1, "positions": 0}
        yield Operator("front_end.token", "table", "embedding", token)
        yield Operator(
            "front_end.join", "elementwise", "front_end", {**always, "positions": positions}
        )
