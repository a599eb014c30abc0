"""Configurations of transformers for structures of ours, where it has that shape; no torch.

Each raises `UserError`, naming the part, for a structure that transformers' model cannot have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stillhouse.core.errors import UserError

Structure = Mapping[str, Any]

BERT_TYPES: Final = 2
"""Rows of the token type table that is written; they are zeros, ours is part of the words."""


def bert_config(structure: Structure) -> dict[str, Any]:
    """Of a `BertModel`."""
    heads, hidden = _uniform(structure, "BertModel", before=False)
    _match(structure, "BertModel", "front_end", "kind", "tokens")
    _match(structure, "BertModel", "positions", "kind", "table")
    return {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": structure["front_end"]["vocabulary"],
        "hidden_size": structure["width"],
        "num_hidden_layers": structure["depth"],
        "num_attention_heads": heads,
        "intermediate_size": hidden,
        "hidden_act": structure["activation"],
        "max_position_embeddings": structure["positions"]["count"],
        "type_vocab_size": BERT_TYPES,
        "layer_norm_eps": structure["eps"],
        "pad_token_id": structure["padding"],
    }


def vit_config(structure: Structure) -> dict[str, Any]:
    """Of a `ViTModel`, whose heads may be wider or narrower than the width's share."""
    heads, hidden = _uniform(structure, "ViTModel", before=True, any_heads=True)
    _match(structure, "ViTModel", "front_end", "kind", "patches")
    _match(structure, "ViTModel", "positions", "kind", "table")
    shape = structure["input_shape"]
    found = {
        "model_type": "vit",
        "architectures": ["ViTModel"],
        "hidden_size": structure["width"],
        "num_hidden_layers": structure["depth"],
        "num_attention_heads": heads,
        "intermediate_size": hidden,
        "hidden_act": structure["activation"],
        "layer_norm_eps": structure["eps"],
        "image_size": list(shape[-2:]),
        "patch_size": list(structure["front_end"]["patch"]),
        "num_channels": structure["front_end"]["channels"],
        "qkv_bias": True,
    }
    if heads * structure["head_dim"] != structure["width"]:
        found["head_dim"] = structure["head_dim"]
    return found


def whisper_config(structure: Structure) -> dict[str, Any]:
    """Of a `WhisperEncoder`; the decoder's numbers only fill the form."""
    heads, hidden = _uniform(structure, "WhisperEncoder", before=True)
    _match(structure, "WhisperEncoder", "front_end", "kind", "log_mel")
    _match(structure, "WhisperEncoder", "positions", "learned", False)
    return {
        "model_type": "whisper",
        "architectures": ["WhisperEncoder"],
        "num_mel_bins": structure["front_end"]["mels"],
        "d_model": structure["width"],
        "encoder_layers": structure["depth"],
        "encoder_attention_heads": heads,
        "encoder_ffn_dim": hidden,
        "activation_function": structure["activation"],
        "max_source_positions": structure["positions"]["count"],
        "decoder_layers": 1,
        "decoder_attention_heads": heads,
        "decoder_ffn_dim": hidden,
    }


def hubert_config(structure: Structure) -> dict[str, Any]:
    """Of a `HubertModel` that masks nothing by itself."""
    before = structure["before"]
    heads, hidden = _uniform(structure, "HubertModel", before=before)
    _match(structure, "HubertModel", "front_end", "kind", "waveform")
    _match(structure, "HubertModel", "positions", "kind", "conv")
    front_end, positions = structure["front_end"], structure["positions"]
    if front_end["feature_norm"] and front_end["eps"] != structure["eps"]:
        raise _lacking("HubertModel", "norms of different eps in front end and layers")
    return {
        "model_type": "hubert",
        "architectures": ["HubertModel"],
        "hidden_size": structure["width"],
        "num_hidden_layers": structure["depth"],
        "num_attention_heads": heads,
        "intermediate_size": hidden,
        "hidden_act": structure["activation"],
        "layer_norm_eps": structure["eps"],
        "conv_dim": list(front_end["channels"]),
        "conv_kernel": list(front_end["kernels"]),
        "conv_stride": list(front_end["strides"]),
        "conv_bias": front_end["bias"],
        "feat_extract_norm": front_end["norm"],
        "feat_proj_layer_norm": front_end["feature_norm"],
        "num_conv_pos_embeddings": positions["kernel"],
        "num_conv_pos_embedding_groups": positions["groups"],
        "do_stable_layer_norm": before,
        "apply_spec_augment": False,
        "mask_time_prob": 0.0,
        "mask_feature_prob": 0.0,
    }


def _uniform(
    structure: Structure, model: str, *, before: bool, any_heads: bool = False
) -> tuple[int, int]:
    """Heads and hidden features that all layers have, the norms where the model has them."""
    for key, part in (("heads", "heads"), ("hidden", "hidden features")):
        if len(set(structure[key])) > 1:
            raise _lacking(model, f"{part} that differ between layers ({structure[key]})")
    heads, hidden = structure["heads"][0], structure["hidden"][0]
    inner, width = heads * structure["head_dim"], structure["width"]
    if inner != width and (not any_heads or width % heads):
        raise _lacking(
            model, f"{heads} heads of {structure['head_dim']} features at a width of {width}"
        )
    norms = (structure["before"], structure["norm"], structure["final_norm"])
    if norms != (before, not before, before):
        raise _lacking(model, f"norms placed like this (before, after positions, last: {norms})")
    return heads, hidden


def _match(structure: Structure, model: str, part: str, key: str, expected: Any) -> None:
    facts = structure[part] or {}
    if facts.get(key) != expected:
        raise _lacking(model, f"{part.replace('_', ' ')} with '{key}: {facts.get(key)}'")


def _lacking(model: str, part: str) -> UserError:
    return UserError(
        f"transformers' {model} has no {part}: keep the network as stillhouse's own structure and "
        "weights, or search a space in which it is as transformers has it"
    )
