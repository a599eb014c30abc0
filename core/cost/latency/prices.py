"""What one operator of a kind costs on a device: the form behind the roofline and the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from stillhouse.core.cost.latency.judging import Array
from stillhouse.core.cost.latency.shapes import Shape, cells_of
from stillhouse.core.cost.latency.work import parts, work
from stillhouse.core.cost.sheet import Cells

_RIDGE: Final = 1e-4


@final
@dataclass(frozen=True)
class Price:
    """Of one operator: once, for each of its parts after the first (`shapes.parts`), for each
    multiply-accumulate, and for each element read or written, weights among them.
    """

    overhead_ms: float
    part_ms: float
    mac_ms: float
    element_ms: float

    @staticmethod
    def fit(shapes: Sequence[Shape], ms: Array) -> Price:
        """Non-negative least squares on relative errors, over shapes of one layout.

        A small ridge decides where there are fewer shapes than prices.
        """
        return Price(*_solved(amounts_of(shapes), ms).tolist())

    def ms(self, kind: str, cells: Mapping[str, Cells | float]) -> Cells:
        """Milliseconds of one operator, in the shape of the cells."""
        once, parts, macs, elements = _amounts(kind, cells)
        priced = self.part_ms * parts + self.mac_ms * macs + self.element_ms * elements
        return self.overhead_ms * once + priced


def _solved(matrix: Array, ms: Array) -> Array:
    from scipy.optimize import nnls

    scale = np.maximum(matrix.max(axis=0), np.finfo(np.float64).tiny)
    ridge = np.sqrt(_RIDGE * len(ms)) * np.eye(matrix.shape[1])
    relative = np.vstack([matrix / scale / ms[:, None], ridge])
    wanted = np.concatenate([np.ones(len(ms)), np.zeros(matrix.shape[1])])
    solution: Array = nnls(relative, wanted)[0] / scale
    return solution


def amounts_of(shapes: Sequence[Shape]) -> Array:
    """What is priced of shapes of one layout, (shapes, prices)."""
    return np.stack(_amounts(shapes[0].kind, cells_of(shapes)), axis=1)


def _amounts(kind: str, cells: Mapping[str, Cells | float]) -> tuple[Cells, ...]:
    macs, elements = work(kind, cells)
    return np.ones_like(macs), np.broadcast_to(parts(kind, cells), macs.shape), macs, elements


def check_layouts(found: Iterable[str], known: Iterable[str]) -> None:
    """Raise ValueError naming the layouts that are not known."""
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise ValueError(
            f"no operator of the kind {', '.join(unknown)} was measured on this device; measure "
            "what the run's networks contain with: stillhouse profile --run RUN_FILE --out FILE"
        )


def without_itself(shapes: Sequence[Shape], ms: Array) -> Array:
    """Each shape's time as the others of its layout price it, (shapes,)."""
    matrix = amounts_of(shapes)
    others = ~np.eye(len(shapes), dtype=np.bool_)
    predicted = [row @ _solved(matrix[o], ms[o]) for row, o in zip(matrix, others, strict=True)]
    return np.maximum(predicted, np.finfo(np.float64).tiny)
