"""The generated reference is what the code says today, and every hook is covered."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

import pytest

from stillhouse.core.cli.main import COMMANDS
from stillhouse.core.plugin import Record, declared
from stillhouse.core.plugin.kinds import DOORS, Door
from stillhouse.core.reference import pages
from stillhouse.core.reference.coverage import coverage
from stillhouse.core.reference.hooks import meaning
from stillhouse.core.reference.markdown import clauses, sentences, table
from stillhouse.core.reference.pages import COMMAND, built_ins

ROOT: Final = Path(__file__).parents[2]
DOCS, TESTS = ROOT / "docs", ROOT / "tests"
SAY: Final = f"write it again: {COMMAND}"
CATALOGUE: Final = built_ins()
BY_HAND: Final = {"composition.md"}
"""Pages that take more than the catalogue to write; they have tests of their own."""


@pytest.fixture(scope="module")
def written() -> Mapping[str, str]:
    return pages(CATALOGUE, DOCS, TESTS)


def test_the_folder_holds_these_pages_and_no_others(written: Mapping[str, str]) -> None:
    found = {path.name for path in (DOCS / "reference").iterdir()}
    assert found == {*written, *BY_HAND}, SAY


@pytest.mark.parametrize("name", [n for n in pages(CATALOGUE, DOCS, TESTS) if n != "commands.md"])
def test_a_page_says_what_the_code_says(name: str, written: Mapping[str, str]) -> None:
    assert (DOCS / "reference" / name).read_text("utf-8") == written[name], SAY


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="argparse words help anew in others")
def test_help_of_every_command_is_what_the_page_shows(written: Mapping[str, str]) -> None:
    name = "commands.md"
    assert (DOCS / "reference" / name).read_text("utf-8") == written[name], SAY
    for command in COMMANDS:
        assert f"## stillhouse {command}\n" in written[name]


def test_every_plugin_and_parameter_is_on_its_page(written: Mapping[str, str]) -> None:
    everything = "".join(written.values())
    for door in DOORS:
        for name in CATALOGUE.names(door.kind):
            for param in declared(CATALOGUE.record(door.kind, name).params):
                assert f"| `{param.name}` | {param.kind} |" in everything
            assert f"`{name}`" in everything


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.hook)
def test_a_hook_has_a_page_a_test_and_two_users(door: Door) -> None:
    covered = coverage(DOCS, TESTS)[door.hook]
    assert covered.pages, f"write a page in docs/ whose code defines {door.hook}"
    assert len(covered.tests) == len(covered.pages), (
        f"write tests/docs/test_*.py of {covered.pages}"
    )
    assert len(CATALOGUE.names(door.kind)) >= 2


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.hook)
def test_every_field_of_a_record_is_explained_in_its_docstring(door: Door) -> None:
    assert [field.name for field in fields(door.info) if not meaning(door.info, field.name)] == []


def test_a_shared_field_is_explained_once() -> None:
    assert meaning(Record, "extra") == "`extra` names the optional requirement the code needs."


def test_writing_the_pages_imports_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from stillhouse.core.reference.pages import *; "
        "pages(built_ins(), Path('docs'), Path('tests')); "
        "print([m for m in ('torch', 'scipy', 'numpy.linalg') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_sentences_end_at_full_stops_outside_code() -> None:
    assert sentences("One `a. b` here, 0.5 of it. Two.") == ["One `a. b` here, 0.5 of it.", "Two."]
    assert clauses("one; `a; b` two") == ["one;", "`a; b` two"]


def test_a_table_keeps_its_columns_whatever_the_cells_hold() -> None:
    assert table(("a", "b"), [("x|y", "line\nbreak"), ("", "z")]) == (
        "| a | b |\n| --- | --- |\n| x\\|y | line break |\n| – | z |"
    )
