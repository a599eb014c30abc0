"""Finding and decoding recordings: a folder of classes, checked file by file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError, UserError

SUFFIXES: Final = (".aif", ".aiff", ".au", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav")
Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Demand:
    """What a recording must be, and what may be done to it: see the task's parameters.

    Recordings longer than `seconds` lose both ends; shorter than `fewest` samples, which is
    `shortest` in words, they are refused with the advice `remedy`.
    """

    audio_hz: int
    seconds: float
    fewest: int
    resample: bool
    mono: bool
    shortest: str = "one window"
    remedy: str = "shorten window_ms"


def classes(root: Path, ignore: Sequence[str]) -> dict[str, list[Path]]:
    """The files of each class, sorted by class and file name.

    Hidden names (those that begin with a dot) are left out everywhere, `ignore` at the top.
    Raises `DataError` for anything that is not a class folder full of audio files.
    """
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing there"
        raise DataError(f"{root}: expected a folder with one sub-folder a class, found {found}")
    top = [path for path in _visible(root) if path.name not in ignore]
    stray = [path for path in top if not path.is_dir()]
    if stray:
        raise DataError(
            f"{stray[0]}: expected class folders only at the top of {root}, got a file; "
            "move it into its class, or list its name under `ignore`"
        )
    if len(top) < 2:
        names = ", ".join(path.name for path in top) or "none"
        raise DataError(f"{root}: expected two class sub-folders or more, found {names}")
    return {folder.name: _members(folder) for folder in top}


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _members(folder: Path) -> list[Path]:
    found = _visible(folder)
    if not found:
        raise DataError(f"{folder}: expected the recordings of a class, found an empty folder")
    for path in found:
        if path.is_dir():
            raise DataError(
                f"{path}: expected audio files in a class folder, got a folder; "
                "a class has no sub-folders, move the files up or make it a class of its own"
            )
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(
                f"{path}: expected an audio file ({', '.join(SUFFIXES)}), got '{path.name}'; "
                "move it out of the class folder"
            )
    return found


def decoded(path: Path, demand: Demand) -> tuple[Wave, int]:
    """One recording, mono, (samples,) at most `demand.seconds` from its middle, and its rate in Hz.

    Raises `DataError` naming the file for everything `demand` rules out.
    """
    soundfile = _soundfile()
    try:
        _whole(path)
        with soundfile.SoundFile(path) as source:
            _check(path, source, demand)
            longest = ceil(demand.seconds * source.samplerate)
            source.seek(max(0, (source.frames - longest) // 2))
            samples: Wave = source.read(longest, dtype="float32", always_2d=True)
            audio_hz, frames = int(source.samplerate), int(source.frames)
    except (OSError, soundfile.SoundFileError) as cause:
        reason = str(cause).rstrip(".").rpartition(": ")[2]
        raise DataError(f"{path}: cannot be decoded, {reason}; repair or remove it") from cause
    if len(samples) < min(longest, frames):
        raise DataError(f"{path}: ends before its {frames} samples; repair or remove it")
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: has NaN or infinite samples; repair or remove it")
    return samples.mean(1), audio_hz


def _whole(path: Path) -> None:
    # libsndfile plays a WAV file that was cut short as if it ended there. Some writers count the
    # 8 bytes of the header; those that write to a pipe leave the size unknown.
    with path.open("rb") as file:
        kind, size = file.read(4), int.from_bytes(file.read(4), "little")
    found = path.stat().st_size
    if kind == b"RIFF" and size not in (0, 0xFFFFFFFF) and found < size:
        raise DataError(f"{path}: ends after {found} of {8 + size} bytes; repair or remove it")


def _check(path: Path, source: Any, demand: Demand) -> None:
    if source.frames == 0:
        raise DataError(f"{path}: is empty, it has no samples; remove it")
    if source.samplerate != demand.audio_hz and not demand.resample:
        raise DataError(
            f"{path}: expected {demand.audio_hz} Hz, got {source.samplerate} Hz; "
            "set audio_hz, convert the file, or set `resample: true`"
        )
    if source.channels != 1 and not demand.mono:
        raise DataError(
            f"{path}: expected one channel, got {source.channels}; "
            "convert the file, or set `mono: true` to average them"
        )
    if source.frames * demand.audio_hz < demand.fewest * source.samplerate:
        raise DataError(
            f"{path}: expected at least {1000 * demand.fewest / demand.audio_hz:g} ms, "
            f"{demand.shortest}, got {1000 * source.frames / source.samplerate:g} ms; "
            f"remove it or {demand.remedy}"
        )


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as missing:
        raise UserError(
            f"expected soundfile to decode recordings, but {missing}; "
            "install it with: pip install 'stillhouse[speech]'"
        ) from missing
    return soundfile
