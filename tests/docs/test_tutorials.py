"""The tutorials are carried out: files written, commands run, what they print compared."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from stillhouse.core.cli.main import main

TUTORIALS: Final = Path(__file__).parents[2] / "docs" / "tutorials"
PAGES: Final = ("first-search", "limits", "joint-search")
"""In the order in which they are read: a later one goes on where an earlier one ended."""
FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SMALL: Final = (
    "teacher.epochs=1", "recipe.supernet.full_epochs=1", "recipe.supernet.epochs=1",
    "target.profile=6", "target.repeats=5", "target.processes=1", "target.patience_s=0",
    "target.device=device.json", "baselines=false", "train.threads=1",
)  # fmt: skip
"""What makes a run a matter of seconds; shapes, space, recipe and limits stay."""


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    measured_once: Callable[[], AbstractContextManager[None]],
) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("tutorials")
    with pytest.MonkeyPatch.context() as patch, measured_once():
        patch.chdir(place)
        yield place


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of the page's blocks of code, in order."""
    return FENCE.findall((TUTORIALS / f"{page}.md").read_text("utf-8"))


def carried_out(command: str) -> None:
    """Run a line of a console; a search is made small."""
    program, *words = shlex.split(command)
    if program == "python":
        runpy.run_path(words[0])
        return
    assert program == "stillhouse"
    fresh = words[0] == "search" and "--reuse" not in words
    main(words + [word for small in SMALL * fresh for word in ("--set", small)])


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_every_tutorial_is_carried_out() -> None:
    assert sorted(path.stem for path in TUTORIALS.glob("*.md")) == sorted(PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_prints_what_it_says(
    page: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for language, text in blocks(page):
        if named := re.match(r"# (\S+\.\w+)\n", text):
            (folder / named[1]).write_text(text)
        if language != "console":
            continue
        for command, shown in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            carried_out(command)
            captured = capsys.readouterr()
            said = one_line(captured.out + captured.err)
            for part in shown.split("...\n"):
                assert one_line(part) in said, f"{page}: {command} printed: {said}"


def test_every_limit_of_the_table_can_be_planned(folder: Path) -> None:
    text = (TUTORIALS / "limits.md").read_text("utf-8")
    run = dict(blocks("first-search"))["yaml"]
    rows = re.findall(r"^\| `(\w+: .+)` \|", text, re.MULTILINE)
    assert len(rows) == 5
    for row in rows:
        (folder / "row.yaml").write_text(run.replace("parameters: 50%", row))
        assert main(["plan", str(folder / "row.yaml")]) == 0
