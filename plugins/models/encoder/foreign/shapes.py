"""Structures of transformers' encoders, from their configurations alone; needs no torch.

Each gives what the weights decide. The caller adds `input_shape`, `outputs` and how it pools, and
cuts the table of positions where its inputs are shorter.
"""

from __future__ import annotations

from typing import Any, Final

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.foreign.checks import (
    Config,
    activation,
    head_width,
    lacking,
    number,
    pair,
    require,
    whole,
)
from stillhouse.plugins.models.encoder.structure import PLAIN

BERT_TYPES: Final = ("bert", "roberta", "distilbert")
DISTILBERT_EPS: Final = 1e-12
"""Of DistilBERT's norms; its configuration does not say."""


def bert_structure(config: Config) -> dict[str, Any]:
    """BERT, RoBERTa, DistilBERT. `UserError` for decoders and for positions that are no table."""
    kind = config.get("model_type")
    if kind not in BERT_TYPES:
        raise UserError(
            f"expected the configuration of one of {', '.join(BERT_TYPES)}, came 'model_type: "
            f"{kind}'"
        )
    require(config, "is_decoder", False, "decoder")
    require(config, "add_cross_attention", False, "cross attention")
    require(config, "position_embedding_type", "absolute", "relative positions")
    short = kind == "distilbert"
    keys = ("dim", "n_layers", "n_heads", "hidden_dim", "activation")
    long = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    width, depth, heads, hidden, act = keys if short else (*long, "hidden_act")
    return {
        **PLAIN,
        **_layers(config, width, depth, heads, hidden, act),
        "front_end": {"kind": "tokens", "vocabulary": whole(config, "vocab_size")},
        "positions": _table(whole(config, "max_position_embeddings") - first_position(config)),
        "eps": DISTILBERT_EPS if short else number(config, "layer_norm_eps", 1e-12),
        "padding": config.get("pad_token_id", 0),
        "pool": "first",
    }


def first_position(config: Config) -> int:
    """Row of the position table that the first token has: RoBERTa counts from behind the padding.

    Our encoders count every token, so that inputs must be padded at their end, as tokenisers do.
    """
    return whole(config, "pad_token_id", 0) + 1 if config.get("model_type") == "roberta" else 0


def vit_structure(config: Config) -> dict[str, Any]:
    """ViT. `UserError` for images that no whole number of patches makes."""
    image, patch = pair(config, "image_size"), pair(config, "patch_size")
    channels = whole(config, "num_channels")
    count = 1 + (image[0] // patch[0]) * (image[1] // patch[1])
    keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    found = _layers(config, *keys, "hidden_act")
    if config.get("head_dim") is not None:
        found["head_dim"] = whole(config, "head_dim")
    return {
        **PLAIN,
        **found,
        "input_shape": [channels, *image],
        "front_end": {"kind": "patches", "patch": patch, "channels": channels},
        "positions": _table(count),
        "before": True,
        "norm": False,
        "final_norm": True,
        "eps": number(config, "layer_norm_eps", 1e-12),
        "pool": "first",
    }


def whisper_structure(config: Config) -> dict[str, Any]:
    """Whisper's encoder, fed with log-mel frames; as many as its table of positions needs."""
    keys = ("d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim")
    count, mels = whole(config, "max_source_positions"), whole(config, "num_mel_bins")
    return {
        **PLAIN,
        **_layers(config, *keys, "activation_function"),
        "input_shape": [mels, 2 * count],
        "front_end": {"kind": "log_mel", "mels": mels, "input": "mel"},
        "positions": _table(count, learned=False),
        "before": True,
        "norm": False,
        "final_norm": True,
    }


def hubert_structure(config: Config) -> dict[str, Any]:
    """HuBERT and wav2vec 2.0; `do_stable_layer_norm` puts the norms first.

    `UserError` for WavLM's gated positions, adapters and a batch norm before the positions.
    """
    if config.get("model_type") == "wavlm":
        raise lacking(config, "gated relative position bias (gru_rel_pos, rel_attn_embed)")
    require(config, "conv_pos_batch_norm", False, "batch norm before the positional convolution")
    require(config, "add_adapter", False, "adapter behind the last layer")
    require(config, "adapter_attn_dim", None, "adapters inside the layers")
    require(config, "feat_extract_activation", "gelu", "other activation in the convolutions")
    eps, before = number(config, "layer_norm_eps", 1e-5), bool(config.get("do_stable_layer_norm"))
    keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    found = _layers(config, *keys, "hidden_act")
    width, hidden = found["width"], found["hidden"][0]
    return {
        **PLAIN,
        **found,
        "front_end": {
            "kind": "waveform",
            "channels": list(config["conv_dim"]),
            "kernels": list(config["conv_kernel"]),
            "strides": list(config["conv_stride"]),
            "bias": bool(config.get("conv_bias", False)),
            "norm": config.get("feat_extract_norm", "group"),
            "feature_norm": bool(config.get("feat_proj_layer_norm", True)),
            "eps": eps,
        },
        "positions": {
            "kind": "conv",
            "kernel": whole(config, "num_conv_pos_embeddings"),
            "groups": whole(config, "num_conv_pos_embedding_groups"),
        },
        "chunk": None if hidden % width else width,
        "before": before,
        "norm": not before,
        "final_norm": before,
        "eps": eps,
        "thirds": True,
    }


def _layers(
    config: Config, width: str, depth: str, heads: str, hidden: str, act: str
) -> dict[str, Any]:
    features, count, layers = whole(config, width), whole(config, heads), whole(config, depth)
    return {
        "width": features,
        "depth": layers,
        "heads": [count] * layers,
        "hidden": [whole(config, hidden)] * layers,
        "head_dim": head_width(config, features, count),
        "activation": activation(config, act),
    }


def _table(count: int, *, learned: bool = True) -> dict[str, Any]:
    return {"kind": "table", "count": count, "learned": learned}
