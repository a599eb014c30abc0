from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.report.ensemble import Ensemble, ensembles
from stillhouse.core.report.ensemble_names import against, title
from stillhouse.core.report.ensemble_settings import optimality, settings, topology
from stillhouse.core.report.ensemble_words import lead, sentence, standing
from stillhouse.core.run.summary import RunSummary

Exhibit = Callable[..., dict[str, Any]]
Mixed = Callable[..., Ensemble]


@pytest.fixture
def mixed(summary: RunSummary, exhibit: Exhibit) -> Mixed:
    """Reads an exhibit, by its kind, with changes."""

    def made(kind: str = "ensemble", **changes: Any) -> Ensemble:
        return ensembles(replace(summary, exhibits=[exhibit(kind, **changes)]))[0]

    return made


def told(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_lead_says_what_was_mixed_and_how_it_stands_with_intervals(mixed: Mixed) -> None:
    assert told(lead(mixed())) == (
        "A mixture of 3 of 4 models, weights by differential evolution. On the test split of 600 "
        "samples (log-loss, 95 % intervals paired by sample), the mixture is better than uniform "
        "weights by 0.004 to 0.020 nats; better than the best single assistant by 0.030 to 0.070 "
        "nats; and not told apart from the teacher (−0.040 to 0.020 nats)."
    )


def test_a_mixture_that_is_worse_is_said_to_be(mixed: Mixed) -> None:
    said = told(standing(mixed(behinds={"uniform": (-0.012, 0.008)})))
    assert "the mixture is worse than uniform weights by 0.004 to 0.020 nats;" in said


def test_a_difference_that_is_only_rounding_is_none(mixed: Mixed) -> None:
    said = told(standing(mixed(behinds={"uniform": (3e-17, 2e-17)})))
    assert "the mixture is no different from uniform weights;" in said


def test_without_an_interval_the_sentence_says_that_there_is_none(mixed: Mixed) -> None:
    said = told(
        standing(mixed(behinds=dict.fromkeys(("uniform", "best-single", "teacher"), (0.02, 0))))
    )
    assert said.startswith(
        "On the test split of 600 samples (log-loss), the mixture is better than"
    )
    assert said.count("by 0.0200 nats (no interval)") == 3


def test_without_a_test_split_it_says_that_tuning_also_set_the_weights(mixed: Mixed) -> None:
    found = mixed("ensemble untested")
    assert found.splits == ["tuning"]
    assert "On the tuning split of 300 samples, which also set the weights (log-loss" in standing(
        found
    )
    assert "set the weights" not in standing(replace(found, solver="given"))


def test_several_labels_count_a_label(mixed: Mixed) -> None:
    assert "0.004 to 0.020 nats a label;" in standing(mixed(several=True))
    assert ("samples", "300 tuning, 600 test, several labels each") in settings(mixed(several=True))


def test_the_card_names_the_weights_in_one_sentence(mixed: Mixed) -> None:
    said = told(sentence(mixed()))
    assert said.startswith(
        "Taught by resnet-38 60.0 %, resnet-26 30.0 %, plain-6 10.0 % (weights by differential "
        "evolution); on the test split of 600 samples"
    )
    assert said.endswith(".")
    assert ". " not in said
    assert " and 2 more (weights by" in sentence(mixed("ensemble of many"))


def test_one_assistant_is_not_compared_with_itself(mixed: Mixed) -> None:
    found = mixed("ensemble of one")
    assert told(sentence(found)) == (
        "Taught by resnet-38 alone; on the test split of 600 samples (log-loss, 95 % intervals "
        "paired by sample), it is worse than the teacher by 0.060 to 0.140 nats."
    )
    assert lead(found).startswith("resnet-38 alone: with one model there are no weights to search")
    assert optimality(found) == "that of the exact optimum (EM)"


def test_a_teacher_that_is_the_best_single_model_is_no_assistant(mixed: Mixed) -> None:
    best = mixed().rows[3]
    assert (best.role, against(best)) == ("best-single", "the best single assistant")
    own = replace(best, label="teacher")
    assert against(own) == "the best single model (teacher)"


def test_a_mixture_that_taught_nobody_is_not_said_to_have(mixed: Mixed) -> None:
    assert "did not learn from it." in lead(mixed(unused=True))
    assert "Taught by" not in sentence(mixed(unused=True))


def test_a_mixture_that_is_itself_returned_is_not_said_to_have_taught(mixed: Mixed) -> None:
    own = mixed(deployed=True, distil_temperature=None)
    assert told(sentence(own)).startswith("Made of resnet-38 60.0 %, resnet-26 30.0 %, plain-6 10")
    assert "Taught by" not in sentence(own)


@pytest.mark.parametrize(
    ("gap", "said"),
    [(1.2e-9, "1.2e-9 nats above the exact optimum (EM)"),
     (0.004, "0.004 nats above the exact optimum (EM)"),
     (1e-14, "that of the exact optimum (EM)"),
     (-3e-10, "3e-10 nats below where the exact referee (EM) stopped"),
     (None, "")],
)  # fmt: skip
def test_the_gap_is_told_in_plain_words(mixed: Mixed, gap: float | None, said: str) -> None:
    assert optimality(mixed(gap=gap)) == said
    assert optimality(mixed(gap=gap, referee=None)) == ""


def test_settings_tell_both_temperatures_where_they_differ(mixed: Mixed) -> None:
    known = dict(settings(mixed()))
    assert known["temperature"] == "1 when the weights were found, 4 when the student learnt"
    assert known["weights by"] == "differential evolution, 1,640 evaluations"
    assert known["who learnt from whom"] == "flat: each from the teacher"
    assert dict(settings(mixed(temperature=4.0)))["temperature"] == "4"


def test_a_cascade_is_told_as_a_chain(mixed: Mixed, exhibit: Exhibit) -> None:
    members = exhibit("ensemble")["members"]
    for before, after in pairwise(members):
        after["learnt_from"] = [before["name"]]
    chain = "cascade: teacher → resnet-38 → resnet-26 → plain-6 → plain-4"
    assert topology(mixed(members=members, topology="cascade")) == chain
    given = [{**one, "learnt_from": []} for one in members]
    assert topology(mixed(members=given)) == ""


def test_rows_are_called_by_what_they_are(mixed: Mixed) -> None:
    assert [title(row) for row in mixed().rows[:4]] == [
        "chosen: differential evolution", "EM optimum", "uniform weights", "best single",
    ]  # fmt: skip
    chosen, *_, teacher = mixed().rows
    assert title(replace(chosen, label="chosen")) == "chosen mixture"
    assert title(replace(teacher, label="resnet-110")) == "teacher (resnet-110)"


def test_what_does_not_fit_is_refused_with_what_was_expected(
    mixed: Mixed, exhibit: Exhibit
) -> None:
    rows = exhibit("ensemble")["rows"]
    members = exhibit("ensemble")["members"]
    unscored = [{**rows[0], "tuning": {"accuracy": rows[0]["tuning"]["accuracy"]}}, *rows[1:]]
    for changes, expected in (
        ({"members": []}, "expected at least one member, got none"),
        ({"members": members[:2]}, "weights of at least 0 that sum to 1, got [0.6, 0.3]"),
        ({"members": [{**members[0], "weight": None}]}, "weights of at least 0 that sum to 1"),
        ({"rows": []}, "expected a first row of role 'chosen', got 'none'"),
        ({"rows": rows[1:]}, "expected a first row of role 'chosen', got 'em'"),
        ({"rows": unscored}, "expected log_loss on the tuning split in the first row"),
    ):
        with pytest.raises(UserError) as refused:
            mixed(**changes)
        assert expected in str(refused.value)
        assert "Run the search again, or remove the exhibit" in str(refused.value)
