"""`docs/early-exit.md`: its run file plans, and its speed-ups are those of the record."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.plugin import Catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "early-exit.md").read_text("utf-8")


def test_the_run_file_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "run.yaml").write_text(text)
    assert main(["plan", str(tmp_path / "run.yaml")]) == 0
    said = capsys.readouterr().out
    assert said.index("supernet") < said.index("distil") < said.index("early-exit")
    assert "early-exit.leave" in said


def test_the_gains_of_the_record_are_those_of_the_page() -> None:
    table = PAGE.partition("| network | setting |")[2].partition("\n\n")[0].splitlines()
    printed, network = {}, ""
    for line in table[2:]:
        name, setting, _, _, speed_up, _, size = (c.strip() for c in line.strip("|").split("|"))
        network = name or network
        numbers = [float(number) for number in re.findall(r"\d+\.\d+", speed_up)]
        printed[network, f"{setting}, spoken digits"] = [*numbers, float(size)]
    gains = Catalogue.discover().method("early-exit").measured
    found = {(g.network, g.setting): [g.speed_up, g.low, g.high, g.size] for g in gains}
    assert found == printed
    assert len(found) == 8
