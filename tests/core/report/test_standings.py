from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stillhouse.core.report.ensemble import Ensemble, ensembles
from stillhouse.core.report.standing_axes import behind_axis, score_axis
from stillhouse.core.report.standing_plot import standing_plot
from stillhouse.core.report.standing_table import standing_table
from stillhouse.core.report.weight_bars import bars
from stillhouse.core.run.summary import RunSummary

Exhibit = Callable[..., dict[str, Any]]
Mixed = Callable[..., Ensemble]
KINDS = ("ensemble", "ensemble untested", "ensemble of one", "ensemble of many")


@pytest.fixture
def mixed(summary: RunSummary, exhibit: Exhibit) -> Mixed:
    """Reads an exhibit, by its kind, with changes."""

    def made(kind: str = "ensemble", **changes: Any) -> Ensemble:
        return ensembles(replace(summary, exhibits=[exhibit(kind, **changes)]))[0]

    return made


def drawings(found: Ensemble) -> list[str]:
    return re.findall(r"<svg.*?</svg>", standing_plot(found))


def figures(drawing: str, class_: str) -> int:
    return len(re.findall(rf'<circle[^>]*class="mean {class_}"', drawing))


def test_every_row_has_a_mark_a_split_and_its_distance(mixed: Mixed) -> None:
    wide, scores, behind = drawings(mixed())
    rows = len(mixed().rows)
    assert figures(wide, "validation") == figures(scores, "validation") == rows
    assert figures(scores, "test") == rows
    assert figures(behind, "test") == rows - 1
    assert figures(wide, "test") == 2 * rows - 1
    assert "+0.012 (0.004 to 0.020)" in wide
    assert "+0.012 (0.004 to 0.020)" in behind


def test_without_test_numbers_only_hollow_marks_are_drawn(mixed: Mixed) -> None:
    found = mixed("ensemble untested")
    assert figures(standing_plot(found), "test") == 0
    assert "tuning log-loss above the chosen" in standing_plot(found)


def test_the_chosen_row_alone_has_no_second_drawing(mixed: Mixed, exhibit: Exhibit) -> None:
    found = mixed(rows=exhibit("ensemble")["rows"][:1])
    assert len(drawings(found)) == 2
    assert "above the chosen" not in standing_plot(found)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_lies_outside_the_drawing(mixed: Mixed, kind: str) -> None:
    for drawing in drawings(mixed(kind)):
        box = re.search(r'viewBox="0 0 (\S+) (\S+)"', drawing)
        assert box
        width, height = float(box[1]), float(box[2])
        for name in ("x", "cx", "x1", "x2", "y", "cy", "y1", "y2"):
            most = width if "x" in name else height
            values = [float(v) for v in re.findall(rf' {name}="(\S+?)"', drawing)]
            assert all(0 <= value <= most for value in values), name


def test_losses_of_several_orders_of_magnitude_go_on_a_logarithmic_axis(
    mixed: Mixed, exhibit: Exhibit
) -> None:
    assert not score_axis(mixed(), 0, 100).log
    rows = exhibit("ensemble")["rows"]
    tiny = {"mean": 0.001, "low": -0.004, "high": 0.006}
    rows[0]["tuning"]["log_loss"] = tiny
    axis = score_axis(mixed(rows=rows), 0, 100)
    assert axis.log
    assert 0.0005 < axis.low < 0.001


def test_a_model_far_behind_is_an_arrow_and_does_not_flatten_the_rest(mixed: Mixed) -> None:
    far = mixed(behinds={"plain-4": (9.0, 0.2)})
    near, wide = behind_axis(mixed(), 0, 100), behind_axis(far, 0, 100)
    assert near
    assert wide
    assert wide.high < 0.4
    assert standing_plot(far).count('class="beyond"') == 2
    assert "+9.000 (8.800 to 9.200)" in standing_plot(far)
    assert 'class="beyond"' not in standing_plot(mixed())


def test_mixtures_that_are_all_the_same_do_not_push_the_models_off(mixed: Mixed) -> None:
    same = mixed(behinds=dict.fromkeys(("uniform", "best-single"), (0.0, 0.0)))
    assert 'class="beyond"' not in standing_plot(same)


def test_long_names_are_cut_where_they_are_the_same(mixed: Mixed) -> None:
    for drawing in drawings(mixed("ensemble of many"))[::2]:
        assert ">…88<" in drawing
        assert ">best single<" in drawing


def test_the_table_has_every_metric_and_what_each_is_behind(mixed: Mixed) -> None:
    headings, lines = standing_table(mixed())
    assert headings == [
        "tuning log-loss", "test log-loss", "tuning accuracy %", "test accuracy %",
        "log-loss above the chosen, test",
    ]  # fmt: skip
    by_name = {line.label: line for line in lines}
    uniform = by_name["uniform weights"].figures
    assert [cell.text for cell in uniform] == ["0.312", "0.332", "90.0", "89.0", "+0.012"]
    assert uniform[4].against == "0.004 to 0.020"
    assert by_name["EM optimum"].figures[4].text == "0"
    assert lines[0].figures[4].text == ""
    assert len(standing_table(mixed("ensemble untested"))[0]) == 3


def test_bars_are_in_proportion_and_mark_equal_weights(mixed: Mixed) -> None:
    found = bars(mixed())
    assert [round(line.share, 6) for line in found.lines] == [100, 50, round(100 / 6, 6), 0]
    assert found.even == pytest.approx(100 * 0.25 / 0.6)
    assert [line.quiet for line in found.lines] == [False, False, False, True]
    assert found.lines[3].facts == "dropped: tuning loss +0.0002 without it"
    assert list(found.headings) == ["parameters", "MACs"]
    assert bars(mixed("ensemble of one")).even is None


def test_bars_tell_sources_channels_and_whom_each_learnt_from(
    mixed: Mixed, exhibit: Exhibit
) -> None:
    many = bars(mixed("ensemble of many"))
    assert many.headings[-1] == "learnt from"
    assert [dict(line.figures)["learnt from"] for line in many.lines[:3]] == [
        "teacher", "teacher and the one above", "teacher and all above",
    ]  # fmt: skip
    assert many.lines[0].facts == "drawn from the supernet"
    assert many.lines[-1].quiet
    members = exhibit("ensemble")["members"]
    members[0] |= {"source": "given", "channels": [0, 1], "parameters": None, "learnt_from": []}
    first = bars(mixed(members=members)).lines[0]
    assert first.facts == "given, sees channels 0, 1"
    assert dict(first.figures) == {"parameters": "–", "MACs": "41.0\u00a0M", "learnt from": "–"}


def test_a_weight_too_small_to_write_is_not_written_as_zero(mixed: Mixed, exhibit: Exhibit) -> None:
    members = exhibit("ensemble")["members"]
    members[0]["weight"], members[3]["weight"] = 0.6 - 1e-5, 1e-5
    last = bars(mixed(members=members)).lines[3]
    assert last.weight == "<0.1\u00a0%"
    assert not last.quiet
