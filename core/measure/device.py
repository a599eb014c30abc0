"""The device file: what was measured on one device with one setting, kept for every later run."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self, final

from stillhouse.core.atomic import write_atomically
from stillhouse.core.errors import UserError
from stillhouse.core.measure import device_json, identity
from stillhouse.core.measure.latency import Latency


class Measured(NamedTuple):
    """A structure's latency on the device and the size of its artefact."""

    latency: Latency
    size_bytes: int


Block = tuple[Mapping[str, Any], Latency]
"""An operator's shape, as JSON, and what one such operator takes."""


@final
class DeviceFile:
    """Measurements on a device as JSON on disk, written atomically after each addition.

    Whole networks by structure key, blocks (single operators) by shape key. Open it with
    `DeviceFile.open`. One file holds one identity: a device, a runtime, its settings. A file of
    other hardware than this machine's is `foreign`: it may be read; adding to it is an error of
    the program (`RuntimeError`).
    """

    def __init__(self, path: Path, content: dict[str, Any], *, foreign: bool = False) -> None:
        self.path, self._content, self.foreign = path, content, foreign
        self._second: Path | None = None

    @classmethod
    def open(cls, path: Path, wanted: Mapping[str, Any]) -> Self:
        """The file at `path` for a machine and settings; created if there is none.

        Raises `UserError` when the file was measured with other settings (lists the keys that
        differ, see `core.measure.identity`), is damaged, or cannot be written.
        """
        plain = json.loads(json.dumps(wanted))
        if not path.exists():
            device_file = cls(path, device_json.empty(plain))
            device_file._write()
            return device_file
        content = device_json.read(path)
        found = content["identity"]
        identity.check_settings(path, found, plain, whole=bool(content["latencies"]))
        if not content["latencies"]:
            export = {key: plain[key] for key in identity.EXPORT if key in plain}
            content["identity"] = {**identity.without_export(found), **export}
        return cls(path, content, foreign=identity.foreign(found, plain))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The file at `path` whatever its identity, to be read only.

        Raises `UserError` when there is none or it is damaged.
        """
        return cls(path, device_json.read(path), foreign=True)

    @property
    def identity(self) -> Mapping[str, Any]:
        return dict(self._content["identity"])

    def describe(self) -> str:
        """One line for people: the device, the settings, what has been measured."""
        what = f"{len(self)} networks, {len(self._content['blocks'])} blocks"
        return f"{identity.describe(self.identity)}: {what}"

    def __len__(self) -> int:
        return len(self._content["latencies"])

    def get(self, key: str) -> Measured | None:
        """What was measured for a structure, or None."""
        entry = self._content["latencies"].get(key)
        if entry is None:
            return None
        return Measured(device_json.latency_of(entry), int(entry["size_bytes"]))

    def put(
        self, key: str, latency: Latency, size_bytes: int, anchor_ratio: float | None = None
    ) -> None:
        """Keep a measurement; `anchor_ratio` says by what its times were divided (see bench)."""
        entry = {**latency.to_json(), "size_bytes": size_bytes}
        if anchor_ratio is not None:
            entry["anchor_ratio"] = anchor_ratio
        self._add("latencies", {key: entry})

    def anchors(self, family: str) -> Sequence[Mapping[str, Any]]:
        """The structures that tie a family's measurements of different days together."""
        anchors: Sequence[Mapping[str, Any]] = self._content["anchors"].get(family, [])
        return anchors

    def set_anchors(self, family: str, structures: Sequence[Mapping[str, Any]]) -> None:
        self._add("anchors", {family: [dict(structure) for structure in structures]})

    def structures(self, family: str) -> list[tuple[Mapping[str, Any], Measured]]:
        """The family's measured structures, as far as they were kept with `put_structures`."""
        known = self._content["structures"].get(family, {})
        found = [(structure, self.get(key)) for key, structure in known.items()]
        return [(structure, measured) for structure, measured in found if measured is not None]

    def put_structures(self, family: str, structures: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep by key what was measured, so that a model can be fitted from the file alone."""
        known = self._content["structures"].get(family, {})
        self._add("structures", {family: {**known, **structures}})

    def block(self, key: str) -> Latency | None:
        """What one operator of a shape takes, or None."""
        entry = self._content["blocks"].get(key)
        return device_json.latency_of(entry["latency"]) if entry is not None else None

    def blocks(self) -> Mapping[str, Block]:
        """Every measured shape and its latency, by key."""
        return {
            key: (entry["shape"], device_json.latency_of(entry["latency"]))
            for key, entry in self._content["blocks"].items()
        }

    def put_blocks(self, blocks: Mapping[str, Block]) -> None:
        """Keep measured shapes, all in one write."""
        entries = {
            key: {"shape": dict(shape), "latency": latency.to_json()}
            for key, (shape, latency) in blocks.items()
        }
        self._add("blocks", entries)

    @property
    def reference_ms(self) -> float | None:
        """The best time of the reference kernel on this device, None if never measured."""
        ms: float | None = self._content.get("reference", {}).get("ms")
        return ms

    def set_reference(self, ms: float) -> None:
        self._add("reference", {"ms": ms})

    @property
    def energy(self) -> Mapping[str, Any] | None:
        """The energy table as it stands in the file, None if there is none."""
        table: Mapping[str, Any] | None = self._content.get("energy")
        return table

    @property
    def adapted_from(self) -> Mapping[str, Any] | None:
        """The device whose model was adapted to this one: its identity and its model, or None."""
        base: Mapping[str, Any] | None = self._content.get("adapted_from")
        return base

    def set_adapted_from(self, base: DeviceFile, model: Mapping[str, Any]) -> None:
        """Keep another device's latency model, as JSON, for adapting it to this device."""
        self._add("adapted_from", {"identity": dict(base.identity), "model": dict(model)})

    def also_keep_in(self, path: Path) -> None:
        """Write every addition from now on to a second file of the same identity as well.

        What that file knows and this one does not is left as it is there.
        """
        second = type(self).open(path, self.identity)
        if second.foreign:
            raise UserError(
                f"{path} was measured on other hardware ({second.describe()}); measurements of "
                f"{identity.describe(self.identity)} do not belong there. Name another file with "
                "target.device"
            )
        self._second = path

    def _add(self, section: str, entries: Mapping[str, Any]) -> None:
        if self.foreign:
            raise RuntimeError(f"{self.path} is another device's: nothing measured here belongs")
        self._content.setdefault(section, {}).update(entries)
        self._write()
        if self._second is not None:
            with _alone(self._second):
                type(self).open(self._second, self.identity)._add(section, entries)

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


def default_path(facts: Mapping[str, Any], environ: Mapping[str, str]) -> Path:
    """Where an identity's measurements are kept unless the run file says otherwise.

    `$STILLHOUSE_HOME/devices/` or `~/.cache/stillhouse/devices/`; every identity has its own file,
    named after its `"target"` and a hash of the whole.
    """
    home = environ.get("STILLHOUSE_HOME")
    root = Path(home).expanduser() if home else Path.home() / ".cache" / "stillhouse"
    named = json.dumps([device_json.FORMAT, facts], sort_keys=True)
    digest = hashlib.sha256(named.encode()).hexdigest()[:16]
    target = re.sub(r"[^\w.-]+", "-", str(facts.get("target", "target")))
    return root / "devices" / f"{target}-{digest}.json"
