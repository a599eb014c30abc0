"""Costs that depend on the sample: means and percentiles over ways to run, and over lengths.

A row's `probability` is the share of samples that reach it. Samples are nested: one that reaches
a row reaches every row of at least that probability, as with exits in a chain or a network that
only hard samples go on to. So a sheet stands for a few ways to run, known with their shares, and
all that is said here is exact. Exits that different samples take independently are not nested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.core.errors import UserError

Cost = Callable[[OperatorSheet], Cells]
_ROUNDING: Final = 1e-9


def is_dynamic(sheet: OperatorSheet) -> bool:
    """Whether any candidate runs differently from sample to sample."""
    probable = (row["probability"] for row in sheet.rows if "probability" in row.cells)
    return any(bool(np.any(np.less(probability, 1))) for probability in probable)


def at_quantile(sheet: OperatorSheet, q: float) -> OperatorSheet:
    """The way to run that a share `q` of samples does not exceed: probabilities become 0 or 1.

    A row is kept where more than 1 - q of the samples reach it. Any cost that grows with the rows
    that run has its q-quantile there. What is stored stays.
    """
    if not 0 <= q < 1:
        raise ValueError(f"expected a quantile in [0, 1), got {q}")
    return sheet.map(lambda row: _only(row, np.greater(row["probability"], 1 - q)))


def longest(sheet: OperatorSheet) -> OperatorSheet:
    """The way to run on which no sample leaves early: every probability is 1."""
    return sheet.map(lambda row: {"probability": 1.0} if "probability" in row.cells else None)


def outcomes(sheet: OperatorSheet) -> list[tuple[OperatorSheet, Cells]]:
    """Every way to run, as `at_quantile` has it, with the share of samples, (candidates,)."""
    if not is_dynamic(sheet):
        return [(sheet, np.ones(sheet.candidates))]
    reach = _probabilities(sheet)
    shares = _steps(reach)
    found = [(_reaching(sheet, p), share) for p, share in zip(reach, shares, strict=True)]
    rest = 1 - reach.max(axis=0)
    if (rest > 0).any():
        found.append((sheet.map(lambda _: {"probability": 0.0}), rest))
    return found


def with_shares(sheet: OperatorSheet, shares: Sequence[float]) -> OperatorSheet:
    """One candidate's sheet with the shares of samples that really went each way, of sum 1.

    The shortest way first, as many as `outcomes` has. Raises ValueError for another number.
    """
    reach = np.unique(_probabilities(sheet))[::-1]
    if sheet.candidates != 1 or len(reach) != len(shares):
        raise ValueError(
            f"expected one candidate with {len(shares)} ways to run, got {sheet.candidates} with "
            f"{len(reach)}"
        )
    taken = np.cumsum(np.array(shares)[::-1])[::-1]

    def change(row: Operator) -> dict[str, Cells | float]:
        place = np.flatnonzero(reach == np.asarray(row["probability"]))[0]
        return {"probability": taken[place : place + 1].copy()}

    return sheet.map(change)


def expected(sheet: OperatorSheet, cost: Cost) -> Cells:
    """Mean over samples of a cost that is no sum over rows, (candidates,)."""
    found = outcomes(sheet)
    if len(found) == 1:
        return cost(sheet)
    total = np.zeros(sheet.candidates)
    for outcome, share in found:
        total += share * cost(outcome)
    return total


@final
@dataclass(frozen=True)
class Lengths:
    """How often inputs of each length occur; `UserError` for what is no distribution."""

    lengths: tuple[int, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.lengths or len(self.lengths) != len(self.shares):
            raise UserError(
                f"lengths: expected a share for each, got {self.lengths} and {self.shares}"
            )
        if min(self.lengths) < 1 or len(set(self.lengths)) < len(self.lengths):
            raise UserError(f"lengths: expected distinct ones above 0, got {self.lengths}")
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > _ROUNDING:
            raise UserError(f"lengths: expected shares of sum 1, got {self.shares}")

    @staticmethod
    def of(observed: Iterable[int]) -> Lengths:
        """The distribution of observed lengths."""
        lengths, counts = np.unique(np.fromiter(observed, np.int64), return_counts=True)
        shares = counts / max(counts.sum(), 1)
        return Lengths(tuple(lengths.tolist()), tuple(shares.tolist()))


def quantile_over(parts: Sequence[tuple[float, OperatorSheet]], cost: Cost, q: float) -> Cells:
    """The q-quantile over samples of a mixture of sheets with their shares, (candidates,).

    The least value that at least a share `q` of the samples does not exceed. One sheet costs one
    evaluation of `cost`, which must grow with the rows that run; several cost one for each way
    to run.
    """
    if len(parts) == 1:
        return cost(at_quantile(parts[0][1], q))
    found = [(cost(way), share * s) for share, sheet in parts for way, s in outcomes(sheet)]
    values, shares = (np.stack(column) for column in zip(*found, strict=True))
    order = np.argsort(values, axis=0, kind="stable")
    reached = np.cumsum(np.take_along_axis(shares, order, axis=0), axis=0)
    place = np.minimum((reached < q - _ROUNDING).sum(axis=0), len(values) - 1)
    each = np.arange(values.shape[1])
    quantile: Cells = values[order[place, each], each]
    return quantile


def _reaching(sheet: OperatorSheet, probability: Cells) -> OperatorSheet:
    return sheet.map(lambda row: _only(row, np.greater_equal(row["probability"], probability)))


def _only(row: Operator, kept: NDArray[np.bool_] | np.bool_) -> dict[str, Cells | float] | None:
    if isinstance(row["probability"], (int, float)) and row["probability"] == 1 and kept.all():
        return None
    return {"probability": kept.astype(np.float64)}


def _probabilities(sheet: OperatorSheet) -> NDArray[np.float64]:
    """The distinct columns of probabilities among the rows, (columns, candidates)."""
    cells = {}
    for row in sheet.rows:
        column = np.broadcast_to(np.asarray(row["probability"], np.float64), (sheet.candidates,))
        cells[column.tobytes()] = column
    return np.stack(list(cells.values()))


def _steps(reach: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each probability, how far it lies above the next lower one of its candidate, or 0."""
    order = np.argsort(reach, axis=0, kind="stable")
    ascending = np.take_along_axis(reach, order, axis=0)
    steps = np.empty_like(reach)
    np.put_along_axis(steps, order, np.diff(ascending, axis=0, prepend=0.0), axis=0)
    return steps
