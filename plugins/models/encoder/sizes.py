"""What declared parameters and the weights they name decide of an encoder; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.foreign.files import read_config
from stillhouse.plugins.models.encoder.foreign.shapes import (
    bert_structure,
    vit_structure,
    whisper_structure,
)
from stillhouse.plugins.models.encoder.structure import PLAIN
from stillhouse.plugins.models.encoder.weights.named import (
    WHISPER_BASE_STRUCTURE,
    minilm_folder,
)
from stillhouse.plugins.models.info import BertParams, VitParams, WhisperParams

Sizes = dict[str, Any]
"""width, depth, heads and head_dim (of each layer), ffn_ratio, activation, and a family's own."""

BERT: Final[Sizes] = {
    "width": 384, "depth": 6, "heads": 12, "head_dim": 32, "ffn_ratio": 4.0,
    "vocabulary": 30522, "padding": 0, "activation": "gelu",
}  # fmt: skip
"""MiniLM-L6's."""
VIT: Final[Sizes] = {
    "width": 96, "depth": 6, "heads": 6, "head_dim": 16, "ffn_ratio": 2.0, "patch": 4,
    "activation": "gelu",
}  # fmt: skip
"""Small enough for images of 28 pixels."""
WHISPER: Final[Sizes] = {
    "width": 384, "depth": 4, "heads": 6, "head_dim": 64, "ffn_ratio": 4.0, "mels": 80,
    "activation": "gelu",
}  # fmt: skip
"""Whisper tiny's."""
_ROUNDING: Final = 1e-6
"""Of ratios, which are quotients of whole numbers."""


def bert_sizes(params: BertParams) -> Sizes:
    """Raises `UserError` for parameters that the named weights contradict."""
    return _settled("bert", params, BERT, _sizes_of(bert_named(params)))


def vit_sizes(params: VitParams) -> Sizes:
    """Raises `UserError` for parameters that the named weights contradict."""
    return _settled("vit", params, VIT, _sizes_of(vit_named(params)))


def whisper_sizes(params: WhisperParams) -> Sizes:
    """Raises `UserError` for parameters that the named weights contradict."""
    return _settled("whisper", params, WHISPER, _sizes_of(whisper_named(params)))


def bert_folder(params: BertParams) -> Path | None:
    """Where the weights are, if the parameters name any."""
    _one_source("bert", params.weights, params.folder)
    if params.weights:
        return minilm_folder()
    return None if params.folder is None else Path(params.folder)


def bert_named(params: BertParams) -> dict[str, Any] | None:
    """The structure that the weights decide, if the parameters name any."""
    folder = bert_folder(params)
    return None if folder is None else bert_structure(read_config(folder))


def vit_named(params: VitParams) -> dict[str, Any] | None:
    """The structure that the weights decide, if the parameters name any."""
    return None if params.folder is None else vit_structure(read_config(Path(params.folder)))


def whisper_named(params: WhisperParams) -> dict[str, Any] | None:
    """The structure that the weights decide, if the parameters name any."""
    _one_source("whisper", params.weights, params.folder)
    if params.weights:
        return dict(WHISPER_BASE_STRUCTURE)
    return None if params.folder is None else whisper_structure(read_config(Path(params.folder)))


def layered(sizes: Sizes) -> dict[str, Any]:
    """The sizes as a structure has them, over `PLAIN`."""
    depth, hidden = sizes["depth"], max(1, math.floor(sizes["ffn_ratio"] * sizes["width"] + 1e-6))
    return {
        **PLAIN,
        "width": sizes["width"],
        "depth": depth,
        "heads": [sizes["heads"]] * depth,
        "hidden": [hidden] * depth,
        "head_dim": sizes["head_dim"],
        "activation": sizes["activation"],
    }


def _one_source(family: str, weights: str | None, folder: str | None) -> None:
    if weights and folder is not None:
        raise UserError(
            f"{family}: expected weights or folder, came both ({weights} and {folder}); "
            "take one out"
        )


def _sizes_of(structure: Mapping[str, Any] | None) -> Sizes | None:
    if structure is None:
        return None
    front_end = structure["front_end"]
    kept = ("width", "depth", "head_dim", "padding", "activation")
    return {
        **{key: structure[key] for key in kept},
        "heads": structure["heads"][0],
        "ffn_ratio": structure["hidden"][0] / structure["width"],
        **{key: value for key, value in front_end.items() if key in ("vocabulary", "mels")},
        "patch": front_end.get("patch", [None])[0],
    }


def _settled(family: str, params: Any, usual: Sizes, named: Sizes | None) -> Sizes:
    """What is declared, else what the weights have, else the usual."""
    found = {}
    for key, default in usual.items():
        given = getattr(params, key)
        have = default if named is None else named[key]
        if named is not None and given is not None and not _same(given, have):
            raise UserError(
                f"{family}: {key} expected {have}, which the weights have, came {given}; take "
                f"{key} out, or the weights"
            )
        found[key] = have if given is None else given
    return found


def _same(given: Any, have: Any) -> bool:
    if isinstance(given, float) and isinstance(have, float):
        return math.isclose(given, have, rel_tol=_ROUNDING)
    return bool(given == have)
