"""FT: a paraphrase of the teacher's features, translated from the student's."""

from __future__ import annotations

from typing import Final, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.plugins.losses.connector import Connector
from stillhouse.plugins.losses.features import pairs, unit

_SLOPE: Final = 0.1
_TINY: Final = 1e-5


@final
class FT(HintLoss):
    """|F_T / |F_T|_2 - F_S / |F_S|_2|_1, mean over the batch.

    F_T are the teacher's factors, the code of an autoencoder (the paraphraser) of half its
    channels; F_S are the student's, from a translator of the encoder's form. Kim et al.,
    arXiv:1802.04977, equations (1) to (3), paraphrase rate 0.5, with 1x1 convolutions for its 3x3
    so that any number of position axes fits.

    The paper trains the paraphraser first. Here it learns beside the student from its own
    reconstruction error, which has a gradient but adds nothing to the value: the value is what the
    student learns from. The student moves no part of the paraphraser and the reverse. `begin` sets
    mean and scale of the teacher's channels, so that the error is relative.
    """

    def __init__(self, shapes: HintShapes) -> None:
        super().__init__(shapes)
        self.paraphrasers = nn.ModuleList(_Paraphraser(outputs) for _, outputs in shapes.widths)
        self.translators = nn.ModuleList(
            _encoder(widest, _factors(outputs)) for widest, outputs in shapes.widths
        )

    def begin(self, hints: Hints) -> None:
        for paraphraser, (_, teacher) in zip(self.paraphrasers, pairs(hints), strict=True):
            cast("_Paraphraser", paraphraser).start(teacher)

    def forward(self, hints: Hints) -> Tensor:
        parts = zip(self.paraphrasers, self.translators, pairs(hints), strict=True)
        losses = []
        for paraphraser, translator, (student, teacher) in parts:
            factors, error = paraphraser(teacher)
            own, other = translator(student).flatten(1), factors.detach().flatten(1)
            losses += [(unit(own) - unit(other)).abs().sum(1).mean(), error - error.detach()]
        return torch.stack(losses).sum()


@final
class _Paraphraser(nn.Module):
    """An autoencoder of (..., width): its code (..., factors), and its mean squared error."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder, self.decoder = _encoder(width, _factors(width)), _decoder(width)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def start(self, features: Tensor) -> None:
        """Mean and scale of the channels; a constant channel keeps a scale of 1."""
        variance, mean = torch.var_mean(features.flatten(0, -2), dim=0, correction=0)
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(variance > 0, variance, 1).sqrt().clamp(min=_TINY))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        inputs = (features - self.mean) / self.scale
        factors = self.encoder(inputs)
        return factors, functional.mse_loss(self.decoder(factors), inputs)


def _factors(width: int) -> int:
    return max(1, width // 2)


def _encoder(width: int, factors: int) -> nn.Sequential:
    steps = ((width, width), (width, factors), (factors, factors))
    return nn.Sequential(*(_layer(*step) for step in steps))


def _decoder(width: int) -> nn.Sequential:
    factors = _factors(width)
    steps = ((factors, factors), (factors, width))
    return nn.Sequential(*(_layer(*step) for step in steps), Connector(width, width))


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(Connector(inputs, outputs, norm=True), nn.LeakyReLU(_SLOPE))
