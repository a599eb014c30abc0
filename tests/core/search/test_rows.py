"""A table grows by rows and keeps those that are wanted."""

from __future__ import annotations

import numpy as np

from stillhouse.core.search import Rows


def test_rows_come_back_in_the_order_they_were_added() -> None:
    rows, parts = Rows(2), [np.full((n, 2), float(n)) for n in (0, 1, 5, 2, 40)]
    for part in parts:
        rows.add(part)
    assert len(rows) == 48
    assert np.array_equal(rows.all, np.concatenate(parts))


def test_only_the_rows_that_are_kept_stay_in_the_order_given() -> None:
    rows = Rows(1)
    rows.add(np.arange(6.0)[:, None])
    rows.keep(np.array([4, 1, 2]))
    rows.add(np.array([[9.0]]))
    assert rows.all[:, 0].tolist() == [4.0, 1.0, 2.0, 9.0]


def test_a_table_without_columns_counts_its_rows() -> None:
    rows = Rows(0)
    rows.add(np.empty((3, 0)))
    assert rows.all.shape == (3, 0)
