"""The user's own recordings: one folder a class, as raw waveforms."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stillhouse.core.evaluate import Classification, Task
from stillhouse.plugins.tasks import labels, partition
from stillhouse.plugins.tasks.audio_inputs import waveforms, waves
from stillhouse.plugins.tasks.class_folders import class_folders
from stillhouse.plugins.tasks.recordings import Demand
from stillhouse.plugins.tasks.waveform_params import WaveformFolderParams

SHORTEST_MS: Final = 25.0
"""What a recording must last: the receptive field of HuBERT's front end."""


def build(params: WaveformFolderParams) -> Task:
    """A classification task over the recordings under `params.path`, classes in sorted order.

    Inputs are (samples,). Splits follow the file names, so a recording stays in its split when
    others are added. Raises `DataError` naming the first file that is broken or out of place.
    """
    found = class_folders(params.path, params.ignore)
    labels.enough(found.targets, found.names, partition.FEWEST, params.path)
    demand = least(params.audio_hz, params.seconds, params.resample, params.mono)
    parts = partition.lasting(found.places(Path(params.path)), found.targets, params.split_seed)
    inputs = waveforms(
        waves(found.files, found.targets.tolist(), demand, params.audio_hz),
        len(found.files),
        round(params.seconds * params.audio_hz),
        normalise=params.normalise,
    )
    data = partition.assemble(inputs, found.targets, parts)
    shift = round(params.shift_ms * params.audio_hz / 1000)
    return Classification(
        "waveform-folder", data, found.names, shift=shift, noise=params.noise,
        preparation=preparation(params.seconds, params.audio_hz, normalise=params.normalise),
    )  # fmt: skip


def least(audio_hz: int, seconds: float, resample: bool, mono: bool) -> Demand:
    """What a recording must be to be taken as a waveform."""
    fewest = round(SHORTEST_MS * audio_hz / 1000)
    shortest = "what an encoder of waveforms sees at once"
    return Demand(audio_hz, seconds, fewest, resample, mono, shortest, "lengthen it")


def preparation(seconds: float, audio_hz: int, *, normalise: bool) -> str:
    """How an input is made, for a model card."""
    scaled = ", each clip scaled to mean 0 and variance 1" if normalise else ""
    return (
        f"Inputs are {seconds:g} s of mono sound at {audio_hz} Hz, float32{scaled}; longer clips "
        "lose both ends, shorter ones get silence on both sides."
    )
