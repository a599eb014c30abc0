"""Several networks as one: the ensemble that is itself deployed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError

_LEAST = 1e-12


@final
class SeveralNetworks(nn.Module):
    """Inputs (batch, ...) to logits (batch, classes): the weighted mixture of its networks.

    Of `probabilities` the logarithm of sum_k w_k softmax(z_k / T) (with `sigmoid`, the logits of
    its labels), of `logits` sum_k w_k z_k / T. Weights (networks,) and T are buffers. `views` are
    the channels that each network sees, () for all.
    """

    weights: Tensor
    temperature: Tensor

    def __init__(
        self,
        networks: Sequence[nn.Module],
        views: Sequence[Sequence[int]],
        kind: str,
        sigmoid: bool,
    ) -> None:
        super().__init__()
        if not networks or len(networks) != len(views):
            raise UserError(f"ensemble: expected a view for each of {len(networks)} networks")
        self.networks = nn.ModuleList(networks)
        self._views, self._kind, self._sigmoid = [list(v) for v in views], kind, sigmoid
        self.register_buffer("weights", torch.full((len(networks),), 1 / len(networks)))
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, inputs: Tensor) -> Tensor:
        scores = [
            network(inputs[..., view] if view else inputs) / self.temperature
            for network, view in zip(self.networks, self._views, strict=True)
        ]
        if self._kind == "logits" or len(scores) == 1:
            return self._sum(scores)
        if not self._sigmoid:
            return self._sum([one.softmax(-1) for one in scores]).clamp_min(_LEAST).log()
        present = self._sum([one.sigmoid() for one in scores]).clamp_min(_LEAST)
        absent = self._sum([(-one).sigmoid() for one in scores]).clamp_min(_LEAST)
        return present.log() - absent.log()

    def _sum(self, parts: Sequence[Tensor]) -> Tensor:
        total = self.weights[0] * parts[0]
        for place, part in enumerate(parts[1:], 1):
            total = total + self.weights[place] * part
        return total
