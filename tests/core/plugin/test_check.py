"""What the host believes of a record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stillhouse.core.errors import PluginError
from stillhouse.core.plugin import API, MethodInfo, Params, SpaceInfo, param
from stillhouse.core.plugin.check import pick, problems_of

SOUND = MethodInfo(
    name="binary", summary="one-bit weights", build="kd_zoo.binary:Binary", changes="form"
)


class OutOfBounds(Params):
    bits: int = param(9, low=1, high=8, help="bits of a weight")


class Unmarked(Params):
    bits: int = 9


def test_a_sound_record_has_no_problems() -> None:
    assert list(problems_of(SOUND)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "Binary_Head"}, "a name is lower-case letters, digits and '-'"),
        ({"summary": "two\nlines"}, "summary: expected one line"),
        ({"summary": " "}, "summary: expected one line"),
        ({"summary": None}, "summary: expected text, got None"),
        ({"build": 3}, "build: expected text, got 3"),
        ({"changes": "forms"}, "got 'forms'; did you mean 'form'?"),
        ({"changes": ["form"]}, "changes: expected one of data, form, "),
        ({"reads": frozenset({"teacher"})}, "reads: expected one of data, form, "),
        (
            {"needs": frozenset("student")},
            "needs: expected words, got the letters d, e, n, s, t, u",
        ),
        ({"build": "kd_zoo.binary"}, "build: expected 'package.module:attribute'"),
        ({"build": "os; x:y"}, "build: expected 'package.module:attribute'"),
        ({"api": API + 1}, "upgrade stillhouse"),
        ({"api": API - 1}, "upgrade the plugin"),
        ({"needs": {"float weights"}}, "needs: expected a frozenset"),
        ({"speeds_up": frozenset({1})}, "speeds_up: expected a frozenset"),
        ({"params": dict}, "params: expected a subclass of Params"),
        ({"params": OutOfBounds}, "default of parameter 'bits': expected 1 to 8, got 9"),
    ],
)
def test_each_breach_is_named(change: dict[str, Any], problem: str) -> None:
    (found,) = problems_of(replace(SOUND, **change))
    assert problem in found


def test_a_parameter_without_param_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'bits' is declared without param\(\.\.\.\)"):
        list(problems_of(replace(SOUND, params=Unmarked)))


def test_a_space_names_a_file() -> None:
    space = SpaceInfo(name="tiny", summary="tiny", build="kd_zoo:tiny.yaml", family="mixer")
    assert list(problems_of(space)) == []
    (problem,) = problems_of(replace(space, build="tiny.yaml"))
    assert "expected 'package:file.yaml'" in problem


def test_the_record_with_the_name_is_picked_and_a_second_one_refused() -> None:
    other = replace(SOUND, name="other")
    assert pick([other, SOUND], "binary", MethodInfo) is SOUND
    with pytest.raises(PluginError, match="yields 'binary' twice"):
        pick([SOUND, SOUND], "binary", MethodInfo)


def test_an_absent_name_is_told_with_what_was_yielded() -> None:
    with pytest.raises(PluginError, match=r"got 'binary'; did you mean 'binary'\?"):
        pick([SOUND], "binaries", MethodInfo)
    with pytest.raises(PluginError, match="expected a SpaceInfo named 'tiny', got a MethodInfo"):
        pick([SOUND], "tiny", SpaceInfo)
    with pytest.raises(PluginError, match="got nothing"):
        pick([], "tiny", SpaceInfo)
