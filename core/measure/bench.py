"""Structures measured on a target: built with random weights, exported, timed together, kept."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.context import Progress
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.measure.afresh import afresh, divided, slowdown
from stillhouse.core.measure.device import DeviceFile, Measured
from stillhouse.core.measure.latency import QUIET, Latency
from stillhouse.core.measure.target import Exported, Target

Build = Callable[[Structure, torch.Generator], nn.Module]

_GROUP_BYTES: Final = 256_000_000
"""Artefacts timed together are all in memory at once."""
_GROUP: Final = 20
"""What is measured is kept group by group."""
_WARMUP: Final = 10
_ANCHORS: Final = 3


def structure_key(family: str, structure: Structure) -> str:
    """A key that two structures of a family share only when they are equal (as JSON)."""
    text = json.dumps([family, structure], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def measured(
    structures: Sequence[Structure],
    build: Build,
    target: Target,
    example: Tensor,
    device_file: DeviceFile,
    progress: Progress,
    repeats: int = 100,
    *,
    family: str,
    seed: int = 0,
    others: Mapping[str, Tensor] | None = None,
) -> list[Measured]:
    """Latency and artefact size of each structure, in order; measures only what is not yet known.

    Latency depends on the structure, not on the weights, so networks are built with random ones.
    What is measured goes to the device file at once and is read from there ever after, so a
    second call gives the same numbers.

    The first three structures measured become the family's anchors, plain ones before those of
    changed form. They are timed again among
    all that come later, whose times are divided by how much slower the anchors were than at first
    (median): all of a family's latencies are in terms of the conditions of the first measurement.
    Structures that take other inputs than `example`, which `others` holds by structure key, are
    never anchors.

    Raises `ExportError` when a structure cannot be exported.
    """
    keys = [structure_key(family, structure) for structure in structures]
    missing = {
        key: structure
        for key, structure in zip(keys, structures, strict=True)
        if device_file.get(key) is None
    }
    if missing:
        bench = _Bench(build, target, example, device_file, repeats, family, seed, others)
        progress.start("measure", len(missing))
        try:
            bench.measure(missing, progress)
        finally:
            progress.finish()
    return [_known(device_file, key) for key in keys]


def measured_artefacts(
    artefacts: Mapping[str, Exported],
    build: Build,
    target: Target,
    example: Tensor,
    device_file: DeviceFile,
    repeats: int = 100,
    *,
    family: str,
    seed: int = 0,
    anchors: Path,
    processes: int = 3,
    undecided: Callable[[Latency], bool] = lambda latency: False,
) -> dict[str, Measured]:
    """Latency of finished artefacts by key, timed together with the family's anchors, and kept.

    The anchors' artefacts are written to the folder `anchors`, and stay there.

    They run in so many fresh processes, one after another, and their intervals say what to expect
    of the next one (see `core.measure.afresh`). As long as one of them is `undecided`, more
    processes follow, up to three times as many. Like `measured`, a key that the device file knows
    is read from there.
    """
    missing = {key: one for key, one in artefacts.items() if device_file.get(key) is None}
    if missing:
        bench = _Bench(build, target, example, device_file, repeats, family, seed)
        bench.time_afresh(missing, anchors, processes, undecided)
    return {key: _known(device_file, key) for key in artefacts}


class _Bench:
    """One call's arguments."""

    def __init__(
        self,
        build: Build,
        target: Target,
        example: Tensor,
        device_file: DeviceFile,
        repeats: int,
        family: str,
        seed: int,
        others: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._build, self._target, self._example = build, target, example
        self._device_file, self._repeats = device_file, repeats
        self._family, self._seed, self._others = family, seed, others or {}

    def measure(self, missing: Mapping[str, Structure], progress: Progress) -> None:
        with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
            for group in self._groups(missing, Path(folder), progress):
                self._measure_group(missing, group, Path(folder))

    def _groups(
        self, missing: Mapping[str, Structure], folder: Path, progress: Progress
    ) -> Iterator[dict[str, Exported]]:
        group: dict[str, Exported] = {}
        for key, structure in missing.items():
            group[key] = self._export(key, structure, folder)
            progress.advance(1, f"{group[key].size_bytes / 1e3:.0f} kB")
            size = sum(artefact.size_bytes for artefact in group.values())
            if size >= _GROUP_BYTES or len(group) >= _GROUP:
                yield group
                group = {}
        if group:
            yield group

    def _measure_group(
        self, missing: Mapping[str, Structure], group: Mapping[str, Exported], folder: Path
    ) -> None:
        self.time(group, folder)
        if not self._device_file.anchors(self._family):
            # What was disturbed would tie all that follows to a slow moment.
            alike = _plainest([k for k in group if k not in self._others], missing)
            quiet = [k for k in alike if _known(self._device_file, k).latency.conditions == QUIET]
            chosen = (quiet if len(quiet) >= _ANCHORS else alike)[:_ANCHORS]
            self._device_file.set_anchors(self._family, [missing[key] for key in chosen])
        for artefact in group.values():
            artefact.path.unlink(missing_ok=True)

    def time(self, group: Mapping[str, Exported], folder: Path) -> None:
        """Time artefacts beside the anchors, if there are any, and keep the results."""
        anchors = self._anchors(folder)
        paths = [*(artefact.path for artefact in group.values()), *anchors]
        example = None if self._others.keys() & group.keys() else self._example
        latencies = self._target.measure(paths, example, repeats=self._repeats, warmup=_WARMUP)
        now = latencies[len(group) :]
        ratio = slowdown(now, list(anchors.values())) if anchors else None
        for (key, artefact), latency in zip(group.items(), latencies, strict=False):
            comparable = latency if ratio is None else divided(latency, ratio)
            self._device_file.put(key, comparable, artefact.size_bytes, ratio)

    def time_afresh(
        self,
        group: Mapping[str, Exported],
        folder: Path,
        processes: int,
        undecided: Callable[[Latency], bool],
    ) -> None:
        """As `time`, in fresh processes."""
        folder.mkdir(parents=True, exist_ok=True)
        latencies = afresh(
            self._target,
            [artefact.path for artefact in group.values()],
            self._anchors(folder),
            self._repeats,
            processes,
            undecided,
        ).latencies
        for (key, artefact), latency in zip(group.items(), latencies, strict=True):
            self._device_file.put(key, latency, artefact.size_bytes)

    def _anchors(self, folder: Path) -> dict[Path, float]:
        """Artefacts of the family's anchors, written to the folder, with their known ms."""
        anchors = {}
        for structure in self._device_file.anchors(self._family):
            key = structure_key(self._family, structure)
            path = self._export(f"anchor-{key}", structure, folder).path
            anchors[path] = _known(self._device_file, key).latency.latency_ms
        return anchors

    def _export(self, name: str, structure: Structure, folder: Path) -> Exported:
        path = folder / f"{name}{self._target.suffix}"
        example = self._others.get(structure_key(self._family, structure), self._example)
        return export_untrained(structure, self._build, self._target, example, path, self._seed)


def _plainest(keys: Sequence[str], structures: Mapping[str, Structure]) -> list[str]:
    """Those of no changed form, if there are two: a method that is gone could not rebuild it."""
    plain = [key for key in keys if not structures[key].get("rebuilds")]
    return plain if len(plain) > 1 else list(keys)


def export_untrained(
    structure: Structure, build: Build, target: Target, example: Tensor, path: Path, seed: int = 0
) -> Exported:
    """A structure's artefact with random weights: as large and as fast as with trained ones.

    Raises `ExportError` when the structure cannot be exported.
    """
    generator = torch.Generator().manual_seed(seed)
    return target.export(_distinct(build(structure, generator), generator), example, path)


def _distinct(network: nn.Module, generator: torch.Generator) -> nn.Module:
    """Shift every weight a little, so that no two tensors coincide.

    Exporters store equal tensors once; zero biases of a fresh network would make its file smaller
    than the trained network's. Upwards only, since variances must stay positive. Zeros among other
    entries of a matrix stay: they are there for good, and files hold them in less room.
    """
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype).abs()
                if tensor.ndim > 1 and tensor.any():
                    noise = noise * (tensor != 0)
                tensor.add_(noise, alpha=1e-3)
    return network


def _known(device_file: DeviceFile, key: str) -> Measured:
    found = device_file.get(key)
    if found is None:
        raise UserError(
            f"{device_file.path}: the measurement {key} is missing, though an anchor refers to it; "
            f"delete the file to have the device measured again"
        )
    return found
