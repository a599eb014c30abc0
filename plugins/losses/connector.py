"""The map from the student's channels to the teacher's."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn
from torch.nn import functional


@final
class Connector(nn.Module):
    """A 1x1 convolution: (..., width) to (..., outputs), for any width up to `widest`.

    A student of an elastic width uses the map's first columns. With `norm`, batch normalisation
    over batch and positions follows in place of the bias; a batch of a single position, which has
    no variance, is normalised by the running statistics.
    """

    def __init__(self, widest: int, outputs: int, norm: bool = False) -> None:
        super().__init__()
        linear = nn.Linear(widest, outputs, bias=not norm)
        self.weight, self.bias = linear.weight, linear.bias
        self.norm = nn.BatchNorm1d(outputs) if norm else None

    def forward(self, features: Tensor) -> Tensor:
        weight = self.weight[:, : features.shape[-1]]
        mapped = functional.linear(features, weight, self.bias)
        if self.norm is None:
            return mapped
        return _normalised(mapped.flatten(0, -2), self.norm).view_as(mapped)


def _normalised(rows: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    if len(rows) > 1:
        normalised: Tensor = norm(rows)
        return normalised
    mean, variance = norm.running_mean, norm.running_var
    return functional.batch_norm(rows, mean, variance, norm.weight, norm.bias, eps=norm.eps)
