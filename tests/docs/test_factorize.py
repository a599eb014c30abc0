"""`docs/factorize.md`: its run file plans, in the order that it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.plugin import Catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "factorize.md").read_text("utf-8")


def test_the_run_file_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "run.yaml").write_text(text)
    assert main(["plan", str(tmp_path / "run.yaml")]) == 0
    said = capsys.readouterr().out
    assert said.index("supernet") < said.index("factorize") < said.index("distil")
    assert "factorize.rank" in said


def test_the_gains_of_the_record_are_those_of_the_page() -> None:
    table = PAGE.partition("| network | whole, ms |")[2].partition("\n\n")[0].splitlines()
    shares = [float(cell) for cell in table[0].split("|") if cell.strip()]
    printed = {}
    for line in table[2:]:
        network, _, *cells = (cell.strip() for cell in line.strip("| ").split("|"))
        for share, cell in zip(shares, cells, strict=True):
            printed[network, f"rank {share:g}"] = float(cell.partition(" ")[0])
    gains = Catalogue.discover().method("factorize").measured
    assert {(gain.network, gain.setting): gain.speed_up for gain in gains} == printed
    assert len(gains) == len(printed) == 20
