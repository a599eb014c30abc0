"""Log-mel filter banks from the waveform, then two small convolutions (Wang et al. 2022).

After arXiv:2210.15631, section 3.3, a cheap stand-in for the waveform front end with the same
positions: those of `window` samples, two `hop`s apart. Facts:

    window, hop, n_fft   of the Fourier transform, in samples      sample_rate   in Hz
    mels                 bands                                     floor         of their power
    mean, deviation      of the log of a band: a number, or one a band; constants, so that no
                         frame depends on another
    channels             between the two convolutions
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.cost.sheet import Cells, Operator
from stillhouse.core.elastic import ElasticLinear
from stillhouse.plugins.models.encoder.constants import Constants
from stillhouse.plugins.models.encoder.front_ends.contract import ElasticPart, Facts, FrontEnd
from stillhouse.plugins.models.encoder.front_ends.copying import twin
from stillhouse.plugins.models.encoder.front_ends.frames import projected, projection_row
from stillhouse.plugins.models.encoder.front_ends.spectrum import PowerSpectrum, bins, mel_matrix
from stillhouse.plugins.models.encoder.front_ends.waveform import heard_positions

STEPS = 2
"""Frames from one position to the next."""
KERNEL = 3


@final
class LogMel(nn.Module, Constants):
    """Waveforms (batch, samples) to standardised log-mel frames (batch, mels, frames)."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.facts = facts
        mels, points = facts["mels"], bins(facts["n_fft"])
        self.power = PowerSpectrum(facts["window"], facts["hop"], facts["n_fft"])
        self.mel: Tensor
        self.scale: Tensor
        self.shift: Tensor
        for name, shape in (("mel", (mels, points, 1)), ("scale", (mels, 1)), ("shift", (mels, 1))):
            self.register_buffer(name, torch.empty(shape, device="meta"))

    def fill(self) -> None:
        facts = self.facts
        matrix = mel_matrix(facts["mels"], facts["n_fft"], facts["sample_rate"])
        mean, deviation = (
            torch.tensor(facts[name], dtype=torch.float64).expand(facts["mels"])[:, None]
            for name in ("mean", "deviation")
        )
        self.mel.copy_(matrix[..., None])
        self.scale.copy_(1 / deviation)
        self.shift.copy_(-mean / deviation)

    def forward(self, x: Tensor) -> Tensor:
        bands = functional.conv1d(self.power(x), self.mel)
        return torch.addcmul(self.shift, bands.clamp(min=self.facts["floor"]).log(), self.scale)


@final
class FbankFrontEnd(nn.Module):
    """Waveforms (batch, samples) to (batch, positions, width)."""

    def __init__(
        self, log_mel: LogMel, conv1: nn.Conv1d, conv2: nn.Conv1d, projection: nn.Linear
    ) -> None:
        super().__init__()
        self.log_mel, self.conv1, self.conv2 = log_mel, conv1, conv2
        self.projection = projection

    def forward(self, x: Tensor) -> Tensor:
        return banked(x, self)


def banked(x: Tensor, parts: Any) -> Tensor:
    """The front end's arithmetic, plain and elastic alike."""
    x = functional.gelu(parts.conv1(parts.log_mel(x)))
    return projected(parts.conv2(x).transpose(1, 2), parts.projection)


@final
class ElasticFbank(ElasticPart):
    """`FbankFrontEnd` to the first features of its width."""

    def __init__(self, plain: FbankFrontEnd) -> None:
        super().__init__()
        self.log_mel = twin(plain.log_mel)
        self.conv1, self.conv2 = twin(plain.conv1), twin(plain.conv2)
        self.projection = ElasticLinear.from_plain(plain.projection)

    def set_active(self, width: int) -> None:
        self.projection.set_active(self.projection.inputs, width)

    def forward(self, x: Tensor) -> Tensor:
        return banked(x, self)

    def extract(self) -> FbankFrontEnd:
        log_mel, conv1, conv2 = twin(self.log_mel), twin(self.conv1), twin(self.conv2)
        return FbankFrontEnd(log_mel, conv1, conv2, self.projection.extract())


@final
class Fbank(FrontEnd):
    """See the module. Inputs are (samples,), one channel.

    Position t hears most of frame 2t, which covers the samples from 2 * hop * t on, and a little
    of the frames on either side of it.
    """

    kind = "fbank"

    def skeleton(self, facts: Facts, width: int) -> FbankFrontEnd:
        channels, half = facts["channels"], KERNEL // 2
        return FbankFrontEnd(
            LogMel(facts),
            nn.Conv1d(facts["mels"], channels, KERNEL, STEPS, padding=half, device="meta"),
            nn.Conv1d(channels, channels, KERNEL, padding=half, device="meta"),
            nn.Linear(channels, width, device="meta"),
        )

    def elastic(self, plain: nn.Module) -> ElasticFbank:
        if not isinstance(plain, FbankFrontEnd):
            raise TypeError(f"expected a FbankFrontEnd, came {type(plain).__name__}")
        return ElasticFbank(plain)

    def positions(self, facts: Facts, input_shape: Sequence[int]) -> int:
        """`UserError` for a clip shorter than a window."""
        return heard_positions(self.kind, input_shape, facts["window"], STEPS * facts["hop"])

    def rows(
        self, facts: Facts, input_shape: Sequence[int], width: Cells, active: Cells | float
    ) -> Iterator[Operator]:
        """Fixed matrices are stored and multiplied, but are no parameters."""
        positions = self.positions(facts, input_shape)
        frames = (input_shape[0] - facts["window"]) // facts["hop"] + 1
        yield from _log_mel_rows(facts, input_shape[0], frames, active)
        channels = facts["channels"]
        always: dict[str, Any] = {"active": active, "outputs": channels, "positions": positions}
        conv = {**always, "kernel": KERNEL, "bias": 1}
        first = {**conv, "inputs": facts["mels"], "read_positions": frames}
        yield Operator("front_end.conv1", "conv1d", "front_end", first)
        yield Operator("front_end.act", "elementwise", "front_end", always)
        yield Operator("front_end.conv2", "conv1d", "front_end", {**conv, "inputs": channels})
        yield projection_row(channels, positions, width, active)


def _log_mel_rows(
    facts: Facts, samples: int, frames: int, active: Cells | float
) -> Iterator[Operator]:
    points, mels, name = bins(facts["n_fft"]), facts["mels"], "front_end.log_mel"
    base: dict[str, Any] = {"active": active, "positions": frames}
    fourier = {
        **base,
        "inputs": 1,
        "outputs": 2 * points,
        "kernel": facts["window"],
        "read_positions": samples,
        "fixed": 1,
    }
    both = {**base, "outputs": points, "read_positions": 2 * frames}
    bands = {**base, "outputs": mels}
    yield Operator(f"{name}.power", "conv1d", "front_end", fourier)
    yield Operator(
        f"{name}.power.square", "elementwise", "front_end", {**base, "outputs": 2 * points}
    )
    yield Operator(f"{name}.power.sum", "elementwise", "front_end", both)
    yield Operator(f"{name}.mel", "conv1d", "front_end", {**bands, "inputs": points, "fixed": 1})
    yield Operator(f"{name}.floor", "elementwise", "front_end", bands)
    yield Operator(f"{name}.log", "elementwise", "front_end", bands)
    standard = {**bands, "bias": 1, "fixed": 1}
    yield Operator(f"{name}.standard", "norm", "front_end", standard)
