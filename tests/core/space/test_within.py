"""A part of a space lies in the whole."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.core.space import Choice, Integer, Real, Space


def test_a_part_of_a_space_is_laid_into_the_whole() -> None:
    shape = [Integer("layers", 1, 3), Choice("width", (8, 16), per="layers")]
    rest = [Choice("bits", (8, 32)), Real("rate", 0.1, 1.0)]
    whole, part = Space([*shape, *rest]), Space(shape)
    codes = part.sample(50, np.random.default_rng(0))
    row = whole.encode({"layers": 1, "width": [8], "bits": 32, "rate": 0.5})
    found = part.within(whole, codes, row)
    expected = [{**part.decode(c), "bits": 32, "rate": pytest.approx(0.5)} for c in codes]
    assert [whole.decode(r) for r in found] == expected
    assert np.array_equal(found, whole.canonical(found))


def test_a_dimension_that_the_whole_has_not_is_refused() -> None:
    part, whole = Space([Choice("bits", (8, 32))]), Space([Integer("layers", 1, 3)])
    with pytest.raises(KeyError, match="bits"):
        part.within(whole, part.corners()[:1], whole.corners()[0])
