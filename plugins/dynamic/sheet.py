"""Early exits in the operator sheet, for all candidates at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from stillhouse.core.cost.kinds import KINDS
from stillhouse.core.cost.row_costs import RowCosts
from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet
from stillhouse.plugins.dynamic.exit_rows import Feature, Shape, exit_rows
from stillhouse.plugins.dynamic.placing import blocks_in, lies_in, placed, there_in

LEAST: Final = 0.001
"""A share that is solved for lies between this and 1 minus this."""
_STEPS: Final = 60
Placed = tuple[Operator, Cells, bool]
"""A row, how many exits a sample has passed when it runs, and whether it is an exit's own."""


def early_exit_sheet(
    sheet: OperatorSheet, columns: Mapping[str, Any], taps: Sequence[str], shape: Shape
) -> OperatorSheet:
    """The sheet with the exits' rows, and the probability of all that lies behind an exit.

    `taps` are examples of a family's. `columns` are those of the method's parameters.
    """
    rows = _with_exits(sheet, columns, taps, shape)
    stays = 1 - _leaving(rows, columns)
    found = []
    for row, passed, _ in rows:
        probability = {"probability": row["probability"] * stays**passed} if passed.any() else {}
        found.append(replace(row, cells={**row.cells, **probability}))
    return OperatorSheet(sheet.candidates, tuple(found))


def leaving_of(
    sheet: OperatorSheet, columns: Mapping[str, Any], taps: Sequence[str], shape: Shape
) -> Cells:
    """The share of the samples at an exit that leave there, (candidates,).

    Where `cost` is a number, the one at which the expected multiply-accumulates are that share of
    the network's own without exits, as near as it comes.
    """
    return _leaving(_with_exits(sheet, columns, taps, shape), columns)


def _leaving(rows: Sequence[Placed], columns: Mapping[str, Any]) -> Cells:
    leave = np.asarray(columns["leave"], np.float64)
    cost = np.array([np.nan if one is None else one for one in columns["cost"]], np.float64)
    if np.isnan(cost).all():
        return leave
    spent = _macs_by_passed(rows, len(leave))
    bound = cost * sum((_macs(row) for row, _, own in rows if not own), np.zeros(len(leave)))
    low, high = np.full(len(leave), LEAST), np.full(len(leave), 1 - LEAST)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        expected = sum(macs * (1 - middle) ** passed for passed, macs in enumerate(spent))
        low = np.where(expected > bound, middle, low)
        high = np.where(expected > bound, high, middle)
    return np.where(np.isnan(cost), leave, high)


def _macs_by_passed(rows: Sequence[Placed], candidates: int) -> list[Cells]:
    """Multiply-accumulates of the rows behind 0, 1, ... exits, (candidates,) each."""
    most = max((int(passed.max(initial=0)) for _, passed, _ in rows), default=0)
    found = [np.zeros(candidates) for _ in range(most + 1)]
    for row, passed, _ in rows:
        for level, total in enumerate(found):
            total += _macs(row) * (passed == level)
    return found


def _macs(row: Operator) -> Cells:
    return np.asarray(RowCosts(row).macs * row["active"], np.float64)


def _with_exits(
    sheet: OperatorSheet, columns: Mapping[str, Any], taps: Sequence[str], shape: Shape
) -> list[Placed]:
    blocks = blocks_in(sheet, taps)
    exits = placed(blocks, there_in(sheet, blocks), columns["exits"], columns["taps"])
    ends = {_last_row(sheet, block): place for place, block in enumerate(blocks)}
    alive, passed = _alive_after(sheet), np.zeros(sheet.candidates)
    rows: list[Placed] = []
    for number, row in enumerate(sheet.rows):
        rows.append((row, passed, False))
        place = ends.get(number)
        if place is None or not exits[place].any():
            continue
        block, active = blocks[place], exits[place]
        feature = _feature(sheet, block, alive)
        made = exit_rows(block, active, feature, shape, columns["criterion"])
        rows += [(one, passed, True) for one in made]
        passed = passed + active
    return rows


def _last_row(sheet: OperatorSheet, block: str) -> int:
    return max(number for number, row in enumerate(sheet.rows) if lies_in(row.name, block))


def _feature(sheet: OperatorSheet, block: str, alive: Sequence[Cells]) -> Feature:
    """What the last row of a block that runs has written."""
    positions, width, after = (np.zeros(sheet.candidates) for _ in range(3))
    for row, left in _inside(sheet, block, alive):
        runs = np.not_equal(np.multiply(row["active"], row["positions"]), 0)
        positions = np.where(runs, row["positions"], positions)
        width = np.where(runs, row["outputs"], width)
        after = np.where(runs, left, after)
    return Feature(positions, width, after)


def _inside(
    sheet: OperatorSheet, block: str, alive: Sequence[Cells]
) -> Iterator[tuple[Operator, Cells]]:
    pairs = zip(sheet.rows, alive, strict=True)
    return ((row, left) for row, left in pairs if lies_in(row.name, block))


def _alive_after(sheet: OperatorSheet) -> list[Cells]:
    """Elements alive after each row: what the next one that runs reads and holds."""
    found: list[Cells] = []
    after = np.zeros(sheet.candidates)
    for row in reversed(sheet.rows):
        found.append(after)
        runs = np.not_equal(np.multiply(row["active"], row["positions"]), 0)
        after = np.where(runs, KINDS[row.kind].read(row) + row["held"], after)
    return found[::-1]
