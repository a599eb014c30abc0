"""Who evaluates is settled before anything is trained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stillhouse.core.config.runfile import load
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute


def test_a_missing_ray_is_told_before_the_teacher_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = Catalogue.discover()
    sets = ["execute.kind=ray", "execute.workers=2"]
    run = load(Path("tests/data/tiny.yaml"), catalogue, sets=sets)
    monkeypatch.setitem(sys.modules, "ray", None)
    directory = RunDirectory.create(tmp_path / "run", run.to_yaml())
    with directory, pytest.raises(UserError, match="which is not installed"):
        execute(make_plan(run, catalogue), catalogue, directory, Silent())
    assert not list(directory.folder.glob("artefacts/*"))
