from __future__ import annotations

import json

import numpy as np
import pytest

from stillhouse.core.cost.latency.shapes import Shape, distinct, shapes_of, sites_of
from stillhouse.core.cost.latency.work import parts, weight_bytes, work
from stillhouse.core.cost.sheet import Operator, OperatorSheet


def _sheet(*rows: Operator, candidates: int = 1) -> OperatorSheet:
    return OperatorSheet(candidates, rows)


def _attention(heads: float | np.ndarray, keys: int = 20) -> list[Operator]:
    base = {"positions": 20}
    return [
        Operator("a.x", "matmul", "", {**base, "inputs": 8, "outputs": keys, "groups": heads}),
        Operator("a.y", "elementwise", "", {**base, "outputs": heads * keys}),
        Operator("a.z", "matmul", "", {**base, "inputs": keys, "outputs": 8, "groups": heads}),
    ]


def test_a_shape_is_counted_as_often_as_all_candidates_run_it() -> None:
    width, active = np.array([16.0, 32.0, 16.0]), np.array([1.0, 1.0, 0.0])
    cells = {"inputs": 8, "outputs": width, "positions": 20, "bias": 1}
    sheet = _sheet(
        Operator("in", "linear", "", cells),
        Operator("again", "linear", "", {**cells, "active": active, "probability": 0.5}),
        candidates=3,
    )
    assert shapes_of(sheet) == {
        Shape("linear", 20, 8, 16, bias=1): 2.5,
        Shape("linear", 20, 8, 32, bias=1): 1.5,
    }


def test_scores_softmax_and_mix_are_one_block() -> None:
    heads = np.array([2.0, 3.0])
    sheet = _sheet(*_attention(heads), candidates=2)
    assert [site.kind for site in sites_of(sheet)] == ["attention"]
    assert set(shapes_of(sheet)) == {
        Shape("attention", 20, 8, 20, groups=2),
        Shape("attention", 20, 8, 20, groups=3),
    }


def test_products_that_do_not_feed_each_other_stay_apart() -> None:
    scores, softmax, mix = _attention(2)
    other = Operator("a.z", "matmul", "", {**mix.cells, "inputs": 5})
    kinds = [site.kind for site in sites_of(_sheet(scores, softmax, other))]
    assert kinds == ["matmul", "gelu", "matmul"]


@pytest.mark.parametrize(
    ("name", "read", "kind"),
    [
        ("blocks.0.relu", 0, "relu"),
        ("softmax", 0, "softmax"),
        ("act", 0, "gelu"),
        ("plus", 40, "add"),
        ("pool", 100, "mean"),
    ],
)
def test_an_elementwise_row_is_told_by_its_name_or_else_by_what_it_reads(
    name: str, read: int, kind: str
) -> None:
    cells = {"outputs": 4, "positions": 20, "read_positions": read}
    assert [s.kind for s in sites_of(_sheet(Operator(name, "elementwise", "", cells)))] == [kind]


def test_what_takes_no_time_of_its_own_is_no_block() -> None:
    sheet = _sheet(
        Operator("positions", "table", "", {"inputs": 20, "outputs": 8, "positions": 0}),
        Operator("radio", "transfer", "", {"outputs": 8}),
        Operator("words", "table", "", {"inputs": 900, "outputs": 8, "positions": 20}),
    )
    assert list(shapes_of(sheet)) == [Shape("table", 20, 0, 8)]


def test_candidates_of_different_bits_run_different_layouts() -> None:
    bits = np.array([32.0, 8.0, 8.0])
    cells = {"inputs": 8, "outputs": 8, "weight_bits": bits, "activation_bits": bits}
    sites = sites_of(_sheet(Operator("in", "linear", "", cells), candidates=3))
    assert {site.layout: site.runs.tolist() for site in sites} == {
        "linear": [1, 0, 0],
        "linear w8a8": [0, 1, 1],
    }


def test_distinct_sizes_are_found_however_far_apart_they_lie() -> None:
    width = np.array([7.0, 2_000_003.0, 7.0])
    (site,) = sites_of(
        _sheet(Operator("in", "linear", "", {"inputs": width, "outputs": width}), candidates=3)
    )
    sizes, which = distinct(site)
    assert sizes["inputs"][which].tolist() == width.tolist()
    assert len(sizes["inputs"]) == 2


def test_a_shape_survives_json_and_has_a_key_of_its_own() -> None:
    shapes = [Shape("linear", 20, 8, 16), Shape("linear", 20, 8, 16, bias=1), Shape("session")]
    again = [Shape.from_json(json.loads(json.dumps(shape.to_json()))) for shape in shapes]
    assert again == shapes
    assert [s.key for s in shapes] == [
        "linear positions=20 inputs=8 outputs=16",
        "linear positions=20 inputs=8 outputs=16 bias=1",
        "session",
    ]


def test_foreign_sizes_are_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        Shape.from_json({"kind": "linear", "colour": 3})


def test_attention_multiplies_twice_and_reads_what_its_three_rows_read() -> None:
    macs, elements = work("attention", {"positions": 5, "inputs": 4, "outputs": 6, "groups": 2})
    assert macs == 2 * 2 * 5 * 4 * 6
    scores, softmax, mix = 2 * (5 * 4 + 4 * 6 + 5 * 6), 2 * (5 * 12), 2 * (5 * 6 + 6 * 4 + 5 * 4)
    assert elements == scores + softmax + mix


def test_a_linear_block_reads_its_weights_and_bias() -> None:
    cells = {"positions": 5, "inputs": 4, "outputs": np.array([3.0, 7.0]), "bias": 1}
    macs, elements = work("linear", cells)
    assert macs.tolist() == [60, 140]
    assert elements.tolist() == [5 * 4 + 5 * 3 + 4 * 3 + 3, 5 * 4 + 5 * 7 + 4 * 7 + 7]
    assert weight_bytes("linear", {**cells, "weight_bits": 8}).tolist() == [12, 28]


def test_heads_and_steps_of_time_are_parts_after_the_first() -> None:
    assert parts("attention", {"groups": 4}) == 3
    assert parts("recurrent", {"positions": 10, "groups": 4}) == 9
    assert parts("linear", {"groups": 1}) == 0
