"""Whisper's encoder (Radford et al. 2023, arXiv:2212.04356), positions cropped to the clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import final

from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.state import Structure
from stillhouse.plugins.models.encoder.family import EncoderFamily, checked
from stillhouse.plugins.models.encoder.front_ends import front_end
from stillhouse.plugins.models.encoder.sizes import layered, whisper_named, whisper_sizes
from stillhouse.plugins.models.info import WhisperParams


@final
class WhisperFamily(EncoderFamily):
    """Encoders of waveforms (samples,) at 16 kHz, or of log-mel frames (mels, frames).

    Unlike Whisper itself a clip is not filled up to 30 s: attention sees the clip alone, which
    costs a hundredth of the time for clips of a second.
    """

    name = "whisper"

    def structure(
        self, params: WhisperParams, input_shape: tuple[int, ...], outputs: int
    ) -> Structure:
        """Raises `UserError` for inputs of another shape, too short or too long for the weights."""
        sizes, named = whisper_sizes(params), whisper_named(params)
        facts = {"kind": "log_mel", "mels": sizes["mels"], "input": params.input}
        count = front_end(facts).positions(facts, input_shape)
        if named is not None and count > named["positions"]["count"]:
            raise UserError(
                f"whisper: expected at most {named['positions']['count']} positions of 20 ms, "
                f"which the weights have, the task's inputs {list(input_shape)} have {count}"
            )
        return checked(
            {
                **layered(sizes),
                **(named or {}),
                "input_shape": list(input_shape),
                "outputs": outputs,
                "front_end": facts,
                "positions": {"kind": "table", "count": count, "learned": False},
                "before": True,
                "norm": False,
                "final_norm": True,
                "pool": params.pool,
            }
        )

    def pretrained(
        self, params: WhisperParams, structure: Structure
    ) -> Mapping[str, Tensor] | None:
        if params.weights:
            from stillhouse.plugins.models.encoder.weights.whisper import whisper_base_weights

            return whisper_base_weights(structure)
        if params.folder is None:
            return None
        from stillhouse.plugins.models.encoder.foreign.whisper import read_whisper

        return read_whisper(Path(params.folder), structure)

    def translated(self, module: nn.Module) -> nn.Module:
        from stillhouse.plugins.models.encoder.foreign.whisper import from_whisper

        return from_whisper(module)

    def save_foreign(self, module: nn.Module, folder: Path) -> str:
        from stillhouse.plugins.models.encoder.foreign.whisper import save_whisper

        return save_whisper(module, folder)
