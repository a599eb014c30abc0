"""Front ends: how many positions, of which samples, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.front_ends import Facts, front_end
from stillhouse.plugins.models.encoder.front_ends.spectrum import PowerSpectrum, mel_matrix
from stillhouse.plugins.models.encoder.front_ends.waveform import receptive_field
from stillhouse.plugins.models.encoder.hubert import HubertFamily
from stillhouse.plugins.models.info import HubertParams

Structure = dict[str, Any]
FAMILY = HubertFamily()


def real(kind: str) -> Facts:
    """HuBERT's windows and steps, with few channels."""
    params = HubertParams(front_end=kind, channels=2, width=16)
    facts: Facts = FAMILY.structure(params, (400,), 0)["front_end"]
    return facts


def answers(facts: Facts, x: Tensor) -> Tensor:
    full = FAMILY.structure(HubertParams(width=16, depth=1, heads=1, head_dim=2), (400,), 0)
    structure = {**full, "front_end": facts, "input_shape": [x.shape[1]]}
    module = FAMILY.build(structure, torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        out: Tensor = module.front_end(x)
    return out


def test_hubert_hears_400_samples_every_320() -> None:
    assert receptive_field(real("waveform")) == (400, 320)
    fbank = real("fbank")
    assert (fbank["window"], fbank["hop"]) == (400, 160)


def test_both_front_ends_give_equally_many_positions_for_every_length() -> None:
    rng = np.random.default_rng(0)
    facts = real("both")
    for samples in {400, 401, 559, 560, 719, 720, *rng.integers(400, 40_000, 200).tolist()}:
        found = {
            front_end(own).positions(own, (samples,))
            for own in (facts, real("waveform"), real("fbank"))
        }
        assert found == {(samples - 400) // 320 + 1}


def test_positions_are_as_many_as_were_counted() -> None:
    for samples in (400, 719, 720, 1041, 5003):
        x = torch.zeros(1, samples)
        for kind in ("waveform", "fbank"):
            facts = real(kind)
            assert answers(facts, x).shape == (1, front_end(facts).positions(facts, (samples,)), 16)


@pytest.mark.parametrize("kind", ["waveform", "fbank"])
def test_an_impulse_is_heard_where_it_sounds(kind: str) -> None:
    """Position t is about the samples from 320 t to 320 t + 400, in both front ends."""
    facts = real(kind)
    quiet = torch.zeros(1, 400 + 320 * 12)
    # The group norm mixes all samples: it is taken out to see what a position hears.
    if kind == "waveform":
        facts = {**facts, "norm": "layer"}
    silence = answers(facts, quiet)
    for position in (2, 6, 9):
        impulse = quiet.clone()
        impulse[0, 320 * position + 200] = 20.0
        change = (answers(facts, impulse) - silence).abs().sum((0, 2))
        assert int(change.argmax()) == position
        far = [t for t in range(13) if abs(t - position) > 2]
        assert change[far].max() == 0


def test_a_clip_shorter_than_the_receptive_field_is_refused() -> None:
    for kind in ("waveform", "fbank", "both"):
        with pytest.raises(UserError, match=r"at least 400 samples, the receptive field .* 399"):
            FAMILY.structure(HubertParams(front_end=kind), (399,), 3)
    with pytest.raises(UserError, match=r"shape \(samples,\), the task gives \(2, 16000\)"):
        FAMILY.structure(HubertParams(), (2, 16_000), 3)


def test_choices_of_different_steps_are_refused(tiny: Callable[..., Structure]) -> None:
    facts = tiny(front_end="both")["front_end"]
    options = {**facts["options"], "fbank": {**facts["options"]["fbank"], "hop": 1}}
    with pytest.raises(UserError, match=r"equally many positions.*waveform 9, fbank 17"):
        front_end(facts).positions({**facts, "options": options}, (40,))


def test_odd_strides_leave_no_room_for_filter_banks(tiny: Callable[..., Structure]) -> None:
    with pytest.raises(UserError, match="product is even"):
        tiny(front_end="fbank", strides=(3, 1))
    with pytest.raises(UserError, match="as many numbers"):
        tiny(strides=(2,))


def test_frames_of_other_features_are_refused() -> None:
    facts = {"kind": "frames", "features": 5}
    assert front_end(facts).positions(facts, (7, 5)) == 7
    with pytest.raises(UserError, match=r"\(frames, 5\), the task gives \(7, 6\)"):
        front_end(facts).positions(facts, (7, 6))
    with pytest.raises(UserError, match=r"expected one of .*'mfcc'"):
        front_end({"kind": "mfcc"})


@pytest.mark.parametrize("points", [400, 512])
def test_the_spectrum_is_that_of_torch(points: int) -> None:
    module = PowerSpectrum(400, 160, points).to_empty(device="cpu")
    module.fill()
    x = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft(x.unfold(1, 400, 160) * torch.hann_window(400), points)
    expected = spectrum.abs().square().transpose(1, 2)
    torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-3)


def test_mel_bands_are_triangles_between_their_neighbours_centres() -> None:
    matrix = mel_matrix(20, 512, 16_000)
    assert matrix.shape == (20, 257)
    assert matrix.max() <= 1
    peaks = matrix.argmax(1).diff()
    assert (peaks > 0).all()
    assert (peaks[10:] >= peaks[:-10]).all()
    centre = 700 * (10 ** (2595 * math.log10(1 + 8000 / 700) * 10 / 21 / 2595) - 1)
    assert abs(float(matrix[9].argmax()) * 16_000 / 512 - centre) < 16_000 / 512


def test_early_frames_do_not_know_the_clips_length() -> None:
    """The mean and deviation of bands are constants."""
    facts = real("fbank")
    x = torch.randn(1, 400 + 320 * 10, generator=torch.Generator().manual_seed(0))
    whole, part = answers(facts, x), answers(facts, x[:, : 400 + 320 * 6])
    torch.testing.assert_close(part[:, :5], whole[:, :5], rtol=1e-5, atol=1e-6)
