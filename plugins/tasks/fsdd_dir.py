"""The Free Spoken Digit Dataset as its authors publish it, with a speaker held out if wanted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from stillhouse.core.errors import DataError, UserError, nearest
from stillhouse.core.evaluate import Classification, Task
from stillhouse.plugins.tasks import labels, partition
from stillhouse.plugins.tasks.audio_features import extracted
from stillhouse.plugins.tasks.audio_inputs import analysis_of, waveforms, waves
from stillhouse.plugins.tasks.class_folders import Labelled
from stillhouse.plugins.tasks.partition import Parts
from stillhouse.plugins.tasks.recordings import Demand
from stillhouse.plugins.tasks.spoken_digits import LABELS
from stillhouse.plugins.tasks.waveform_folder import least, preparation
from stillhouse.plugins.tasks.waveform_params import FsddDirParams

AUDIO_HZ: Final = 8000
"""Of every recording in the set."""
_NAME: Final = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<take>\d+)\.wav")


def build(params: FsddDirParams) -> Task:
    """Spoken digits under `params.path`, the repository's folder or its `recordings`.

    With `held_out` that speaker's clips are the test split, and the others' are divided among the
    rest by digit; without, every speaker is in every split. Raises `DataError` naming the first
    file that is broken or out of place, `UserError` for an unknown speaker or settings that do not
    fit together.
    """
    found, speakers = _recordings(Path(params.path))
    parts = _parts(params, found, speakers)
    return (_waveform if params.features == "waveform" else _framed)(params, found, parts)


def _recordings(root: Path) -> tuple[Labelled, list[str]]:
    """The recordings in order of their names, and who speaks in each."""
    inner = root / "recordings"
    folder = inner if inner.is_dir() else root
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing there"
        raise DataError(f"{root}: expected the folder of the spoken digits, found {found}")
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    matches = [_NAME.fullmatch(path.name) for path in files]
    for path, match in zip(files, matches, strict=True):
        if match is None or not path.is_file():
            raise DataError(
                f"{path}: expected a recording named DIGIT_SPEAKER_TAKE.wav, such as "
                "7_jackson_32.wav; move it elsewhere"
            )
    named = [match for match in matches if match is not None]
    if not named:
        raise DataError(f"{folder}: expected recordings named DIGIT_SPEAKER_TAKE.wav, found none")
    targets = np.array([int(match["digit"]) for match in named], np.int64)
    return Labelled(files, targets, LABELS), [match["speaker"] for match in named]


def _parts(params: FsddDirParams, found: Labelled, speakers: list[str]) -> Parts:
    names = [path.name for path in found.files]
    if params.held_out is None:
        labels.enough(found.targets, LABELS, partition.FEWEST, params.path)
        return partition.exact(names, found.targets, params.split_seed)
    known = sorted(set(speakers))
    if params.held_out not in known:
        raise UserError(
            f"held_out: expected one of the speakers {', '.join(known)}, "
            f"got {params.held_out!r}{nearest(params.held_out, known)}"
        )
    theirs = np.array([speaker == params.held_out for speaker in speakers])
    others = f"{params.path}, all speakers but {params.held_out}"
    labels.enough(found.targets[~theirs], LABELS, partition.FEWEST - 1, others)
    return partition.held_out(names, found.targets, np.flatnonzero(theirs), params.split_seed)


def _waveform(params: FsddDirParams, found: Labelled, parts: Parts) -> Task:
    demand = least(AUDIO_HZ, params.seconds, resample=False, mono=False)
    inputs = waveforms(
        waves(found.files, found.targets.tolist(), demand, params.audio_hz),
        len(found.files),
        round(params.seconds * params.audio_hz),
        normalise=True,
    )
    data = partition.assemble(inputs, found.targets, parts)
    shift = round(params.shift_ms * params.audio_hz / 1000)
    said = preparation(params.seconds, params.audio_hz, normalise=True)
    return Classification(
        "fsdd-dir", data, LABELS, shift=shift, noise=params.noise, preparation=said
    )


def _framed(params: FsddDirParams, found: Labelled, parts: Parts) -> Task:
    analysis = analysis_of(params)
    fewest = analysis.window * AUDIO_HZ // params.audio_hz
    demand = Demand(AUDIO_HZ, params.seconds, fewest, resample=False, mono=False)
    clips = extracted(waves(found.files, found.targets.tolist(), demand, params.audio_hz), analysis)
    frames = analysis.frames(round(params.seconds * params.audio_hz))
    inputs = clips.standardised(parts["train"]).fitted(frames)
    data = partition.assemble(inputs, found.targets, parts)
    shift = round(params.shift_ms / params.hop_ms)
    mask = round(params.mask_ms / params.hop_ms)
    return Classification("fsdd-dir", data, LABELS, shift=shift, noise=params.noise, mask=mask)
