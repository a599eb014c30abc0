"""Automatic search spaces of the encoders; needs no torch."""

from __future__ import annotations

import math

from stillhouse.core.space.automatic import Dimensions, automatic
from stillhouse.plugins.models.encoder.sizes import (
    Sizes,
    bert_sizes,
    vit_sizes,
    whisper_sizes,
)
from stillhouse.plugins.models.info import (
    BertParams,
    HubertParams,
    VitParams,
    WhisperParams,
)


def hubert(params: HubertParams) -> Dimensions:
    """From half to the whole of the full network, in widths that the positional groups divide."""
    found = automatic(
        width=params.width,
        depth=params.depth,
        heads=params.heads,
        ffn_ratio=params.ffn_ratio,
        width_step=math.lcm(2, params.position_groups),
    )
    if params.front_end == "both":
        found["front_end"] = {"choices": ["waveform", "fbank"]}
    return found


def bert(params: BertParams) -> Dimensions:
    """From half to the whole of the full network. Raises `UserError` as `bert_sizes`."""
    return _around(bert_sizes(params))


def vit(params: VitParams) -> Dimensions:
    """From half to the whole of the full network. Raises `UserError` as `vit_sizes`."""
    return _around(vit_sizes(params))


def whisper(params: WhisperParams) -> Dimensions:
    """From half to the whole of the full network. Raises `UserError` as `whisper_sizes`."""
    return _around(whisper_sizes(params))


def _around(sizes: Sizes) -> Dimensions:
    genes = ("width", "depth", "heads", "ffn_ratio")
    return automatic(**{name: sizes[name] for name in genes})
