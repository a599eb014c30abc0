from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from stillhouse.core.errors import DataError
from stillhouse.core.evaluate import Task
from stillhouse.plugins.tasks.audio_inputs import waveforms
from stillhouse.plugins.tasks.partition import SHARES
from stillhouse.plugins.tasks.waveform_folder import build
from stillhouse.plugins.tasks.waveform_params import WaveformFolderParams

CLASSES = ("high", "low")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of six clips between 0.05 and 0.3 s at 16 kHz."""
    for number, name in enumerate(CLASSES):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for clip in range(6):
            samples = 800 * (1 + clip)
            noise = np.random.default_rng(10 * number + clip).normal(0, 0.01, samples)
            wave = 0.1 + 0.3 * np.sin(0.2 * (1 + number) * np.arange(samples)) + noise
            soundfile.write(tmp_path / "clips" / name / f"{clip}.wav", wave, 16000)
    return tmp_path / "clips"


def load(root: Path, **params: Any) -> Task:
    return build(WaveformFolderParams(path=str(root), **({"seconds": 0.2} | params)))


def everything(task: Task) -> torch.Tensor:
    return torch.cat([task.data.split(name).inputs for name in SHARES])


def refusal(root: Path, **params: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(root, **params)
    return str(caught.value).removeprefix(f"{root}/")


def test_recordings_become_waveforms_of_one_length(root: Path) -> None:
    task = load(root)
    assert (task.labels, task.input_shape) == (CLASSES, (3200,))
    assert everything(task).dtype == torch.float32
    assert "0.2 s of mono sound at 16000 Hz" in task.preparation


def test_each_clip_is_scaled_by_itself_silence_not_counted(root: Path) -> None:
    for wave in everything(load(root)):
        sound = wave[wave != 0].double()
        assert abs(sound.mean()) < 1e-3
        assert abs(sound.std(correction=0) - 1) < 1e-3


def test_unscaled_clips_arrive_as_stored(root: Path) -> None:
    stored, _ = soundfile.read(root / "low" / "3.wav", dtype="float32")
    assert len(stored) == 3200
    found = everything(load(root, normalise=False))
    assert any(torch.equal(wave, torch.from_numpy(stored)) for wave in found)


def test_other_rates_are_converted_when_asked(root: Path) -> None:
    before = load(root)
    for path in root.glob("*/*.wav"):
        wave, _ = soundfile.read(path)
        soundfile.write(path, np.repeat(wave, 2), 32000)
    assert load(root, resample=True).input_shape == before.input_shape
    assert refusal(root).startswith("high/0.wav: expected 16000 Hz, got 32000 Hz; set audio_hz")


def test_stereo_and_too_short_clips_get_one_clear_error(root: Path) -> None:
    soundfile.write(root / "low" / "x.wav", np.zeros((4000, 2)), 16000)
    assert refusal(root).startswith("low/x.wav: expected one channel, got 2; convert the file")
    soundfile.write(root / "low" / "x.wav", np.zeros(300), 16000)
    said = "low/x.wav: expected at least 25 ms, what an encoder of waveforms sees at once, got 18.7"
    assert refusal(root).startswith(said)


def test_one_sound_in_two_classes_is_refused(root: Path) -> None:
    shutil.copy(root / "high" / "3.wav", root / "low" / "extra.wav")
    assert refusal(root).startswith("low/extra.wav: holds the same sound as ")


def test_short_waves_are_centred_and_long_ones_keep_their_middle() -> None:
    waves = [np.arange(1, n + 1, dtype=np.float32) for n in (3, 4, 7)]
    found = waveforms(waves, 3, 5, normalise=False)
    assert found.tolist() == [[0, 1, 2, 3, 0], [1, 2, 3, 4, 0], [2, 3, 4, 5, 6]]


def test_silence_stays_silence_when_scaled() -> None:
    assert not waveforms([np.full(4, 0.5, np.float32)], 1, 6, normalise=True).any()


def test_training_views_are_shifted_and_noisy(root: Path) -> None:
    task = load(root, shift_ms=10, noise=0.1)
    inputs = task.data.train.inputs
    view = task.augment(inputs, torch.Generator().manual_seed(0))
    assert view.shape == inputs.shape
    assert not torch.equal(view, inputs)
