"""The page about adding a distillation loss is true: the loss keeps the contract and is used."""

from __future__ import annotations

from typing import Any

from stillhouse.core.cli.main import main
from stillhouse.core.plugin.conformance import check_plugin

PAGE = "add-a-loss"


def test_the_package_shown_keeps_the_contract(shown: Any) -> None:
    check_plugin(shown.distribution)


def test_the_run_file_shown_plans_with_it(shown: Any, capsys: Any) -> None:
    assert main(["plan", str(shown.folder / "run.yaml")]) == 0
    assert "loss huber-relations" in capsys.readouterr().out
