from __future__ import annotations

import numpy as np
import pytest

from stillhouse.plugins.tasks.audio_features import AT_ONCE, Analysis, extracted, resampled
from stillhouse.plugins.tasks.recordings import Wave


def analysis(coefficients: int | None) -> Analysis:
    return Analysis(audio_hz=8000, window=256, hop=128, mels=20, coefficients=coefficients)


def waves(count: int) -> list[Wave]:
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.1, 256 + 100 * (i % 7)).astype(np.float32) for i in range(count)]


def test_a_clip_has_as_many_frames_as_whole_windows_fit() -> None:
    clips = extracted(waves(7), analysis(13))
    assert clips.lengths.tolist() == [1, 1, 2, 3, 4, 4, 5]
    assert clips.values.shape == (20, 13)


@pytest.mark.parametrize("coefficients", [13, None])
def test_frames_do_not_depend_on_the_clips_beside_them(coefficients: int | None) -> None:
    many = waves(7)
    loud = [*many[:6], 1000 * many[6]]
    together, beside_loud = (extracted(w, analysis(coefficients)) for w in (many, loud))
    alone = [extracted([wave], analysis(coefficients)).values for wave in many]
    np.testing.assert_allclose(together.values, np.concatenate(alone), atol=1e-4)
    np.testing.assert_array_equal(beside_loud.values[:15], together.values[:15])


def test_clips_beyond_one_batch_keep_their_order() -> None:
    many = waves(AT_ONCE + 3)
    clips = extracted(many, analysis(None))
    last = extracted(many[-1:], analysis(None)).values
    assert len(clips.lengths) == AT_ONCE + 3
    np.testing.assert_allclose(clips.values[-len(last) :], last, atol=1e-4)


def test_resampling_keeps_a_tone_and_halves_its_samples() -> None:
    wave = np.sin(2 * np.pi * 440 * np.arange(3200) / 16000).astype(np.float32)
    expected = np.sin(2 * np.pi * 440 * np.arange(1600) / 8000)
    half = resampled(wave, 16000, 8000)
    assert half.shape == (1600,)
    assert np.abs(half - expected)[50:-50].max() < 0.02
    assert resampled(wave, 8000, 8000) is wave
