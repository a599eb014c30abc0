from __future__ import annotations

from xml.dom.minidom import parseString

import pytest

from stillhouse.core.report.anatomy import anatomy
from stillhouse.core.report.architecture import NARROW, WIDE, architecture

FULL = {"width": 96, "depth": 4, "heads": [6] * 4, "ffn_ratio": [2.0] * 4, "front": "mel"}
FOUND = {"width": 48, "depth": 2, "heads": [2, 3], "ffn_ratio": [1.0, 0.5], "front": "waveform"}


def test_scalars_become_shares_of_the_full_model() -> None:
    bars = {bar.name: bar for bar in anatomy(FULL, FOUND).scalars}
    assert bars["width"].share == 0.5
    assert bars["width"].text == "48 of 96"
    assert set(bars) == {"width", "depth"}


def test_a_ratio_is_drawn_as_the_size_it_amounts_to() -> None:
    found = anatomy(FULL, FOUND)
    assert found.columns == ["heads", "feed-forward size"]
    assert [layer.bars[1].text for layer in found.layers[:2]] == ["48 of 192", "24 of 192"]
    assert found.layers[0].bars[1].share == 0.25


def test_layers_beyond_the_found_depth_are_dropped() -> None:
    assert [layer.dropped for layer in anatomy(FULL, FOUND).layers] == [False, False, True, True]


def test_small_counts_are_drawn_as_cells() -> None:
    bar = anatomy(FULL, FOUND).layers[1].bars[0]
    assert (bar.cells, bar.kept) == (6, 3)


def test_what_is_no_number_stays_text() -> None:
    assert dict(anatomy(FULL, FOUND).others) == {"front": "waveform (full: mel)"}


def test_a_prefix_shared_with_the_method_is_left_out() -> None:
    prefixed = [{f"supernet.{k}": v for k, v in genes.items()} for genes in (FULL, FOUND)]
    assert anatomy(*prefixed) == anatomy(FULL, FOUND)


@pytest.mark.parametrize(
    ("full", "found"),
    [
        ({}, {}),
        ({"width": 0}, {"width": 0}),
        ({"bits": None}, {"bits": 8}),
        ({}, {"heads": [1, None, 2]}),
        ({"hints": []}, {"hints": []}),
        ({"a": [float("nan"), 1.0]}, {"a": [0.5]}),
        ({"width": 96}, {"scheme": "int8"}),
        ({"names": ["x", "y"]}, {"names": ["x"]}),
    ],
)
def test_odd_configurations_are_drawn_without_complaint(
    full: dict[str, object], found: dict[str, object]
) -> None:
    for sheet in (WIDE, NARROW):
        drawing = architecture(anatomy(full, found), sheet)
        assert "nan" not in drawing
        if drawing:
            parseString(drawing)  # noqa: S318 - our own output


def test_a_list_that_the_full_network_has_not_is_no_gene_of_its_layers() -> None:
    full = {"supernet.width": 64, "supernet.heads": [4, 4]}
    found = {"supernet.width": 32, "supernet.heads": [2, 1], "ensemble.given": [0.5, 0.25, 0.25]}
    drawn = anatomy(full, found)
    assert list(drawn.columns) == ["heads"]
    assert len(drawn.layers) == 2
    assert [name for name, _ in drawn.others] == ["given"]
