"""Errors that cross from one process to another."""

from __future__ import annotations

import pytest

from stillhouse.core.errors import PluginError, RunDirectoryError, StillhouseError, UserError
from stillhouse.core.execute.attempts import Attempts, left, signalled
from stillhouse.core.execute.raised import retold, told


class TwoPartsError(UserError):
    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{where}: {what}")


@pytest.mark.parametrize("kind", [StillhouseError, PluginError, RunDirectoryError])
def test_an_error_arrives_as_it_was(kind: type[StillhouseError]) -> None:
    found = retold(told(kind("here: no room")))
    assert (type(found), str(found)) == (kind, "here: no room")


def test_an_error_of_an_unknown_class_arrives_as_the_nearest_known() -> None:
    strange = {"kinds": ["elsewhere:NoError", "stillhouse.core.errors:UserError"], "text": "no"}
    assert type(retold(strange)) is UserError
    assert type(retold({"kinds": ["builtins:dict", "os:system"], "text": "no"})) is StillhouseError


def test_an_error_that_needs_more_than_a_text_arrives_as_one_that_does_not() -> None:
    found = retold(told(TwoPartsError("no room", "here")))
    assert (type(found), str(found)) == (UserError, "here: no room")


def test_attempts_end_with_all_reasons_in_order_each_once() -> None:
    attempts = Attempts(retries=2)
    for reason in (left(3), signalled(15), left(3)):
        assert not attempts.spent
        attempts.ended(reason)
    assert attempts.spent
    assert attempts.error == (
        "its worker died 3 times during this job: ended with exit code 3, then ended by signal 15 "
        "(SIGTERM)"
    )
