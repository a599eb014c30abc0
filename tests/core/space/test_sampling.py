from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from stillhouse.core.space import Choice, Integer, Real, Simplex, Space, Taps


def chi_square_excess(counts: np.ndarray, cells: int) -> float:
    """Standard deviations by which Pearson's statistic exceeds its mean under uniformity."""
    expected = counts.sum() / cells
    missing = cells - len(counts)
    statistic = ((counts - expected) ** 2 / expected).sum() + missing * expected
    return float((statistic - (cells - 1)) / np.sqrt(2 * (cells - 1)))


def test_draws_are_uniform_over_configurations(
    cells: Space, every_cell: list[dict[str, Any]], rng: np.random.Generator
) -> None:
    codes = cells.sample(126 * 80, rng)
    drawn = Counter(json.dumps(cells.decode(row), sort_keys=True) for row in codes)
    assert set(drawn) == {json.dumps(cell, sort_keys=True) for cell in every_cell}
    assert abs(chi_square_excess(np.array(list(drawn.values())), 126)) < 4


def test_every_canonical_row_is_drawn_once_per_configuration(
    cells: Space, rng: np.random.Generator
) -> None:
    codes = cells.unique(cells.sample(20_000, rng))
    assert len(codes) == cells.size()
    assert len(set(cells.keys(codes))) == cells.size()


def test_taps_are_drawn_uniformly_over_subsets(rng: np.random.Generator) -> None:
    space = Space([Taps("hints", 2, 6)])
    rows, counts = np.unique(space.sample(15 * 400, rng), axis=0, return_counts=True)
    assert len(rows) == 15
    assert (np.diff(rows, axis=1) > 0).all()
    assert abs(chi_square_excess(counts, 15)) < 4


def test_a_dirichlet_of_ones_has_its_known_moments(rng: np.random.Generator) -> None:
    weights = Space([Simplex("w", 4)]).sample(40_000, rng)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(weights.mean(0), 1 / 4, atol=0.005)
    np.testing.assert_allclose(weights.var(0), 3 / (16 * 5), rtol=0.05)


def test_log_scales_are_drawn_evenly_in_the_logarithm(rng: np.random.Generator) -> None:
    space = Space([Integer("n", 1, 1000, log=True), Real("x", 1e-4, 1, log=True)])
    columns = space.columns(space.sample(20_000, rng))
    assert abs(np.mean(columns["n"] <= 31) - 0.5) < 0.06
    assert abs(np.mean(columns["x"] <= 1e-2) - 0.5) < 0.02


def test_the_same_seed_draws_the_same_candidates(mixed: Space) -> None:
    first = mixed.sample(50, np.random.default_rng(3))
    np.testing.assert_array_equal(first, mixed.sample(50, np.random.default_rng(3)))


def test_ten_thousand_candidates_take_less_than_half_a_second(rng: np.random.Generator) -> None:
    space = Space(
        [
            Choice("width", (512, 640, 768)),
            Choice("depth", (12,)),
            *(Choice(name, (2, 3, 4), per="depth") for name in ("heads", "ratio", "kernel")),
        ]
    )
    start = time.process_time()
    codes = space.sample(10_000, rng)
    space.columns(space.canonical(codes))
    assert time.process_time() - start < 0.5


def test_a_space_travels_to_another_process(mixed: Space) -> None:
    # Pickled by multiprocessing only; nothing is ever unpickled from a file.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(mixed.sample, 5, np.random.default_rng(1)).result()
    np.testing.assert_array_equal(there, mixed.sample(5, np.random.default_rng(1)))
