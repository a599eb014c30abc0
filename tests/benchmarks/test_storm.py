"""What the fault storm counts as lost, repeated and the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def storm(benchmark_script: Callable[[str], Any]) -> Any:
    return benchmark_script("scales.storm")


def line(number: int, accuracy: float = 0.5, size_kb: float = 9.0, **more: Any) -> dict[str, Any]:
    return {
        "number": number, "key": f"k{number}", "values": {"accuracy": accuracy},
        "costs": {"size_kb": size_kb}, "seconds": float(number), **more,
    }  # fmt: skip


CALM = [line(0, 0.5, 4.0), line(1, 0.4, 5.0), line(2, 0.9, 8.0)]


def test_a_storm_that_changed_only_times_lost_nothing(storm: Any) -> None:
    stormy = [{**one, "seconds": 7.0} for one in CALM]
    found = storm.compared(CALM, stormy, stormy[:2])
    assert (found["lost"], found["repeated"]) == (0, 0)
    assert (found["same_ledger"], found["same_front"], found["front"]) == (True, True, 2)


def test_what_was_on_disk_and_is_gone_is_lost(storm: Any) -> None:
    found = storm.compared(CALM, CALM[:2], CALM)
    assert (found["lost"], found["same_ledger"], found["same_front"]) == (1, False, False)


def test_what_was_on_disk_and_took_another_time_is_repeated(storm: Any) -> None:
    found = storm.compared(CALM, CALM, [{**CALM[1], "seconds": 3.5}])
    assert (found["lost"], found["repeated"]) == (0, 1)


def test_a_candidate_that_is_there_twice_is_repeated(storm: Any) -> None:
    found = storm.compared(CALM, [*CALM, {**CALM[1], "number": 3}], [])
    assert found["repeated"] == 1


def test_a_ledger_is_read_up_to_its_last_whole_line(storm: Any, tmp_path: Path) -> None:
    header = json.dumps({"format": 1})
    later, first = json.dumps(line(1)), json.dumps(line(0))
    (tmp_path / "ledger.jsonl").write_text(f"{header}\n{first}\n{later[:20]}")
    (tmp_path / "ledger-ahead.jsonl").write_text(f"{header}\n{json.dumps(line(2))}\n")
    assert [one["number"] for one in storm.lines(tmp_path)] == [0, 2]
