"""`docs/factorize.md`: its run file plans, in the order that it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stillhouse.core.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "factorize.md").read_text("utf-8")


def test_the_run_file_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "run.yaml").write_text(text)
    assert main(["plan", str(tmp_path / "run.yaml")]) == 0
    said = capsys.readouterr().out
    assert said.index("supernet") < said.index("factorize") < said.index("distil")
    assert "factorize.rank" in said
