"""Whisper base's encoder from its CTranslate2 file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.foreign.assembly import weights_of
from stillhouse.plugins.models.encoder.foreign.checks import check_same
from stillhouse.plugins.models.encoder.weights.ctranslate2 import read_variables
from stillhouse.plugins.models.encoder.weights.named import (
    WHISPER_BASE,
    WHISPER_BASE_STRUCTURE,
    whisper_base_file,
)

_LAYER: Final = {
    "norm1.weight": "self_attention/layer_norm/gamma",
    "norm1.bias": "self_attention/layer_norm/beta",
    "attention.qkv_weight": "self_attention/linear_0/weight",
    "attention.qkv_bias": "self_attention/linear_0/bias",
    "attention.out.weight": "self_attention/linear_1/weight",
    "attention.out.bias": "self_attention/linear_1/bias",
    "norm2.weight": "ffn/layer_norm/gamma",
    "norm2.bias": "ffn/layer_norm/beta",
    "feed_forward.up.weight": "ffn/linear_0/weight",
    "feed_forward.up.bias": "ffn/linear_0/bias",
    "feed_forward.down.weight": "ffn/linear_1/weight",
    "feed_forward.down.bias": "ffn/linear_1/bias",
}
_ENDS: Final = {
    "front_end.conv1.weight": "conv1/weight",
    "front_end.conv1.bias": "conv1/bias",
    "front_end.conv2.weight": "conv2/weight",
    "front_end.conv2.bias": "conv2/bias",
    "positions.table": "position_encodings/encodings",
    "final_norm.weight": "layer_norm/gamma",
    "final_norm.bias": "layer_norm/beta",
}


def whisper_base_weights(structure: Mapping[str, Any]) -> dict[str, Tensor]:
    """The encoder's weights in single precision for `skeleton(structure)`, but no head.

    The table of positions is cut to the structure's. `UserError` where the packages are missing or
    damaged, and for a structure of other dimensions.
    """
    check_same(structure, WHISPER_BASE_STRUCTURE, WHISPER_BASE)
    state = encoder_weights(whisper_base_file(), WHISPER_BASE, structure)
    return weights_of(structure, state, WHISPER_BASE)


def encoder_weights(content: bytes, source: str, structure: Mapping[str, Any]) -> dict[str, Tensor]:
    """The same from the bytes of any such file, unverified. `UserError` if it is damaged."""
    variables = read_variables(content, source, lambda name: name.startswith("encoder/"))
    names = dict(_ENDS)
    for place in range(structure["depth"]):
        names |= {f"layers.{place}.{ours}": f"layer_{place}/{t}" for ours, t in _LAYER.items()}
    state = {ours: _tensor(variables, f"encoder/{name}", source) for ours, name in names.items()}
    for name, tensor in state.items():
        if ".qkv_" in name:
            state[name] = tensor.view(3, -1, *tensor.shape[1:])
    count = structure["positions"]["count"]
    state["positions.table"] = state["positions.table"][:count].clone()
    return state


def _tensor(variables: Mapping[str, NDArray[Any]], name: str, source: str) -> Tensor:
    if name not in variables:
        raise UserError(f"{source}: expected a variable '{name}', found none of that name")
    return torch.from_numpy(variables[name].astype(np.float32))
