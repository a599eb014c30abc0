"""The waveform front end of wav2vec 2.0 and HuBERT: strided convolutions, a norm, a projection.

Baevski et al. 2020 (arXiv:2006.11477), section 2; Hsu et al. 2021 (arXiv:2106.07447). Facts:

    channels   of each convolution        kernels, strides   of each, in samples or positions
    bias       of the convolutions        norm               "group": one channel a group, after
    feature_norm   a norm before the                         the first; "layer": after each
                   projection             eps                of the norm before the projection
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.cost.sheet import Cells, Operator
from stillhouse.core.elastic import ElasticLinear
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.front_ends.contract import ElasticPart, Facts, FrontEnd
from stillhouse.plugins.models.encoder.front_ends.copying import twin
from stillhouse.plugins.models.encoder.front_ends.frames import projected, projection_row


@final
class ConvolutionBlock(nn.Module):
    """Convolution, norm if any, GELU: (batch, inputs, positions) to (batch, outputs, fewer)."""

    def __init__(self, conv: nn.Conv1d, norm: nn.GroupNorm | nn.LayerNorm | None) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if isinstance(self.norm, nn.LayerNorm):
            x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        elif self.norm is not None:
            x = self.norm(x)
        return functional.gelu(x)


@final
class WaveformFrontEnd(nn.Module):
    """Waveforms (batch, samples) to (batch, positions, width)."""

    def __init__(
        self, convs: Iterable[nn.Module], norm: nn.LayerNorm | None, projection: nn.Linear
    ) -> None:
        super().__init__()
        self.convs, self.norm, self.projection = nn.ModuleList(convs), norm, projection

    def forward(self, x: Tensor) -> Tensor:
        return heard(x, self.convs, self.norm, self.projection)


def heard(
    x: Tensor, convs: Iterable[nn.Module], norm: nn.Module | None, projection: nn.Module
) -> Tensor:
    """The front end's arithmetic, plain and elastic alike."""
    x = x[:, None]
    for conv in convs:
        x = conv(x)
    x = x.transpose(1, 2)
    return projected(x if norm is None else norm(x), projection)


@final
class ElasticWaveform(ElasticPart):
    """`WaveformFrontEnd` to the first features of its width; convolutions are not searched."""

    def __init__(self, plain: WaveformFrontEnd) -> None:
        super().__init__()
        self.convs = nn.ModuleList(twin(block) for block in plain.convs)
        self.norm = None if plain.norm is None else twin(plain.norm)
        self.projection = ElasticLinear.from_plain(plain.projection)

    def set_active(self, width: int) -> None:
        self.projection.set_active(self.projection.inputs, width)

    def forward(self, x: Tensor) -> Tensor:
        return heard(x, self.convs, self.norm, self.projection)

    def extract(self) -> WaveformFrontEnd:
        norm = None if self.norm is None else twin(self.norm)
        convs = [twin(block) for block in self.convs]
        return WaveformFrontEnd(convs, norm, self.projection.extract())


def receptive_field(facts: Facts) -> tuple[int, int]:
    """Samples that one position hears, and samples from one position to the next."""
    field, step = 1, 1
    for kernel, stride in zip(facts["kernels"], facts["strides"], strict=True):
        field += (kernel - 1) * step
        step *= stride
    return field, step


def heard_positions(kind: str, input_shape: Sequence[int], field: int, step: int) -> int:
    """Positions of `field` samples, `step` apart, that fit; `UserError` where none does."""
    if len(input_shape) != 1:
        raise UserError(
            f"{kind}: expected inputs of shape (samples,), the task gives {tuple(input_shape)}; "
            "use a task of raw audio, such as waveform-folder"
        )
    if input_shape[0] < field:
        raise UserError(
            f"{kind}: expected clips of at least {field} samples, the receptive field of the front "
            f"end, the task gives {input_shape[0]}; take longer clips or smaller kernels"
        )
    return int((input_shape[0] - field) // step + 1)


@final
class Waveform(FrontEnd):
    """See the module. Inputs are (samples,), one channel."""

    kind = "waveform"

    def skeleton(self, facts: Facts, width: int) -> WaveformFrontEnd:
        channels, meta = facts["channels"], torch.device("meta")
        norm = nn.LayerNorm(channels[-1], facts["eps"], device=meta)
        return WaveformFrontEnd(
            [_block(facts, place) for place in range(len(channels))],
            norm if facts["feature_norm"] else None,
            nn.Linear(channels[-1], width, device=meta),
        )

    def elastic(self, plain: nn.Module) -> ElasticWaveform:
        if not isinstance(plain, WaveformFrontEnd):
            raise TypeError(f"expected a WaveformFrontEnd, came {type(plain).__name__}")
        return ElasticWaveform(plain)

    def positions(self, facts: Facts, input_shape: Sequence[int]) -> int:
        """`UserError` for a clip shorter than the receptive field."""
        return heard_positions(self.kind, input_shape, *receptive_field(facts))

    def rows(
        self, facts: Facts, input_shape: Sequence[int], width: Cells, active: Cells | float
    ) -> Iterator[Operator]:
        positions, last = self.positions(facts, input_shape), facts["channels"][-1]
        for place in range(len(facts["channels"])):
            yield from _block_rows(facts, place, input_shape[0], active)
        if facts["feature_norm"]:
            cells = {"active": active, "outputs": last, "positions": positions, "bias": 1}
            yield Operator("front_end.norm", "norm", "front_end", cells)
        yield projection_row(last, positions, width, active)


def _block(facts: Facts, place: int) -> ConvolutionBlock:
    inputs, outputs = _channels(facts, place)
    kernel, stride = facts["kernels"][place], facts["strides"][place]
    conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=facts["bias"], device="meta")
    norm: nn.GroupNorm | nn.LayerNorm | None = None
    if facts["norm"] == "layer":
        norm = nn.LayerNorm(outputs, device=torch.device("meta"))
    elif place == 0:
        norm = nn.GroupNorm(outputs, outputs, device=torch.device("meta"))
    return ConvolutionBlock(conv, norm)


def _channels(facts: Facts, place: int) -> tuple[int, int]:
    return facts["channels"][place - 1] if place else 1, facts["channels"][place]


def _block_rows(
    facts: Facts, place: int, samples: int, active: Cells | float
) -> Iterator[Operator]:
    lengths = [samples]
    for kernel, stride in zip(facts["kernels"], facts["strides"], strict=True):
        lengths.append((lengths[-1] - kernel) // stride + 1)
    inputs, outputs = _channels(facts, place)
    always: dict[str, Any] = {"active": active, "outputs": outputs, "positions": lengths[place + 1]}
    conv = {
        **always,
        "inputs": inputs,
        "kernel": facts["kernels"][place],
        "read_positions": lengths[place],
        "bias": float(facts["bias"]),
    }
    name = f"front_end.convs.{place}"
    yield Operator(f"{name}.conv", "conv1d", "front_end", conv)
    if facts["norm"] == "layer" or place == 0:
        yield Operator(f"{name}.norm", "norm", "front_end", {**always, "bias": 1})
    yield Operator(f"{name}.act", "elementwise", "front_end", always)
