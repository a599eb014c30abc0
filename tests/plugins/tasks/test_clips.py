from __future__ import annotations

import numpy as np

from stillhouse.plugins.tasks.clips import Clips

CLIPS = [np.arange(2 * n, dtype=np.float32).reshape(n, 2) + 1 for n in (3, 4, 5, 8)]
PACKED = Clips(np.concatenate(CLIPS), np.array([3, 4, 5, 8]))


def test_short_clips_are_centred_between_zeros() -> None:
    fitted = PACKED.fitted(8)
    for clip, frames in zip(CLIPS, fitted, strict=True):
        before = (8 - len(clip)) // 2
        expected = np.zeros((8, 2), np.float32)
        expected[before : before + len(clip)] = clip
        np.testing.assert_array_equal(frames, expected)


def test_long_clips_keep_their_middle() -> None:
    np.testing.assert_array_equal(PACKED.fitted(4)[3], CLIPS[3][2:6])
    assert PACKED.fitted(3).shape == (4, 3, 2)


def test_training_clips_alone_set_the_scale() -> None:
    train = np.array([1, 3])
    scaled = PACKED.standardised(train)
    known = np.concatenate([CLIPS[1], CLIPS[3]])
    np.testing.assert_allclose(
        scaled.values, (PACKED.values - known.mean(0)) / known.std(0), rtol=1e-6
    )
    louder = Clips(PACKED.values.copy(), PACKED.lengths)
    louder.values[:3] *= 100
    again = louder.standardised(train)
    np.testing.assert_array_equal(again.values[3:], scaled.values[3:])


def test_a_constant_feature_becomes_zero() -> None:
    values = np.full((6, 1), 0.1, np.float32)
    scaled = Clips(values, np.array([2, 4])).standardised(np.array([0, 1]))
    assert np.abs(scaled.values).max() < 1e-6
