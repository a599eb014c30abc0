"""Whisper's front end (Radford et al. 2023, sec. 2.2): log-mel spectrum, two convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, final

from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.cost.sheet import Cells, Operator
from stillhouse.core.elastic import ElasticConv1d
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.front_ends.contract import ElasticPart, Facts, FrontEnd
from stillhouse.plugins.models.encoder.front_ends.copying import twin
from stillhouse.plugins.models.encoder.front_ends.whisper_spectrum import (
    BINS,
    HOP,
    LEFT,
    WINDOW,
    WhisperSpectrum,
    padding_right,
)

INPUTS: Final = ("waveform", "mel")


def convolved(x: Tensor, conv1: nn.Module, conv2: nn.Module) -> Tensor:
    """Log-mel frames (batch, mels, frames) to (batch, half the frames, width)."""
    wide = functional.gelu(conv2(functional.gelu(conv1(x))))
    return wide.transpose(1, 2)


@final
class MelConvolutions(nn.Module):
    """Waveforms (batch, samples) at 16 kHz, or without `spectrum` log-mel (batch, mels, frames)."""

    def __init__(
        self, spectrum: WhisperSpectrum | None, conv1: nn.Conv1d, conv2: nn.Conv1d
    ) -> None:
        super().__init__()
        self.spectrum, self.conv1, self.conv2 = spectrum, conv1, conv2

    def forward(self, x: Tensor) -> Tensor:
        frames = x if self.spectrum is None else self.spectrum(x)
        return convolved(frames, self.conv1, self.conv2)


@final
class ElasticMelConvolutions(ElasticPart):
    """`MelConvolutions` over the first channels of both convolutions; all mels are used."""

    def __init__(self, plain: MelConvolutions) -> None:
        super().__init__()
        self.spectrum = None if plain.spectrum is None else twin(plain.spectrum)
        self.conv1 = ElasticConv1d.from_plain(plain.conv1)
        self.conv2 = ElasticConv1d.from_plain(plain.conv2)

    def set_active(self, width: int) -> None:
        self.conv1.set_active(self.conv1.inputs, width)
        self.conv2.set_active(width, width)

    def forward(self, x: Tensor) -> Tensor:
        frames = x if self.spectrum is None else self.spectrum(x)
        return convolved(frames, self.conv1, self.conv2)

    def extract(self) -> MelConvolutions:
        spectrum = None if self.spectrum is None else twin(self.spectrum)
        return MelConvolutions(spectrum, self.conv1.extract(), self.conv2.extract())


@final
class LogMel(FrontEnd):
    """Facts: `mels`, and `input`, "waveform" (samples,) at 16 kHz or "mel" (mels, frames).

    The latter is what `WhisperFeatureExtractor` makes of a clip.
    """

    kind = "log_mel"

    def skeleton(self, facts: Facts, width: int) -> MelConvolutions:
        spectrum = WhisperSpectrum.sized(facts["mels"]) if facts["input"] == "waveform" else None
        return MelConvolutions(
            spectrum,
            nn.Conv1d(facts["mels"], width, 3, padding=1, device="meta"),
            nn.Conv1d(width, width, 3, stride=2, padding=1, device="meta"),
        )

    def elastic(self, plain: nn.Module) -> ElasticMelConvolutions:
        if not isinstance(plain, MelConvolutions):
            raise TypeError(f"expected MelConvolutions, came {type(plain).__name__}")
        return ElasticMelConvolutions(plain)

    def frames(self, facts: Facts, input_shape: Sequence[int]) -> int:
        """Log-mel frames of an input, one for 10 ms; `UserError` for one that gives none."""
        if facts["input"] == "mel":
            if len(input_shape) != 2 or input_shape[0] != facts["mels"] or input_shape[1] < 1:
                raise UserError(
                    f"log_mel: expected inputs of shape ({facts['mels']}, frames), the task gives "
                    f"{tuple(input_shape)}"
                )
            return int(input_shape[1])
        if len(input_shape) != 1:
            raise UserError(
                f"log_mel: expected waveforms of shape (samples,), the task gives "
                f"{tuple(input_shape)}; use a task with waveforms, such as waveform-folder"
            )
        if input_shape[0] <= LEFT:
            raise UserError(
                f"log_mel: expected clips of more than {LEFT} samples at 16 kHz (half a window), "
                f"the task gives {input_shape[0]}; pad the clips"
            )
        return int(input_shape[0]) // HOP

    def positions(self, facts: Facts, input_shape: Sequence[int]) -> int:
        return (self.frames(facts, input_shape) + 1) // 2

    def rows(
        self, facts: Facts, input_shape: Sequence[int], width: Cells, active: Cells | float
    ) -> Iterator[Operator]:
        """The spectrum, whose two matrices are fixed, and the convolutions."""
        frames, mels = self.frames(facts, input_shape), facts["mels"]
        if facts["input"] == "waveform":
            yield from _spectrum_rows(input_shape[0], frames, mels, active)
        base: dict[str, Any] = {"active": active, "outputs": width, "kernel": 3, "bias": 1}
        half = self.positions(facts, input_shape)
        first, second = {"positions": frames}, {"positions": half, "read_positions": frames}
        for name, inputs, place in (("conv1", mels, first), ("conv2", width, second)):
            row = {**base, "inputs": inputs, **place}
            yield Operator(f"front_end.{name}", "conv1d", "front_end", row)
            gelu = {"active": active, "outputs": width, "positions": place["positions"]}
            yield Operator(f"front_end.{name}.act", "elementwise", "front_end", gelu)


def _spectrum_rows(
    samples: int, frames: int, mels: int, active: Cells | float
) -> Iterator[Operator]:
    padded = LEFT + samples + padding_right(samples)
    fourier = {"inputs": 1, "outputs": 2 * BINS, "kernel": WINDOW, "read_positions": padded}
    at = {"positions": frames}
    steps: list[tuple[str, Any, dict[str, Any]]] = [
        ("pad", "elementwise", {"outputs": 1, "positions": padded, "read_positions": samples}),
        ("fourier", "conv1d", {**fourier, **at, "fixed": 1}),
        ("square", "elementwise", {"outputs": 2 * BINS, **at}),
        ("power", "elementwise", {"outputs": BINS, **at, "read_positions": 2 * frames}),
        ("mel", "conv1d", {"inputs": BINS, "outputs": mels, **at, "fixed": 1}),
        ("floor", "elementwise", {"outputs": mels, **at}),
        ("log", "elementwise", {"outputs": mels, **at}),
        ("peak", "elementwise", {"outputs": 1, "read_positions": mels * frames}),
        ("range", "elementwise", {"outputs": 1}),
        ("clip", "elementwise", {"outputs": mels, **at}),
        ("shift", "elementwise", {"outputs": mels, **at}),
        ("scale", "elementwise", {"outputs": mels, **at}),
    ]  # fmt: skip
    for name, kind, cells in steps:
        place = f"front_end.spectrum.{name}"
        yield Operator(place, kind, "front_end", {"active": active, **cells})
