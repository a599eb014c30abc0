from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.report import model_card, render
from stillhouse.core.run.summary import Evaluation, RunSummary

ATTACK = "</script><script>alert(1)</script>\"'`<img src=x onerror=y>"


class Reader(HTMLParser):
    """Collects tags, text outside style and script, and whether every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.shown: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.shown.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.shown).split()).replace("\u00a0", " ")


def tips(page: str) -> list[list[str]]:
    found = re.search(r'id="tips">(.*?)</script>', page, re.DOTALL)
    assert found
    loaded: list[list[str]] = json.loads(found[1])
    return loaded


def each(summary: RunSummary, change: Callable[[Evaluation], dict[str, Any]]) -> RunSummary:
    return replace(summary, evaluations=[replace(e, **change(e)) for e in summary.evaluations])


def without_latency(summary: RunSummary, value: float) -> RunSummary:
    known = each(summary, lambda e: {"costs": {**e.costs, "latency_ms": value}})
    rows = [replace(row, latency_ms=value, p95_ms=value) for row in summary.rows]
    measured = {**summary.certificate.measured, "latency_ms": value, "p95_ms": value}
    certificate = replace(summary.certificate, measured=measured, max_difference=math.nan)
    return replace(known, rows=rows, latency_pairs=[], limits=(), certificate=certificate)


CASES: dict[str, Callable[[RunSummary], RunSummary]] = {
    "as it comes": lambda s: s,
    "one evaluation": lambda s: replace(s, evaluations=s.evaluations[:1]),
    "no evaluation": lambda s: replace(s, evaluations=[]),
    "equal qualities": lambda s: each(s, lambda e: {"values": {"accuracy": 0.9}}),
    "perfect qualities": lambda s: each(s, lambda e: {"values": {"accuracy": 1.0}}),
    "all failed": lambda s: each(s, lambda e: {"values": {}}),
    "no limits": lambda s: replace(s, limits=(), certificate=replace(s.certificate, limits=())),
    "no baselines": lambda s: replace(s, rows=s.rows[:2]),
    "no teacher": lambda s: replace(s, rows=s.rows[1:2]),
    "no rows": lambda s: replace(s, rows=[]),
    "latency is zero": lambda s: without_latency(s, 0.0),
    "latency is not a number": lambda s: without_latency(s, math.nan),
    "latency is infinite": lambda s: without_latency(s, math.inf),
    "lower is better": lambda s: replace(s, objectives=[{"name": "log_loss", "maximize": False}]),
    "unknown objective": lambda s: replace(s, objectives=[{"name": "f1", "maximize": True}]),
    "empty stages": lambda s: replace(s, stages={}, versions={}, notes=(), predictor={}),
    "stages of no time": lambda s: replace(s, stages={"search": 0.0, "rest": math.nan}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_summary_makes_a_whole_page_and_card_without_nan(
    summary: RunSummary, name: str
) -> None:
    changed = CASES[name](summary)
    page = render(changed)
    reader = Reader(page)
    assert reader.open == []
    for text in (reader.text.partition("Load the model")[0], model_card(changed).split("```")[0]):
        assert not re.search(r"\b([Nn]a[Nn]|[Ii]nf(inity)?|None|undefined)\b", text)
    assert not re.search(r'="[^"]*\b(nan|inf|None)\b', page)
    assert len(tips(page)) == len(changed.evaluations)


def test_the_page_requests_nothing(summary: RunSummary) -> None:
    page = render(summary)
    assert Reader(page).links == ["data:,"]
    assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttp", page)


def test_the_verdict_is_built_from_the_numbers(summary: RunSummary) -> None:
    teacher, found = summary.rows[:2]
    times = teacher.size_bytes / found.size_bytes
    ratio = found.latency_ms / teacher.latency_ms
    assert (
        f"1/{times:.0f} of the teacher’s size, {ratio:.2f}× its latency, "
        "98.3 % against 98.8 % on the untouched test split."
    ) in Reader(render(summary)).text


def test_the_parts_come_in_order(summary: RunSummary) -> None:
    found = re.findall(r'<section id="(\w+)"', render(summary))
    assert found == [
        "models", "front", "growth", "latency", "architecture", "certificate", "run", "load",
    ]  # fmt: skip


def test_nothing_a_user_wrote_becomes_markup(summary: RunSummary) -> None:
    hostile = replace(
        each(summary, lambda e: {"configuration": {ATTACK: ATTACK, "b": [ATTACK]}, "key": ATTACK}),
        name=ATTACK,
        task=ATTACK,
        sampler=ATTACK,
        space_size=ATTACK,
        notes=[ATTACK],
        versions={ATTACK: ATTACK},
        stages={ATTACK: 1.0},
        predictor={ATTACK: 1.0},
        full={ATTACK: ATTACK, "a": [1]},
        found={ATTACK: ATTACK, "a": [1]},
        rows=[replace(row, label=ATTACK) for row in summary.rows],
        latency_pairs=[{**pair, "label": ATTACK} for pair in summary.latency_pairs],
        limits=[replace(limit, text=ATTACK) for limit in summary.limits],
        certificate=replace(
            summary.certificate,
            artefact=f"{ATTACK}.onnx",
            sha256=ATTACK,
            exporter=ATTACK,
            date=ATTACK,
            machine={ATTACK: ATTACK},
            limits=[replace(limit, text=ATTACK) for limit in summary.limits],
            dropped=[{"configuration": {ATTACK: ATTACK}, "cost": ATTACK, "bound": 1.0}],
        ),
    )
    page = render(hostile)
    reader = Reader(page)
    assert reader.open == []
    assert "img" not in reader.tags
    assert reader.tags.count("script") == Reader(render(summary)).tags.count("script") == 2
    assert ATTACK in tips(page)[0][3]
    assert "<script>" not in model_card(hostile).replace("```", "").split("## Loading")[0]


def test_a_tip_tells_configuration_costs_and_quality(summary: RunSummary) -> None:
    evaluation = summary.evaluations[7]
    title, quality, costs, configuration = tips(render(summary))[7]
    assert title.startswith("evaluation 7")
    assert quality == f"accuracy {100 * evaluation.values['accuracy']:.2f}\u00a0%"
    assert costs.count("\n") == 3
    assert f"width {evaluation.configuration['supernet.width']}" in configuration.splitlines()


def test_a_limit_that_is_not_met_is_said_so(summary: RunSummary) -> None:
    assert "✗" not in render(summary)
    measured = {**summary.certificate.measured, "latency_ms": 0.21}
    broken = replace(summary, certificate=replace(summary.certificate, measured=measured))
    assert "✗ not met" in Reader(render(broken)).text
    assert "limit ≤ 0.2 ms: not met" in model_card(broken).replace("\u00a0", " ")


def test_two_thousand_evaluations_stay_small_and_quick(summary: RunSummary) -> None:
    many = [
        replace(e, number=i, values={"accuracy": round(e.values["accuracy"] * 450 - i % 7) / 450})
        for i, e in enumerate(list(summary.evaluations) * 10)
    ]
    render(summary)
    begin = time.process_time()
    page = render(replace(summary, evaluations=many))
    assert time.process_time() - begin < 2
    assert len(page.encode()) < 2_000_000


def test_the_same_summary_makes_the_same_page_also_after_a_round_trip(
    summary: RunSummary,
) -> None:
    assert render(RunSummary.from_json(summary.to_json())) == render(summary)


def test_a_summary_without_objectives_is_refused(summary: RunSummary) -> None:
    with pytest.raises(UserError, match="objective"):
        render(replace(summary, objectives=[]))


def test_the_onnx_snippet_runs_as_it_stands(summary: RunSummary) -> None:
    from stillhouse.core.report.snippets import load_snippet, onnx_snippet

    odd = replace(summary, name='it\'s "x"\n')
    for snippet in (onnx_snippet(summary), load_snippet(summary), onnx_snippet(odd)):
        compile(snippet, "snippet", "exec")
    assert '"runs/digits/best/model.onnx"' in onnx_snippet(summary)
