from __future__ import annotations

import numpy as np
import pytest

from stillhouse.core.distill.paths import Sandwich, Shrinking, SizeBins, Uniform
from stillhouse.core.distill.regions import Quantiles, gene_by_gene, placed
from stillhouse.core.errors import UserError
from stillhouse.core.space import Choice, Space

LAYERED = Space([Choice("depth", (1, 2, 3)), Choice("heads", (1, 2, 4), per="depth")])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sizes(codes: np.ndarray) -> np.ndarray:
    return np.nansum(LAYERED.columns(codes)["heads"], axis=1)


def test_sub_spaces_are_bands_of_size_that_cover_the_space() -> None:
    cut = Quantiles(LAYERED, sizes, 3, rng())
    drawn = gene_by_gene(LAYERED, 3000, rng(1))
    shares = np.bincount(placed(sizes(drawn), cut.edges), minlength=3) / len(drawn)
    assert shares == pytest.approx([1 / 3] * 3, abs=0.12)
    assert cut.edges == sorted(cut.edges)


def test_draws_of_a_sub_space_belong_to_it() -> None:
    cut = Quantiles(LAYERED, sizes, 3, rng())
    for place, region in enumerate(cut.regions()):
        drawn = region.draw(200, rng(2))
        assert (placed(sizes(drawn), cut.edges) == place).all()
        ends = sizes(np.stack([region.smallest, region.largest]))
        assert ends[0] == sizes(drawn).min()
        assert ends[1] == sizes(drawn).max()


@pytest.mark.parametrize("parts", range(2, 9))
def test_no_sub_space_is_empty_when_there_are_as_many_sizes(parts: int) -> None:
    many = Space([Choice("depth", (1,)), Choice("heads", tuple(range(1, parts + 1)), per="depth")])

    def count(codes: np.ndarray) -> np.ndarray:
        return np.nansum(many.columns(codes)["heads"], axis=1)

    cut = Quantiles(many, count, parts, rng())
    assert cut.edges == list(range(1, parts))
    assert [count(region.draw(3, rng())).tolist() for region in cut.regions()] == [
        [size] * 3 for size in range(1, parts + 1)
    ]


def test_more_sub_spaces_than_sizes_are_refused_with_both_numbers() -> None:
    two = Space([Choice("width", (4, 8))])
    with pytest.raises(UserError, match=r"at most 2, the sizes .* got 3; lower it"):
        Quantiles(two, lambda codes: codes[:, 0], 3, rng())


def test_samplers_of_a_sub_space_stay_in_it_and_say_so() -> None:
    cut = Quantiles(LAYERED, sizes, 2, rng())
    small, large = cut.regions()
    for sampler in (Uniform(large), Sandwich(large, 2), SizeBins(large, sizes, rng())):
        assert sampler.name.endswith("in 2 of 2")
        for step in range(50):
            for found in sampler.draw(step, rng(step)):
                assert sum(found["heads"]) > cut.edges[0]
    leading = Sandwich(small, 0).draw(0, rng())
    assert sum(leading[0]["heads"]) == cut.edges[0]
    assert leading[1] == {"depth": 1, "heads": [1]}


def test_shrinking_goes_from_one_sampler_to_the_next_over_its_updates() -> None:
    stages = [Uniform(Space([Choice("width", (width,))])) for width in (16, 8, 4)]
    sampler = Shrinking(stages, updates=9)
    drawn = [sampler.draw(step, rng())[0]["width"] for step in range(12)]
    assert drawn == [16] * 3 + [8] * 3 + [4] * 6
    assert "9" in sampler.name
    assert not sampler.leads_with_largest
