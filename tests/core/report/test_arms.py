from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.report.arms import Comparison, comparisons
from stillhouse.core.report.gains import figures, sentence
from stillhouse.core.report.interval_plot import NARROW, WIDE, gains_plot, scores_plot
from stillhouse.core.run.summary import RunSummary

Exhibit = Callable[..., dict[str, Any]]


@pytest.fixture
def compared(summary: RunSummary, exhibit: Exhibit) -> Callable[..., Comparison]:
    def made(**changes: Any) -> Comparison:
        return comparisons(replace(summary, exhibits=[exhibit("arms", **changes)]))[0]

    return made


def lone(label: str, validation: list[Any], test: list[Any]) -> dict[str, Any]:
    return {"role": label, "label": label, "validation": validation, "test": test}


def told(comparison: Comparison) -> str:
    return sentence(comparison).replace("\u00a0", " ")


def test_a_gain_is_paired_by_repeat(compared: Callable[..., Comparison]) -> None:
    found = compared()
    none = found.arms[3]
    assert found.gains(none, "test") == pytest.approx([0.07, 0.04, 0.05])
    gain = found.gain(none, "test")
    assert gain is not None
    # 4.302653 is Student's t for two degrees of freedom, 0.0152753 the spread of the three gains.
    assert gain.half == pytest.approx(4.302653 * 0.0152753 / 3**0.5, rel=1e-5)


def test_less_is_better_where_the_metric_says_so(compared: Callable[..., Comparison]) -> None:
    loss = compared(metric="log_loss", maximize=False)
    assert loss.gains(loss.arms[3], "test") == pytest.approx([-0.07, -0.04, -0.05])
    assert "is worse than “no hints” by 0.053 in log loss (95 % interval 0.015 to 0.091)" in told(
        loss
    )


def test_the_sentence_tells_gains_with_intervals_and_where_there_is_none(
    compared: Callable[..., Comparison],
) -> None:
    assert told(compared()) == (
        "On the test split, over 3 repeats, what the search found shows no gain against "
        "“uniform spacing”: the interval, −2.5 to 2.5 points, holds 0; is better than "
        "“stage ends” by 3.3 points (95 % interval 1.9 to 4.8); is better than "
        "“no hints” by 5.3 points (95 % interval 1.5 to 9.1)."
    )


def test_one_repeat_has_gains_but_no_interval_and_says_so(
    compared: Callable[..., Comparison],
) -> None:
    said = told(compared(repeats=1))
    assert "in one repeat, which gives no interval, what the search found is worse than" in said
    assert "is better than “no hints” by 7.00 points." in said
    assert "interval " not in said.replace("no interval", "")
    assert "whisker" in scores_plot(compared(), WIDE)
    assert [cell.against for cell in figures(compared(repeats=1), compared(repeats=1).arms[3])] == [
        "", "", "", "",
    ]  # fmt: skip


def test_a_control_that_was_returned_is_said_to_be_one(
    compared: Callable[..., Comparison],
) -> None:
    better = lone("none", [0.95, 0.96, 0.97], [0.91, 0.92, 0.94])
    found = lone("found", [0.90, 0.92, 0.94], [0.91, 0.92, 0.93])
    said = told(compared(chosen="none", arms=[found, better]))
    assert said.startswith(
        "What the search found was not better than “none” on validation, so the arm “none” was "
        "returned. On the test split, over 3 repeats, the arm “none” shows no gain against what "
        "the search found:"
    )


def test_a_control_returned_against_the_validation_scores_is_told_as_it_is(
    compared: Callable[..., Comparison],
) -> None:
    said = told(compared(chosen="none"))
    assert said.startswith(
        "What the search found was better than “no hints” on validation by 5.0 points, "
        "yet the arm “no hints” was returned."
    )


def test_without_test_scores_the_gain_is_that_on_validation_and_says_so(
    compared: Callable[..., Comparison],
) -> None:
    both = [lone("found", [0.9, 0.8, 0.9], []), lone("none", [0.8, 0.8, 0.7], [])]
    assert told(compared(arms=both)).startswith("On validation, which also chose, over 3 repeats,")


def test_a_repeat_that_failed_is_left_out_of_the_pairs(
    compared: Callable[..., Comparison],
) -> None:
    both = [lone("found", [0.9] * 3, [0.9, None, 0.8]), lone("none", [0.8] * 3, [0.8, 0.7, None])]
    found = compared(arms=both)
    assert found.gains(found.arms[1], "test") == pytest.approx([0.1])
    apart = [lone("found", [0.9] * 3, [0.9, None, None]), lone("none", [0.8] * 3, [None, 0.7, 1])]
    assert "was not measured beside “none”" in told(compared(arms=apart))


def test_equal_gains_claim_no_certainty(compared: Callable[..., Comparison]) -> None:
    both = [lone("found", [0.9] * 3, [0.9, 0.8, 0.7]), lone("none", [0.8] * 3, [0.8, 0.7, 0.6])]
    said = told(compared(arms=both))
    assert "is better than “none” by 10 points, the same in all 3, so without an interval." in said
    same = [lone("found", [0.9] * 3, [0.9, 0.8, 0.7]), lone("none", [0.8] * 3, [0.9, 0.8, 0.7])]
    assert told(compared(arms=same)).endswith("shows no gain against “none”: the same scores.")


def test_the_table_has_means_and_signed_gains(compared: Callable[..., Comparison]) -> None:
    found = compared()
    assert [cell.text for cell in figures(found, found.arms[0])] == ["92.0", "92.0", "", ""]
    assert [cell.text for cell in figures(found, found.arms[3])] == ["87.0", "86.7", "+5.0", "+5.3"]
    assert figures(found, found.arms[3])[3].against == "1.5 to 9.1"


def test_both_plots_draw_a_mean_and_a_whisker_for_each_arm_and_split(
    compared: Callable[..., Comparison],
) -> None:
    for sheet in (WIDE, NARROW):
        assert scores_plot(compared(), sheet).count('class="mean') == 4 * 2
        assert gains_plot(compared(), sheet).count('class="whisker"') == 3 * 2
        assert 'class="dots small"' not in scores_plot(compared(repeats=1), sheet)
    alone = compared(arms=[lone("found", [1, 1, 1], [])])
    assert gains_plot(alone, WIDE) == sentence(alone) == ""


def test_what_does_not_fit_is_refused_with_what_was_expected(
    compared: Callable[..., Comparison],
) -> None:
    with pytest.raises(UserError, match="'best' was chosen, expected one of its arms: found, unif"):
        compared(chosen="best")
    with pytest.raises(
        UserError, match="arm 'found' has 2 test scores, expected one for each of 3"
    ):
        compared(arms=[lone("found", [0.9] * 3, [0.9, 0.8])])
