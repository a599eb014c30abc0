"""HuBERT (Hsu et al. 2021) and wav2vec 2.0 (Baevski et al. 2020) in transformers' naming."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.foreign.assembly import assembled, weights_of
from stillhouse.plugins.models.encoder.foreign.checks import check_same
from stillhouse.plugins.models.encoder.foreign.configurations import hubert_config
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
from stillhouse.plugins.models.encoder.foreign.shapes import hubert_structure
from stillhouse.plugins.models.encoder.front_ends.waveform import receptive_field
from stillhouse.plugins.models.encoder.network import Encoder

_LAYERS: Final = LayerNames(
    "encoder.layers.{}.",
    query="attention.q_proj",
    key="attention.k_proj",
    value="attention.v_proj",
    out="attention.out_proj",
    norm1="layer_norm",
    norm2="final_layer_norm",
    up="feed_forward.intermediate_dense",
    down="feed_forward.output_dense",
)
_CONV: Final = "encoder.pos_conv_embed.conv"
_NORMED: Final = (
    (f"{_CONV}.parametrizations.weight.original0", f"{_CONV}.parametrizations.weight.original1"),
    (f"{_CONV}.weight_g", f"{_CONV}.weight_v"),
)
"""Length and direction of the positional convolution's weight, as torch stores them now and did."""


def from_hubert(model: nn.Module, samples: int | None = None) -> Encoder:
    """A `HubertModel` or `Wav2Vec2Model` as a plain encoder without a head.

    Its output agrees with `last_hidden_state` in eval mode for clips of any length; `samples` (one
    second at 16 kHz, or the receptive field if that is longer) is the length its costs are for.
    `UserError` for a shape that we do not have.
    """
    structure = hubert_structure(model.config.to_dict())  # type: ignore[operator,union-attr]  # transformers' own
    field, _ = receptive_field(structure["front_end"])
    length = max(field, 16_000) if samples is None else samples
    whole = {**structure, "input_shape": [length], "outputs": 0}
    source = type(model).__name__
    return assembled(whole, hubert_weights(model.state_dict(), whole, source), source)


def hubert_weights(
    tensors: Mapping[str, Tensor], structure: Mapping[str, Any], source: str
) -> dict[str, Tensor]:
    """Tensors by transformers' names, of the body alone, as weights of a structure, but no head.

    The positional convolution's weight norm is resolved here, at full width, before anything is
    sliced: normalising a slice would give other weights.
    """
    return ours(_names(structure), _resolved(tensors, source), source)


def to_hubert(network: Encoder) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of a `HubertModel` whose output is the encoder's.

    `UserError` for a shape that HuBERT has not.
    """
    structure = network.structure
    config = hubert_config(structure)
    found = theirs(_names(structure), network.state_dict())
    weight = found.pop(f"{_CONV}.weight")
    length, direction = _NORMED[0]
    found[length], found[direction] = _length(weight), weight
    return config, found


def _names(structure: Mapping[str, Any]) -> Names:
    front_end = structure["front_end"]
    modules = {"positions.conv": _CONV, "front_end.projection": "feature_projection.projection"}
    if front_end["feature_norm"]:
        modules["front_end.norm"] = "feature_projection.layer_norm"
    modules["norm" if structure["norm"] else "final_norm"] = "encoder.layer_norm"
    found: dict[str, tuple[str, ...]] = module_names(modules)
    for place in range(len(front_end["channels"])):
        found |= _convolution_names(place, front_end)
    return found | _LAYERS.names(structure["depth"])


def _convolution_names(place: int, front_end: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    here, there = f"front_end.convs.{place}", f"feature_extractor.conv_layers.{place}"
    found: dict[str, tuple[str, ...]] = {f"{here}.conv.weight": (f"{there}.conv.weight",)}
    if front_end["bias"]:
        found[f"{here}.conv.bias"] = (f"{there}.conv.bias",)
    if front_end["norm"] == "layer" or place == 0:
        found |= module_names({f"{here}.norm": f"{there}.layer_norm"})
    return found


def _resolved(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The tensors with the positional convolution's weight as it multiplies."""
    if f"{_CONV}.weight" in tensors:
        return dict(tensors)
    for length, direction in _NORMED:
        if length in tensors and direction in tensors:
            weight = tensors[direction].float()
            scale = tensors[length].float() / _length(weight)
            return {**tensors, f"{_CONV}.weight": weight * scale}
    raise UserError(f"{source}: expected a tensor '{_CONV}.weight', found none of that name")


def _length(weight: Tensor) -> Tensor:
    """Of every tap of a kernel, over both kinds of channels: (1, 1, kernel)."""
    length: Tensor = torch.linalg.vector_norm(weight, dim=(0, 1), keepdim=True)
    return length


def save_hubert(module: nn.Module, folder: Path) -> str:
    """Write a plain encoder as a `HubertModel` into a new folder, see `saved`."""
    return saved(module, folder, to_hubert, "load it with AutoModel.from_pretrained(folder)")


def read_hubert(folder: Path, structure: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights for a structure from a folder of a HuBERT or wav2vec 2.0 model, but no head.

    `UserError` for files that are missing or damaged and weights of other dimensions.
    """
    config, source = read_config(folder), str(folder)
    check_same(structure, hubert_structure(config), source)
    tensors = without_prefix(read_weights(folder), f"{config['model_type']}.")
    return weights_of(structure, hubert_weights(tensors, structure, source), source)
