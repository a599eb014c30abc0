"""Evaluations in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.execute import Job
from stillhouse.core.execute.inline import Inline


def halved(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    if payload["value"] == 0:
        raise RunDirectoryError("the disk is full")
    if payload["value"] % 2:
        raise ValueError("odd")
    return {"half": payload["value"] // 2}


def clock(*moments: float) -> Any:
    return iter(moments).__next__


def test_a_job_is_done_when_it_is_waited_for() -> None:
    with Inline(halved, clock(10.0, 12.5)) as inline:
        inline.submit([Job(3, {"value": 8})])
        (outcome,) = inline.finished()
        assert (outcome.number, outcome.result, outcome.seconds) == (3, {"half": 4}, 2.5)
        assert inline.finished() == []


def test_a_job_s_own_failure_is_its_outcome() -> None:
    inline = Inline(halved)
    inline.submit([Job(0, {"value": 7})])
    (outcome,) = inline.finished()
    assert (outcome.result, outcome.error) == (None, "ValueError: odd")


def test_what_is_nobody_s_fault_ends_it_all() -> None:
    inline = Inline(halved)
    inline.submit([Job(0, {"value": 0})])
    with pytest.raises(RunDirectoryError, match="the disk is full"):
        inline.finished()


def test_what_is_withdrawn_is_never_begun() -> None:
    inline = Inline(halved)
    inline.submit([Job(4, {"value": 8}), Job(5, {"value": 0})])
    assert inline.finished()[0].number == 4
    assert inline.withdraw() == [5]
    assert inline.finished() == []
