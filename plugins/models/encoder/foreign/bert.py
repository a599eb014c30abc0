"""BERT (Devlin et al. 2019), RoBERTa and DistilBERT in transformers' naming."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.foreign.assembly import assembled, weights_of
from stillhouse.plugins.models.encoder.foreign.checks import Config, check_same
from stillhouse.plugins.models.encoder.foreign.configurations import BERT_TYPES, bert_config
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
from stillhouse.plugins.models.encoder.foreign.shapes import bert_structure, first_position
from stillhouse.plugins.models.encoder.network import Encoder

_BERT: Final = LayerNames(
    "encoder.layer.{}.",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    out="attention.output.dense",
    norm1="attention.output.LayerNorm",
    norm2="output.LayerNorm",
    up="intermediate.dense",
    down="output.dense",
)
_DISTILBERT: Final = LayerNames(
    "transformer.layer.{}.",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    out="attention.out_lin",
    norm1="sa_layer_norm",
    norm2="output_layer_norm",
    up="ffn.lin1",
    down="ffn.lin2",
)
_WORDS: Final = "front_end.table.weight"
_POSITIONS: Final = "positions.table.weight"
_TYPES: Final = "embeddings.token_type_embeddings.weight"


def from_bert(model: nn.Module) -> Encoder:
    """A `BertModel`, `RobertaModel` or `DistilBertModel` as a plain encoder without a head.

    Its last layer's output agrees with `last_hidden_state` where a token is not padding, as
    transformers has it with an attention mask that leaves out the padding. The pooler, which no
    output reads, stays behind. `UserError` for a shape that we do not have.
    """
    config = model.config.to_dict()  # type: ignore[operator,union-attr]  # transformers' own
    structure = bert_structure(config)
    count = structure["positions"]["count"]
    whole = {**structure, "input_shape": [count], "outputs": 0}
    source = type(model).__name__
    return assembled(whole, bert_weights(config, model.state_dict(), whole, source), source)


def bert_weights(
    config: Config, tensors: Mapping[str, Tensor], structure: Mapping[str, Any], source: str
) -> dict[str, Tensor]:
    """Tensors by transformers' names, of the body alone, as weights of a structure, but no head.

    The position table is cut to the structure's, the vector of the first token type added to every
    word. Raises `UserError` for missing tensors and for a pooler that the weights do not have.
    """
    kind, pooler = config["model_type"], bool(structure["pooler"] and structure["outputs"])
    if pooler and "pooler.dense.weight" not in tensors:
        raise UserError(f"{source}: has no pooler; say pooler: false")
    state = ours(_names(kind, structure["depth"], pooler=pooler), tensors, source)
    first = first_position(config)
    state[_POSITIONS] = state[_POSITIONS][first:][: structure["positions"]["count"]].clone()
    if _TYPES in tensors:
        state[_WORDS] += tensors[_TYPES][0].float()
    return state


def to_bert(network: Encoder) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of a `BertModel` whose output is the encoder's.

    A network without a pooler leaves zeros for it. `UserError` for a shape that BERT has not.
    """
    structure, state = network.structure, network.state_dict()
    config, width = bert_config(structure), structure["width"]
    found = theirs(_names("bert", structure["depth"], pooler=network.pooler is not None), state)
    found[_TYPES] = torch.zeros(BERT_TYPES, width)
    if network.pooler is None:
        found["pooler.dense.weight"] = torch.zeros(width, width)
        found["pooler.dense.bias"] = torch.zeros(width)
    return config, found


def save_bert(module: nn.Module, folder: Path) -> str:
    """Write a plain encoder as a `BertModel` into a new folder, see `saved`."""
    return saved(module, folder, to_bert, "load it with AutoModel.from_pretrained(folder)")


def read_bert(folder: Path, structure: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights for a structure from a folder of a transformers model, but no head.

    `UserError` for files that are missing or damaged and weights of other dimensions.
    """
    config, source = read_config(folder), str(folder)
    check_same(structure, bert_structure(config), source)
    tensors = without_prefix(read_weights(folder), f"{config['model_type']}.")
    return weights_of(structure, bert_weights(config, tensors, structure, source), source)


def _names(kind: str, depth: int, *, pooler: bool) -> Names:
    layers = _DISTILBERT if kind == "distilbert" else _BERT
    return {
        _WORDS: ("embeddings.word_embeddings.weight",),
        _POSITIONS: ("embeddings.position_embeddings.weight",),
        **module_names({"norm": "embeddings.LayerNorm"}),
        **layers.names(depth),
        **module_names({"pooler": "pooler.dense"} if pooler else {}),
    }
