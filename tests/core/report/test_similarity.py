from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.report import grid, pairing
from stillhouse.core.report.grid import NARROW, WIDE, Grid
from stillhouse.core.report.heat_map import heat_map
from stillhouse.core.report.hints import chosen_hints, headings, lead, letter, table, tips_json
from stillhouse.core.report.layer_names import readable, short
from stillhouse.core.report.similarity import LayerSimilarity, Run, similarities
from stillhouse.core.run.summary import RunSummary

NO_HINTS: dict[str, Any] = {"labels": [], "centres": [], "pairs": [], "silhouette": None}


@pytest.fixture
def alike(
    summary: RunSummary, exhibit: Callable[..., dict[str, Any]]
) -> Callable[..., LayerSimilarity]:
    def made(count: int = 12, **changes: Any) -> LayerSimilarity:
        one = exhibit("layer-similarity", count=count, **changes)
        return similarities(replace(summary, exhibits=[one]))[0]

    return made


def area(drawing: str) -> int:
    """How many cells the paths of a heat map cover."""
    cells = re.search(r'<g class="cells".*?</g>', drawing)
    assert cells
    return sum(int(width) for width in re.findall(r"h(\d+)v1", cells[0]))


def test_clusters_are_lettered_by_their_first_layer_and_cut_where_they_are_apart(
    alike: Callable[..., LayerSimilarity],
) -> None:
    found = alike(6, clusters=[7, 2, 7, 7, 2, 2])
    assert found.clusters == [0, 1, 0, 0, 1, 1]
    assert found.runs == [Run(0, 1, 0), Run(1, 2, 1), Run(2, 4, 0), Run(4, 6, 1)]
    assert [letter(cluster) for cluster in (0, 1, 25, 26)] == ["A", "B", "Z", "27"]


