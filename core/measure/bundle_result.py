"""What a bundle's script measured, turned into a device file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from stillhouse.core import plain_json
from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.errors import UserError
from stillhouse.core.measure.blocks import block_latencies
from stillhouse.core.measure.bundle import FORMAT, MANIFEST, RESULT, SCRIPT
from stillhouse.core.measure.device import DeviceFile
from stillhouse.core.measure.device_json import latency_of, positive
from stillhouse.core.measure.identity import HARDWARE
from stillhouse.core.measure.latency import Latency

_ANCHORS: Final = 3
_FOREIGN: Final = (KeyError, TypeError, ValueError, AttributeError)
_PROFILE: Final = "stillhouse profile --bundle DIR"


def device_file_of(
    result: Path, folder: Path, out: Path, *, written_by: str = _PROFILE
) -> DeviceFile:
    """The device file `out`, with what `result` says of the bundle in `folder` added to it.

    Raises `UserError` when a file is missing or damaged, when the result is another bundle's, or
    when `out` holds another device or setting; `written_by` is the command that it advises to
    write the bundle anew with.
    """
    manifest = _manifest(folder, written_by)
    measured = _object(result, f"the {RESULT} that the bundle's {SCRIPT} writes", written_by)
    latencies, reference = _measured(result, measured, written_by)
    try:
        _check_same(result, measured, latencies, folder, manifest)
    except _FOREIGN as failed:
        raise UserError(_damaged(folder / MANIFEST, repr(failed), written_by)) from failed
    try:
        identity = {**manifest["identity"], **_device(measured["identity"])}
        blocks = _blocks(manifest, latencies)
        networks = [_network(entry, latencies) for entry in manifest["networks"]]
    except _FOREIGN as failed:
        why = f"it does not fit {result}: {failed!r}"
        raise UserError(_damaged(folder / MANIFEST, why, written_by)) from failed
    device = DeviceFile.open(out, identity)
    if device.foreign:
        raise UserError(
            f"{out} holds another device's measurements ({device.describe()}); name a new file "
            "with --out"
        )
    _fill(device, blocks, networks)
    if reference:
        device.set_reference(positive(reference["ms"]), reference.get("numpy"))
    return device


def artefact_hashes(folder: Path, *, written_by: str = _PROFILE) -> Mapping[str, str]:
    """SHA-256 of each network's artefact in a bundle, as hexadecimal digits by the network's key.

    Raises `UserError` when the manifest is missing or damaged.
    """
    manifest = _manifest(folder, written_by)
    try:
        return {str(entry["key"]): str(entry["sha256"]) for entry in manifest["networks"]}
    except _FOREIGN as failed:
        raise UserError(_damaged(folder / MANIFEST, repr(failed), written_by)) from failed


def runtime_note(folder: Path, device: DeviceFile) -> str | None:
    """What to say where the device's runtime is another version than the one here."""
    here = _manifest(folder, _PROFILE).get("written_with")
    there = device.identity.get("runtime")
    if here == there:
        return None
    return (
        f"measured with {there}, while {here} wrote the bundle: only runs that use {there} take "
        f"this file; install {here} on the device and measure again, or {there} here"
    )


def _fill(
    device: DeviceFile,
    blocks: Mapping[str, tuple[Mapping[str, Any], Latency]],
    networks: list[tuple[str, str, Mapping[str, Any], Latency, int]],
) -> None:
    if blocks:
        device.put_blocks(blocks)
    for key, _, _, latency, size_bytes in networks:
        device.put(key, latency, size_bytes)
    for family in dict.fromkeys(family for _, family, _, _, _ in networks):
        structures = {key: structure for key, its, structure, _, _ in networks if its == family}
        device.put_structures(family, structures)
        if not device.anchors(family):
            device.set_anchors(family, list(structures.values())[:_ANCHORS])


def _manifest(folder: Path, written_by: str) -> dict[str, Any]:
    what = "the bundle's manifest; is --bundle its folder?"
    return _object(folder / MANIFEST, what, written_by)


def _object(path: Path, what: str, written_by: str) -> dict[str, Any]:
    try:
        content = plain_json.read(path)
    except OSError as failed:
        raise UserError(f"{path}: cannot be read ({failed.strerror}); expected {what}") from failed
    except ValueError as failed:
        raise UserError(_damaged(path, f"it is not JSON ({failed})", written_by)) from failed
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        wanted = f'expected an object with "format": {FORMAT}, {what}'
        raise UserError(_damaged(path, wanted, written_by))
    return content


def _measured(
    path: Path, measured: Mapping[str, Any], written_by: str
) -> tuple[dict[str, Latency], Mapping[str, Any]]:
    """The result's latencies, and its reference if it has one."""
    try:
        reference = dict(measured.get("reference", {}))
        if reference:
            positive(reference["ms"])
    except _FOREIGN as failed:
        raise UserError(_damaged(path, f"its reference: {failed!r}", written_by)) from failed
    try:
        found = {str(key): latency_of(entry) for key, entry in measured["latencies"].items()}
    except _FOREIGN as failed:
        raise UserError(_damaged(path, f"its latencies: {failed!r}", written_by)) from failed
    return found, reference


def _check_same(
    result: Path,
    measured: Mapping[str, Any],
    latencies: Mapping[str, Latency],
    folder: Path,
    manifest: Mapping[str, Any],
) -> None:
    """Artefacts are named after their content, so other keys are another bundle's."""
    wanted = {entry["key"] for entry in manifest["artefacts"]}
    settings = dict(manifest["settings"])
    if strange := latencies.keys() - wanted:
        raise UserError(
            f"{result} is not of the bundle {folder}: {len(strange)} of its {len(latencies)} "
            f"artefacts are not in its {MANIFEST}; give the folder it was measured in with --bundle"
        )
    if missing := wanted - latencies.keys():
        raise UserError(
            f"{result} lacks {len(missing)} of the {len(wanted)} artefacts of the bundle {folder}; "
            f"let {SCRIPT} run to its end there, or give the folder that it was measured in"
        )
    if measured.get("settings") != settings:
        raise UserError(
            f"{result} was measured with the settings {measured.get('settings')}, the bundle "
            f"{folder} says {settings}; run its {SCRIPT} as it is"
        )


def _device(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What the device says of itself; what the bundle fixed is in the manifest."""
    wanted = {key: identity[key] for key in ("cpu", "cores", "runtime")}
    return {**wanted, **{key: identity[key] for key in HARDWARE if key in identity}}


def _blocks(
    manifest: Mapping[str, Any], latencies: Mapping[str, Latency]
) -> Mapping[str, tuple[Mapping[str, Any], Latency]]:
    entries = manifest["blocks"]
    shapes = [Shape.from_json(e["shape"]) for e in entries if e["shape"] is not None]
    results = {str(entry["key"]): latencies[entry["artefact"]] for entry in entries}
    return block_latencies(shapes, results) if entries else {}


def _network(
    entry: Mapping[str, Any], latencies: Mapping[str, Latency]
) -> tuple[str, str, Mapping[str, Any], Latency, int]:
    latency = latencies[entry["artefact"]]
    structure = dict(entry["structure"])
    return str(entry["key"]), str(entry["family"]), structure, latency, int(entry["size_bytes"])


def _damaged(path: Path, reason: str, written_by: str) -> str:
    return (
        f"{path}: not a file that can be used: {reason}; copy it again from the device, or write "
        f"the bundle anew with: {written_by}"
    )
