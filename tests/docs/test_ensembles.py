"""The page about ensembles is true: its run files are read, its names exist."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from stillhouse.core.config.runfile import parse
from stillhouse.core.plugin import Catalogue, declared
from stillhouse.plugins.ensemble.info import EnsembleParams

PAGE = (Path(__file__).parents[2] / "docs" / "ensembles.md").read_text("utf-8")
BLOCKS = [textwrap.dedent(one) for one in re.findall(r"```yml\n(.*?)```", PAGE, re.DOTALL)]
REST: dict[str, Any] = {
    "task": "mnist-5k",
    "teacher": {"model": "plain-cnn", "size": 10},
    "search": {"minimize": "log_loss"},
    "target": {"runtime": "onnxruntime-cpu"},
}


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_every_run_file_of_the_page_is_read(block: int) -> None:
    given = {**REST, **yaml.safe_load(BLOCKS[block])}
    run = parse(yaml.safe_dump(given), "page.yaml", Catalogue.discover())
    assert "ensemble" in {use.name for use in run.recipe}


def test_every_way_to_weigh_and_to_teach_is_named() -> None:
    known = {p.name: p for p in declared(EnsembleParams)}
    for name in ("weights", "topology", "objective", "mixing", "limit_on", "targets"):
        for choice in set(known[name].choices) - {"auto"}:
            word = choice.replace("_", "-").lower() if name == "objective" else choice
            assert word in PAGE.lower(), (name, choice)


def test_every_parameter_in_code_font_exists() -> None:
    known = {p.name for p in declared(EnsembleParams)} | {"channels", "only"}
    for name in re.findall(r"`([a-z_]+): ", PAGE):
        assert name in known, name
