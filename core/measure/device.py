"""The device file: what was measured on one device with one setting, kept for every later run."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, final

from stillhouse.core.atomic import write_atomically
from stillhouse.core.errors import UserError
from stillhouse.core.measure.latency import Latency

_FORMAT: Final = 2


class Measured(NamedTuple):
    """A structure's latency on the device and the size of its artefact."""

    latency: Latency
    size_bytes: int


@final
class DeviceFile:
    """Measurements by structure key, as JSON on disk, written atomically after each addition.

    Open it with `DeviceFile.open`. One file holds one identity: a device, a runtime, its settings.
    """

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path, self._content = path, content
        self._second: Path | None = None

    @classmethod
    def open(cls, path: Path, identity: Mapping[str, Any]) -> Self:
        """The file at `path`, created if there is none.

        Raises `UserError` when the file was measured under another identity (lists the keys that
        differ), is damaged, or cannot be written.
        """
        wanted = json.loads(json.dumps(identity))
        if not path.exists():
            empty = {"format": _FORMAT, "identity": wanted, "anchors": {}, "latencies": {}}
            device_file = cls(path, empty)
            device_file._write()
            return device_file
        content = _read(path)
        _check_identity(path, content["identity"], wanted)
        return cls(path, content)

    @property
    def identity(self) -> Mapping[str, Any]:
        return dict(self._content["identity"])

    def __len__(self) -> int:
        return len(self._content["latencies"])

    def get(self, key: str) -> Measured | None:
        """What was measured for a structure, or None."""
        entry = self._content["latencies"].get(key)
        return _measured(self.path, key, entry) if entry is not None else None

    def put(
        self, key: str, latency: Latency, size_bytes: int, anchor_ratio: float | None = None
    ) -> None:
        """Keep a measurement; `anchor_ratio` says by what its times were divided (see bench)."""
        entry = {**latency.to_json(), "size_bytes": size_bytes}
        if anchor_ratio is not None:
            entry["anchor_ratio"] = anchor_ratio
        self._content["latencies"][key] = entry
        self._write()
        if self._second is not None:
            with _alone(self._second):
                again = type(self).open(self._second, self.identity)
                again.put(key, latency, size_bytes, anchor_ratio)

    def anchors(self, family: str) -> Sequence[Mapping[str, Any]]:
        """The structures that tie a family's measurements of different days together."""
        anchors: Sequence[Mapping[str, Any]] = self._content["anchors"].get(family, [])
        return anchors

    def set_anchors(self, family: str, structures: Sequence[Mapping[str, Any]]) -> None:
        self._content["anchors"][family] = [dict(structure) for structure in structures]
        self._write()
        if self._second is not None:
            with _alone(self._second):
                type(self).open(self._second, self.identity).set_anchors(family, structures)

    def also_keep_in(self, path: Path) -> None:
        """Write every addition from now on to a second file of the same identity as well.

        What that file knows and this one does not is left as it is there.
        """
        type(self).open(path, self.identity)
        self._second = path

    def _write(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps(self._content, indent=1, sort_keys=True))
        except OSError as failed:
            raise UserError(
                f"cannot write the device file {self.path}: {failed.strerror}; choose another "
                f"with target.device, or move the cache with STILLHOUSE_HOME"
            ) from failed


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Other processes that add to the same file wait."""
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def default_path(identity: Mapping[str, Any], environ: Mapping[str, str]) -> Path:
    """Where an identity's measurements are kept unless the run file says otherwise.

    `$STILLHOUSE_HOME/devices/` or `~/.cache/stillhouse/devices/`; every identity has its own file,
    named after its `"target"` and a hash of the whole.
    """
    home = environ.get("STILLHOUSE_HOME")
    root = Path(home).expanduser() if home else Path.home() / ".cache" / "stillhouse"
    named = json.dumps([_FORMAT, identity], sort_keys=True)
    digest = hashlib.sha256(named.encode()).hexdigest()[:16]
    target = re.sub(r"[^\w.-]+", "-", str(identity.get("target", "target")))
    return root / "devices" / f"{target}-{digest}.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as failed:
        raise UserError(f"cannot read the device file {path}: {failed.strerror}") from failed
    except ValueError as failed:
        raise UserError(_damaged(path, f"it is not JSON ({failed})")) from failed
    keys = ("identity", "latencies", "anchors")
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise UserError(_damaged(path, f'expected an object with "format": {_FORMAT}'))
    for key in keys:
        if not isinstance(content.get(key), dict):
            raise UserError(_damaged(path, f'expected an object at "{key}"'))
    for family, anchors in content["anchors"].items():
        if not isinstance(anchors, list) or not all(isinstance(a, dict) for a in anchors):
            raise UserError(_damaged(path, f"expected a list of structures at anchors.{family}"))
    return content


def _measured(path: Path, key: str, entry: Any) -> Measured:
    try:
        latency = Latency(
            float(entry["latency_ms"]),
            float(entry["p95_ms"]),
            int(entry["repeats"]),
            str(entry["date"]),
            float(entry["median_ms"]),
            float(entry["low_ms"]),
            float(entry["high_ms"]),
            str(entry["conditions"]),
        )
        return Measured(latency, int(entry["size_bytes"]))
    except (KeyError, TypeError, ValueError) as failed:
        raise UserError(_damaged(path, f"latencies.{key}: {failed!r}")) from failed


def _damaged(path: Path, reason: str) -> str:
    return (
        f"{path}: not a device file that can be used: {reason}; "
        f"delete it to have the device measured again"
    )


def _check_identity(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = [k for k in sorted({*found, *wanted}) if found.get(k) != wanted.get(k)]
    if differing:
        lines = [f"  {k}: file {found.get(k)!r}, now {wanted.get(k)!r}" for k in differing]
        raise UserError(
            f"{path} was measured under another identity:\n" + "\n".join(lines) + "\n"
            "Latencies do not carry over. Leave target.device out to use this identity's own "
            "file, name another path, or change the settings back"
        )
