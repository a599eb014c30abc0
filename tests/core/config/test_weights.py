"""Weights in a run file: normalised once, read back as they are, or searched."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.core.config import SearchRange, parse
from stillhouse.core.config.weights import normalised
from stillhouse.core.errors import ConfigError

RUN = """\
task: spoken-digits
teacher: {model: keyword-transformer}
recipe: [ensemble: {weights: WEIGHTS}]
search: {maximize: accuracy}
target: {runtime: onnxruntime-cpu}
"""
LISTS = st.lists(
    st.floats(min_value=0, allow_nan=False, allow_infinity=False), min_size=1, max_size=32
).filter(any)


@pytest.fixture
def read(catalogue):
    return lambda weights: parse(RUN.replace("WEIGHTS", weights), "run.yaml", catalogue)


@given(LISTS)
def test_weights_sum_to_one_and_keep_their_proportions(weights):
    found = normalised(weights)
    assert math.fsum(found) == pytest.approx(1, abs=1e-9)
    total = sum(map(Fraction, weights))
    assert found == pytest.approx([float(Fraction(w) / total) for w in weights], abs=1e-9)


@given(LISTS)
def test_normalising_twice_changes_nothing(weights):
    once = normalised(weights)
    assert normalised(once) == once


def test_weights_that_sum_to_one_are_kept_as_given(read):
    assert read("[0.1, 0.2, 0.7]").recipe[0].fixed["weights"] == (0.1, 0.2, 0.7)


def test_others_are_divided_by_their_sum(read):
    assert read("[1, 2, 0, 5]").recipe[0].fixed["weights"] == (0.125, 0.25, 0.0, 0.625)
    assert read("[9]").recipe[0].fixed["weights"] == (1.0,)


def test_no_weights_may_stand_where_there_are_none_by_default(read):
    assert read("[]").recipe[0].fixed["weights"] == ()


@pytest.mark.parametrize("weights", ["[1, 2, 4]", "[0.1, 0.1, 0.1]", "[]", "{simplex: 3}"])
def test_weights_read_back_equal(read, catalogue, weights):
    run = read(weights)
    assert parse(run.to_yaml(), "resolved.yaml", catalogue) == run


def test_weights_are_searched_by_their_number(read):
    use = read("{simplex: 3}").recipe[0]
    assert use.searched["weights"] == SearchRange(simplex=3)
    assert "weights" not in use.fixed


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("[0, 0]", "expected a list of numbers of at least 0, one of them above 0, got [0, 0]"),
        ("[1, -1]", "one of them above 0, got [1, -1]"),
        ("[1, yes]", "one of them above 0, got [1, 'yes']"),
        ("[1, true]", "one of them above 0, got [1, true]"),
        ("0.5", "one of them above 0, got 0.5"),
        ("null", "one of them above 0, got nothing"),
        ("{simplex: 1}", "expected {simplex: COUNT} with 2 <= COUNT <= 32, got {simplex: 1}"),
        ("{simplex: 33}", "expected {simplex: COUNT} with 2 <= COUNT <= 32, got {simplex: 33}"),
        ("{simplex: 2.0}", "expected {simplex: COUNT} with 2 <= COUNT <= 32, got {simplex: 2.0}"),
        ("{simplex: true}", "expected {simplex: COUNT} with 2 <= COUNT <= 32, got {simplex: true}"),
        ("{}", "expected {simplex: COUNT} with 2 <= COUNT <= 32, got {}"),
        ("{simplx: 3}", "recipe.ensemble.weights.simplx: unknown key; did you mean 'simplex'?"),
    ],
)
def test_what_are_no_weights_is_refused_with_its_place(read, weights, said):
    with pytest.raises(ConfigError) as refused:
        read(weights)
    assert said in str(refused.value)
    assert "run.yaml:3:" in str(refused.value)
