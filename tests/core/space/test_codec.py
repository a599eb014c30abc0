from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.space import Choice, Integer, Real, Simplex, Space

MEL = {
    "front": "mel",
    "width": 32,
    "depth": 2,
    "batch": 64,
    "dropout": 0.125,
    "rate": 0.001,
    "weights": [[0.25, 0.25, 0.5], [1.0, 0.0, 0.0]],
    "hints": [0, 4, 11],
}


def test_a_configuration_survives_encoding_and_decoding(mixed: Space) -> None:
    assert mixed.decode(mixed.encode(MEL)) == MEL


def test_every_configuration_written_out_survives(
    cells: Space, every_cell: list[dict[str, Any]]
) -> None:
    rows = np.stack([cells.encode(cell) for cell in every_cell])
    assert [cells.decode(row) for row in rows] == every_cell
    np.testing.assert_array_equal(cells.canonical(rows), rows)
    assert len(cells.unique(rows)) == len(rows)


def test_inactive_genes_do_not_change_the_key(cells: Space) -> None:
    row = cells.encode({"width": 8, "depth": 1, "kind": ["dense"], "bits": [None], "front": "wave"})
    noisy = np.where(row < 0, 1.0, row)
    assert not np.array_equal(noisy, row)
    np.testing.assert_array_equal(cells.canonical(noisy[None])[0], row)
    assert cells.keys(noisy[None]) == cells.keys(row[None])


def test_keys_do_not_depend_on_the_order_of_dimensions(
    cells: Space, every_cell: list[dict[str, Any]]
) -> None:
    turned = Space(cells.dimensions[::-1])
    keys = [
        space.keys(np.stack([space.encode(cell) for cell in every_cell]))
        for space in (cells, turned)
    ]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == len(every_cell)
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys[0])


def test_keys_survive_a_ledger(mixed: Space, rng: np.random.Generator) -> None:
    codes = mixed.sample(300, rng)
    back = [json.loads(json.dumps(mixed.decode(row))) for row in codes]
    assert mixed.keys(np.stack([mixed.encode(c) for c in back])) == mixed.keys(codes)
    assert [mixed.decode(mixed.encode(c)) for c in back] == back


def test_reals_survive_to_twelve_digits(rng: np.random.Generator) -> None:
    space = Space([Real("a", -3.0, 70.0), Real("b", 1e-9, 2.0, log=True)])
    for a, log_b in zip(rng.uniform(-3, 70, 200), rng.uniform(-20.7, 0.69, 200), strict=True):
        given = {"a": float(a), "b": float(np.exp(log_b))}
        back = space.decode(space.encode(given))
        assert abs(back["a"] - given["a"]) <= 70e-12
        assert abs(back["b"] - given["b"]) <= 1e-12 * given["b"]


def test_bounds_of_reals_are_reached_exactly() -> None:
    space = Space([Real("a", 1 / 3, 2 / 3), Real("b", 1 / 3, 2 / 3, log=True)])
    corners = space.corners()
    assert space.decode(corners[0]) == {"a": 1 / 3, "b": 1 / 3}
    assert space.decode(corners[2]) == {"a": 2 / 3, "b": 2 / 3}


def test_numpy_values_are_taken_for_python_values(mixed: Space) -> None:
    numpy = {**MEL, "width": np.int64(32), "weights": np.array(MEL["weights"])}
    numpy["hints"] = np.array([0, 4, 11])
    assert mixed.decode(mixed.encode(numpy)) == MEL


