"""Invariants over random spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.core.space import Choice, Dimension, Integer, Real, Simplex, Space, Taps

VALUES: list[Any] = [1, 2.5, 7, "a", "b", True, False, "1"]


@st.composite
def leaf(draw: st.DrawFn, name: str, link: dict[str, Any]) -> Dimension:
    kind = draw(st.sampled_from(["choice", "integer", "real", "simplex", "taps"]))
    if kind == "choice":
        values = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=4, unique_by=repr))
        return Choice(name, tuple(values), **link)
    if kind == "integer":
        low, steps = draw(st.integers(1, 9)), draw(st.integers(0, 5))
        step = draw(st.integers(1, 3))
        return Integer(name, low, low + steps * step, step, draw(st.booleans()), **link)
    if kind == "real":
        least = draw(st.floats(1e-6, 10))
        return Real(name, least, least + draw(st.floats(1e-3, 1e3)), draw(st.booleans()), **link)
    if kind == "simplex":
        return Simplex(name, draw(st.integers(2, 4)), **link)
    total = draw(st.integers(1, 6))
    return Taps(name, draw(st.integers(1, total)), total, **link)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """A forest: choices below choices, layers, conditions within layers, leaves anywhere."""
    found: list[Dimension] = [
        Choice("mode", ("x", "y", "z")),
        Integer("depth", draw(st.integers(0, 2)), 3, when=("mode", ("x", "y"))),
        Choice("kind", ("p", "q"), per="depth"),
        Choice("sub", (1, 2), when=("mode", ("y",))),
    ]
    links: list[dict[str, Any]] = [
        {},
        {"per": "depth"},
        {"per": "depth", "when": ("kind", ("q",))},
        {"when": ("sub", (2,))},
    ]
    chosen = draw(st.lists(st.sampled_from(links), max_size=5))
    leaves = [draw(leaf(f"g{i}", link)) for i, link in enumerate(chosen)]
    return Space(draw(st.permutations(found + leaves)))


def assert_valid(space: Space, codes: np.ndarray) -> None:
    np.testing.assert_array_equal(space.canonical(codes), codes)
    for row in codes:
        configuration = space.decode(row)
        again = space.encode(configuration)
        np.testing.assert_allclose(again, row, atol=1e-7, rtol=0)
        assert space.decode(again) == configuration


@settings(max_examples=25, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_every_operation_stays_inside_the_space(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = space.sample(12, rng)
    mutated = space.mutate(codes, 0.5, rng)
    for made in (codes, mutated, space.crossover(codes, mutated, rng), space.corners()):
        assert_valid(space, made)
    assert_valid(space, space.neighbours(codes[0]))


@settings(max_examples=25, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_canonical_forms_are_idempotent_and_identify(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = space.sample(20, rng)
    noise = np.where(codes < 0, 0.0, codes)
    np.testing.assert_array_equal(space.canonical(noise), codes)
    assert len(space.unique(codes)) >= len(set(space.keys(codes)))
    assert space.keys(noise) == space.keys(codes)


@settings(max_examples=25, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_encodings_are_finite_and_scaled(space: Space, seed: int) -> None:
    features = space.encoding(space.sample(10, np.random.default_rng(seed)))
    assert ((features >= 0) & (features <= 1)).all()


@settings(max_examples=25, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_encodings_are_the_scaled_genes_and_flags_of_each_dimension(
    space: Space, seed: int
) -> None:
    codes = space.sample(10, np.random.default_rng(seed))
    parts = [np.empty((10, 0))]
    for block in space._layout.blocks:
        view = block.view(codes)
        active = view[..., :1] >= 0
        scaled = np.where(active, block.dimension.scaled(view), 0.0)
        parts.append(scaled.reshape(10, block.layers * block.dimension.features))
        if block.parent is not None:
            sometimes = ~np.broadcast_to(block.table[:-1].all(0), block.layers)
            parts.append(active[:, sometimes, 0].astype(float))
    expected = np.concatenate(parts, axis=1)
    np.testing.assert_allclose(space.encoding(codes), expected, atol=1e-15)
    np.testing.assert_allclose(space.encoding32(codes), expected, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_no_candidates_are_no_trouble(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    none = space.sample(0, rng)
    for made in (space.canonical(none), space.unique(none), space.mutate(none, 0.5, rng)):
        assert made.shape == (0, space.width)
    assert space.crossover(none, none, rng).shape == (0, space.width)
    assert space.encoding(none).shape == (0, space.encoding(space.corners()).shape[1])
    assert space.marks(none).shape == (0,)
    assert space.keys(none) == []


@settings(max_examples=20, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_neighbours_differ_from_the_row_and_from_each_other(space: Space, seed: int) -> None:
    row = space.sample(1, np.random.default_rng(seed))[0]
    around = space.neighbours(row)
    assert len(space.unique(np.concatenate([row[None], around]))) == 1 + len(around)


@settings(max_examples=20, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_joining_changes_names_only(space: Space, seed: int) -> None:
    joined = Space.join({"part": space})
    row = joined.sample(1, np.random.default_rng(seed))
    plain = {name.removeprefix("part."): value for name, value in joined.decode(row[0]).items()}
    assert space.decode(row[0]) == plain
    assert joined.discrete_size() == space.discrete_size()
