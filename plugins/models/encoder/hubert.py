"""HuBERT (Hsu et al. 2021, arXiv:2106.07447) and wav2vec 2.0: encoders of raw audio.

Subnets are nested as in LightHuBERT (Wang et al. 2022, arXiv:2203.15610): chunked feed-forward
layers, whole heads, and of a shallower network the layers of `kept_layers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from torch import Tensor, nn

from stillhouse.core.cost.sheet import Cells
from stillhouse.core.cost.terms import parameters
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.state import Structure
from stillhouse.plugins.models.encoder.family import EncoderFamily, checked
from stillhouse.plugins.models.encoder.front_ends.fbank import STEPS
from stillhouse.plugins.models.encoder.front_ends.waveform import receptive_field
from stillhouse.plugins.models.encoder.sheet import encoder_sheet
from stillhouse.plugins.models.encoder.structure import PLAIN
from stillhouse.plugins.models.info import HubertParams
from stillhouse.plugins.models.transformer.genes import hidden_width

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

FLOOR: Final = 1e-6
MEAN: Final = 2.0
DEVIATION: Final = 4.0
"""Of the logarithm of a mel band, for clips of mean 0 and variance 1.

Free Spoken Digits have 1.8 and 3.9 below their 4 kHz.
"""


@final
class HubertFamily(EncoderFamily):
    """Encoders of waveforms (samples,), by default of HuBERT Base's shape."""

    name = "hubert"

    def structure(
        self, params: HubertParams, input_shape: tuple[int, ...], outputs: int
    ) -> Structure:
        """Raises `UserError` for inputs that are no waveforms, or shorter than one position."""
        hidden = int(hidden_width(params.ffn_ratio, params.width))
        groups = params.position_groups
        return checked(
            {
                **PLAIN,
                "input_shape": list(input_shape),
                "outputs": outputs,
                "front_end": _front_end(params),
                "positions": {"kind": "conv", "kernel": params.position_kernel, "groups": groups},
                "width": params.width,
                "depth": params.depth,
                "heads": [params.heads] * params.depth,
                "hidden": [hidden] * params.depth,
                "head_dim": params.head_dim,
                "chunk": params.width,
                "before": params.norm_first,
                "norm": not params.norm_first,
                "final_norm": params.norm_first,
                "thirds": True,
            }
        )

    def pretrained(self, params: HubertParams, structure: Structure) -> Mapping[str, Tensor] | None:
        """Raises `UserError` also for weights of other dimensions than the parameters say."""
        if params.folder is None:
            return None
        from stillhouse.plugins.models.encoder.foreign.hubert import read_hubert

        if structure["front_end"]["kind"] != "waveform":
            raise UserError(
                f"hubert: weights in a folder need front_end: waveform, came {params.front_end}; "
                "give the student a front_end of its own"
            )
        return read_hubert(Path(params.folder), structure)

    def translated(self, module: nn.Module) -> nn.Module:
        from stillhouse.plugins.models.encoder.foreign.hubert import from_hubert

        return from_hubert(module)

    def save_foreign(self, module: nn.Module, folder: Path) -> str:
        from stillhouse.plugins.models.encoder.foreign.hubert import save_hubert

        return save_hubert(module, folder)


def published_parameters(full: Structure, columns: Columns) -> Cells:
    """Sizes of subnets as LightHuBERT's authors count them, in parameters.

    They count the encoder without any head, and the vector that stands for masked positions at the
    full width, 768 numbers. What is deployed has no use for the vector: ours are smaller by
    exactly that.
    """
    encoder = {**full, "outputs": 0}
    sizes: Cells = parameters(encoder_sheet(encoder, columns)) + full["width"]
    return sizes


def _front_end(params: HubertParams) -> dict[str, Any]:
    waveform = _waveform(params)
    if params.front_end == "waveform":
        return waveform
    fbank = _fbank(params, waveform)
    if params.front_end == "fbank":
        return fbank
    return {
        "kind": "choice",
        "use": "waveform",
        "options": {"waveform": waveform, "fbank": fbank},
    }


def _waveform(params: HubertParams) -> dict[str, Any]:
    kernels, strides = list(params.kernels), list(params.strides)
    if len(kernels) != len(strides) or not kernels or min(*kernels, *strides) < 1:
        raise UserError(
            f"hubert: kernels and strides expected as many numbers above 0 of each, came {kernels} "
            f"and {strides}"
        )
    return {
        "kind": "waveform",
        "channels": [params.channels] * len(kernels),
        "kernels": kernels,
        "strides": strides,
        "bias": params.conv_bias,
        "norm": params.conv_norm,
        "feature_norm": params.feature_norm,
        "eps": PLAIN["eps"],
    }


def _fbank(params: HubertParams, waveform: Mapping[str, Any]) -> dict[str, Any]:
    """With the positions that the waveform front end has."""
    field, step = receptive_field(waveform)
    if step % STEPS:
        raise UserError(
            f"hubert: front_end fbank needs strides whose product is even, came "
            f"{waveform['strides']}; make one of them 2"
        )
    return {
        "kind": "fbank",
        "window": field,
        "hop": step // STEPS,
        "n_fft": field,
        "sample_rate": params.sample_rate,
        "mels": params.mels,
        "floor": FLOOR,
        "mean": MEAN,
        "deviation": DEVIATION,
        "channels": params.channels,
    }
