from __future__ import annotations

import pytest

from stillhouse.plugins.tasks.sentences import normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [("A film!", "a  film"), ("It's GOOD.", "it s good"), ("Straße", "STRASSE?")],
)
def test_case_spaces_and_punctuation_make_no_difference(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_words_make_a_difference_and_so_do_signs_alone() -> None:
    assert normalised("a film") != normalised("the film")
    assert normalised(":-)") != normalised(":-(")
