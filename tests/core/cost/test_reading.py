"""A sheet is read by the names of its rows."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.core.cost.reading import Reading
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.errors import UserError

ROWS = tuple(
    Operator(f"layers.{place}.up", "linear", "linear", {"outputs": np.array([2.0, 3.0]) + place})
    for place in range(2)
)
SHEET = OperatorSheet(2, ROWS)


def test_cells_are_arrays_over_candidates_whatever_the_row_holds() -> None:
    assert Reading(SHEET).cells("layers.1.up", "outputs").tolist() == [3, 4]
    assert Reading(SHEET).cells("layers.1.up", "active").tolist() == [1, 1]


def test_rows_of_numbered_layers_are_found_and_stacked() -> None:
    read = Reading(SHEET)
    assert read.numbered("layers", "up") == ["layers.0", "layers.1"]
    assert read.numbered("layers", "down") == []
    assert read.stacked(["layers.0.up", "layers.1.up"], "outputs").tolist() == [[2, 3], [3, 4]]
    assert read.stacked([], "outputs").shape == (2, 0)


def test_a_row_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"with a row 'stem', came one without"):
        Reading(SHEET).cells("stem", "outputs")
