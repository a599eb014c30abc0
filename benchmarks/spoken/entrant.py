"""One contestant on one seed: its files, its times, and its result once there is one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spoken.clock import Base
from stillhouse.core.atomic import write_atomically
from stillhouse.core.errors import RunDirectoryError


@dataclass(frozen=True)
class Entrant:
    """`marks` are the times of judgement in seconds, by what the table calls them."""

    label: str
    seed: int
    runs: Path
    base: Base
    marks: Mapping[str, float]

    @property
    def folder(self) -> Path:
        return self.runs / f"{self.label}-seed-{self.seed}"

    @property
    def device(self) -> Path:
        """A device file of its own: no timing serves two contestants but what is copied."""
        return self.folder.with_name(f"{self.folder.name}-device.json").absolute()

    @property
    def result(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.json")

    @property
    def seconds(self) -> float:
        return max(self.marks.values())

    def kept(self, settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result of an earlier call, None when there is none.

        Raises:
            RunDirectoryError: it was obtained under other settings; names those that differ.
        """
        if not self.result.is_file():
            return None
        found: dict[str, Any] = json.loads(self.result.read_text("utf-8"))
        before = found["settings"]
        differing = [name for name in settings if before.get(name) != settings[name]]
        if differing:
            raise RunDirectoryError(
                f"{self.result}: obtained with another {', '.join(differing)}; choose another "
                "folder with --runs, or remove the file"
            )
        return found

    def keep(self, result: Mapping[str, Any]) -> None:
        write_atomically(self.result, json.dumps(result, indent=1, allow_nan=False) + "\n")

    @contextmanager
    def passing(self) -> Iterator[Path]:
        """A folder for exported artefacts that goes when it has served."""
        with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
            yield Path(folder)
