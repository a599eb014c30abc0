from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stillhouse.core.errors import UserError
from stillhouse.plugins.hints.info import HintsParams
from stillhouse.plugins.hints.pairs import Side, hinting

TEACHER = Side(tuple(f"t{i}" for i in range(12)), (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2))
STUDENT = Side(("s0", "s1", "s2"), (0, 1, 2))
FLAT = Side(tuple(f"s{i}" for i in range(6)), (0,) * 6)


def blocks(layers: int = 12, clusters: int = 3) -> Any:
    """Distances of layers in equal runs: 0.1 inside a run, 0.9 between runs."""
    run = np.arange(layers) * clusters // layers
    distances = np.where(run[:, None] == run, 0.1, 0.9)
    np.fill_diagonal(distances, 0.0)
    return distances


def pairs(student: Side = STUDENT, **params: Any) -> Any:
    return hinting(HintsParams(**params), TEACHER, student, blocks()).pairs


def test_there_are_as_many_hints_as_the_student_has_stages() -> None:
    assert [own for _, own in pairs()] == [0, 1, 2]
    (one, two, three) = (teacher for teacher, _ in pairs())
    assert 0 <= one < 4 <= two < 8 <= three < 12


def test_a_student_of_one_stage_has_as_many_hints_as_clusters_stand_apart() -> None:
    assert [own for _, own in pairs(FLAT)] == [1, 3, 5]


@pytest.mark.parametrize("k", [1, 2, 3, 5, 6])
def test_pairs_rise_on_both_sides_and_end_with_the_students_last_layer(k: int) -> None:
    for select in ("auto", "contiguous", "paper", "uniform"):
        teacher, student = zip(*pairs(FLAT, k=k, select=select), strict=True)
        assert len(teacher) == k
        assert all(np.diff(teacher) > 0)
        assert all(np.diff(student) > 0)
        assert student[-1] == 5


def test_evenly_spaced_layers_and_ends_of_stages_need_no_matrix_to_tell_them_apart() -> None:
    assert [teacher for teacher, _ in pairs(select="uniform")] == [3, 7, 11]
    assert [teacher for teacher, _ in pairs(select="stage-ends")] == [3, 7, 11]
    assert [teacher for teacher, _ in pairs(select="stage-ends", k=2)] == [7, 11]


def test_the_ends_of_one_stage_are_its_last_layer() -> None:
    flat = Side(TEACHER.taps, (0,) * 12)
    found = hinting(HintsParams(select="stage-ends"), flat, STUDENT, blocks())
    assert found.pairs == ((11, 2),)


def test_layers_may_be_named_by_number() -> None:
    assert [teacher for teacher, _ in pairs(select="taps", taps=(0, 4, 9))] == [0, 4, 9]


def test_layers_may_be_named() -> None:
    found = pairs(select="taps", layers=("t0", "t4", "t9"))
    assert [teacher for teacher, _ in found] == [0, 4, 9]


def test_no_hints_are_no_pairs() -> None:
    assert pairs(select="none") == ()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"select": "taps"},
            r"rising numbers of the teacher's layers, 0 to 11, or their names in layers, got \[\]",
        ),
        ({"select": "taps", "taps": (3, 12)}, r"0 to 11, .* got \[3, 12\]"),
        ({"select": "taps", "layers": ("t0", "t44")}, "no tap 't44'; did you mean 't4'"),
        ({"select": "taps", "layers": ("t4", "t0")}, "in order of depth, each once, got t4, t0"),
        ({"k": 4}, "at most 3 hints, as many as the student has taps, got 4"),
        ({"k": 13}, "at most 12 hints, as many as the teacher has taps, got 13"),
    ],
)
def test_more_hints_than_taps_are_refused_with_both_numbers(params: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        pairs(**params)
