from __future__ import annotations

from importlib.resources import files

import pytest

from stillhouse.core.errors import DataError
from stillhouse.plugins.tasks.supplied import verified
from stillhouse.plugins.tasks.vader_sentences import FILE, SHA256
from stillhouse.plugins.tasks.vader_table import DOMAINS, Rated, packed, published, rows


def supplied() -> list[Rated]:
    path = files("stillhouse.plugins.tasks") / "data" / FILE
    return rows(verified(path, SHA256, "the sentences"))


def test_the_supplied_table_has_the_published_sentences() -> None:
    table = supplied()
    counts = {domain: sum(one.domain == domain for one in table) for domain in DOMAINS}
    assert counts == {"amazon": 3_708, "movie": 10_605, "nyt": 5_190, "tweets": 4_200}
    assert all(-4 <= one.rating <= 4 and one.text for one in table)
    assert Rated("LMAO, AMAZING!", 2.86, "tweets") in table
    assert Rated("Münch's genuine insight makes the film's occasional overindulgence forgivable.",
                 1.33, "movie")[0] in {one.text for one in table}  # fmt: skip


def test_packing_and_reading_give_the_same_sentences() -> None:
    table = supplied()[:50]
    assert rows(packed(table)) == table
    assert packed(table) == packed(table)


def test_another_archive_is_refused_with_both_hashes() -> None:
    with pytest.raises(DataError, match=r"expected the source archive of vaderSentiment 3\.3\.2"):
        list(published(b"something else"))
