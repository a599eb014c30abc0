"""The user's own recordings: one folder a class, frames of MFCC or log-mel energies."""

from __future__ import annotations

from pathlib import Path

from stillhouse.core.evaluate import Classification, Task
from stillhouse.plugins.tasks import labels, partition
from stillhouse.plugins.tasks.audio_features import extracted
from stillhouse.plugins.tasks.audio_inputs import analysis_of, waves
from stillhouse.plugins.tasks.class_folders import class_folders
from stillhouse.plugins.tasks.info import AudioFolderParams
from stillhouse.plugins.tasks.recordings import Demand


def build(params: AudioFolderParams) -> Task:
    """A classification task over the recordings under `params.path`, classes in sorted order.

    Splits follow the file names, so a recording stays in its split when others are added. Raises
    `DataError` naming the first file that is broken or out of place, and `UserError` for analysis
    settings that do not fit together.
    """
    analysis, found = analysis_of(params), class_folders(params.path, params.ignore)
    labels.enough(found.targets, found.names, partition.FEWEST, params.path)
    demand = Demand(params.audio_hz, params.seconds, analysis.window, params.resample, params.mono)
    clips = extracted(waves(found.files, found.targets.tolist(), demand, params.audio_hz), analysis)
    parts = partition.lasting(found.places(Path(params.path)), found.targets, params.split_seed)
    frames = analysis.frames(round(params.seconds * params.audio_hz))
    inputs = clips.standardised(parts["train"]).fitted(frames)
    data = partition.assemble(inputs, found.targets, parts)
    return Classification(
        "audio-folder", data, found.names, shift=params.shift, noise=params.noise, mask=params.mask
    )
