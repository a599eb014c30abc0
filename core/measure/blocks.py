"""Blocks measured on a target: which shapes, so many at once, and what one of them takes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from stillhouse.core.cost.latency.contract import LatencyModel
from stillhouse.core.cost.latency.roofline import Roofline
from stillhouse.core.cost.latency.shapes import SESSION, Shape
from stillhouse.core.cost.latency.table import BlockTable
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.context import Progress
from stillhouse.core.measure.block_shapes import copies_of as copies_of
from stillhouse.core.measure.block_shapes import general_shapes as general_shapes
from stillhouse.core.measure.block_shapes import wanted_shapes as wanted_shapes
from stillhouse.core.measure.device import DeviceFile
from stillhouse.core.measure.latency import QUIET, Latency
from stillhouse.core.measure.target import Target

Blocks = Mapping[str, tuple[Mapping[str, Any], Latency]]
"""Shapes, as JSON, and their latencies by the shapes' keys, as a device file takes them."""

_GROUP: Final = 32
_COVERED: Final = 0.25
_WARMUP: Final = 10
_LEAST_MS: Final = 1e-4
"""Taken for blocks whose time is lost in the noise: no runtime starts an operator any faster."""


def write_blocks(target: Target, shapes: Iterable[Shape], folder: Path) -> dict[str, Path]:
    """A file for each shape and for each number of copies without any, by key, for `measure`.

    Shapes that the target cannot write are left out. Raises `UserError` when it writes no blocks
    at all.
    """
    wanted = list(dict.fromkeys(shapes))
    paths: dict[str, Path] = {}
    for copies in sorted({1, *map(copies_of, wanted)}):
        path = target.write_block(None, copies, folder / f"nothing-{copies}{target.suffix}")
        if path is None:
            raise UserError(
                f"target {target.name} cannot measure single operators, which the roofline and the "
                "table of blocks are made of; use the fitted latency model (target.predictor)"
            )
        paths[_nothing(copies)] = path
    for number, shape in enumerate(wanted):
        path = target.write_block(shape, copies_of(shape), folder / f"{number:04d}{target.suffix}")
        if path is not None:
            paths[shape.key] = path
    return paths


def block_latencies(shapes: Iterable[Shape], results: Mapping[str, Latency]) -> Blocks:
    """What one block of each shape takes, from the latencies of `write_blocks`' files by key.

    A file takes what the file without blocks takes and `copies` blocks. The block "session" is
    what a run costs beside its operators. Shapes without a result are left out; raises KeyError
    when a file without blocks is missing.
    """
    found: dict[str, tuple[Mapping[str, Any], Latency]] = {}
    session = Shape(SESSION)
    found[session.key] = session.to_json(), results[_nothing(1)]
    for shape in shapes:
        if shape.key in results:
            copies = copies_of(shape)
            one = _one_of(copies, results[shape.key], results[_nothing(copies)])
            found[shape.key] = shape.to_json(), one
    return found


def measure_blocks(
    target: Target,
    shapes: Iterable[Shape],
    device_file: DeviceFile,
    progress: Progress,
    repeats: int = 100,
) -> list[Shape]:
    """Measure the shapes that the device file does not know, and keep them there group by group.

    Returns those that the target cannot write. Raises `UserError` when it writes no blocks.
    """
    missing = [s for s in dict.fromkeys(shapes) if device_file.block(s.key) is None]
    refused: list[Shape] = []
    progress.start("measure blocks", len(missing))
    try:
        for start in range(0, len(missing), _GROUP):
            group = missing[start : start + _GROUP]
            found = _measured(target, group, repeats)
            if device_file.block(SESSION) is not None:
                found = {key: block for key, block in found.items() if key != SESSION}
            device_file.put_blocks(found)
            refused += [shape for shape in group if shape.key not in found]
            progress.advance(len(group), group[0].kind)
    finally:
        progress.finish()
    return refused


def latency_models(device_file: DeviceFile, sheet: OperatorSheet) -> list[LatencyModel]:
    """What the file's blocks say of candidates like the sheet's: a table and a roofline, or none.

    Without a quarter of the candidates' operators measured themselves a table says less than the
    roofline, and is left out. Raises `UserError` when the file has blocks, but too few.
    """
    blocks = {
        Shape.from_json(shape): latency.latency_ms
        for shape, latency in device_file.blocks().values()
    }
    if not blocks:
        return []
    roofline, table = Roofline.fit(blocks), BlockTable.fit(blocks)
    return [table, roofline] if table.covered(sheet) >= _COVERED else [roofline]


def _measured(target: Target, shapes: Sequence[Shape], repeats: int) -> Blocks:
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        paths = write_blocks(target, shapes, Path(folder))
        latencies = target.measure(list(paths.values()), None, repeats=repeats, warmup=_WARMUP)
        return block_latencies(shapes, dict(zip(paths, latencies, strict=True)))


def _nothing(copies: int) -> str:
    return f"nothing copies={copies}"


def _one_of(copies: int, whole: Latency, nothing: Latency) -> Latency:
    """One block's share of a file's latency, without that of the file without blocks."""

    def share(of_whole: float, of_nothing: float) -> float:
        return max(_LEAST_MS, (of_whole - of_nothing) / copies)

    return Latency(
        latency_ms=share(whole.latency_ms, nothing.latency_ms),
        p95_ms=share(whole.p95_ms, nothing.median_ms),
        repeats=whole.repeats,
        date=whole.date,
        median_ms=share(whole.median_ms, nothing.median_ms),
        low_ms=share(whole.low_ms, nothing.high_ms),
        high_ms=share(whole.high_ms, nothing.low_ms),
        conditions=whole.conditions if nothing.conditions == QUIET else nothing.conditions,
    )
