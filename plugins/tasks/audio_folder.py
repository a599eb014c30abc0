"""The user's own recordings: one folder a class, frames of MFCC or log-mel energies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from stillhouse.core.errors import DataError, UserError
from stillhouse.core.evaluate import Classification, Task
from stillhouse.plugins.tasks import labels, partition
from stillhouse.plugins.tasks.audio_features import Analysis, extracted, resampled
from stillhouse.plugins.tasks.info import AudioFolderParams
from stillhouse.plugins.tasks.recordings import Demand, Wave, classes, decoded


def build(params: AudioFolderParams) -> Task:
    """A classification task over the recordings under `params.path`, classes in sorted order.

    Splits follow the file names, so a recording stays in its split when others are added. Raises
    `DataError` naming the first file that is broken or out of place, and `UserError` for analysis
    settings that do not fit together.
    """
    root, analysis = Path(params.path), _analysis(params)
    members = classes(root, params.ignore)
    names = tuple(members)
    files = [path for paths in members.values() for path in paths]
    targets = np.repeat(np.arange(len(names)), [len(paths) for paths in members.values()])
    labels.enough(targets, names, partition.FEWEST, str(root))
    clips = extracted(_waves(files, params, analysis.window), analysis)
    places = [path.relative_to(root).as_posix() for path in files]
    parts = partition.lasting(places, targets, params.split_seed)
    inputs = clips.standardised(parts["train"]).fitted(_frames(params, analysis))
    data = partition.assemble(inputs, targets, parts)
    return Classification(
        "audio-folder", data, names, shift=params.shift, noise=params.noise, mask=params.mask
    )


def _analysis(params: AudioFolderParams) -> Analysis:
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


def _frames(params: AudioFolderParams, analysis: Analysis) -> int:
    return analysis.frames(round(params.seconds * params.audio_hz))


def _waves(files: Sequence[Path], params: AudioFolderParams, fewest: int) -> Iterator[Wave]:
    demand = Demand(params.audio_hz, params.seconds, fewest, params.resample, params.mono)
    heard: dict[bytes, Path] = {}
    for path in files:
        wave, audio_hz = decoded(path, demand)
        wave = resampled(wave, audio_hz, params.audio_hz)
        twin = heard.setdefault(hashlib.sha256(wave.tobytes()).digest(), path)
        if twin.parent != path.parent:
            raise DataError(
                f"{path}: holds the same sound as {twin}, of another class; "
                "one of them is mislabelled, remove it"
            )
        yield wave
