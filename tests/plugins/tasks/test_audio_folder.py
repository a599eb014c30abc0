from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from stillhouse.core.errors import DataError, UserError
from stillhouse.core.evaluate import Task
from stillhouse.plugins.tasks.audio_folder import build
from stillhouse.plugins.tasks.info import AudioFolderParams
from stillhouse.plugins.tasks.partition import SHARES

SETTINGS: dict[str, Any] = {
    "audio_hz": 8000, "seconds": 0.4, "window_ms": 32, "hop_ms": 16, "mels": 20
}  # fmt: skip
CLASSES = ("high", "low", "mid")


def tone(pitch_hz: float, samples: int, seed: int, audio_hz: int = 8000) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.01, samples)
    return 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(samples) / audio_hz) + noise


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three classes of eight clips between 0.2 and 0.55 s at 8 kHz."""
    for number, name in enumerate(CLASSES):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for clip in range(8):
            wave = tone(400 * (1 + number), 1600 + 400 * clip, 8 * number + clip)
            soundfile.write(tmp_path / "clips" / name / f"{clip}.wav", wave, 8000)
    return tmp_path / "clips"


def load(root: Path, **params: Any) -> Task:
    return build(AudioFolderParams(path=str(root), **(SETTINGS | params)))


def refusal(root: Path, **params: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(root, **params)
    return str(caught.value).removeprefix(f"{root}/")


def everything(task: Task) -> torch.Tensor:
    return torch.cat([task.data.split(name).inputs for name in SHARES])


def test_folders_become_classes_and_files_frames(root: Path) -> None:
    task = load(root)
    assert task.labels == CLASSES
    assert task.input_shape == (24, 13)
    assert len(everything(task)) == 24
    for name in SHARES:
        assert set(task.data.split(name).targets.tolist()) == {0, 1, 2}


def test_log_mel_frames_hold_one_value_a_band(root: Path) -> None:
    assert load(root, features="log-mel").input_shape == (24, 20)


def test_tones_are_told_apart_by_their_strongest_band(root: Path) -> None:
    train = load(root, features="log-mel").data.train
    bands = torch.stack([train.inputs[train.targets == c].mean((0, 1)) for c in range(3)])
    assert len(set(bands.argmax(1).tolist())) == 3


def test_loading_twice_gives_the_same_data(root: Path) -> None:
    assert load(root).data.sha256 == load(root).data.sha256
    assert load(root, split_seed=1).data.sha256 != load(root).data.sha256


def test_the_folder_may_move(root: Path) -> None:
    before = load(root).data.sha256
    assert load(root.rename(root.parent / "moved")).data.sha256 == before


def test_hidden_and_ignored_names_are_left_out(root: Path) -> None:
    before = load(root).data.sha256
    (root / ".DS_Store").write_bytes(b"x")
    (root / "low" / ".hidden").write_bytes(b"x")
    (root / "README.md").write_text("about")
    (root / "_noise_").mkdir()
    assert load(root, ignore=["README.md", "_noise_"]).data.sha256 == before


def test_other_rates_are_converted_when_asked(root: Path) -> None:
    expected = load(root, features="log-mel")
    for path in sorted(root.glob("*/*.wav")):
        samples = soundfile.info(path).frames
        pitch_hz = 400 * (1 + CLASSES.index(path.parent.name))
        soundfile.write(path, tone(pitch_hz, 2 * samples, samples, 16000), 16000)
    task = load(root, features="log-mel", resample=True)
    assert task.input_shape == expected.input_shape
    for label in range(3):
        one, other = (t.data.train.inputs[t.data.train.targets == label] for t in (task, expected))
        assert one.mean((0, 1)).argmax() == other.mean((0, 1)).argmax()


def test_channels_are_averaged_when_asked(root: Path) -> None:
    before = load(root)
    for path in sorted(root.glob("*/*.wav")):
        wave, audio_hz = soundfile.read(path)
        soundfile.write(path, np.stack([wave, wave], 1), audio_hz)
    torch.testing.assert_close(everything(load(root, mono=True)), everything(before))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    said = refusal(tmp_path / "gone")
    assert (
        said
        == f"{tmp_path}/gone: expected a folder with one sub-folder a class, found nothing there"
    )


def test_a_file_in_place_of_the_folder_is_named(root: Path) -> None:
    assert refusal(root / "low" / "0.wav").endswith("one sub-folder a class, found a file")


def test_a_folder_without_classes_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: expected two class sub-folders or more, found none"


def test_one_class_is_not_enough(root: Path) -> None:
    shutil.rmtree(root / "low")
    shutil.rmtree(root / "mid")
    assert refusal(root) == f"{root}: expected two class sub-folders or more, found high"


def test_a_class_too_small_for_the_splits_is_named(root: Path) -> None:
    for clip in range(5):
        (root / "mid" / f"{clip}.wav").unlink()
    assert refusal(root).startswith(f"{root}: class 2 ('mid') has 3 samples, expected at least 4")


def copy_over(root: Path) -> None:
    shutil.copy(root / "high" / "3.wav", root / "low" / "extra.wav")


def empty_class(root: Path) -> None:
    (root / "new").mkdir()


def nested(root: Path) -> None:
    (root / "low" / "more").mkdir()


def infinite(root: Path) -> None:
    soundfile.write(root / "low" / "x.wav", np.full(4000, np.inf), 8000, subtype="FLOAT")


def cut_short(name: str, samples: int) -> Callable[[Path], object]:
    def halve(root: Path) -> None:
        path = root / "low" / name
        soundfile.write(path, tone(500, samples, 0), 8000)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    return halve


def audio(samples: int, audio_hz: int = 8000, channels: int = 1) -> Callable[[Path], object]:
    wave = np.repeat(tone(500, samples, 99)[:, None], channels, 1)
    return lambda root: soundfile.write(root / "low" / "x.wav", wave, audio_hz)


def content(name: str, raw: bytes) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(raw)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file beside the classes": (
        content("0.wav", b"RIFF"),
        "0.wav: expected class folders only at the top of ",
    ),
    "a folder inside a class": (
        nested,
        "low/more: expected audio files in a class folder, got a f",
    ),
    "an empty class": (empty_class, "new: expected the recordings of a class, found an empty fold"),
    "another kind of file": (
        content("low/a.txt", b"hi"),
        "low/a.txt: expected an audio file (.aif",
    ),
    "text named wav": (
        content("low/x.wav", b"hello, this is no sound"),
        "low/x.wav: cannot be dec",
    ),
    "no bytes": (content("low/x.wav", b""), "low/x.wav: cannot be decoded, "),
    "half a FLAC file": (cut_short("x.flac", 20000), "low/x.flac: cannot be decoded, "),
    "half an MP3 file": (cut_short("x.mp3", 20000), "low/x.mp3: ends before its 20000 samples; "),
    "half a WAV file": (cut_short("x.wav", 4000), "low/x.wav: ends after 4022 of 8044 bytes; rep"),
    "a dangling link": (
        lambda root: (root / "low" / "x.wav").symlink_to("gone.wav"),
        "low/x.wav: cannot be decoded, ",
    ),
    "no samples": (audio(0), "low/x.wav: is empty, it has no samples; remove it"),
    "another rate": (audio(8000, 16000), "low/x.wav: expected 8000 Hz, got 16000 Hz; set audio_hz"),
    "two channels": (
        audio(4000, channels=2),
        "low/x.wav: expected one channel, got 2; convert the",
    ),
    "too short": (audio(200), "low/x.wav: expected at least 32 ms, one window, got 25 ms; remove"),
    "not finite": (infinite, "low/x.wav: has NaN or infinite samples; repair or remove it"),
    "one sound in two classes": (copy_over, "low/extra.wav: holds the same sound as "),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_data_get_one_error_naming_the_file(root: Path, case: str) -> None:
    breaking, expected = BROKEN[case]
    breaking(root)
    assert refusal(root).startswith(expected)


def test_a_wrong_rate_names_both_and_the_way_out(root: Path) -> None:
    said = refusal(root, audio_hz=16000)
    assert said.startswith("high/0.wav: expected 16000 Hz, got 8000 Hz; ")
    assert "`resample: true`" in said


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"coefficients": 30}, "coefficients: expected at most 20, the number of mels, got 30"),
        ({"window_ms": 200, "seconds": 0.1}, "window_ms: expected at most 100, the length of a c"),
        ({"mels": 128}, "mels: 128 bands are too narrow for windows of 256 samples at 8000 Hz"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    root: Path, params: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UserError, match=expected):
        load(root, **params)
