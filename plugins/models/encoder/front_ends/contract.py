"""What a front end is: inputs to positions of the encoder's width, and what that costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from stillhouse.core.cost.sheet import Cells, Operator

Facts = Mapping[str, Any]
"""A structure's `front_end`: its kind, and what else decides its shape."""


class ElasticPart(nn.Module, ABC):
    """A part whose output width can be chosen; weights are prefixes."""

    @abstractmethod
    def set_active(self, width: int) -> None:
        """`UserError` (a ValueError) beyond the full width."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def extract(self) -> nn.Module:
        """The plain part of the active width, with copied weights."""


class FrontEnd(ABC):
    """One kind of front end. Final, built without arguments, no state."""

    kind: str

    @abstractmethod
    def skeleton(self, facts: Facts, width: int) -> nn.Module:
        """On the meta device: inputs (batch, *input_shape) to (batch, positions, width)."""

    @abstractmethod
    def elastic(self, plain: nn.Module) -> ElasticPart:
        """The elastic twin of such a part, with its weights copied."""

    @abstractmethod
    def positions(self, facts: Facts, input_shape: Sequence[int]) -> int:
        """Positions that an input gives; `UserError` for an input that is too short."""

    @abstractmethod
    def rows(
        self, facts: Facts, input_shape: Sequence[int], width: Cells, active: Cells | float
    ) -> Iterator[Operator]:
        """Operators of one inference; `width` and `active` over candidates."""
