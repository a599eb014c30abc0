"""Configurations with their predicted costs, kept so that later questions need no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import final

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from stillhouse.core.config.runfile import load
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.ledger import read_entries
from stillhouse.core.run.pool import POOL, Pool, make_pool, mark_of
from stillhouse.core.run.summary import RunSummary
from stillhouse.core.search.enumeration import ENUMERABLE, enumerated
from stillhouse.core.search.sampler import Codes, Costs
from stillhouse.core.space import Choice, Integer, Real, Space


@final
class Layered(Costs):
    """Costs of a network: every layer costs its width, and one width is free."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        columns = self._space.columns(codes)
        width = np.nan_to_num(columns["width"].astype(np.float64))
        other = (columns["width"] == 512).sum(axis=1) + columns["depth"]
        total = width.sum(axis=1)
        return {"parameters": total, "latency_ms": other, "size_bytes": 4 * total}

    def violation(self, codes: Codes) -> NDArray[np.float64]:
        return np.zeros(len(codes))


@pytest.fixture(scope="module")
def small() -> Space:
    return Space(
        [Integer("depth", 1, 3), Choice("width", (64, 512), per="depth"), Choice("act", ("a", "b"))]
    )


@pytest.fixture(scope="module")
def large() -> Space:
    return Space([Integer("depth", 4, 12), Choice("width", (64, 128, 256, 512), per="depth")])


def pool_of(space: Space, seed: int = 0) -> Pool:
    known = np.empty((0, space.width))
    return make_pool(space, Layered(space), known, np.random.default_rng(seed))


def test_the_pool_of_a_small_space_is_the_whole_space(small: Space) -> None:
    pool = pool_of(small)
    whole = enumerated(small)
    assert whole is not None
    assert pool.whole
    assert sorted(small.keys(pool.codes)) == sorted(small.keys(whole))


def test_the_pool_of_a_large_space_holds_its_ends_and_what_lies_between(large: Space) -> None:
    pool = pool_of(large)
    assert not pool.whole
    assert 15_000 < len(pool.codes) <= ENUMERABLE
    assert len(large.unique(pool.codes)) == len(pool.codes)
    total = pool.table["parameters"]
    assert (total.min(), total.max()) == (4 * 64, 12 * 512)
    sample = Layered(large).table(large.sample(5000, np.random.default_rng(9)))["parameters"]
    assert (total < sample.min()).sum() > 300, "tighter than any of 5,000 samples"
    assert np.histogram(total, bins=10)[0].min() > 20


def test_a_pool_takes_in_what_is_known_and_depends_on_the_seed_alone(large: Space) -> None:
    known = large.sample(50, np.random.default_rng(5))
    pool = make_pool(large, Layered(large), known, np.random.default_rng(0))
    assert set(large.keys(known)) <= set(large.keys(pool.codes))
    again = make_pool(large, Layered(large), known, np.random.default_rng(0))
    np.testing.assert_array_equal(pool.codes, again.codes)


def test_a_size_is_stored_once(large: Space) -> None:
    assert list(pool_of(large).table) == ["parameters", "latency_ms", "size_bytes"]


def test_a_stored_pool_comes_back_as_it_was(tmp_path: Path) -> None:
    space = Space([Integer("a", 0, 300), Real("b", 0.0, 1.0), Choice("c", ("x", "y"))])
    codes = space.sample(40, np.random.default_rng(0))
    pool = Pool(codes, {"latency_ms": codes[:, 1] / 3}, whole=False)
    pool.write(tmp_path / POOL, "mark")
    back = Pool.read(tmp_path / POOL, "mark")
    assert back is not None
    assert back.whole is False
    np.testing.assert_array_equal(back.codes, codes)
    np.testing.assert_array_equal(back.table["latency_ms"], codes[:, 1] / 3)


@pytest.mark.parametrize(("most", "kind"), [(127, np.int8), (128, np.int16), (40_000, np.int32)])
def test_whole_codes_take_the_smallest_type(tmp_path: Path, most: int, kind: type) -> None:
    Pool(np.array([[-1.0], [most]]), {}, whole=True).write(tmp_path / POOL, "mark")
    assert load_file(tmp_path / POOL)["discrete"].dtype == kind
    back = Pool.read(tmp_path / POOL, "mark")
    assert back is not None
    assert back.codes.tolist() == [[-1.0], [most]]


def test_where_no_pool_is_stored_there_is_none(tmp_path: Path) -> None:
    assert Pool.read(tmp_path / POOL, "mark") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "other costs or another space"), (b"", "damaged"), (b"x" * 99, "damaged")],
)
def test_a_useless_pool_is_refused_with_the_way_to_a_new_one(
    tmp_path: Path, small: Space, content: bytes | None, said: str
) -> None:
    pool_of(small).write(tmp_path / POOL, "another mark")
    if content is not None:
        (tmp_path / POOL).write_bytes(content)
    with pytest.raises(RunDirectoryError, match=said) as refused:
        Pool.read(tmp_path / POOL, "mark")
    assert f"--resume {tmp_path}" in str(refused.value)


def test_a_run_keeps_the_costs_it_searched_with(project: Path, catalogue: Catalogue) -> None:
    folder = project / "reference"
    space = make_plan(load(folder / "run.yaml", catalogue), catalogue).space
    facts = json.loads((folder / "costs.json").read_text())
    pool = Pool.read(folder / POOL, mark_of(space, facts))
    assert pool is not None
    place = {key: i for i, key in enumerate(space.keys(pool.codes))}
    for entry in read_entries(folder / "ledger.jsonl"):
        stored = {name: values[place[entry.key]] for name, values in pool.table.items()}
        assert stored == {name: entry.costs[name] for name in stored}


def test_resuming_a_run_without_a_pool_makes_the_same_one(
    project: Path, finished: Path, run: Callable[[Path], RunSummary]
) -> None:
    (finished / POOL).write_bytes(b"damaged")
    run(finished)
    assert (finished / POOL).read_bytes() == (project / "reference" / POOL).read_bytes()
