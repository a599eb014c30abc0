"""The page about adding a search space is true: the space is read, sized and planned with."""

from __future__ import annotations

from typing import Any

from stillhouse.core.cli.main import main
from stillhouse.core.plugin.conformance import check_plugin

PAGE = "add-a-space"
RUN = """
task: spoken-digits
teacher: {model: keyword-transformer}
recipe: [supernet: {space: keyword-narrow}]
search: {maximize: accuracy}
target: {runtime: onnxruntime-cpu}
"""


def test_the_package_shown_keeps_the_contract(shown: Any) -> None:
    check_plugin(shown.distribution)


def test_a_plan_counts_as_many_configurations_as_the_page(shown: Any, capsys: Any) -> None:
    (shown.folder / "run.yaml").write_text(RUN)
    assert main(["plan", str(shown.folder / "run.yaml")]) == 0
    assert "1,008 configurations" in capsys.readouterr().out
