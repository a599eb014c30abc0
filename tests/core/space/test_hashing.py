from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from stillhouse.core.space import Choice, Real, Space
from stillhouse.core.space.hashing import exact, rounded

SPACE = Space([Choice("kind", ("a", "b", "c")), Choice("depth", (1, 2)), Real("rate", 0.0, 1.0)])


def rows(digits: int, base: int) -> np.ndarray:
    """Every row of so many digits to a base."""
    return (np.arange(base**digits)[:, None] // base ** np.arange(digits) % base).astype(float)


@pytest.mark.parametrize("fold", [rounded, exact])
@pytest.mark.parametrize(("digits", "base"), [(17, 2), (6, 7)])
def test_different_rows_have_different_marks(fold, digits: int, base: int) -> None:  # type: ignore[no-untyped-def]
    marks = fold(rows(digits, base))
    assert len(np.unique(marks)) == base**digits


def test_any_forty_bits_of_a_mark_tell_a_hundred_thousand_rows_apart() -> None:
    """One pair in 2^40 collides by chance: 0.008 collisions are expected."""
    marks = rounded(rows(17, 2))
    for shift in (0, 12, 24):
        part = (marks >> np.uint64(shift)) & np.uint64(2**40 - 1)
        assert len(np.unique(part)) == len(marks)


def test_marks_agree_to_nine_decimals_and_exact_ones_to_the_last() -> None:
    codes = np.array([[1.0, 0.0, 0.25], [1.0, 0.0, 0.25 + 1e-11], [1.0, 0.0, 0.25 + 1e-8]])
    assert len(np.unique(SPACE.marks(codes))) == 2
    assert len(np.unique(exact(codes))) == 3
    assert len(SPACE.unique(codes)) == 3


def test_negative_zero_is_zero() -> None:
    assert rounded(np.array([[-0.0]])) == rounded(np.array([[0.0]]))
    assert exact(np.array([[-0.0]])) == exact(np.array([[0.0]]))


def test_marks_do_not_depend_on_the_rows_beside_them() -> None:
    codes = SPACE.sample(50_000, np.random.default_rng(0))
    np.testing.assert_array_equal(SPACE.marks(codes)[-10:], SPACE.marks(codes[-10:]))


def test_columns_are_not_interchangeable() -> None:
    marks = rounded(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert marks[0] != marks[1]


def test_another_process_gives_the_same_marks() -> None:
    code = (
        "import numpy as np; from stillhouse.core.space.hashing import rounded;"
        "print(rounded(np.array([[0.0, 2.0, 0.125]]))[0])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert int(printed) == rounded(np.array([[0.0, 2.0, 0.125]]))[0]
