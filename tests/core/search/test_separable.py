from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stillhouse.core.search import Codes
from stillhouse.core.search.exact import extremes
from stillhouse.core.search.separable import Separable, separable
from stillhouse.core.space import Choice, Integer, Real, Space, Taps, load_space

Array = NDArray[np.float64]


def model(space: Space, function, seed: int = 0, **most: int) -> Separable | None:  # type: ignore[no-untyped-def]
    return separable(space, function, np.random.default_rng(seed), **most)


def names(found: Separable, genes: tuple[int, ...]) -> set[str]:
    """The columns that genes start at, by the name of their dimension."""
    starts = {}
    at = 0
    for name, column in found.genome.space.columns(found.genome.space.corners()[2:]).items():
        for layer in range(column.shape[1] if column.ndim > 1 else 1):
            starts[at] = f"{name}[{layer}]" if column.ndim > 1 else name
            at += 1
    return {starts[gene] for gene in genes}


LAYERED = Space(
    [
        Choice("width", (16, 32, 48)),
        Integer("depth", 1, 3),
        Choice("heads", (1, 2, 4), per="depth"),
        Choice("form", ("dense", "low-rank"), per="depth"),
        Choice("rank", (4, 8), per="depth", when=("form", ("low-rank",))),
    ]
)


def layers(codes: Codes) -> Array:
    """Parameters and a latency of stacked layers, (n, 2)."""
    columns = LAYERED.columns(codes)
    inner = np.where(np.isnan(columns["rank"]), columns["width"][:, None], columns["rank"])
    parameters = columns["width"] * (10 + np.nansum(columns["heads"] * inner, axis=1))
    return np.stack([parameters, columns["depth"] * 0.5 + 100 / columns["width"]], axis=1)


def test_a_sum_over_genes_needs_no_coupling() -> None:
    space = Space([Choice("a", (1, 2, 5)), Integer("b", 0, 3), Choice("c", ("x", "y", "z"))])
    found = model(space, lambda codes: (codes**2 + 1).sum(axis=1, keepdims=True))
    assert found is not None
    assert found.structure.coupling == ()
    assert found.structure.units == ((0,), (1,), (2,))
    low, high = extremes(found)
    assert (low.tolist(), high.tolist()) == ([3.0], [4.0 + 9.0 + 4.0 + 3.0])


@pytest.mark.parametrize(("name", "cases"), [("lighthubert-base", 3), ("lighthubert-small", 9)])
def test_parameters_of_lighthubert_are_sums_given_width_and_depth(name: str, cases: int) -> None:
    text = resources.files("stillhouse.search_spaces").joinpath(f"{name}.yaml").read_text("utf-8")
    space = load_space(text, name)

    def parameters(codes: Codes) -> Array:
        columns = space.columns(codes)
        width, heads = columns["width"], np.nansum(columns["heads"], axis=1)
        ratio = np.nansum(columns["ffn_ratio"], axis=1)
        return np.asarray((4 * 64 * width * heads + 2 * width**2 * ratio + 10 * width)[:, None])

    found = model(space, parameters)
    assert found is not None
    assert names(found, found.structure.coupling) == {"width", "depth"}
    assert len(found.cases) == cases
    smallest, _, largest = parameters(space.corners())[:, 0]
    low, high = extremes(found)
    assert (low[0], high[0]) == (smallest, largest)


def test_genes_of_a_layer_that_act_together_become_one_unit() -> None:
    found = model(LAYERED, layers)
    assert found is not None
    assert names(found, found.structure.coupling) == {"width", "depth"}
    assert [names(found, unit) for unit in found.structure.units] == [
        {f"heads[{layer}]", f"form[{layer}]", f"rank[{layer}]"} for layer in range(3)
    ]
    everything = LAYERED.sample(500, np.random.default_rng(9))
    assert found.predicted(everything) == pytest.approx(layers(everything), rel=1e-12)


def test_what_costs_do_not_depend_on_is_held_at_its_middle() -> None:
    space = Space(
        [
            Choice("width", (8, 16)),
            Real("temperature", 1.0, 8.0),
            Integer("epochs", 1, 10_000),
            Taps("hints", count=2, total=5),
        ]
    )

    def function(codes: Codes) -> Array:
        columns = space.columns(codes)
        return np.asarray((columns["width"] + columns["hints"] @ [3.0, 7.0])[:, None])

    found = model(space, function)
    assert found is not None
    assert extremes(found)[1][0] == 16 + 3 * 3 + 7 * 4


@pytest.mark.parametrize("name", ["temperature", "epochs"])
def test_what_depends_on_a_gene_without_a_table_has_none(name: str) -> None:
    space = Space([Choice("width", (8, 16)), Real("temperature", 1, 8), Integer("epochs", 1, 999)])
    assert model(space, lambda codes: space.columns(codes)[name][:, None]) is None


def test_a_maximum_over_many_genes_is_no_sum() -> None:
    space = Space([Choice(f"g{i}", (1, 2, 3, 4)) for i in range(30)])
    weights = np.arange(1, 31)
    assert model(space, lambda codes: (codes * weights).max(axis=1, keepdims=True)) is None


def test_values_that_are_not_finite_have_no_tables() -> None:
    space = Space([Choice("a", (1, 2)), Choice("b", (1, 2))])
    assert model(space, lambda codes: np.full((len(codes), 1), np.nan)) is None


def test_probing_stays_within_its_allowance() -> None:
    space = Space([Choice(f"g{i}", (1, 2, 3, 4)) for i in range(30)])
    assert model(space, lambda codes: codes.sum(axis=1, keepdims=True), most=100) is None
    assert model(space, lambda codes: codes.sum(axis=1, keepdims=True), most=200) is not None


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Choices, layers, and conditions of two depths."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    free = [Choice(f"c{i}", tuple(range(size))) for i, size in enumerate(sizes)]
    layered = [
        Integer("depth", draw(st.integers(0, 1)), draw(st.integers(1, 4))),
        Choice("form", (0, 1, 2), per="depth"),
        Integer("rank", 0, draw(st.integers(0, 2)), per="depth", when=("form", (1, 2))),
    ]
    nested = [Choice("mode", ("a", "b")), Taps("taps", 2, 4, when=("mode", ("b",)))]
    return Space([*layered, *free, *nested] if draw(st.booleans()) else [*free, *layered])


@settings(max_examples=40, deadline=None)
@given(space=spaces(), seed=st.integers(0, 2**16))
def test_any_sum_over_active_genes_is_found_whatever_the_conditions(
    space: Space, seed: int
) -> None:
    terms = np.random.default_rng(seed).normal(size=(space.width, 8, 2))

    def function(codes: Codes) -> Array:
        picked = terms[np.arange(space.width), codes.astype(int).clip(-1)]
        return np.asarray(np.where((codes >= 0)[..., None], picked, 0.0).sum(axis=1))

    found = model(space, function, seed)
    assert found is not None
    sample = space.sample(100, np.random.default_rng(seed))
    assert found.predicted(sample) == pytest.approx(function(sample), rel=1e-8, abs=1e-8)
