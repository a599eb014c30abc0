"""`docs/sweeps.md`: its sections can be swept, its searcher serves, its quotes are true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from stillhouse.core.config.runfile import load, parse
from stillhouse.core.plugin import Catalogue
from stillhouse.core.sweep.outlook import describe_sweep
from stillhouse.core.sweep.planning import check_ends

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "sweeps.md").read_text("utf-8")
EXAMPLE: Final = ROOT / "examples" / "sweep_recipes.yaml"
FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    return [text for found, text in FENCE.findall(PAGE) if found == language]


@pytest.mark.parametrize("section", blocks("yaml"))
def test_every_section_can_be_swept(section: str) -> None:
    catalogue = Catalogue.discover()
    run_file = EXAMPLE.read_text("utf-8").partition("\nsweep:")[0]
    run = parse(f"{run_file}\n{section}", str(EXAMPLE), catalogue)
    assert check_ends(run, catalogue).run.sweep is not None


def test_what_the_plan_says_is_what_the_page_says() -> None:
    catalogue = Catalogue.discover()
    said = describe_sweep(check_ends(load(EXAMPLE, catalogue), catalogue))
    (quoted,) = blocks("text")
    assert all(line in said.splitlines() for line in quoted.splitlines())


def test_the_searcher_proposes_within_what_it_was_given() -> None:
    pytest.importorskip("ray.tune", reason="needs the extra ray")
    (script,) = blocks("python")
    names: dict[str, object] = {}
    exec(script.partition("\n\n\ndef train")[0], names)  # noqa: S102
    searcher = names["searcher"]
    for trial in map(str, range(4)):
        config = searcher.suggest(trial)  # type: ignore[attr-defined]
        assert set(config) == {"rate", "layers"}
        result = {"accuracy": config["layers"] / 10, "latency_ms": 0.5 * config["layers"]}
        searcher.on_trial_complete(trial, result)  # type: ignore[attr-defined]
    best = searcher.study.best()  # type: ignore[attr-defined]
    assert best is None or best.excess[0] <= 0
