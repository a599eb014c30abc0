"""Runs that share a store: what one prepared, the others take."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.core.config.runfile import load
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import Plan, make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run import teaching
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.teaching import train_teacher

QUICK = ("search.finalists=1", "search.evaluations=3", "baselines=false", "recipe.distil.epochs=1")


def created(
    project: Path, folder: Path, catalogue: Catalogue, *sets: str
) -> tuple[Plan, RunDirectory]:
    config = load(project / "run.yaml", catalogue, sets=(*QUICK, *sets))
    return make_plan(config, catalogue), RunDirectory.create(folder, config.to_yaml())


def test_a_teacher_is_trained_once_for_runs_that_share_a_store(
    project: Path, tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(name: str, *sets: str) -> Opened:
        store = f"execute.store={tmp_path / 'store'}"
        plan, directory = created(project, tmp_path / name, catalogue, store, *sets)
        return open_run(plan, catalogue, directory, Silent())

    first = train_teacher(opened("one"))
    monkeypatch.setattr(teaching, "fit", lambda *_, **__: pytest.fail("trained again"))
    again = train_teacher(opened("two", "recipe.soft-labels.weight=0.25"))
    for one, two in zip(first.module.parameters(), again.module.parameters(), strict=True):
        assert one.equal(two)
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        train_teacher(opened("three", "search.seed=1"))


@pytest.mark.slow
def test_a_run_with_a_store_finds_what_it_finds_without_and_prepares_nothing_again(
    project: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    ledgers = []
    for name, store in (
        ("alone", "null"),
        ("one", tmp_path / "store"),
        ("two", tmp_path / "store"),
    ):
        plan, directory = created(project, tmp_path / name, catalogue, f"execute.store={store}")
        with directory:
            execute(plan, catalogue, directory, Silent())
        ledgers.append([line["values"] for line in _lines(directory)])
    assert ledgers[0] == ledgers[1] == ledgers[2]
    for label in ("teacher", "supernet"):
        one, two = (
            next((tmp_path / name / "artefacts").glob(f"{label}-*/artefact.safetensors"))
            for name in ("one", "two")
        )
        assert one.samefile(two)
    found = {path.parent.name.split("-")[0] for path in tmp_path.rglob("record.json")}
    assert found == {"teacher", "supernet"}
    assert not list(tmp_path.rglob(".making-*"))
    assert not list(tmp_path.rglob(".owed-*"))


def _lines(directory: RunDirectory) -> list[dict[str, dict[str, float]]]:
    import json

    lines = [json.loads(line) for line in directory.ledger.read_text().splitlines()]
    return [line for line in lines if "values" in line]
