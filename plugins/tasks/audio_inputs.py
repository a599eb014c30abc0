"""Recordings as what a model takes: frames of MFCC or log-mel energies, or the waveform itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError, UserError
from stillhouse.plugins.tasks.audio_features import Analysis, resampled
from stillhouse.plugins.tasks.recordings import Demand, Wave, decoded

_FLOOR = 1e-7
"""Added to a clip's variance, as HuBERT's and wav2vec 2.0's feature extractors do."""


class Framing(Protocol):
    """The parameters of tasks that cut recordings into frames."""

    @property
    def audio_hz(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def window_ms(self) -> float: ...
    @property
    def hop_ms(self) -> float: ...
    @property
    def features(self) -> str: ...
    @property
    def mels(self) -> int: ...
    @property
    def coefficients(self) -> int: ...


def waves(
    files: Sequence[Path], targets: Sequence[int], demand: Demand, audio_hz: int
) -> Iterator[Wave]:
    """Each recording as `decoded`, at `audio_hz`; `targets` are their classes.

    Raises `DataError` as `decoded` does, and for one sound in two classes.
    """
    heard: dict[bytes, int] = {}
    for number, path in enumerate(files):
        samples, found_hz = decoded(path, demand)
        wave = resampled(samples, found_hz, audio_hz)
        twin = heard.setdefault(hashlib.sha256(wave.tobytes()).digest(), number)
        if targets[twin] != targets[number]:
            raise DataError(
                f"{path}: holds the same sound as {files[twin]}, of another class; "
                "one of them is mislabelled, remove it"
            )
        yield wave


def analysis_of(params: Framing) -> Analysis:
    """How frames are made; `UserError` for settings that do not fit together."""
    if params.features == "mfcc" and params.coefficients > params.mels:
        raise UserError(
            f"coefficients: expected at most {params.mels}, the number of mels, "
            f"got {params.coefficients}; lower it or raise mels"
        )
    if params.window_ms > 1000 * params.seconds:
        raise UserError(
            f"window_ms: expected at most {1000 * params.seconds:g}, the length of a clip, "
            f"got {params.window_ms:g}; lower it or raise seconds"
        )
    return Analysis(
        audio_hz=params.audio_hz,
        window=round(params.window_ms * params.audio_hz / 1000),
        hop=round(params.hop_ms * params.audio_hz / 1000),
        mels=params.mels,
        coefficients=params.coefficients if params.features == "mfcc" else None,
    )


def waveforms(
    waves: Iterable[Wave], clips: int, samples: int, *, normalise: bool
) -> NDArray[np.float32]:
    """(clips, samples): the middle of long clips, short ones with silence on both sides.

    With `normalise` each clip has mean 0 and variance 1, silence around it not counted.
    """
    fitted = np.zeros((clips, samples), np.float32)
    for row, wave in zip(fitted, waves, strict=True):
        start = max(0, (len(wave) - samples) // 2)
        kept = wave[start : start + samples]
        if normalise:
            kept = (kept - kept.mean()) / np.sqrt(kept.var() + _FLOOR)
        before = (samples - len(kept)) // 2
        row[before : before + len(kept)] = kept
    return fitted
