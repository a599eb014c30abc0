from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.foreign.whisper import from_whisper, to_whisper
from stillhouse.plugins.models.encoder.whisper import WhisperFamily
from stillhouse.plugins.models.info import WhisperParams

Make = Callable[..., nn.Module]
Tell = Callable[..., Tensor]

FAMILY = WhisperFamily()
SIZES: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 64,
    "decoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 32, "vocab_size": 60,
    "max_source_positions": 9, "num_mel_bins": 8, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
FRAMES = torch.randn(3, 8, 18, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def whole(tiny: Make) -> nn.Module:
    return tiny("WhisperModel", "WhisperConfig", **SIZES)


@pytest.fixture
def whisper(whole: nn.Module) -> nn.Module:
    encoder: nn.Module = whole.encoder  # type: ignore[assignment]  # transformers' own
    return encoder


def test_a_translated_model_answers_as_transformers_does(whisper: nn.Module, told: Tell) -> None:
    found, expected = told(FAMILY.translated(whisper), FRAMES), told(whisper, FRAMES)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_shorter_clip_is_encoded_alone(whisper: nn.Module, told: Tell) -> None:
    assert told(from_whisper(whisper), FRAMES[..., :7]).shape == (3, 4, 32)


def test_a_whole_model_is_refused(whole: nn.Module) -> None:
    with pytest.raises(UserError, match=r"came a whole WhisperModel; give model.get_encoder\(\)"):
        FAMILY.translated(whole)


def test_a_saved_subnet_loads_in_transformers_with_its_outputs(
    whisper: nn.Module, told: Tell, tmp_path: Path
) -> None:
    elastic = FAMILY.elastic(from_whisper(whisper))
    elastic.set_active({"width": 16, "depth": 1, "heads": 2, "ffn_ratio": 1.0})
    network = elastic.extract()
    assert network.layers[0].attention.qkv_bias[1].abs().max() == 0
    nn.init.normal_(network.layers[0].attention.qkv_bias)  # of keys too: it changes no output
    FAMILY.save_foreign(network, tmp_path)
    loaded = type(whisper).from_pretrained(tmp_path).eval()  # type: ignore[attr-defined]
    torch.testing.assert_close(told(loaded, FRAMES), told(network, FRAMES), atol=1e-4, rtol=0)


def test_weights_of_a_folder_are_taken_from_encoders_and_from_whole_models(
    whole: nn.Module, told: Tell, tmp_path: Path
) -> None:
    theirs = {"encoder": whole.encoder, "whole": whole}
    for name, model in theirs.items():
        model.save_pretrained(tmp_path / name)  # type: ignore[operator,union-attr]
        params = WhisperParams(folder=str(tmp_path / name), input="mel")
        structure = FAMILY.structure(params, (8, 18), 0)
        network = FAMILY.build(structure, torch.Generator().manual_seed(0)).eval()
        network.load_state_dict(dict(FAMILY.pretrained(params, structure) or {}), strict=True)
        expected = told(whole.encoder, FRAMES)
        torch.testing.assert_close(told(network, FRAMES), expected, atol=1e-4, rtol=0)


def test_the_spectrum_is_the_feature_extractors(transformers: Any) -> None:
    from stillhouse.plugins.models.encoder.front_ends.whisper_spectrum import WhisperSpectrum

    spectrum = WhisperSpectrum.sized(80).to_empty(device="cpu")
    spectrum.fill()
    extractor = transformers.WhisperFeatureExtractor()
    for samples in (201, 4000, 4039, 4041, 8123):
        clip = 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))
        expected = extractor(
            clip.numpy(), sampling_rate=16_000, padding="do_not_pad", return_tensors="pt"
        ).input_features
        torch.testing.assert_close(spectrum(clip[None]), expected, atol=1e-4, rtol=0)


def test_learned_positions_are_refused(whisper: nn.Module) -> None:
    network = from_whisper(whisper)
    network.structure = {
        **network.structure, "positions": {"kind": "table", "count": 9, "learned": True},
    }  # fmt: skip
    with pytest.raises(UserError, match="WhisperEncoder has no positions with 'learned: True'"):
        to_whisper(network)
