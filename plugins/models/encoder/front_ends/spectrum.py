"""Power spectra and mel bands as layers with fixed weights: their cost is the network's own."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.plugins.models.encoder.constants import Constants


@final
class PowerSpectrum(nn.Module, Constants):
    """Waveforms (batch, samples) to |X|^2 (batch, bins, frames), a Hann window on every frame.

    The short-time Fourier transform as one convolution: of each frame of `window` samples, `hop`
    apart, the cosine and sine parts at the frequencies of `n_fft` points (window <= n_fft),
    0 to half the sampling rate. Frame j covers the samples from hop * j on; none is padded.
    """

    def __init__(self, window: int, hop: int, n_fft: int) -> None:
        super().__init__()
        self.window, self.hop, self.n_fft = window, hop, n_fft
        self.fourier: Tensor
        shape = (2 * bins(n_fft), 1, window)
        self.register_buffer("fourier", torch.empty(shape, device="meta"))

    def fill(self) -> None:
        self.fourier.copy_(fourier_matrix(self.window, self.n_fft)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        parts = functional.conv1d(x[:, None], self.fourier, stride=self.hop).square()
        cosine, sine = parts.chunk(2, 1)
        return cosine + sine


def bins(n_fft: int) -> int:
    """Frequencies of a real transform of so many points."""
    return n_fft // 2 + 1


def fourier_matrix(window: int, n_fft: int) -> Tensor:
    """Windowed cosines, then sines: (2 * bins, window), float32 of float64 arithmetic.

    The window is the periodic Hann window (Harris 1978, eq. 27a).
    """
    samples = torch.arange(window, dtype=torch.float64)
    hann = 0.5 - 0.5 * torch.cos(2 * math.pi * samples / window)
    # Whole turns are taken off first: the cosine of a large angle is less exact.
    turns = torch.outer(torch.arange(bins(n_fft), dtype=torch.float64), samples) % n_fft
    angles = 2 * math.pi * turns / n_fft
    return (torch.cat([angles.cos(), -angles.sin()]) * hann).float()


def mel_matrix(bands: int, n_fft: int, sample_rate: int) -> Tensor:
    """Triangles of height 1 on O'Shaughnessy's mel scale (1987): (bands, bins), float32.

    2595 log10(1 + f / 700), from 0 Hz to half the sampling rate, each triangle from one
    neighbour's centre to the other's.
    """
    hertz = torch.linspace(0, sample_rate / 2, bins(n_fft), dtype=torch.float64)
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    mels = torch.linspace(0, top, bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mels / 2595) - 1)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (hertz - low) / (centre - low), (high - hertz) / (high - centre)
    return torch.minimum(rising, falling).clamp(min=0).float()
