"""The log-mel spectrum that Whisper hears, from fixed matrices, so that its cost counts."""

from __future__ import annotations

import math
from typing import Final, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.plugins.models.encoder.constants import Constants

WINDOW: Final = 400
HOP: Final = 160
LEFT: Final = WINDOW // 2
"""Samples mirrored before the clip, so that frame t is centred on sample 160 t."""
BINS: Final = WINDOW // 2 - 1
"""Frequencies between 0 and 8 kHz. The two ends, which no mel filter hears, are left out."""
_SAMPLE_RATE: Final = 16_000
_FLOOR: Final = 1e-10
_DECADES: Final = 8.0
"""How far below the clip's peak a value may lie."""


@final
class WhisperSpectrum(nn.Module, Constants):
    """Waveforms (batch, samples) at 16 kHz to log-mel (batch, mels, samples // 160).

    As `WhisperFeatureExtractor` does to a clip that it does not pad: Hann window of 25 ms, Slaney's
    mel filters, base-10 logarithm, at most 80 dB below the clip's peak, (x + 4) / 4. The Fourier
    and the mel matrix are stored with the network but are no parameters.
    """

    fourier: Tensor
    mel: Tensor

    def __init__(self, fourier: Tensor, mel: Tensor) -> None:
        super().__init__()
        self.register_buffer("fourier", fourier)
        self.register_buffer("mel", mel)

    @classmethod
    def sized(cls, mels: int) -> Self:
        """A skeleton on the meta device, to be filled."""
        fourier = torch.empty(2 * BINS, 1, WINDOW, device="meta")
        return cls(fourier, torch.empty(mels, BINS, 1, device="meta"))

    def fill(self) -> None:
        self.fourier.copy_(_fourier())
        self.mel.copy_(mel_filters(len(self.mel)))

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x[:, None], (LEFT, padding_right(x.shape[1])), "reflect")
        parts = functional.conv1d(padded, self.fourier, stride=HOP)
        power = parts.view(len(x), 2, BINS, -1).square().sum(1)
        decibels = functional.conv1d(power, self.mel).clamp(min=_FLOOR).log10()
        quietest = decibels.amax((1, 2), keepdim=True) - _DECADES
        return (torch.maximum(decibels, quietest) + 4) / 4


def padding_right(samples: int) -> int:
    """Mirrored samples after a clip: no more than the last whole hop needs."""
    return max(0, WINDOW - HOP - LEFT - samples % HOP)


def _fourier() -> Tensor:
    """Cosines, then sines, of the whole frequencies 1 to 199, windowed: (398, 1, 400)."""
    place = torch.arange(WINDOW, dtype=torch.float64)
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * place / WINDOW)
    turns = torch.arange(1, BINS + 1, dtype=torch.float64)[:, None] * place
    angle = 2 * math.pi / WINDOW * (turns % WINDOW)
    return (torch.cat([angle.cos(), angle.sin()]) * window)[:, None]


def mel_filters(mels: int) -> Tensor:
    """Slaney's triangles of equal area over 0 to 8 kHz, read at the bins: (mels, 199, 1)."""
    frequency = torch.arange(1, BINS + 1, dtype=torch.float64) * _SAMPLE_RATE / WINDOW
    top = _mel(_SAMPLE_RATE / 2)
    edges = torch.tensor(
        [_hertz(top * i / (mels + 1)) for i in range(mels + 2)], dtype=torch.float64
    )
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequency - low) / (centre - low), (high - frequency) / (high - centre)
    triangles = torch.minimum(rising, falling).clamp(min=0) * 2 / (high - low)
    return triangles[..., None]


_LINEAR_TO: Final = 1000.0
_MEL_AT_LINEAR_TO: Final = 15.0
_LOG_STEP: Final = math.log(6.4) / 27


def _mel(hertz: float) -> float:
    if hertz < _LINEAR_TO:
        return hertz * 3 / 200
    return _MEL_AT_LINEAR_TO + math.log(hertz / _LINEAR_TO) / _LOG_STEP


def _hertz(mel: float) -> float:
    if mel < _MEL_AT_LINEAR_TO:
        return mel * 200 / 3
    return _LINEAR_TO * math.exp(_LOG_STEP * (mel - _MEL_AT_LINEAR_TO))
