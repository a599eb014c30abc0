"""What a state came from decides which artefacts serve it."""

from __future__ import annotations

from typing import Any, cast

from stillhouse.core.evaluate import State
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.chain import Chain, read
from stillhouse.core.evaluate.state import Policy

READS_NO_STUDENT = frozenset({"teachers", "data"})


def chain(**students: str) -> Chain:
    student = students.get("student", "narrow")
    return (
        Chain("origin")
        .after("student", [("supernet", student)])
        .after("data", [("mask", students.get("data", "spans"))])
    )


def test_a_key_covers_every_link_in_order() -> None:
    links = fingerprint(fingerprint("origin", "supernet", "narrow"), "mask", "spans")
    assert chain().key() == links
    assert chain().key([("file", 1)]) == fingerprint(links, "file", 1)


def test_what_is_not_read_does_not_count() -> None:
    assert chain(student="wide").key() != chain().key()
    assert chain(student="wide").key((), READS_NO_STUDENT) == chain().key((), READS_NO_STUDENT)
    assert chain(data="none").key((), READS_NO_STUDENT) != chain().key((), READS_NO_STUDENT)


def test_prepare_is_not_given_what_it_does_not_read() -> None:
    state = State({}, data=cast("Any", None), student=cast("Any", "net"), terms=cast("Any", ("a",)))
    state = State(**{**vars(state), "policy": Policy("early-exit")})
    seen = read(state, READS_NO_STUDENT)
    assert (seen.student, seen.terms, seen.policy) == (None, (), Policy())
    assert read(state, frozenset({"student", "loss terms", "policy"})) == state
