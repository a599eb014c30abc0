"""What a run says of itself while it goes on: `status.json` in its folder, and who reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stillhouse.core import plain_json
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.execute import WorkerState
from stillhouse.core.typed import typed

FORMAT: Final = 1
STATUS_FILE: Final = "status.json"
RUNNING, STOPPING, STOPPED, FAILED, FINISHED = (
    "running",
    "stopping",
    "stopped",
    "failed",
    "finished",
)
UNDER_WAY: Final = (RUNNING, STOPPING)


@dataclass(frozen=True)
class Piece:
    """A piece of work that is under way: `done` of `total` steps, and its last figure."""

    label: str
    done: int
    total: int
    note: str = ""


@dataclass(frozen=True)
class Pace:
    """How the evaluations go. Attempts `repeated` are those that ended with their worker.

    `per_minute` is over the last minutes, and `left_s` what that makes of the rest; both are None
    before anything has ended.
    """

    done: int
    total: int
    failed: int = 0
    repeated: int = 0
    per_minute: float | None = None
    left_s: float | None = None


@dataclass(frozen=True)
class Status:
    """How a run stood at `updated`. Times are ISO 8601 in UTC; nothing here decides anything.

    `state` is running, stopping (it finishes what is running), stopped (resumable), failed or
    finished, `message` what it said about that. `pid` on `host` is the process that drives it,
    `born` the clock tick since boot at which that began, 0 where the system does not say.
    `progressed` is when it was last heard of progress. `work` goes from the whole to its parts.
    `kind` is "search" or what else has a status, such as "sweep".
    """

    name: str
    state: str
    pid: int
    host: str
    started: str
    updated: str
    progressed: str
    born: int = 0
    stage: str = ""
    work: Sequence[Piece] = ()
    evaluations: Pace | None = None
    best: str = ""
    workers: Sequence[WorkerState] = ()
    dashboard: str = ""
    message: str = ""
    kind: str = "search"
    format: int = FORMAT

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it. By hand: `asdict` copies deeply, and there may be many workers."""
        pace = self.evaluations
        return {
            **vars(self),
            "work": [vars(one) for one in self.work],
            "evaluations": None if pace is None else vars(pace),
            "workers": [vars(one) for one in self.workers],
        }

    def to_json(self) -> str:
        """A line a field: readable, and still encoded in C."""
        fields = self.to_record().items()
        lines = [f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in fields]
        return "{" + ",\n".join(lines) + "}\n"

    @staticmethod
    def read(path: Path) -> Status:
        """The status in a file.

        Raises FileNotFoundError where there is none, RunDirectoryError for what is no status or
        that of another version.
        """
        try:
            raw = plain_json.read(path)
            found = raw.get("format") if isinstance(raw, dict) else None
            if found != FORMAT:
                raise ValueError(f"expected format {FORMAT}, got {found}")
            return typed(Status, raw)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError) as error:
            raise RunDirectoryError(
                f"{path}: not a status that this version reads ({error}); look with the version "
                "that runs the search, or remove the file: it is only looked at"
            ) from None


def born(pid: int | str = "self") -> int:
    """The clock tick since boot at which a process began; 0 where the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
        return int(stat.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def lives(status: Status) -> bool:
    """Whether the process that drives a run is still there; asks this machine, so its `host`."""
    try:
        os.kill(status.pid, 0)
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return False
    began = born(status.pid)
    return not (status.born and began) or began == status.born
