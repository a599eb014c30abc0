"""The found model beside itself: as inherited, fine-tuned, trained from scratch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stillhouse.core.config.runfile import load
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.report.rows import lines
from stillhouse.core.run.controls import control_networks
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.summary import RunSummary

ENDS = ("inherited", "tuned")
QUICK = ("search.finalists=1", "recipe.distil.epochs=0", "recipe.supernet.after_epochs=2")


@pytest.fixture(scope="module")
def compared(
    project: Path, tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue
) -> RunSummary:
    sets = (
        *QUICK, "baselines=false", "recipe.supernet.compare=true",
        "recipe.supernet.after={choices: [inherit, finetune]}", "search.fidelity=0.5",
    )  # fmt: skip
    config = load(project / "run.yaml", catalogue, sets=sets)
    place = tmp_path_factory.mktemp("compared") / "run"
    with RunDirectory.create(place, config.to_yaml()) as directory:
        return execute(make_plan(config, catalogue), catalogue, directory, Silent())


def test_all_three_ends_stand_beside_the_found_model(compared: RunSummary) -> None:
    roles = [row.role for row in compared.rows]
    assert roles == ["teacher", "found", "inherited", "tuned", "scratch"]
    rows = {row.role: row for row in compared.rows}
    assert rows["found"].structure == rows["inherited"].structure == rows["tuned"].structure
    assert rows["tuned"].updates > rows["inherited"].updates
    assert rows["scratch"].updates == rows["found"].updates
    assert len({row.parameters for role, row in rows.items() if role != "teacher"}) == 1
    alike = next(role for role in ENDS if rows[role].updates == rows["found"].updates)
    assert rows[alike].validation == rows["found"].validation
    assert rows["inherited"].validation != rows["tuned"].validation


def test_the_closing_table_names_them(compared: RunSummary) -> None:
    labels = [line.label for line in lines(compared)]
    assert labels == ["teacher", "found", "as inherited", "fine-tuned", "from scratch"]


def test_a_found_model_that_nothing_trained_has_no_controls() -> None:
    run: Any = SimpleNamespace(plan=SimpleNamespace(run=SimpleNamespace(baselines=True)))
    found: Any = SimpleNamespace(student=SimpleNamespace(updates=0))
    nothing: Any = SimpleNamespace(steps=())
    with pytest.raises(UserError, match="got 0 updates; set baselines: false"):
        control_networks(run, nothing, found)
