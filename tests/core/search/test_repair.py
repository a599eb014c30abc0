from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search import Codes, Costs, meets_limits, repaired
from stillhouse.core.space import Choice, Integer, Real, Simplex, Space

LAYERED = Space(
    [
        Integer("depth", 1, 6),
        Choice("heads", (1, 2, 4, 8), per="depth"),
        Choice("form", ("dense", "low-rank"), per="depth"),
        Integer("rank", 4, 9, per="depth", when=("form", ("low-rank",))),
        Real("rate", 0, 1),
        Simplex("weights", 3),
    ]
)


class Heads(Costs):
    def __init__(self, most: float) -> None:
        self.most = most

    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        return {"heads": np.nansum(LAYERED.columns(codes)["heads"], axis=1)}

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        return np.maximum(self.table(codes)["heads"] / self.most - 1, 0)


def families(most: float) -> tuple[Codes, Codes]:
    """Candidates that have too many heads, and as many that have not."""
    drawn = LAYERED.sample(6000, np.random.default_rng(0))
    met = meets_limits(Heads(most), drawn)
    count = int(min(met.sum(), (~met).sum()))
    return drawn[~met][:count], drawn[met][:count]


def test_what_is_repaired_meets_the_limits_and_is_canonical() -> None:
    broken, parents = families(6)
    mended = repaired(LAYERED, Heads(6), broken, parents, np.random.default_rng(1))
    assert meets_limits(Heads(6), mended).all()
    np.testing.assert_array_equal(LAYERED.canonical(mended), mended)


def test_every_gene_comes_from_the_child_or_its_parent() -> None:
    broken, parents = families(12)
    mended = repaired(LAYERED, Heads(12), broken, parents, np.random.default_rng(1))
    assert ((mended == broken) | (mended == parents) | (mended < 0)).all()


def test_most_of_the_repaired_are_new() -> None:
    broken, parents = families(12)
    mended = repaired(LAYERED, Heads(12), broken, parents, np.random.default_rng(1))
    assert (mended != parents).any(axis=1).mean() > 0.6


def test_what_cannot_be_repaired_becomes_its_parent() -> None:
    """Only the parents themselves are allowed."""
    broken, parents = families(12)
    allowed = set(LAYERED.marks(parents).tolist())

    class OnlyParents(Costs):
        def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
            return {}

        def violation(self, codes: Codes) -> NDArray[np.float64]:
            return np.array([float(m not in allowed) for m in LAYERED.marks(codes).tolist()])

    mended = repaired(LAYERED, OnlyParents(), broken, parents, np.random.default_rng(1))
    np.testing.assert_array_equal(mended, parents)


def test_the_given_candidates_stay_as_they_are() -> None:
    broken, parents = families(6)
    before = broken.copy()
    repaired(LAYERED, Heads(6), broken, parents, np.random.default_rng(1))
    np.testing.assert_array_equal(broken, before)


def test_none_to_repair_is_none() -> None:
    nothing = np.empty((0, LAYERED.width))
    assert repaired(LAYERED, Heads(6), nothing, nothing, np.random.default_rng(1)).shape == (
        0,
        LAYERED.width,
    )
