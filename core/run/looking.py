"""How a run stands, as seen from outside: reads its folder, takes no lock, changes nothing."""

from __future__ import annotations

import shlex
import socket
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from stillhouse.core import plain_json
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.plain_file import link_out
from stillhouse.core.run.directory import RUN_FILE, SWEEP_MARK, RunDirectory
from stillhouse.core.run.status import (
    FINISHED,
    STATUS_FILE,
    UNDER_WAY,
    Pace,
    Status,
    lives,
)
from stillhouse.core.run.summary import RunSummary

KILLED: Final = "killed"
"""The status says running, but who drove it is gone."""
SILENT: Final = "silent"
"""The status says running, but nothing was heard from the other machine for a minute."""
UNKNOWN: Final = "unknown"
"""There is no status: the run is older than those, or the file was removed."""
_SILENT_S: Final = 60.0
_LARGEST_BYTES: Final = 256_000


@dataclass(frozen=True)
class Look:
    """A status and what follows from it.

    `standing` is the state, or what the facts make of it: killed, silent, unknown. `alive` is None
    where this machine cannot know. `silent_s` is the age of the status, `stalled_s` that of the
    last progress. `resume` is the command that goes on with the run, "" where there is nothing to
    go on with; `report` the page of a finished one.
    """

    folder: Path
    status: Status
    standing: str
    alive: bool | None
    silent_s: float
    stalled_s: float
    resume: str = ""
    report: str = ""

    @property
    def ended(self) -> bool:
        """Whether looking again would show the same, as long as nobody resumes the run."""
        return self.standing not in (*UNDER_WAY, SILENT)

    def to_record(self) -> dict[str, Any]:
        """The file's content, and under "derived" what follows from it; for JSON."""
        facts = ("standing", "alive", "silent_s", "stalled_s", "resume", "report")
        derived = {name: getattr(self, name) for name in facts}
        return {**self.status.to_record(), "derived": derived}


def look(folder: Path, now: float, host: str | None = None) -> Look:
    """How the run in a folder stands at `now` (seconds since the epoch), seen from `host`.

    Raises RunDirectoryError for a folder that is no run and no sweep, and for files that are
    damaged.
    """
    sweep = (folder / SWEEP_MARK).is_file()
    if not sweep:
        RunDirectory.existing(folder)
    elif link := link_out(folder):
        raise RunDirectoryError(
            f"{link}: expected the sweep's own file or folder, got a link out of {folder}"
        )
    try:
        status = Status.read(folder / STATUS_FILE)
    except FileNotFoundError:
        status = _unwatched_sweep(folder) if sweep else _unwatched_run(folder)
    silent_s, stalled_s = (_age(text, now) for text in (status.updated, status.progressed))
    alive = _alive(status, host or socket.gethostname())
    standing = _standing(status, alive, silent_s)
    report = folder / "report.html"
    ended = standing == FINISHED
    return Look(
        folder,
        status,
        standing,
        alive,
        silent_s,
        stalled_s,
        resume="" if ended or standing in UNDER_WAY else _resume(folder, sweep),
        report=str(report) if ended and report.is_file() else "",
    )


def _standing(status: Status, alive: bool | None, silent_s: float) -> str:
    if status.state not in UNDER_WAY or alive:
        return status.state
    if alive is None:
        return SILENT if silent_s > _SILENT_S else status.state
    return KILLED


def _alive(status: Status, host: str) -> bool | None:
    if status.state not in UNDER_WAY:
        return False if status.pid else None
    return lives(status) if status.host == host else None


def _resume(folder: Path, sweep: bool) -> str:
    words = ["stillhouse", "sweep" if sweep else "search", "--resume", str(folder)]
    if plugins := _text(_run_file(folder).get("plugins")):
        words += ["--plugins", str(folder / plugins)]
    return shlex.join(words)


def _unwatched_run(folder: Path) -> Status:
    """What ledger and summary tell."""
    # Only here: the ledger needs numpy, which takes longer to import than all else here together.
    from stillhouse.core.run.ledger import read_entries

    directory, search = RunDirectory(folder), _run_file(folder).get("search")
    entries = read_entries(directory.ledger) if directory.ledger.is_file() else []
    total = search.get("evaluations") if isinstance(search, dict) else None
    failed = sum(not entry.values for entry in entries)
    return replace(
        _unwatched(folder, directory.summary, directory.ledger),
        evaluations=Pace(len(entries), total if isinstance(total, int) else len(entries), failed),
        best=_found(directory.summary),
    )


def _unwatched_sweep(folder: Path) -> Status:
    return replace(_unwatched(folder, folder / "sweep.json", folder / "ledger.jsonl"), kind="sweep")


def _unwatched(folder: Path, summary: Path, ledger: Path) -> Status:
    """A status from the run file and from which files there are."""
    files = [path for path in (folder / RUN_FILE, summary, ledger) if path.is_file()]
    last = max((path.stat().st_mtime for path in files), default=0.0)
    when = datetime.fromtimestamp(last, UTC).isoformat(timespec="milliseconds")
    name = _text(_run_file(folder).get("name")) or folder.name
    state = FINISHED if summary in files else UNKNOWN
    return Status(name, state, 0, "", "", when, when)


def _found(path: Path) -> str:
    """The quality of the model that a finished run found."""
    try:
        summary = RunSummary.read(path)
    except FileNotFoundError:
        return ""
    found = next((row for row in summary.rows if row.role == "found"), None)
    known = {**found.validation} if found else {}
    name = next((str(one["name"]) for one in summary.objectives if one.get("name") in known), "")
    return f"best {name} {known[name]:.4f}" if name else ""


def _run_file(folder: Path) -> dict[str, Any]:
    """The stored run file as plain data, unchecked; what cannot be read tells nothing."""
    try:
        found = yaml.safe_load(plain_json.content(folder / RUN_FILE, _LARGEST_BYTES))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _age(text: str, now: float) -> float:
    try:
        return max(0.0, round(now - datetime.fromisoformat(text).timestamp(), 3))
    except ValueError:
        return 0.0
