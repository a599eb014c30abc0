"""The README shows what is there: its run file, its commands, its method."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from stillhouse.core.cli.main import COMMANDS
from stillhouse.core.config.runfile import parse
from stillhouse.core.evaluate import Batch, Choice, Observation, State
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue, Provenance

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


def test_the_run_file_explained_is_the_demos() -> None:
    assert blocks("yaml") == [(ROOT / "examples" / "spoken_digits.yaml").read_text()]


def test_the_other_teacher_and_student_shown_are_a_run_file() -> None:
    rest = "task: vader-sentences\nsearch: {maximize: accuracy}\ntarget: {runtime: torch-cpu}\n"
    catalogue = Catalogue.discover()
    (fragment,) = blocks("yml")
    plan = make_plan(parse(fragment + rest, "readme.yaml", catalogue), catalogue)
    assert plan.run.student.fixed["width"] == 128
    assert plan.space.size() > 1


def test_every_command_shown_exists() -> None:
    table = next(block for block in blocks("") if block.startswith("stillhouse"))
    assert set(re.findall(r"^stillhouse (\w+)", table, re.MULTILINE)) == set(COMMANDS)


def test_every_file_linked_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_method_shown_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(block for block in blocks("python") if "hookimpl" in block)
    for name, text in re.findall(r"# (\S+\.py):[^\n]*\n(.*?)(?=\n# \S+\.py:|\Z)", code, re.DOTALL):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for module in [m for m in sys.modules if m.startswith("stillhouse_thin")]:
        monkeypatch.delitem(sys.modules, module)
    source = Provenance("stranger", "1", "relations")
    extra = [("method", "relations", "stillhouse_thin.info", source)]
    catalogue = Catalogue.discover(extra=extra)  # type: ignore[arg-type]
    info = catalogue.method("relations")
    method = catalogue.resolve(info)()  # type: ignore[operator]
    empty: State = State({}, None)  # type: ignore[arg-type]
    (term,) = method.apply(empty, Choice(info.params()), None, None).terms
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
    batch = Batch(logits, torch.tensor([0, 1]), torch.tensor([0, 1]))
    same = term.value(Observation(logits), {"teacher": Observation(logits)}, batch, None)
    other = term.value(Observation(-logits), {"teacher": Observation(logits)}, batch, None)
    assert same.item() == pytest.approx(0, abs=1e-6)
    assert other.item() > 0.5
