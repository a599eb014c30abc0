"""`stillhouse plugins new`: names, places, and that nothing is overwritten."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from stillhouse.core.cli import plugins_new
from stillhouse.core.cli.main import main
from stillhouse.core.plugin.kinds import BY_KIND
from stillhouse.core.plugin.scaffold import SCAFFOLDS
from stillhouse.core.plugin.scaffold.names import TAKEN

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def new(*arguments: str) -> int:
    return main(["plugins", "new", *arguments])


@pytest.mark.parametrize("kind", SCAFFOLDS)
def test_a_package_is_written_with_one_entry_point(kind: str, tmp_path: Path, capsys: Said) -> None:
    assert new("some-thing", "--kind", kind) == 0
    project = tomllib.loads((tmp_path / "stillhouse-some-thing" / "pyproject.toml").read_text())
    (door,) = [door for door in BY_KIND.values() if door.kind == kind]
    assert project["project"]["name"] == "stillhouse-some-thing"
    assert project["project"]["entry-points"] == {
        door.group: {"some-thing": "stillhouse_some_thing.info"}
    }
    said = capsys.readouterr().out
    assert "wrote stillhouse-some-thing/stillhouse_some_thing/info.py" in said
    assert "next  pip install -e stillhouse-some-thing && stillhouse plugins check" in said


@pytest.mark.parametrize("kind", SCAFFOLDS)
def test_what_is_written_is_python_and_has_no_placeholder_left(kind: str, tmp_path: Path) -> None:
    new("some-thing", "--kind", kind)
    for path in (tmp_path / "stillhouse-some-thing").rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "$" not in text.replace("$ ", "")
            assert path.suffix != ".py" or ast.parse(text)
            assert max(map(len, text.splitlines())) <= 120


def test_what_is_written_passes_the_linter(tmp_path: Path) -> None:
    for kind in SCAFFOLDS:
        new(f"some-{kind}", "--kind", kind)
    for command in (["check"], ["format", "--check"]):
        words = [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", "100", "."]
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCAFFOLDS)
def test_what_is_written_keeps_the_contract(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    new(f"new-{kind}", "--kind", kind, "--out", "project")
    as_if_installed(tmp_path / "project", monkeypatch)
    assert main(["plugins", "check", "project"]) == 0, capsys.readouterr().out


def as_if_installed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the path, with the metadata that pip would write; without pip, which takes seconds."""
    table = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    folder = project / f"{table['name'].replace('-', '_')}-{table['version']}.dist-info"
    folder.mkdir()
    head = f"Name: {table['name']}\nVersion: {table['version']}\n"
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\n{head}")
    ((group, points),) = table["entry-points"].items()
    lines = [f"{name} = {module}\n" for name, module in points.items()]
    (folder / "entry_points.txt").write_text(f"[{group}]\n{''.join(lines)}")
    monkeypatch.syspath_prepend(str(project))


def test_a_distributions_name_is_taken_for_its_plugins(tmp_path: Path) -> None:
    assert new("stillhouse-thin", "--out", "elsewhere/deep") == 0
    project = tomllib.loads((tmp_path / "elsewhere" / "deep" / "pyproject.toml").read_text())
    assert project["project"]["name"] == "stillhouse-thin"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Thin", "did you mean 'thin'?"),
        ("thin_layers", "did you mean 'thin-layers'?"),
        ("thin--layers", "did you mean 'thin-layers'?"),
        ("-", "expected lower-case letters and digits"),
        ("3d", "expected lower-case letters and digits"),
        ("../thin", "did you mean 'thin'?"),
        ("", "expected lower-case letters and digits"),
        ("x" * 51, "at most 50"),
        ("class", "'class' is a word of Python"),
        ("none", "'none' is a word of Python"),
        ("rebuild", "the class 'Rebuild' would take the place of stillhouse's own"),
        ("distil", "method 'distil' is provided by stillhouse"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(
    name: str, said: str, tmp_path: Path, capsys: Said
) -> None:
    assert new("--", name) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_name_may_be_taken_by_another_kind(tmp_path: Path) -> None:
    assert new("distil", "--kind", "loss") == 0


def test_the_name_of_an_installed_distribution_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    folder = tmp_path / "site" / "Stillhouse_Thin-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: Stillhouse.Thin\nVersion: 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert new("thin") == 2
    assert "a distribution 'stillhouse-thin' is installed already" in capsys.readouterr().err


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_is_there_stays_as_it_is(there: str, tmp_path: Path, capsys: Said) -> None:
    place = tmp_path / "stillhouse-thin"
    {
        "folder": place.mkdir,
        "file": place.touch,
        "link": lambda: place.symlink_to(tmp_path / "nowhere"),
    }[there]()
    assert new("thin") == 2
    assert "is there already and stays as it is" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["stillhouse-thin"]


def test_the_parser_offers_the_kinds_that_have_templates() -> None:
    folders = {folder.name for folder in templates().iterdir()} - {"shared"}
    assert plugins_new.SCAFFOLDS == SCAFFOLDS
    assert set(SCAFFOLDS) == folders


def test_no_class_takes_the_place_of_one_that_the_templates_import() -> None:
    imported = {
        alias.name
        for text in codes()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stillhouse")
        for alias in node.names
    }
    classes = {name for name in imported if name[0].isupper() and not name.isupper()}
    assert classes - {"Classification", "Split", "TaskData"} == TAKEN


def codes() -> Iterator[str]:
    """The code of the templates that a class of the plugin's name stands in, or may."""
    for folder in (templates() / kind for kind in SCAFFOLDS):
        for path in (Path(str(folder)) / "package").iterdir():
            if path.name != "info.py.tmpl":
                yield path.read_text().replace("$code", "Code").replace("$plugin", "plugin")


def templates() -> Path:
    return Path(str(files("stillhouse.core.plugin.scaffold"))) / "templates"


def test_the_command_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import json, sys; from stillhouse.core.cli.main import main; "
        "main(['plugins', 'new', 'thin']); "
        "print(json.dumps([m for m in ('torch', 'numpy', 'onnx') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
