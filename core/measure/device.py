"""The device file: what was measured on one device with one setting, kept for every later run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, final

import numpy as np

from stillhouse.core.atomic import write_atomically
from stillhouse.core.errors import UserError
from stillhouse.core.home import home
from stillhouse.core.measure import device_json, identity
from stillhouse.core.measure.latency import Latency
from stillhouse.core.measure.lock import alone

_NETWORKS: Final = ("latencies", "anchors", "structures")
"""Sections about whole networks, which depend on how they were exported."""


class Way(NamedTuple):
    """One of the ways to run: the share of samples that go it, and its latency."""

    share: float
    latency: Latency


class Measured(NamedTuple):
    """A structure's latency on the device and the size of its artefact.

    `ways` are those of an artefact that runs differently from sample to sample, the shortest
    first; `latency` is the mean over samples then.
    """

    latency: Latency
    size_bytes: int
    ways: tuple[Way, ...] = ()


Block = tuple[Mapping[str, Any], Latency]
"""An operator's shape, as JSON, and what one such operator takes."""


@final
class DeviceFile:
    """Measurements on a device as JSON on disk, written atomically after each addition.

    Whole networks by structure key, blocks (single operators) by shape key. Open it with
    `DeviceFile.open`. One file holds one identity: a device, a runtime, its settings. A file of
    other hardware than this machine's is `foreign`: it may be read; adding to it is an error of
    the program (`RuntimeError`). Several processes may add to one file: each addition is merged
    into what the file holds by then, which is what the object knows from then on.
    """

    def __init__(self, path: Path, content: dict[str, Any], *, foreign: bool = False) -> None:
        self.path, self._content, self.foreign = path, content, foreign
        self._others: list[Path] = []

    @classmethod
    def open(cls, path: Path, wanted: Mapping[str, Any]) -> Self:
        """The file at `path` for a machine and settings; created if there is none.

        Raises `UserError` when the file was measured with other settings (lists the keys that
        differ, see `core.measure.identity`), is damaged, or cannot be written.
        """
        plain = json.loads(json.dumps(wanted))
        if not path.exists():
            with alone(path):
                if not path.exists():
                    _write(path, device_json.empty(plain))
        content, foreign = _adopted(path, plain)
        return cls(path, content, foreign=foreign)

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
        entry = {**self._entry(latency), "size_bytes": size_bytes}
        if anchor_ratio is not None:
            entry["anchor_ratio"] = anchor_ratio
        self._add("latencies", {key: entry})

    def anchors(self, family: str) -> Sequence[Mapping[str, Any]]:
        """The structures that tie a family's measurements of different days together."""
        anchors: Sequence[Mapping[str, Any]] = self._content["anchors"].get(family, [])
        return anchors

    def set_anchors(self, family: str, structures: Sequence[Mapping[str, Any]]) -> None:
        """Keep a family's anchors; those that the file has already stay."""
        self._add("anchors", {family: [dict(structure) for structure in structures]})

    def structures(self, family: str) -> list[tuple[Mapping[str, Any], Measured]]:
        """The family's measured structures, as far as they were kept with `put_structures`."""
        known = self._content["structures"].get(family, {})
        found = [(structure, self.get(key)) for key, structure in known.items()]
        return [(structure, measured) for structure, measured in found if measured is not None]

    def put_structures(self, family: str, structures: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep by key what was measured, so that a model can be fitted from the file alone."""
        self._add("structures", {family: dict(structures)})

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
            key: {"shape": dict(shape), "latency": self._entry(latency)}
            for key, (shape, latency) in blocks.items()
        }
        self._add("blocks", entries)

    @property
    def reference_ms(self) -> float | None:
        """The best time of the reference kernel on this device.

        None if never measured, or measured with another version of NumPy, whose kernel it is.
        """
        reference = self._content.get("reference", {})
        ms: float | None = reference.get("ms")
        return ms if reference.get("numpy") == np.__version__ else None

    def set_reference(self, ms: float, numpy: str | None = np.__version__) -> None:
        """Keep a time of the reference kernel unless one with the same NumPy is better."""
        self._add("reference", {"ms": ms, "numpy": numpy})

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

    def also_keep_in(self, *paths: Path) -> None:
        """Give every addition from now on to the first of these files that takes it as well.

        Files are created where there are none. One whose networks are of another export, or that
        has blocks of no export, takes everything but networks. What a file knows and this one does
        not stays there; what both know stays as it is. Where networks go to another file than the
        first, those it has are taken over, unless this file has networks of its own.

        Raises `UserError` when a file is of other hardware or settings, has networks of another
        export and no blocks, or cannot be written.
        """
        for path in paths:
            with alone(path):
                content = self._beside(path)
                _write(path, content)
            self._others.append(path)
            if self._same_export(content):
                if len(self._others) > 1 and not len(self):
                    self._add_all({name: content[name] for name in _NETWORKS})
                return

    def _add(self, section: str, entries: Mapping[str, Any]) -> None:
        self._add_all({section: entries})
        for path in self._others:
            with alone(path):
                content = self._beside(path)
                if section in _NETWORKS and not self._same_export(content):
                    continue
                device_json.merge(content, section, entries, first_stays=True)
                _write(path, content)
            return

    def _add_all(self, sections: Mapping[str, Mapping[str, Any]]) -> None:
        if self.foreign:
            raise RuntimeError(f"{self.path} is another device's: nothing measured here belongs")
        with alone(self.path):
            if self.path.exists():
                self._content = self._mine(*_adopted(self.path, self.identity))
            for section, entries in sections.items():
                device_json.merge(self._content, section, entries)
            _write(self.path, self._content)

    def _mine(self, content: dict[str, Any], foreign: bool) -> dict[str, Any]:
        if foreign:
            raise UserError(
                f"{self.path} holds another device's measurements by now: it was replaced while "
                "this machine was measured. Name another file"
            )
        return content

    def _beside(self, path: Path) -> dict[str, Any]:
        """The content of another file that additions go to."""
        content = device_json.read(path) if path.exists() else device_json.empty(self.identity)
        found, whole = content["identity"], content["latencies"] and not content["blocks"]
        identity.check_settings(path, found, self.identity, whole=bool(whole))
        if identity.foreign(found, self.identity):
            raise UserError(
                f"{path} was measured on other hardware ({identity.describe(found)}); measurements "
                f"of {identity.describe(self.identity)} do not belong there. Name another file "
                "with target.device"
            )
        return content

    def _same_export(self, content: Mapping[str, Any]) -> bool:
        found, mine = content["identity"], self.identity
        return all(found.get(fact) == mine.get(fact) for fact in identity.EXPORT)

    def _entry(self, latency: Latency) -> dict[str, Any]:
        entry = latency.to_json()
        try:
            device_json.latency_of(entry)
        except ValueError as wrong:
            raise UserError(
                f"{self.path}: a measurement cannot be kept: {wrong}; measure again with more "
                "repeats (target.repeats)"
            ) from wrong
        return entry


def _adopted(path: Path, wanted: identity.Identity) -> tuple[dict[str, Any], bool]:
    """A file's content for whoever wants these settings, and whether its hardware is another."""
    content = device_json.read(path)
    found = content["identity"]
    identity.check_settings(path, found, wanted, whole=bool(content["latencies"]))
    if not content["latencies"]:
        export = {key: wanted[key] for key in identity.EXPORT if key in wanted}
        content["identity"] = {**identity.without_export(found), **export}
    return content, identity.foreign(found, wanted)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            # A file that is read-only is meant to stay, though its folder would let it be replaced.
            path.open("r+b").close()
        write_atomically(path, json.dumps(content, indent=1, sort_keys=True))
    except OSError as failed:
        raise UserError(
            f"cannot write the device file {path}: {failed.strerror}; choose another "
            f"with target.device, or move the cache with STILLHOUSE_HOME"
        ) from failed


def default_path(facts: Mapping[str, Any], environ: Mapping[str, str]) -> Path:
    """Where an identity's measurements are kept unless the run file says otherwise.

    `$STILLHOUSE_HOME/devices/` or `~/.cache/stillhouse/devices/`; every identity has its own file,
    named after its `"target"` and a hash of the whole.
    """
    named = json.dumps([device_json.FORMAT, facts], sort_keys=True)
    digest = hashlib.sha256(named.encode()).hexdigest()[:16]
    target = re.sub(r"[^\w.-]+", "-", str(facts.get("target", "target")))
    return home(environ) / "devices" / f"{target}-{digest}.json"
