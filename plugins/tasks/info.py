"""The built-in tasks, described without importing the code that loads them."""

from __future__ import annotations

from collections.abc import Iterator

from stillhouse.core.plugin import CLASSIFICATION, MULTI_LABEL, Params, TaskInfo, hookimpl, param
from stillhouse.plugins.tasks.text_params import TextCsvParams, VaderSentencesParams
from stillhouse.plugins.tasks.waveform_params import FsddDirParams, WaveformFolderParams

SPLIT_SEED_HELP = "which of the possible splits is drawn"
SHIFT_HELP = "training views move by up to this many frames"
NOISE_HELP = "training views get noise of this standard deviation (features have 1)"
ROWS_HELP = "training views move up or down by up to this many rows"
MASK_HELP = "training views lose up to this many frames in a row"


class SpokenDigitsParams(Params):
    """Run-file parameters of `spoken-digits`."""

    frames: int = param(
        32, low=8, high=96, searchable=False, help="frames a clip is centred in (18 on average)"
    )
    split_seed: int = param(0, low=0, searchable=False, help=SPLIT_SEED_HELP)
    shift: int = param(2, low=0, high=8, searchable=False, help=SHIFT_HELP)
    noise: float = param(0.1, low=0, high=2, searchable=False, help=NOISE_HELP)
    mask: int = param(6, low=0, high=32, searchable=False, help=MASK_HELP)


class NpzParams(Params):
    """Run-file parameters of `npz`."""

    path: str = param(kind="path", searchable=False, help="the .npz file")
    inputs: str = param(
        "x", searchable=False, help="key of the inputs, (samples, frames[, features])"
    )
    targets: str = param(
        "y",
        searchable=False,
        help="key of the labels, whole numbers from 0; or 0 and 1, (samples, labels), where a "
        "sample has any number of them",
    )
    split: str | None = param(
        None,
        searchable=False,
        help="key of each sample's split, by name or as 0 train, 1 tuning, 2 validation, 3 test; "
        "without it `split` where the file has one, else drawn from split_seed",
    )
    classes: list[str] = param((), searchable=False, help="names of the classes, in label order")
    standardise: bool = param(
        True, searchable=False, help="scale each feature by its mean and deviation over train"
    )
    split_seed: int = param(0, low=0, searchable=False, help=SPLIT_SEED_HELP)
    shift: int = param(0, low=0, searchable=False, help=SHIFT_HELP)
    noise: float = param(0.0, low=0, high=2, searchable=False, help=NOISE_HELP)
    mask: int = param(0, low=0, searchable=False, help=MASK_HELP)


class AudioFolderParams(Params):
    """Run-file parameters of `audio-folder`."""

    path: str = param(kind="path", searchable=False, help="folder with one sub-folder a class")
    audio_hz: int = param(
        16000, choices=(8000, 16000), searchable=False, help="sample rate of the files"
    )
    resample: bool = param(False, searchable=False, help="accept other rates and convert them")
    mono: bool = param(False, searchable=False, help="accept several channels and average them")
    ignore: list[str] = param(
        (), searchable=False, help="names at the top of the folder to leave out"
    )
    seconds: float = param(
        1.0, low=0.1, high=30, searchable=False, help="length a clip is centred in"
    )
    window_ms: float = param(
        40.0, low=5, high=200, searchable=False, help="length of one analysis window"
    )
    hop_ms: float = param(
        20.0, low=1, high=200, searchable=False, help="distance between two windows"
    )
    features: str = param(
        "mfcc", choices=("mfcc", "log-mel"), searchable=False, help="what a frame holds"
    )
    mels: int = param(40, low=8, high=128, searchable=False, help="mel bands")
    coefficients: int = param(
        13, low=2, high=128, searchable=False, help="coefficients kept of an MFCC frame"
    )
    split_seed: int = param(0, low=0, searchable=False, help=SPLIT_SEED_HELP)
    shift: int = param(2, low=0, searchable=False, help=SHIFT_HELP)
    noise: float = param(0.1, low=0, high=2, searchable=False, help=NOISE_HELP)
    mask: int = param(6, low=0, searchable=False, help=MASK_HELP)


class Mnist5kParams(Params):
    """Run-file parameters of `mnist-5k`."""

    split_seed: int = param(0, low=0, searchable=False, help=SPLIT_SEED_HELP)
    shift: int = param(1, low=0, high=8, searchable=False, help=ROWS_HELP)
    noise: float = param(0.1, low=0, high=2, searchable=False, help=NOISE_HELP)


@hookimpl
def stillhouse_tasks() -> Iterator[TaskInfo]:
    """The tasks that come with stillhouse."""
    yield TaskInfo(
        name="spoken-digits",
        summary="3,000 spoken digits as MFCC frames, supplied with the package",
        build="stillhouse.plugins.tasks.spoken_digits:build",
        metrics=CLASSIFICATION,
        params=SpokenDigitsParams,
        licence="CC BY-SA 4.0 (data)",
    )
    yield TaskInfo(
        name="npz",
        summary="your own labelled sequences from one .npz file",
        build="stillhouse.plugins.tasks.npz:build",
        # Of one class a sample and of several labels: only the file tells which, and the first
        # metrics are among the second.
        metrics=MULTI_LABEL,
        params=NpzParams,
    )
    yield TaskInfo(
        name="audio-folder",
        summary="your own recordings, one folder a class, as MFCC or log-mel frames",
        build="stillhouse.plugins.tasks.audio_folder:build",
        metrics=CLASSIFICATION,
        params=AudioFolderParams,
        extra="speech",
    )
    yield TaskInfo(
        name="waveform-folder",
        summary="your own recordings, one folder a class, as raw waveforms",
        build="stillhouse.plugins.tasks.waveform_folder:build",
        metrics=CLASSIFICATION,
        params=WaveformFolderParams,
        extra="speech",
    )
    yield TaskInfo(
        name="fsdd-dir",
        summary="the Free Spoken Digit Dataset's recordings, with a speaker held out if wanted",
        build="stillhouse.plugins.tasks.fsdd_dir:build",
        metrics=CLASSIFICATION,
        params=FsddDirParams,
        extra="speech",
        licence="CC BY-SA 4.0 (data)",
    )
    yield TaskInfo(
        name="vader-sentences",
        summary="23,703 sentences rated by people, supplied with the package: sentiment, domain",
        build="stillhouse.plugins.tasks.vader_sentences:build",
        metrics=CLASSIFICATION,
        params=VaderSentencesParams,
        extra="text",
        licence="MIT (data)",
    )
    yield TaskInfo(
        name="text-csv",
        summary="your own labelled sentences from one table",
        build="stillhouse.plugins.tasks.text_csv:build",
        metrics=CLASSIFICATION,
        params=TextCsvParams,
        extra="text",
    )
    yield TaskInfo(
        name="mnist-5k",
        summary="5,000 handwritten digits of 28 by 28 pixels, supplied with the package",
        build="stillhouse.plugins.tasks.mnist:build",
        metrics=CLASSIFICATION,
        params=Mnist5kParams,
        licence="BSD-3-Clause (data)",
    )
