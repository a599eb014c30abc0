"""`docs/quantize.md`: its run file plans, in the order that it says; its gains are the record's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.plugin import Catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "quantize.md").read_text("utf-8")


def test_the_run_file_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "run.yaml").write_text(text)
    assert main(["plan", str(tmp_path / "run.yaml")]) == 0
    said = capsys.readouterr().out
    assert said.index("supernet") < said.index("distil") < said.index("int8")
    assert "int8.scheme" in said


def test_the_gains_of_the_record_are_those_of_the_page() -> None:
    table = PAGE.partition("| network | float32, ms |")[2].partition("\n\n")[0].splitlines()
    printed = {}
    for line in table[2:]:
        network, _, *cells = (cell.strip() for cell in line.strip("| ").split("|"))
        for scheme, cell in zip(("dynamic", "static"), cells, strict=True):
            numbers = re.findall(r"[\d.]+", cell)
            printed[network, f"scheme: {scheme}"] = tuple(map(float, numbers))
    gains = Catalogue.discover().method("int8").measured
    assert printed == {
        (gain.network, gain.setting): (gain.speed_up, gain.low, gain.high, gain.size)
        for gain in gains
    }
    assert len(gains) == len(printed) == 14
