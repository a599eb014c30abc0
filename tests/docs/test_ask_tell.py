"""`docs/ask-tell.md` carried out: its script in a fresh process, twice, then read by Optuna."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "ask-tell.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PROBE = """
import sys
print([name for name in ("torch", "pandas", "onnxruntime") if name in sys.modules])
"""


def said(folder: Path, *blocks: str) -> list[str]:
    script = "\n".join([*blocks, PROBE])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ask-tell")


def test_the_page_runs_without_torch_and_goes_on_from_its_ledger(folder: Path) -> None:
    first, durable, *front, exported = BLOCKS[0], *said(folder, *BLOCKS)
    assert len(BLOCKS) == 3
    assert exported == "[]"
    assert front
    ledger = folder / "study.jsonl"
    text = ledger.read_text()
    assert text.count('"tell"') == 12
    lines = text.splitlines(keepends=True)
    ledger.write_text("".join(lines[:9]))
    assert said(folder, first) == [durable, "[]"]
    assert ledger.read_text() == text


def test_the_exported_study_opens_in_optuna(folder: Path) -> None:
    study = optuna.load_study(study_name="ask-tell", storage=f"sqlite:///{folder / 'study.db'}")
    assert len(study.trials) == 30
    assert study.metric_names == ["accuracy", "latency_ms"]
