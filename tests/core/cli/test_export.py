"""`stillhouse export` says what it needs; what it writes is tested with the runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.core.cli.main import main


def test_a_folder_without_a_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(tmp_path), "--optuna", f"sqlite:///{tmp_path}/study.db"]
    assert main(arguments) == 2
    assert f"{tmp_path}: expected a run directory" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_storage_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["export", str(tmp_path)])
    assert left.value.code == 2
    assert "--optuna" in capsys.readouterr().err
