"""MFCC and log-mel frames of recordings, computed for many clips at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.tasks.clips import Clips
from stillhouse.plugins.tasks.recordings import Wave
from stillhouse.plugins.tasks.torchaudio_shim import torchaudio

AT_ONCE = 64
"""Clips held as waves and transformed together; bounds memory."""

LOG_OFFSET = 1e-6
"""Added to mel energies before the logarithm, as torchaudio's MFCC does."""


@dataclass(frozen=True)
class Analysis:
    """How waves become frames; `window` and `hop` in samples at `audio_hz`.

    `coefficients` of an MFCC frame, or None for the log-mel energies themselves.
    """

    audio_hz: int
    window: int
    hop: int
    mels: int
    coefficients: int | None

    def frames(self, samples: int) -> int:
        """Whole windows in that many samples; frames never reach beyond the recording."""
        return 1 + (samples - self.window) // self.hop


def extracted(waves: Iterable[Wave], analysis: Analysis) -> Clips:
    """Frames of each wave (samples,), at least one window long.

    Logarithms of mel energies and no decibel floor, so that a clip's frames do not depend on the
    clips beside it. Raises `UserError` when the mel bands are too narrow for the window.
    """
    transform, values = _transform(analysis), list[Wave]()
    for chunk in _chunks(iter(waves)):
        values += _frames(chunk, transform, analysis)
    return Clips(np.concatenate(values), np.array([len(frames) for frames in values], np.int64))


def resampled(wave: Wave, from_hz: int, to_hz: int) -> Wave:
    """The wave at another rate, by windowed-sinc interpolation."""
    if from_hz == to_hz:
        return wave
    converted: Tensor = torchaudio().functional.resample(torch.from_numpy(wave), from_hz, to_hz)
    return converted.numpy()


def _chunks(waves: Iterator[Wave]) -> Iterator[list[Wave]]:
    while chunk := list(islice(waves, AT_ONCE)):
        yield chunk


@torch.no_grad()
def _frames(waves: Sequence[Wave], transform: nn.Module, analysis: Analysis) -> list[Wave]:
    padded = nn.utils.rnn.pad_sequence([torch.from_numpy(wave) for wave in waves], True)
    bands: Tensor = transform(padded)
    if analysis.coefficients is None:
        bands = (bands + LOG_OFFSET).log()
    frames = bands.transpose(1, 2).numpy()
    counts = [analysis.frames(len(wave)) for wave in waves]
    return [clip[:count] for clip, count in zip(frames, counts, strict=True)]


def _transform(analysis: Analysis) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            return _built(analysis)
        except UserWarning as narrow:
            raise UserError(
                f"mels: {analysis.mels} bands are too narrow for windows of {analysis.window} "
                f"samples at {analysis.audio_hz} Hz; lower mels or lengthen window_ms"
            ) from narrow


def _built(analysis: Analysis) -> nn.Module:
    transforms = torchaudio().transforms
    mel = {
        "n_fft": analysis.window,
        "hop_length": analysis.hop,
        "n_mels": analysis.mels,
        "center": False,
    }
    built: nn.Module
    if analysis.coefficients is None:
        built = transforms.MelSpectrogram(analysis.audio_hz, **mel)
    else:
        built = transforms.MFCC(
            analysis.audio_hz, analysis.coefficients, log_mels=True, melkwargs=mel
        )
    return built
