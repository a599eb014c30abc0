"""Feature frames: one linear layer to the encoder's width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import final

from torch import Tensor, nn

from stillhouse.core.cost.sheet import Cells, Operator
from stillhouse.core.elastic import ElasticLinear
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.front_ends.contract import ElasticPart, Facts, FrontEnd


def projected(x: Tensor, projection: nn.Module) -> Tensor:
    """(batch, positions, features) to (batch, positions, width); rows of one matrix inside.

    With two axes the product exports as one Gemm.
    """
    rows: Tensor = projection(x.flatten(0, 1))
    return rows.view(*x.shape[:2], -1)


def projection_row(inputs: int, positions: int, width: Cells, active: Cells | float) -> Operator:
    """The row of `projected`."""
    cells: dict[str, Cells | float] = {
        "active": active, "inputs": inputs, "outputs": width, "positions": positions, "bias": 1,
    }  # fmt: skip
    return Operator("front_end.projection", "linear", "front_end", cells)


@final
class ProjectedFrames(nn.Module):
    """Frames (batch, frames, features) to (batch, frames, width)."""

    def __init__(self, projection: nn.Linear) -> None:
        super().__init__()
        self.projection = projection

    def forward(self, x: Tensor) -> Tensor:
        return projected(x, self.projection)


@final
class ElasticFrames(ElasticPart):
    """`ProjectedFrames` to the first features of its width."""

    def __init__(self, plain: ProjectedFrames) -> None:
        super().__init__()
        self.projection = ElasticLinear.from_plain(plain.projection)

    def set_active(self, width: int) -> None:
        self.projection.set_active(self.projection.inputs, width)

    def forward(self, x: Tensor) -> Tensor:
        return projected(x, self.projection)

    def extract(self) -> ProjectedFrames:
        return ProjectedFrames(self.projection.extract())


@final
class Frames(FrontEnd):
    """Facts: `features`, those of one frame. Inputs are (frames, features)."""

    kind = "frames"

    def skeleton(self, facts: Facts, width: int) -> ProjectedFrames:
        return ProjectedFrames(nn.Linear(facts["features"], width, device="meta"))

    def elastic(self, plain: nn.Module) -> ElasticFrames:
        if not isinstance(plain, ProjectedFrames):
            raise TypeError(f"expected ProjectedFrames, came {type(plain).__name__}")
        return ElasticFrames(plain)

    def positions(self, facts: Facts, input_shape: Sequence[int]) -> int:
        """One for each frame; `UserError` unless the inputs are (frames, features)."""
        if len(input_shape) != 2 or input_shape[1] != facts["features"]:
            raise UserError(
                f"frames: expected inputs of shape (frames, {facts['features']}), the task gives "
                f"{tuple(input_shape)}; use a task of feature frames, such as audio-folder"
            )
        return int(input_shape[0])

    def rows(
        self, facts: Facts, input_shape: Sequence[int], width: Cells, active: Cells | float
    ) -> Iterator[Operator]:
        positions = self.positions(facts, input_shape)
        yield projection_row(facts["features"], positions, width, active)
