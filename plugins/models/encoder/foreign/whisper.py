"""Whisper's encoder (Radford et al. 2023) in transformers' naming."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.foreign.assembly import assembled, weights_of
from stillhouse.plugins.models.encoder.foreign.checks import check_same
from stillhouse.plugins.models.encoder.foreign.configurations import whisper_config
from stillhouse.plugins.models.encoder.foreign.files import (
    read_config,
    read_weights,
    without_prefix,
)
from stillhouse.plugins.models.encoder.foreign.names import (
    LayerNames,
    Names,
    module_names,
    ours,
    theirs,
)
from stillhouse.plugins.models.encoder.foreign.saving import saved
from stillhouse.plugins.models.encoder.foreign.shapes import whisper_structure
from stillhouse.plugins.models.encoder.network import Encoder

_LAYERS: Final = LayerNames(
    "layers.{}.",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    out="self_attn.out_proj",
    norm1="self_attn_layer_norm",
    norm2="final_layer_norm",
    up="fc1",
    down="fc2",
)
_POSITIONS: Final = "positions.table"
_REMARK: Final = (
    "load it with WhisperEncoder.from_pretrained(folder) and give it the log-mel frames of "
    "WhisperFeatureExtractor"
)


def from_whisper(model: nn.Module) -> Encoder:
    """A `WhisperEncoder` as a plain encoder without a head, fed with log-mel (mels, frames).

    It also takes shorter clips than the model was made for, for which transformers' own insists on
    30 s: the table of positions is cut to them. `UserError` for a whole Whisper model.
    """
    if hasattr(model, "encoder") or hasattr(model, "model"):
        raise UserError(
            f"expected Whisper's encoder, came a whole {type(model).__name__}; "
            "give model.get_encoder()"
        )
    structure = {**whisper_structure(model.config.to_dict()), "outputs": 0}  # type: ignore[operator,union-attr]  # transformers' own
    source = type(model).__name__
    return assembled(structure, whisper_weights(model.state_dict(), structure, source), source)


def whisper_weights(
    tensors: Mapping[str, Tensor], structure: Mapping[str, Any], source: str
) -> dict[str, Tensor]:
    """Tensors by transformers' names, of the encoder alone, as weights of a structure, no head."""
    state = ours(_names(structure["depth"]), tensors, source)
    state[_POSITIONS] = state[_POSITIONS][: structure["positions"]["count"]].clone()
    return state


def to_whisper(network: Encoder) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of a `WhisperEncoder` whose output is the encoder's.

    Keys have no bias there; ours adds the same to all scores of a query, which a softmax does not
    see, and is left out. `UserError` for a shape that Whisper has not.
    """
    structure = network.structure
    config = whisper_config(structure)
    found = theirs(_names(structure["depth"]), network.state_dict())
    return config, {n: t for n, t in found.items() if not n.endswith("k_proj.bias")}


def save_whisper(module: nn.Module, folder: Path) -> str:
    """Write a plain encoder as a `WhisperEncoder` into a new folder, see `saved`."""
    return saved(module, folder, to_whisper, _REMARK)


def read_whisper(folder: Path, structure: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights for a structure from a folder of a transformers model, but no head.

    `UserError` for files that are missing or damaged and weights of other dimensions.
    """
    config, source = read_config(folder), str(folder)
    check_same(structure, whisper_structure(config), source)
    tensors = without_prefix(read_weights(folder), "model.encoder.", "encoder.")
    return weights_of(structure, whisper_weights(tensors, structure, source), source)


def _names(depth: int) -> Names:
    return {
        **module_names({"front_end.conv1": "conv1", "front_end.conv2": "conv2"}),
        _POSITIONS: ("embed_positions.weight",),
        **_LAYERS.names(depth),
        **module_names({"final_norm": "layer_norm"}),
    }
