"""A study's ledger holds its asks and tells, and belongs to that study alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.search import Objective, Problem, Trial
from stillhouse.core.search.known import FunctionCosts, KnownCosts
from stillhouse.core.search.ledger import Asked, StudyLedger, Told
from stillhouse.core.space import Integer, Real, Space

SPACE = Space([Integer("width", 0, 9), Real("rate", 0, 1)])
NOTHING = FunctionCosts(SPACE, KnownCosts(lambda _: {}))
PROBLEM = Problem(
    SPACE, NOTHING, (Objective("a", True), Objective("b", False)), 0, np.empty((0, 2)), ("c <= 1",)
)
ROW = np.array([3.0, 0.1 + 0.2])


def opened(path: Path, **identity: object) -> StudyLedger:
    return StudyLedger(path, {"seed": 0, **identity}, PROBLEM)


def trial(number: int, *values: float) -> Trial:
    return Trial(number, f"k{number}", ROW, values, {"cost": np.inf}, (-0.5,))


def written(path: Path) -> Path:
    ledger = opened(path)
    ledger.asked(3, np.array([ROW]))
    ledger.told([trial(0, 0.1, 1 / 3), trial(1, np.nan, 2.0)])
    ledger.asked(3, np.empty((0, 2)))
    ledger.close()
    return path


def test_asks_and_tells_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = written(tmp_path / "study.jsonl")
    ledger = opened(path)
    asked, told, empty = ledger.events
    ledger.close()
    assert isinstance(asked, Asked)
    assert isinstance(told, Told)
    assert isinstance(empty, Asked)
    assert (asked.count, asked.codes.tolist()) == (3, [ROW.tolist()])
    assert told.codes.tolist() == [ROW.tolist()] * 2
    assert told.values[0].tolist() == [0.1, 1 / 3]
    assert np.isnan(told.values[1, 0])
    assert told.excess.tolist() == [[-0.5], [-0.5]]
    assert empty.codes.shape == (0, 2)


def test_a_tell_is_one_line_with_keys_and_costs_for_its_readers(tmp_path: Path) -> None:
    lines = written(tmp_path / "study.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert json.loads(lines[0]) == {"format": 1, "seed": 0}
    tell = json.loads(lines[2])
    assert tell["tell"] == ["k0", "k1"]
    assert tell["costs"] == {"cost": [None, None]}


def test_a_tear_at_any_byte_loses_only_the_last_line(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    path = tmp_path / "torn.jsonl"
    for cut in range(1, len(lines[2])):
        path.write_bytes(b"".join(lines[:2]) + lines[2][:cut])
        ledger = opened(path)
        assert [type(event) for event in ledger.events] == [Asked]
        ledger.close()


def test_another_studys_ledger_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = written(tmp_path / "study.jsonl")
    with pytest.raises(UserError, match=r"another study: expected seed 1, got 0; .*another file"):
        opened(path, seed=1)
    with pytest.raises(UserError, match="expected budget 5, got None"):
        opened(path, budget=5)


@pytest.mark.parametrize(
    "line",
    [
        '{"ask": "x", "codes": []}',
        '{"ask": 1, "codes": [[1.0]]}',
        '{"tell": ["k"], "codes": [[1.0, 2.0]], "values": [["high", 1]], "excess": [[0]]}',
        '{"tell": ["k"], "codes": [[1.0, 2.0]], "values": [[0.1, 1]]}',
        "{}",
    ],
)
def test_a_line_that_says_something_else_is_damaged(tmp_path: Path, line: str) -> None:
    path = written(tmp_path / "study.jsonl")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[2:]]) + "\n")
    with pytest.raises(UserError, match=r"study\.jsonl:2: damaged line"):
        opened(path)
    path.write_text(lines[0] + "\n")
    opened(path).close()