@pytest.mark.parametrize("count", [3, 12, 27, 54])
@pytest.mark.parametrize("sheet", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_cell_is_drawn_once_inside_the_drawing(
    alike: Callable[..., LayerSimilarity], count: int, sheet: grid.Sheet
) -> None:
    found = alike(count)
    drawn = heat_map(Grid(found, sheet))
    assert area(drawn) == count * count
    assert drawn.count('class="point"') == 3
    assert drawn.count('class="outline"') == len(found.runs) == 3
    assert max(float(x) for x in re.findall(r' x="([\d.]+)"', drawn)) <= Grid(found, sheet).width
    assert len(drawn) < 70_000


def test_a_similarity_that_is_missing_leaves_a_hole(alike: Callable[..., LayerSimilarity]) -> None:
    found = alike(3, similarity=[[1.0, None, 0.2], [None, 1.0, 0.5], [0.2, 0.5, 1.0]])
    assert area(heat_map(Grid(found, WIDE))) == 7
    assert json.loads(tips_json(found))["similarity"][0] == [1.0, None, 0.2]
    assert table(found)[0][4:] == ["1.000", "–", "0.200"]


def test_equal_layers_all_get_the_deepest_colour(alike: Callable[..., LayerSimilarity]) -> None:
    drawn = heat_map(Grid(alike(3, similarity=[[1.0] * 3] * 3), WIDE))
    cells = re.search(r'<g class="cells".*?</g>', drawn)
    assert cells
    assert re.findall(r'class="(\w+)" style="--t:(\d+)%"', cells[0]) == [("upper", "100")]


def test_the_scale_begins_at_the_tenth_below_the_least_similarity(
    alike: Callable[..., LayerSimilarity],
) -> None:
    high = alike(3, similarity=[[1, 0.71, 0.8], [0.71, 1, 0.9], [0.8, 0.9, 1]])
    assert high.floor == 0.7
    assert {">0.7<", ">1.0<"} <= set(re.findall(r">[\d.]+<", heat_map(Grid(high, WIDE))))
    assert alike(3, similarity=[[1.0] * 3] * 3).floor == 0.9
    assert alike(3, similarity=[[1, -1e-9, 0], [0, 1, 0], [0, 0, 1]]).floor == 0.0


def test_each_pair_is_a_line_from_its_teacher_row_to_its_student(
    alike: Callable[..., LayerSimilarity],
) -> None:
    found = alike(12)
    area = Grid(found, WIDE)
    drawn = pairing.beside(area)
    heights = [float(y) for y in re.findall(r'y1="([\d.]+)"', drawn)]
    assert heights == pytest.approx([area.row(teacher) for teacher, _ in found.pairs], abs=0.06)
    assert drawn.count("teaches") == 3
    assert pairing.below(found).count('class="link"') == 3


def test_a_drawing_speaks_its_clusters_and_hint_points(
    alike: Callable[..., LayerSimilarity],
) -> None:
    drawn = heat_map(Grid(alike(12), WIDE))
    assert (
        "linear-cka between 12 teacher layers; clusters A layers 0 to 3, B layers 4 to 7, "
        "C layers 8 to 11; hint points 1, 5, 9."
    ) in drawn


def test_the_words_name_the_hints_or_say_that_there_are_none(
    alike: Callable[..., LayerSimilarity],
) -> None:
    assert chosen_hints(alike(12)) == (
        "Hints from teacher to student (exact selection, fitnets loss): stages.0.1.tap to "
        "stages.0.0.tap, stages.1.5.tap to stages.1.0.tap, stages.2.9.tap to stages.2.0.tap."
    )
    assert lead(alike(12)).endswith("3 clusters by exact selection, silhouette 0.729.")
    none = alike(12, **NO_HINTS)
    assert lead(none).endswith("numbered from 0. No hints: training without them was found best.")
    assert pairing.beside(Grid(none, WIDE)) == pairing.below(none) == ""
    assert "outline" not in heat_map(Grid(none, WIDE))


def test_hints_without_clusters_are_drawn_all_the_same(
    alike: Callable[..., LayerSimilarity],
) -> None:
    spaced = alike(12, labels=[], silhouette=None, select="uniform")
    assert heat_map(Grid(spaced, WIDE)).count('class="point"') == 3
    assert pairing.below(spaced).count('class="link"') == 3


def test_the_table_has_a_line_a_layer_with_its_likeness_to_each_hint_point(
    alike: Callable[..., LayerSimilarity],
) -> None:
    found = alike(12)
    assert headings(found)[4:] == ["to layer 1", "to layer 5", "to layer 9"]
    assert len(table(found)) == 12
    assert table(found)[5][:4] == ["5", "stages.1.5.tap", "B", "stages.1.0.tap"]
    assert table(found)[5][5] == "1.000"
    none = alike(12, **NO_HINTS)
    assert headings(none)[4:] == ["to the next layer"]
    assert table(none)[11][2:] == ["–", "–", "–"]


def test_names_lose_shared_ends_and_whatever_does_not_fit() -> None:
    assert short(["a.0.tap", "a.1.tap"], 10) == ["a.0", "a.1"]
    assert short(["encoder.layers.0", "encoder.layers.1"], 10) == ["…layers.0", "…layers.1"]
    assert short(["tap", "a.tap"], 10) == ["tap", "a.tap"]
    assert short(["a.tap"], 10) == ["a.tap"]
    assert short(["averyverylongname"], 6) == ["…gname"]


def test_labels_keep_apart_and_hint_points_come_first() -> None:
    assert readable(5, 20, 13) == [0, 1, 2, 3, 4]
    crowded = readable(54, 5.0, 13, first=[9, 27, 45])
    assert {9, 27, 45, 0, 53} <= set(crowded)
    assert all(b - a >= 3 for a, b in pairwise(crowded))
    assert readable(0, 5.0, 13) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"similarity": [[1.0]]}, r"expected 12 by 12 similarities, got 1 rows of \[1\]"),
        ({"labels": [0, 1]}, "expected a label for each of 12 layers or none, got 2"),
        ({"centres": [12]}, r"expected hint points from 0 to 11, got \[1, 5, 9, 12\]"),
        ({"pairs": [[0, 3]]}, r"expected student layers from 0 to 2, got \[3\]"),
        ({"layers": [], "labels": [], "similarity": []}, "expected at least one layer, got none"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected(
    alike: Callable[..., LayerSimilarity], change: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        alike(12, **change)
