from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stillhouse.core.report import model_card, render
from stillhouse.core.run.summary import RunSummary

ATTACK = "</script><script>alert(1)</script>\"'`<img src=x onerror=y>"


@pytest.fixture
def shown(summary: RunSummary, exhibit: Callable[..., dict[str, Any]]) -> RunSummary:
    return replace(summary, exhibits=[exhibit("layer-similarity"), exhibit("arms")])


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"', page)


def test_both_sections_stand_between_the_architecture_and_the_certificate(
    shown: RunSummary,
) -> None:
    found = sections(render(shown))
    at = found.index("architecture")
    assert found[at : at + 4] == ["architecture", "similarity", "arms", "certificate"]


def test_a_page_has_only_the_sections_that_it_has_exhibits_for(
    shown: RunSummary,
) -> None:
    for name, exhibits in (("similarity", shown.exhibits[:1]), ("arms", shown.exhibits[1:])):
        found = sections(render(replace(shown, exhibits=exhibits)))
        assert {"similarity", "arms"} & set(found) == {name}
    other = replace(shown, exhibits=[{"kind": "something else"}])
    assert render(other) == render(replace(shown, exhibits=()))


def test_an_ensemble_stands_before_the_arms_of_its_students(
    shown: RunSummary, exhibit: Callable[..., dict[str, Any]]
) -> None:
    mixture = exhibit("ensemble")
    page = render(replace(shown, exhibits=[*shown.exhibits, mixture]))
    found = sections(page)
    at = found.index("similarity")
    assert found[at : at + 4] == ["similarity", "ensemble", "arms", "certificate"]
    assert page.count("upright line: equal weights") == 1
    twice = render(replace(shown, exhibits=[mixture, {**mixture, "method": "other"}]))
    assert "taught the student (other)" in twice
    assert sections(twice).count("ensemble") == 1
    own = render(replace(shown, exhibits=[{**mixture, "deployed": True}]))
    assert "The mixture that is the model" in own
    assert "taught the student" not in own


def test_two_methods_with_exhibits_are_told_apart(
    shown: RunSummary, exhibit: Callable[..., dict[str, Any]]
) -> None:
    both = [*shown.exhibits, {**exhibit("arms"), "method": "other-hints"}]
    page = render(replace(shown, exhibits=both))
    assert "control arms (hints)" in page
    assert "control arms (other-hints)" in page
    assert sections(page).count("arms") == 1


def test_the_script_finds_names_and_values_of_every_cell(shown: RunSummary) -> None:
    import html

    found = re.search(r'data-heat="([^"]*)"', render(shown))
    assert found
    told = json.loads(html.unescape(found[1]))
    assert told["names"] == shown.exhibits[0]["layers"]
    assert told["clusters"] == [*"AAAABBBBCCCC"]
    assert told["similarity"][0][1] == round(shown.exhibits[0]["similarity"][0][1], 3)


def test_the_card_names_the_hints_and_the_gain(shown: RunSummary) -> None:
    card = model_card(shown).replace("\u00a0", " ")
    lines = [line for line in card.partition("## Certificate")[0].splitlines() if line]
    assert any(line.startswith("Hints from teacher to student (exact") for line in lines)
    assert any("is better than “no hints” by 5.3 points (95 % interval" in line for line in lines)
    assert "Hints" not in model_card(replace(shown, exhibits=()))


def test_nothing_that_an_exhibit_names_becomes_markup(
    shown: RunSummary, exhibit: Callable[..., dict[str, Any]]
) -> None:
    names = {"method": ATTACK, "metric": ATTACK, "select": ATTACK, "loss": ATTACK}
    alike = exhibit("layer-similarity", layers=[f"{ATTACK}{i}" for i in range(12)], **names)
    arms = exhibit("arms", method=ATTACK, metric=ATTACK)
    arms["arms"] = [{**arm, "label": ATTACK} for arm in arms["arms"]]
    mixture = exhibit("ensemble", method=ATTACK, weights=ATTACK, objective=ATTACK, mixing=ATTACK)
    mixture |= {"topology": ATTACK, "referee": ATTACK}
    named = {"name": ATTACK, "source": ATTACK, "learnt_from": [ATTACK]}
    mixture["members"] = [{**one, **named} for one in mixture["members"]]
    mixture["rows"] = [{**row, "label": ATTACK} for row in mixture["rows"]]
    alikes = [alike, {**alike, "student_layers": [ATTACK] * 3}]
    hostile = replace(shown, exhibits=[*alikes, arms, mixture])
    page = render(hostile)
    assert page.count("<script") == render(shown).count("<script") == 2
    assert "<img" not in page
    assert "<script>" not in model_card(hostile)


def test_exhibits_survive_a_round_trip_and_old_summaries_have_none(shown: RunSummary) -> None:
    again = RunSummary.from_json(shown.to_json())
    assert again.exhibits == shown.exhibits
    assert render(again) == render(shown)
    old = json.loads(shown.to_json())
    del old["exhibits"]
    assert RunSummary.from_json(json.dumps(old)).exhibits == ()
