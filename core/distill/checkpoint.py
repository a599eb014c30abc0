"""Checkpoints of a training run: one file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from stillhouse.core import plain_file, plain_json
from stillhouse.core.atomic import write_atomically
from stillhouse.core.distill.held import held
from stillhouse.core.errors import RunDirectoryError

_KEY = "stillhouse"


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Tensors (weights, moments) and JSON-able counters of a run at one update."""

    tensors: Mapping[str, Tensor]
    counters: Mapping[str, Any]


@final
class Checkpoint:
    """The file `<folder>/<label>.safetensors`; without a folder it keeps nothing.

    A file with another fingerprint belongs to other settings and is written over.
    """

    def __init__(
        self,
        folder: Path | None,
        label: str,
        fingerprint: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = None if folder is None else folder / f"{label.replace('/', '-')}.safetensors"
        self._fingerprint, self._clock, self._saved = fingerprint, clock, clock()

    def due(self, every_s: float) -> bool:
        """Whether there is a file to write and the last one is so many seconds old."""
        return self.path is not None and self._clock() - self._saved >= every_s

    def save(self, snapshot: Snapshot) -> None:
        """Replace the file; a kill at any moment leaves the old one or the new one."""
        if self.path is None:
            return
        header = {"fingerprint": self._fingerprint, **snapshot.counters}
        data = save(_separate(snapshot.tensors), {_KEY: json.dumps(header)})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, data)
        self._saved = self._clock()

    def load(self, largest: int | None = None) -> Snapshot | None:
        """The snapshot in the file, or None when there is none of this fingerprint.

        Raises:
            RunDirectoryError: when the file cannot be read as a checkpoint, or has more than
                `largest` bytes (default: this machine's memory).
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            plain_file.check(self.path, largest)
            with safe_open(self.path, framework="pt") as file:
                header = plain_json.parsed((file.metadata() or {})[_KEY], finite=False)
                if header["fingerprint"] != self._fingerprint:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise self.refusal(error) from error
        return Snapshot(tensors, header)

    def refusal(self, fact: object) -> RunDirectoryError:
        """The error for a file that is no checkpoint of this training."""
        return RunDirectoryError(
            f"{self.path}: expected a training checkpoint, got a damaged or foreign file "
            f"({fact}); delete it to start this training again"
        )


def fingerprint(module: nn.Module, facts: Mapping[str, Any]) -> str:
    """A hash of a network's weights and of JSON-able facts."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for name, tensor in held(module).items():
        digest.update(name.encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous CPU tensors of which no two share memory, as the format demands."""
    out: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        kept = tensor.detach().cpu().contiguous()
        storage = kept.untyped_storage().data_ptr()
        out[name] = kept.clone() if storage in seen else kept
        seen.add(storage)
    return out
