"""A device profiled: operators of general sizes, and those that a run's networks are made of."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from stillhouse.core.cost.latency.shapes import Shape, sites_of
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.context import Progress
from stillhouse.core.measure.blocks import general_shapes, measure_blocks
from stillhouse.core.measure.device import DeviceFile
from stillhouse.core.measure.target import Target

_SEED: Final = 0
"""Every device is asked for the same shapes."""


def shapes_of_interest(more: Sequence[Shape] = ()) -> list[Shape]:
    """General shapes for a roofline, and `more` for a table; each once."""
    return list(dict.fromkeys([*general_shapes(np.random.default_rng(_SEED)), *more]))


def profile(
    target: Target,
    device_file: DeviceFile,
    shapes: Sequence[Shape],
    progress: Progress,
    repeats: int = 100,
) -> list[Shape]:
    """Measure what the device file does not know yet; each group of blocks is kept at once.

    Returns the shapes that the target cannot write. Raises `UserError` when it writes no blocks.
    """
    with known_reference(target, device_file):
        return measure_blocks(target, shapes, device_file, progress, repeats)


@contextmanager
def known_reference(target: Target, device_file: DeviceFile) -> Iterator[None]:
    """The target goes by the best reference time of the device file, which learns a better one."""
    target.reference_ms = device_file.reference_ms
    try:
        yield
    finally:
        best = target.reference_ms
        if best is not None and math.isfinite(best) and best != device_file.reference_ms:
            device_file.set_reference(best)


def writes_blocks(target: Target) -> bool:
    """Whether the target can measure single operators at all."""
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        return target.write_block(None, 1, Path(folder) / f"block{target.suffix}") is not None


def check_blocks(device_file: DeviceFile, sheet: OperatorSheet) -> None:
    """Raise `UserError` when the file lacks a kind of operator that the sheet's candidates run."""
    known = {Shape.from_json(shape).layout for shape, _ in device_file.blocks().values()}
    lacking = sorted({site.layout for site in sites_of(sheet)} - known)
    if lacking:
        raise UserError(
            f"{device_file.path} ({device_file.describe()}) has no measurements of operators that "
            f"this run's networks contain: {', '.join(lacking)}. Measure them on that device: "
            "stillhouse profile --run RUN_FILE --out FILE there, or through a bundle: "
            "stillhouse profile --run RUN_FILE --bundle DIR"
        )
