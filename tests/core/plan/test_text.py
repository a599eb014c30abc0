"""What `stillhouse plan` says about limits."""

from __future__ import annotations

from pathlib import Path

from stillhouse.core.config.runfile import load
from stillhouse.core.plan import describe, make_plan
from stillhouse.core.plugin import Catalogue

EXAMPLE = Path("examples/spoken_digits.yaml")


def limits(*options: str) -> str:
    catalogue = Catalogue.discover()
    run = load(EXAMPLE, catalogue, sets=["search.limits={}"], limits=options)
    text = describe(make_plan(run, catalogue))
    return next(line for line in text.splitlines() if line.startswith("limits"))


def test_a_range_stands_under_one_name() -> None:
    assert limits("0.1 <= latency_ms <= 0.2") == "limits    latency_ms >= 0.1 and <= 0.2"


def test_a_percentage_says_of_what_and_a_metric_says_when() -> None:
    assert limits("size_kb <= 9%", "accuracy >= 97%") == (
        "limits    size_kb <= 9% of the teacher's; accuracy >= 97% of the teacher's "
        "(when evaluated)"
    )


def test_without_limits_it_says_none() -> None:
    assert limits() == "limits    none"


def test_a_single_batch_late_is_no_plural() -> None:
    catalogue = Catalogue.discover()
    run = load(EXAMPLE, catalogue, sets=["execute.workers=2", "search.ahead=1"])
    assert "in order, 1 batch late" in describe(make_plan(run, catalogue))
