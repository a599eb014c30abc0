"""A bundle: a small folder that is measured on the device itself, without stillhouse.

It holds artefacts, one script (`Target.standalone_script`) and `manifest.json`. The script reads
the keys `format`, `target`, `settings`, `repeats`, `warmup` and `artefacts` (each a `key`, a `path`
and a `role`), and writes `result.json`: `format`, `identity` (the device and its runtime),
`settings`, `latencies` by key, and `reference`. An artefact's key is a hash of its content, so a
result fits one bundle only. What an artefact is, a block's shape or a network's structure, is told
by the manifest's other keys, `blocks` and `networks`; a network's `sha256` is its artefact's.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stillhouse.core.atomic import umask, write_atomically
from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.context import Progress
from stillhouse.core.measure.blocks import write_blocks
from stillhouse.core.measure.identity import EXPORT, HARDWARE, Identity
from stillhouse.core.measure.target import Exported, Target

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SCRIPT: Final = "measure.py"
RESULT: Final = "result.json"
_ARTEFACTS: Final = "artefacts"
_POOL: Final = "weights.bin"
_WARMUP: Final = 10
_README: Final = """\
# A bundle of stillhouse

Measures {networks} networks and {blocks} operators on the device that this folder is copied to.

1. Copy the folder to the device, which needs Python 3.10: `pip install {runtime} numpy`
2. Let the device rest: nothing else running, on mains power, cool.
3. `python {script}` writes `{result}` after some minutes; stopped and started again, it goes on.
4. Copy `{result}` back into this folder. Then, where stillhouse is installed:
   {then}
"""
_PROFILED: Final = """\
`stillhouse profile --from-result {folder}/{result} --bundle {folder} --out device.json`
5. Name the device file in the run file: `target: {{runtime: {target}, device: device.json}}`"""
_CERTIFIED: Final = """\
`stillhouse certify {run} --from-result {folder}/{result} --bundle {folder}`"""


@dataclass(frozen=True)
class Networks:
    """Whole networks for a bundle: structures by key, in the order that anchors are taken from."""

    family: str
    structures: Mapping[str, Mapping[str, Any]]
    export: Callable[[Mapping[str, Any], Path], Exported]
    """Writes a structure's artefact; where they are pooled, with random weights."""
    pooled: bool = True
    """Whether weights may be replaced by others that all artefacts share, to make them small."""
    certifies: Path | None = None
    """The finished run whose models these are; None where a device is profiled."""


@dataclass(frozen=True)
class Bundle:
    """What was written."""

    folder: Path
    networks: int
    blocks: int
    size_bytes: int


def write_bundle(
    folder: Path,
    target: Target,
    identity: Identity,
    shapes: Sequence[Shape],
    networks: Networks | None,
    progress: Progress,
    repeats: int = 200,
) -> Bundle:
    """Write a bundle; `identity` is the target's, with what the networks' export depends on.

    Raises `UserError` when the target has no script of its own, when it writes no blocks, or when
    the folder is in use or cannot be written; `ExportError` when a network cannot be exported.
    """
    script = target.standalone_script()
    run = networks.certifies if networks else None
    if script is None:
        there = "stillhouse profile --out FILE" if run is None else f"stillhouse certify {run}"
        raise UserError(
            f"target {target.name} has no script that measures without stillhouse; install "
            f"stillhouse on the device and run there: {there}"
        )
    with _staged(folder) as place:
        writer = _Writer(place, target)
        blocks = writer.blocks(shapes) if shapes else []
        listed = writer.networks(networks, progress) if networks else []
        facts = {key: value for key, value in identity.items() if key not in (*HARDWARE, "runtime")}
        manifest = {
            "format": FORMAT,
            "target": target.name,
            "settings": {k: v for k, v in facts.items() if k not in ("target", *EXPORT)},
            "identity": facts,
            "written_with": identity.get("runtime"),
            "repeats": repeats,
            "warmup": _WARMUP,
            "artefacts": writer.artefacts,
            "blocks": blocks,
            "networks": listed,
        }
        write_atomically(place / MANIFEST, json.dumps(manifest, indent=1))
        write_atomically(place / SCRIPT, script)
        write_atomically(place / "README.md", _readme(manifest, folder.name, run))
        size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    return Bundle(folder, len(listed), len(blocks), size)


def _readme(manifest: Mapping[str, Any], folder: str, run: Path | None) -> str:
    named = {"script": SCRIPT, "result": RESULT, "folder": folder, "run": run}
    then = (_PROFILED if run is None else _CERTIFIED).format(target=manifest["target"], **named)
    return _README.format(
        runtime=str(manifest["written_with"] or "").replace(" ", "=="),
        networks=len(manifest["networks"]),
        blocks=len(manifest["blocks"]),
        then=then,
        **named,
    )


class _Writer:
    """A bundle's artefacts so far; equal files are kept once."""

    def __init__(self, place: Path, target: Target) -> None:
        self._place, self._target = place, target
        self._folder = place / _ARTEFACTS
        self._folder.mkdir()
        self._known: set[str] = set()
        self.artefacts: list[dict[str, str]] = []

    def blocks(self, shapes: Sequence[Shape]) -> list[dict[str, Any]]:
        known = {shape.key: shape.to_json() for shape in shapes}
        with tempfile.TemporaryDirectory(prefix=".blocks-", dir=self._place) as folder:
            written = write_blocks(self._target, shapes, Path(folder))
            hashes = {key: self._take(path, "block") for key, path in written.items()}
        return [
            {"key": key, "shape": known.get(key), "artefact": _key(sha256)}
            for key, sha256 in hashes.items()
        ]

    def networks(self, networks: Networks, progress: Progress) -> list[dict[str, Any]]:
        listed = []
        progress.start("export", len(networks.structures))
        try:
            for key, structure in networks.structures.items():
                path = self._folder / f"exporting{self._target.suffix}"
                size = networks.export(structure, path).size_bytes
                if networks.pooled:
                    self._target.pool_weights([path], self._folder / _POOL)
                sha256 = self._take(path, "network")
                listed.append({
                    "key": key,
                    "family": networks.family,
                    "structure": structure,
                    "size_bytes": size,
                    "artefact": _key(sha256),
                    "sha256": sha256,
                })  # fmt: skip
                progress.advance(1, f"{size / 1e3:.0f} kB")
        finally:
            progress.finish()
        return listed

    def _take(self, path: Path, role: str) -> str:
        """Move a file to its place, named after its content; returns its SHA-256."""
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        key = _key(sha256)
        if key not in self._known:
            self._known.add(key)
            place = path.replace(self._folder / f"{key}{path.suffix}")
            relative = place.relative_to(self._place).as_posix()
            self.artefacts.append({"key": key, "path": relative, "role": role})
        return sha256


def _key(sha256: str) -> str:
    return sha256[:32]


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder to fill that becomes `folder` when all went well, and is gone when not."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            f"{folder}: expected a new or empty folder for the bundle, found something in it; "
            "choose another with --bundle"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            yield place
            place.chmod(0o777 & ~umask())
            place.replace(folder)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    except OSError as failed:
        raise UserError(
            f"{folder}: the bundle cannot be written ({failed.strerror or failed}); choose another "
            "folder with --bundle"
        ) from failed