def test_true_is_not_one() -> None:
    space = Space([Choice("a", (1, True, "1"))])
    assert [space.decode(space.encode({"a": a}))["a"] for a in (1, True, "1")] == [1, True, "1"]
    with pytest.raises(UserError, match="'a'"):
        Space([Integer("a", 0, 1)]).encode({"a": True})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 48}, "gene 'width': expected one of 16, 32, 64; got 48"),
        ({"width": [16]}, "'width'"),
        ({"widht": 16}, "unknown gene 'widht'; did you mean 'width'"),
        ({"depth": 4}, "gene 'depth': expected a whole number from 1 to 3; got 4"),
        ({"depth": 1.5}, "'depth'"),
        ({"depth": 3}, "gene 'weights': expected a list of 3, one for each of 'depth'; got 2"),
        ({"weights": 0.5}, "gene 'weights': expected a list of 2"),
        ({"weights": [[1, 0, 0], [0.5, 0.4, 0.0]]}, r"gene 'weights\[1\]': .* sum to 1"),
        ({"weights": [[1, 0, 0], [1.5, -0.5, 0.0]]}, r"gene 'weights\[1\]'"),
        ({"hints": [0, 4, 4]}, "strictly increasing"),
        ({"hints": [0, 4, 12]}, "from 0 to 11"),
        ({"dropout": 0.6}, "from 0 to 0.5; got 0.6"),
        ({"dropout": float("nan")}, "got nan"),
        ({"rate": "fast"}, "got 'fast'"),
        ({"front": "wave"}, "gene 'dropout' is superfluous here: it needs 'front' to be mel"),
        ({"front": ["mel"]}, "gene 'front'"),
    ],
)
def test_what_lies_outside_the_space_is_refused_by_name(
    mixed: Space, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        mixed.encode({**MEL, **change})


def test_a_missing_gene_is_refused_by_name(mixed: Space) -> None:
    with pytest.raises(UserError, match="gene 'rate' is missing; expected a number from 1e-05"):
        mixed.encode({name: value for name, value in MEL.items() if name != "rate"})


def test_a_value_for_an_inactive_layer_is_refused(cells: Space) -> None:
    cell = {"width": 8, "depth": 1, "kind": ["dense"], "bits": [4], "front": "wave"}
    with pytest.raises(UserError, match=r"gene 'bits\[0\]': expected None, got 4"):
        cells.encode(cell)


def test_columns_hold_values_and_mark_what_is_inactive(cells: Space) -> None:
    rows = [
        {"width": 8, "depth": 2, "kind": ["dense", "quant"], "bits": [None, 4], "front": "wave"},
        {"width": 16, "depth": 0, "kind": [], "bits": [], "front": "mel", "bands": 80},
    ]
    columns = cells.columns(np.stack([cells.encode(row) for row in rows]))
    nan = np.nan
    np.testing.assert_array_equal(columns["width"], [8.0, 16.0])
    np.testing.assert_array_equal(columns["bits"], [[nan, 4.0], [nan, nan]])
    np.testing.assert_array_equal(columns["bands"], [nan, 80.0])
    assert columns["width"].dtype == np.float64
    assert columns["kind"].tolist() == [["dense", "quant"], [None, None]]
    assert columns["front"].tolist() == ["wave", "mel"]


def test_columns_agree_with_decoding(mixed: Space, rng: np.random.Generator) -> None:
    codes = mixed.sample(100, rng)
    columns = mixed.columns(codes)
    assert columns["weights"].shape == (100, 3, 3)
    assert columns["hints"].shape == (100, 3)
    for i, row in enumerate(codes):
        found = mixed.decode(row)
        assert columns["front"][i] == found["front"]
        assert columns["batch"][i] == found["batch"]
        assert columns["hints"][i].tolist() == found["hints"]
        assert columns["rate"][i] == pytest.approx(found["rate"], rel=1e-12)
        assert np.isnan(columns["dropout"][i]) == ("dropout" not in found)
        assert columns["weights"][i][: found["depth"]].tolist() == found["weights"]
        assert np.isnan(columns["weights"][i][found["depth"] :]).all()


def test_a_prefix_selects_one_part(cells: Space, rng: np.random.Generator) -> None:
    both = Space.join({"supernet": cells, "distil": Space([Simplex("weights", 2)])})
    codes = both.sample(5, rng)
    assert set(both.columns(codes, prefix="supernet.")) == set(cells.names)
    np.testing.assert_array_equal(both.columns(codes, prefix="distil.")["weights"], codes[:, -2:])
    assert set(both.columns(codes)) == set(both.names)


def test_unique_keeps_the_order_of_first_appearance(cells: Space, rng: np.random.Generator) -> None:
    codes = cells.sample(500, rng)
    first = {tuple(row): None for row in codes.tolist()}
    np.testing.assert_array_equal(cells.unique(codes), np.array(list(first)))


@pytest.mark.parametrize("code", [3.0, 0.5, np.nan, -2.0])
def test_codes_out_of_range_are_refused(code: float) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Space([Choice("a", (1, 2))]).canonical(np.array([[code]]))


def test_an_active_gene_without_a_code_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' is active"):
        Space([Choice("a", (1, 2))]).canonical(np.array([[-1.0]]))


def test_codes_of_another_width_are_refused(cells: Space) -> None:
    with pytest.raises(ValueError, match="expected codes"):
        cells.canonical(np.zeros((2, 1)))


def test_a_space_equals_one_declared_alike(cells: Space) -> None:
    assert cells == Space(list(cells.dimensions))
    assert cells != Space(
        [replace(d, name=f"x{d.name}", when=None, per=None) for d in cells.dimensions]
    )
