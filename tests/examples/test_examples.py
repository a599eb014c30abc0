from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.core.config.runfile import load
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_every_example_can_be_planned(path: Path) -> None:
    catalogue = Catalogue.discover()
    assert make_plan(load(path, catalogue), catalogue).space.size() > 100
