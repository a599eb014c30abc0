"""`channels` of teacher and student: what each sees."""

from __future__ import annotations

from typing import Any

import pytest

from stillhouse.core.config import RunFile, parse
from stillhouse.core.errors import ConfigError

MODEL = "model: keyword-transformer"


def read(catalogue: Any, run_text: str, teacher: str = "", student: str = "") -> RunFile:
    text = run_text.replace(f"{{{MODEL},", f"{{{MODEL}, {teacher}")
    return parse(text + student, "run.yaml", catalogue)


def test_everything_is_seen_where_nobody_names_channels(catalogue: Any, run_text: str) -> None:
    run = read(catalogue, run_text)
    assert run.teacher.training.channels == run.student_channels == ()


def test_without_a_section_the_student_sees_what_the_teacher_sees(
    catalogue: Any, run_text: str
) -> None:
    run = read(catalogue, run_text, "channels: [3, 1], ")
    assert run.teacher.training.channels == run.student_channels == (3, 1)


@pytest.mark.parametrize(
    ("said", "seen"), [(", channels: [1, 0]", (1, 0)), (", channels: []", ()), ("", ())]
)
def test_a_student_of_its_own_sees_what_its_section_says(
    catalogue: Any, run_text: str, said: str, seen: tuple[int, ...]
) -> None:
    run = read(catalogue, run_text, "channels: [3, 1], ", f"student: {{{MODEL}{said}}}\n")
    assert (run.teacher.training.channels, run.student_channels) == ((3, 1), seen)


@pytest.mark.parametrize("teacher", ["", "channels: [0, 2], "])
@pytest.mark.parametrize(
    "student", ["", f"student: {{{MODEL}, width: 96, depth: 6, channels: [2]}}\n",
                f"student: {{{MODEL}, width: 96, depth: 6}}\n"],
)  # fmt: skip
def test_views_survive_being_written(
    catalogue: Any, run_text: str, teacher: str, student: str
) -> None:
    run = read(catalogue, run_text, teacher, student)
    assert parse(run.to_yaml(), "run.yaml", catalogue) == run
    shown = (run.student, run.student_channels) != (
        run.teacher.model,
        run.teacher.training.channels,
    )
    assert ("student:" in run.to_yaml()) == shown


def test_run_files_of_other_views_differ(catalogue: Any, run_text: str) -> None:
    sections = [f"student: {{{MODEL}, channels: [{place}]}}\n" for place in (0, 1)]
    one, other = (read(catalogue, run_text, "", section) for section in sections)
    assert one != other


@pytest.mark.parametrize(
    ("given", "came"),
    [
        ("[0, 0]", r"\[0, 0\]"),
        ("[-1]", r"\[-1\]"),
        ("[a]", r"\['a'\]"),
        ("[true]", r"\[true\]"),
        ("2", "2"),
    ],
)
def test_channels_are_whole_numbers_each_once(
    catalogue: Any, run_text: str, given: str, came: str
) -> None:
    expected = rf"run.yaml:\d+:\d+: teacher.channels: expected a list of whole .* once, got {came}"
    with pytest.raises(ConfigError, match=expected):
        read(catalogue, run_text, f"channels: {given}, ")


@pytest.mark.parametrize("section", ["teacher", "student"])
def test_channels_are_not_searched(catalogue: Any, run_text: str, section: str) -> None:
    searched = "channels: {choices: [[0], [1]]}"
    teacher = f"{searched}, " if section == "teacher" else ""
    student = f"student: {{{MODEL}, {searched}}}\n" if section == "student" else ""
    with pytest.raises(ConfigError, match=rf"{section}.channels: expected a fixed value"):
        read(catalogue, run_text, teacher, student)


def test_a_family_with_channels_of_its_own_keeps_the_word(catalogue: Any, run_text: str) -> None:
    text = run_text.replace(f"{MODEL}, width: 96, depth: 6", "model: front-end, channels: 64")
    run = parse(text, "run.yaml", catalogue)
    assert run.teacher.model.fixed["channels"] == run.student.fixed["channels"] == 64
    assert run.teacher.training.channels == run.student_channels == ()
    assert parse(run.to_yaml(), "run.yaml", catalogue) == run
