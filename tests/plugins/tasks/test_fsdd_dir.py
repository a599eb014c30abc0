from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from stillhouse.core.errors import DataError, UserError
from stillhouse.core.evaluate import Task
from stillhouse.plugins.tasks.fsdd_dir import build
from stillhouse.plugins.tasks.partition import SHARES
from stillhouse.plugins.tasks.waveform_params import FsddDirParams

SPEAKERS = ("ann", "bob", "eve")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten digits by three speakers, two takes of 0.1 to 0.15 s each, at 8 kHz."""
    folder = tmp_path / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    for digit in range(10):
        for number, speaker in enumerate(SPEAKERS):
            for take in range(2):
                rng = np.random.default_rng(100 * digit + 10 * number + take)
                wave = 0.1 * rng.standard_normal(800 + 200 * number + 100 * take)
                soundfile.write(folder / f"{digit}_{speaker}_{take}.wav", wave, 8000)
    return tmp_path / "fsdd"


def load(root: Path, **params: Any) -> Task:
    return build(FsddDirParams(path=str(root), **({"seconds": 0.2} | params)))


def sizes(task: Task) -> list[int]:
    return [len(task.data.split(name)) for name in SHARES]


def refusal(root: Path, **params: Any) -> str:
    with pytest.raises(UserError) as caught:
        load(root, **params)
    return str(caught.value).removeprefix(f"{root}/recordings/")


@pytest.mark.parametrize(
    ("params", "shape"),
    [
        ({}, (9, 13)),
        ({"features": "log-mel", "mels": 20}, (9, 20)),
        ({"features": "waveform"}, (1600,)),
        ({"features": "waveform", "audio_hz": 16000}, (3200,)),
    ],
)
def test_inputs_are_frames_or_samples(
    root: Path, params: dict[str, Any], shape: tuple[int, ...]
) -> None:
    task = load(root, **params)
    assert (task.input_shape, task.labels[7], task.outputs) == (shape, "seven", 10)
    assert load(root / "recordings", **params).data.sha256 == task.data.sha256


def test_the_held_out_speakers_clips_are_the_test_split(root: Path) -> None:
    everyone, without = load(root, features="waveform"), {}
    for speaker in SPEAKERS:
        task = load(root, features="waveform", held_out=speaker)
        assert sizes(task)[3] == 20
        assert torch.bincount(task.data.test.targets).tolist() == [2] * 10
        assert all(set(task.data.split(n).targets.tolist()) == set(range(10)) for n in SHARES)
        without[speaker] = task
    heard = [task.data.test.inputs for task in without.values()]
    clips = {wave.numpy().tobytes() for waves in heard for wave in waves}
    assert len(clips) == 60 == sum(sizes(everyone))
    lengths = {int((wave != 0).sum()) for wave in without["eve"].data.test.inputs}
    assert lengths == {1200, 1300}


def test_an_unknown_speaker_is_answered_with_the_known_ones(root: Path) -> None:
    said = refusal(root, held_out="evee")
    assert said == "held_out: expected one of the speakers ann, bob, eve, got 'evee'; did you " \
        "mean 'eve'?"  # fmt: skip


def test_a_set_too_small_for_the_splits_is_refused(root: Path) -> None:
    for path in root.glob("recordings/3_bob_*"):
        path.unlink()
    said = refusal(root, held_out="ann")
    assert said.startswith(f"{root}, all speakers but ann: class 3 ('three') has 2 samples, expect")


@pytest.mark.parametrize("name", ["seven.wav", "7_ann.wav", "7_ann_1.mp3", "17_ann_1.wav"])
def test_other_names_are_refused(root: Path, name: str) -> None:
    (root / "recordings" / name).write_bytes(b"")
    said = refusal(root)
    assert said.startswith(f"{name}: expected a recording named DIGIT_SPEAKER_TAKE.wav, such as")


@pytest.mark.parametrize("features", ["waveform", "mfcc"])
def test_wrongly_sampled_stereo_and_short_clips_get_one_clear_error(
    root: Path, features: str
) -> None:
    path = root / "recordings" / "0_ann_0.wav"
    soundfile.write(path, np.zeros(1600), 16000)
    assert refusal(root, features=features).startswith("0_ann_0.wav: expected 8000 Hz, got 16000")
    soundfile.write(path, np.zeros((800, 2)), 8000)
    assert refusal(root, features=features).startswith("0_ann_0.wav: expected one channel, got 2")
    soundfile.write(path, np.zeros(100), 8000)
    assert refusal(root, features=features).startswith("0_ann_0.wav: expected at least ")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: expected the folder of the spoken digits, found n"):
        load(tmp_path / "gone")
    with pytest.raises(DataError, match=r"expected recordings named DIGIT_SPEAKER_TAKE\.wav, "):
        load(tmp_path)


def test_the_real_recordings_load_with_a_speaker_held_out(tmp_path: Path) -> None:
    archive = Path(os.environ.get("STILLHOUSE_FSDD", "fsdd.tar.xz"))
    if not archive.is_file():
        pytest.skip("set STILLHOUSE_FSDD to an archive of the Free Spoken Digit Dataset")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    task = load(tmp_path, features="waveform", held_out="theo", seconds=0.64)
    assert sizes(task) == [1720, 310, 470, 500]
    assert task.input_shape == (5120,)
