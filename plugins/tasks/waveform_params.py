"""Run-file parameters of the tasks over raw waveforms."""

from __future__ import annotations

from stillhouse.core.plugin import Params, param

SECONDS_HELP = "length a clip is centred in"
SHIFT_HELP = "training views move by up to this much"
NOISE_HELP = "training views get noise of this standard deviation (normalised clips have 1)"
SPLIT_SEED_HELP = "which of the possible splits is drawn"


class WaveformFolderParams(Params):
    """Run-file parameters of `waveform-folder`."""

    path: str = param(kind="path", searchable=False, help="folder with one sub-folder a class")
    audio_hz: int = param(
        16000, choices=(8000, 16000), searchable=False, help="sample rate of the files"
    )
    resample: bool = param(False, searchable=False, help="accept other rates and convert them")
    mono: bool = param(False, searchable=False, help="accept several channels and average them")
    ignore: list[str] = param(
        (), searchable=False, help="names at the top of the folder to leave out"
    )
    seconds: float = param(1.0, low=0.1, high=30, searchable=False, help=SECONDS_HELP)
    normalise: bool = param(
        True, searchable=False, help="scale each clip to mean 0 and variance 1, as HuBERT expects"
    )
    split_seed: int = param(0, low=0, searchable=False, help=SPLIT_SEED_HELP)
    shift_ms: float = param(20.0, low=0, high=1000, searchable=False, help=SHIFT_HELP)
    noise: float = param(0.05, low=0, high=2, searchable=False, help=NOISE_HELP)


class FsddDirParams(Params):
    """Run-file parameters of `fsdd-dir`."""

    path: str = param(
        kind="path", searchable=False, help="the Free Spoken Digit Dataset, or its recordings"
    )
    held_out: str | None = param(
        None, searchable=False, help="speaker whose clips are the test split; none: all in all"
    )
    features: str = param(
        "mfcc",
        choices=("waveform", "mfcc", "log-mel"),
        searchable=False,
        help="what an input holds: samples, each clip normalised, or frames of these",
    )
    audio_hz: int = param(
        8000, choices=(8000, 16000), searchable=False, help="sample rate of the inputs"
    )
    seconds: float = param(0.64, low=0.1, high=3, searchable=False, help=SECONDS_HELP)
    window_ms: float = param(
        40.0, low=5, high=200, searchable=False, help="length of one analysis window"
    )
    hop_ms: float = param(
        20.0, low=1, high=200, searchable=False, help="distance between two windows"
    )
    mels: int = param(40, low=8, high=128, searchable=False, help="mel bands")
    coefficients: int = param(
        13, low=2, high=128, searchable=False, help="coefficients kept of an MFCC frame"
    )
    split_seed: int = param(0, low=0, searchable=False, help=SPLIT_SEED_HELP)
    shift_ms: float = param(40.0, low=0, high=1000, searchable=False, help=SHIFT_HELP)
    noise: float = param(0.1, low=0, high=2, searchable=False, help=NOISE_HELP)
    mask_ms: float = param(
        120.0,
        low=0,
        high=1000,
        searchable=False,
        help="training views lose up to this much of their frames in a row; waveforms nothing",
    )
