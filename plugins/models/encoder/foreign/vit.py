"""ViT (Dosovitskiy et al. 2021) in transformers' naming, that of its files and of version 5."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.foreign.assembly import assembled, weights_of
from stillhouse.plugins.models.encoder.foreign.checks import check_same
from stillhouse.plugins.models.encoder.foreign.configurations import vit_config
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
from stillhouse.plugins.models.encoder.foreign.shapes import vit_structure
from stillhouse.plugins.models.encoder.network import Encoder

_FILES: Final = LayerNames(
    "encoder.layer.{}.",
    query="attention.attention.query",
    key="attention.attention.key",
    value="attention.attention.value",
    out="attention.output.dense",
    norm1="layernorm_before",
    norm2="layernorm_after",
    up="intermediate.dense",
    down="output.dense",
)
_MODULES: Final = LayerNames(
    "layers.{}.",
    query="attention.q_proj",
    key="attention.k_proj",
    value="attention.v_proj",
    out="attention.o_proj",
    norm1="layernorm_before",
    norm2="layernorm_after",
    up="mlp.fc1",
    down="mlp.fc2",
)
_TOKEN: Final = "front_end.token.weight"  # noqa: S105  # the class token, no secret
_POSITIONS: Final = "positions.table.weight"


def from_vit(model: nn.Module) -> Encoder:
    """A `ViTModel` as a plain encoder without a head; the pooler stays behind.

    Its output agrees with `last_hidden_state` for images of the size the model was made for.
    `UserError` for a shape that we do not have.
    """
    structure = {**vit_structure(model.config.to_dict()), "outputs": 0}  # type: ignore[operator,union-attr]  # transformers' own
    source = type(model).__name__
    return assembled(structure, vit_weights(model.state_dict(), structure, source), source)


def vit_weights(
    tensors: Mapping[str, Tensor], structure: Mapping[str, Any], source: str
) -> dict[str, Tensor]:
    """Tensors by transformers' names, of the body alone, as weights of a structure, but no head."""
    pooler = bool(structure["pooler"] and structure["outputs"])
    if pooler and "pooler.dense.weight" not in tensors:
        raise UserError(f"{source}: has no pooler; say pooler: false")
    layers = _MODULES if any(name.startswith("layers.") for name in tensors) else _FILES
    state = ours(_names(layers, structure["depth"], pooler=pooler), tensors, source)
    for name in (_TOKEN, _POSITIONS):
        state[name] = state[name].flatten(0, 1)
    return state


def to_vit(network: Encoder) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of a `ViTModel` whose output is the encoder's.

    A network without a pooler leaves zeros for it. `UserError` for a shape that ViT has not.
    """
    structure = network.structure
    state, width = network.state_dict(), structure["width"]
    found = theirs(_names(_FILES, structure["depth"], pooler=network.pooler is not None), state)
    for name in ("embeddings.cls_token", "embeddings.position_embeddings"):
        found[name] = found[name][None]
    if network.pooler is None:
        weight = found["embeddings.cls_token"]
        found["pooler.dense.weight"] = weight.new_zeros(width, width)
        found["pooler.dense.bias"] = weight.new_zeros(width)
    return vit_config(structure), found


def save_vit(module: nn.Module, folder: Path) -> str:
    """Write a plain encoder as a `ViTModel` into a new folder, see `saved`."""
    return saved(module, folder, to_vit, "load it with AutoModel.from_pretrained(folder)")


def read_vit(folder: Path, structure: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights for a structure from a folder of a transformers model, but no head.

    `UserError` for files that are missing or damaged and weights of other dimensions.
    """
    config, source = read_config(folder), str(folder)
    check_same(structure, vit_structure(config), source)
    tensors = without_prefix(read_weights(folder), "vit.")
    return weights_of(structure, vit_weights(tensors, structure, source), source)


def _names(layers: LayerNames, depth: int, *, pooler: bool) -> Names:
    return {
        _TOKEN: ("embeddings.cls_token",),
        _POSITIONS: ("embeddings.position_embeddings",),
        **module_names({"front_end.projection": "embeddings.patch_embeddings.projection"}),
        **layers.names(depth),
        **module_names({"final_norm": "layernorm"}),
        **module_names({"pooler": "pooler.dense"} if pooler else {}),
    }
