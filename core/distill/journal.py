"""The losses of a training run as they come, and a line for every epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import torch
from torch import Tensor

from stillhouse.core.distill.settings import EpochLine, TrainSettings
from stillhouse.core.errors import TrainingError
from stillhouse.core.evaluate.context import Progress


@dataclass(frozen=True)
class Course:
    """A run's length: `total` updates, `per_epoch` of them an epoch."""

    label: str
    total: int
    per_epoch: int
    settings: TrainSettings

    def rate(self, update: int) -> float:
        return self.settings.rate(update, self.total)

    def place(self, update: int) -> str:
        epoch = update // self.per_epoch + 1
        rate = self.rate(update)
        return f"update {update + 1} of {self.total} (epoch {epoch}, learning rate {rate:g})"


@final
class Journal:
    """Gathers the losses of updates without waiting for the device, and reads them in groups."""

    def __init__(self, course: Course, names: Sequence[str]) -> None:
        self._course, self._names = course, tuple(names)
        self._unread: list[Tensor] = []
        self._sums = [0.0] * len(names)
        self._updates = 0
        self.lines: list[EpochLine] = []

    @property
    def unread(self) -> int:
        return len(self._unread)

    def add(self, values: Tensor) -> None:
        """The losses of one update, shape (names,), left on their device."""
        self._unread.append(values)

    def read(self, progress: Progress) -> None:
        """Read what was added since the last time.

        Raises:
            StillhouseError: a loss is not finite; names the update, the epoch and every addend.
        """
        rows = torch.stack(self._unread).double().tolist() if self._unread else []
        for row in rows:
            if not all(map(math.isfinite, row)):
                raise TrainingError(self._diverged(row))
            self._sums = [a + b for a, b in zip(self._sums, row, strict=True)]
            self._updates += 1
        self._unread.clear()
        if rows:
            progress.advance(len(rows), f"loss {rows[-1][0]:.3f}")

    def close(self, score: Mapping[str, float]) -> None:
        """End an epoch, all of whose losses were read."""
        before = self.lines[-1].updates if self.lines else 0
        means = [total / (self._updates - before) for total in self._sums]
        losses = dict(zip(self._names, means, strict=True))
        rate = self._course.rate(self._updates - 1)
        line = EpochLine(len(self.lines) + 1, self._updates, losses, rate, score)
        self.lines.append(line)
        self._sums = [0.0] * len(self._names)

    def counters(self) -> dict[str, Any]:
        """JSON-able state, as `restore` takes it; everything added must have been read."""
        lines = [asdict(line) for line in self.lines]
        return {"updates": self._updates, "sums": self._sums, "history": lines}

    def restore(self, counters: Mapping[str, Any]) -> None:
        self._updates, self._sums = counters["updates"], counters["sums"]
        self.lines = [EpochLine(**line) for line in counters["history"]]

    def _diverged(self, row: list[float]) -> str:
        shown = ", ".join(f"{n} {v:g}" for n, v in zip(self._names, row, strict=True))
        return (
            f"training '{self._course.label}': expected a finite loss, got {shown} at "
            f"{self._course.place(self._updates)}; lower learning_rate, or look for extreme "
            f"values in the data"
        )
