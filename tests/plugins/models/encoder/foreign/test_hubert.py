from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.foreign.hubert import from_hubert, read_hubert, to_hubert
from stillhouse.plugins.models.encoder.hubert import HubertFamily

Make = Callable[..., nn.Module]
Tell = Callable[..., Tensor]

FAMILY = HubertFamily()
SIZES: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64,
    "conv_dim": (6, 5), "conv_kernel": (4, 3), "conv_stride": (2, 2),
    "num_conv_pos_embeddings": 6, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
CLASSES = [
    ("HubertModel", "HubertConfig", {}),
    ("HubertModel", "HubertConfig", {"num_conv_pos_embeddings": 5, "hidden_act": "relu"}),
    ("HubertModel", "HubertConfig", {"feat_proj_layer_norm": False, "layer_norm_eps": 1e-3}),
    ("HubertModel", "HubertConfig", LARGE),
    ("Wav2Vec2Model", "Wav2Vec2Config", {}),
    ("Wav2Vec2Model", "Wav2Vec2Config", LARGE),
]
CLIPS = torch.randn(2, 61, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def hubert(tiny: Make) -> Make:
    return lambda **sizes: tiny("HubertModel", "HubertConfig", **{**SIZES, **sizes})


@pytest.mark.parametrize(("model", "config", "changes"), CLASSES)
def test_a_translated_model_answers_as_transformers_does(
    tiny: Make, told: Tell, model: str, config: str, changes: dict[str, Any]
) -> None:
    theirs = tiny(model, config, **{**SIZES, **changes})
    found, expected = told(FAMILY.translated(theirs), CLIPS), told(theirs, CLIPS)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_the_positional_weight_is_resolved_before_it_is_sliced(hubert: Make) -> None:
    theirs = hubert()
    conv = theirs.encoder.pos_conv_embed.conv  # type: ignore[union-attr]  # transformers' own
    elastic = FAMILY.elastic(from_hubert(theirs))
    elastic.set_active({"width": 16})
    sliced = elastic.extract().positions.conv.weight
    expected = conv.weight[:16, :4]  # type: ignore[index,union-attr]
    torch.testing.assert_close(sliced, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("changes", [{}, LARGE], ids=["base", "large"])
@pytest.mark.parametrize("width", [32, 16])
def test_a_saved_subnet_loads_in_transformers_with_its_outputs(
    transformers: Any,
    hubert: Make,
    told: Tell,
    tmp_path: Path,
    changes: dict[str, Any],
    width: int,
) -> None:
    elastic = FAMILY.elastic(from_hubert(hubert(**changes)))
    elastic.set_active({"width": width, "depth": 2, "heads": width // 8, "ffn_ratio": 1.5})
    network = elastic.extract()
    assert FAMILY.save_foreign(network, tmp_path).startswith("a transformers HubertModel")
    loaded = transformers.AutoModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(told(loaded, CLIPS), told(network, CLIPS), atol=1e-4, rtol=0)


def as_now(name: str) -> str:
    return name


def as_before(name: str) -> str:
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        name = name.replace(f"parametrizations.weight.{new}", old)
    return f"hubert.{name}"


@pytest.mark.parametrize("named", [as_now, as_before])
def test_weights_of_a_folder_are_taken(
    hubert: Make, told: Tell, tmp_path: Path, named: Callable[[str], str]
) -> None:
    from safetensors.torch import load_file, save_file

    theirs, weights = hubert(), tmp_path / "model.safetensors"
    theirs.save_pretrained(tmp_path)  # type: ignore[operator]  # transformers' own
    save_file({named(name): tensor for name, tensor in load_file(weights).items()}, weights)
    network = from_hubert(theirs)
    state = read_hubert(tmp_path, network.structure)
    for weight in network.parameters():
        nn.init.zeros_(weight)
    network.load_state_dict(state, strict=True)
    torch.testing.assert_close(told(network, CLIPS), told(theirs, CLIPS), atol=1e-4, rtol=0)


def test_wavlm_is_refused_by_its_gated_positions(tiny: Make) -> None:
    wavlm = tiny("WavLMModel", "WavLMConfig", **SIZES)
    with pytest.raises(UserError, match=r"wavlm: .* no gated relative position bias"):
        FAMILY.translated(wavlm)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"add_adapter": True}, "adapter behind the last layer"),
        ({"adapter_attn_dim": 4, **LARGE}, "adapters inside the layers"),
        ({"feat_extract_activation": "relu"}, "other activation in the convolutions"),
        ({"hidden_act": "silu"}, "activation 'silu'"),
    ],
)
def test_a_model_that_we_cannot_have_is_refused_by_its_part(
    tiny: Make, changes: dict[str, Any], part: str
) -> None:
    theirs = tiny("Wav2Vec2Model", "Wav2Vec2Config", **{**SIZES, **changes})
    with pytest.raises(UserError, match=f"wav2vec2: stillhouse encoders have no .*{part}"):
        from_hubert(theirs)


def test_batch_norm_before_the_positions_is_refused(hubert: Make) -> None:
    with pytest.raises(UserError, match="no batch norm before the positional convolution"):
        from_hubert(hubert(conv_pos_batch_norm=True))


def test_a_network_that_hubert_cannot_be_is_refused(hubert: Make) -> None:
    elastic = FAMILY.elastic(from_hubert(hubert()))
    elastic.set_active({"heads": [4, 2, 4]})
    with pytest.raises(UserError, match="HubertModel has no heads that differ between layers"):
        to_hubert(elastic.extract())
