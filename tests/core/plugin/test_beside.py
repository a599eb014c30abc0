"""A file of plugins beside a run file: run where it is named, and nothing else of its folder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stillhouse.core.errors import PluginError, StillhouseError, UserError
from stillhouse.core.plugin import Catalogue, MethodInfo
from stillhouse.core.plugin.beside import FILE_NAME, same_content

FILE = """
from __future__ import annotations
from stillhouse.core.plugin import LossInfo, MethodInfo, Params, hookimpl, param

class ThinParams(Params):
    share: float = param(0.5, low=0, high=1, help="of what there is")

class Thin:
    pass

@hookimpl
def stillhouse_methods():
    yield MethodInfo(name="thin-one", summary="thin", build="stillhouse_plugins:Thin",
                     params=ThinParams, changes="form")

@hookimpl
def stillhouse_losses():
    yield LossInfo(name="thin-loss", summary="thin", build="stillhouse_plugins:Thin")
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str = FILE, name: str = FILE_NAME, folder: str = "") -> Path:
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / name
        path.write_text(text)
        return path

    return written


@pytest.fixture
def installed() -> Catalogue:
    return Catalogue.discover({})


def test_its_records_join_those_that_are_installed(write: Write, installed: Catalogue) -> None:
    catalogue = installed.beside(write())
    assert "thin-one" in catalogue.names("method")
    assert "thin-loss" in catalogue.names("loss")
    assert set(installed.names("method")) == set(catalogue.names("method")) - {"thin-one"}
    info = catalogue.method("thin-one")
    assert isinstance(info, MethodInfo)
    assert info.params().share == 0.5  # type: ignore[attr-defined]


def test_its_code_is_found_in_the_file_itself(write: Write, installed: Catalogue) -> None:
    catalogue = installed.beside(write())
    code = catalogue.resolve(catalogue.method("thin-one"))
    assert code is vars(sys.modules[code.__module__])["Thin"]  # type: ignore[attr-defined]
    assert code.__module__.startswith("stillhouse_plugins_")  # type: ignore[attr-defined]


def test_it_is_attributed_to_its_content(write: Write, installed: Catalogue) -> None:
    one = installed.beside(write()).provenance("method", "thin-one")
    two = installed.beside(write(FILE + "\n")).provenance("method", "thin-one")
    assert one.distribution == two.distribution == FILE_NAME
    assert one.version.startswith("(sha256 ")
    assert one.version != two.version


def test_files_of_one_name_do_not_meet(write: Write, installed: Catalogue) -> None:
    one = installed.beside(write(folder="a"))
    two = installed.beside(write(FILE.replace("0.5", "0.25"), folder="b"))
    assert one.method("thin-one").params().share == 0.5  # type: ignore[attr-defined]
    assert two.method("thin-one").params().share == 0.25  # type: ignore[attr-defined]


def test_it_runs_once_in_a_process(write: Write, installed: Catalogue) -> None:
    path = write(FILE + "\nimport sys; sys.modules[__name__].runs = globals().get('runs', 0) + 1\n")
    codes = [c.resolve(c.method("thin-one")) for c in (installed.beside(path) for _ in range(2))]
    assert codes[0] is codes[1]


def test_nothing_of_its_folder_can_be_imported_or_shadows_a_module(
    write: Write, installed: Catalogue
) -> None:
    write("raise RuntimeError('shadowed')", "json.py")
    write("raise RuntimeError('imported')", "neighbour.py")
    before = list(sys.path)
    installed.beside(write(FILE + "import json; json.loads('1')\n"))
    with pytest.raises(PluginError, match=r":19: .*No module named 'neighbour'"):
        installed.beside(write(FILE + "import neighbour\n"))
    assert sys.path == before
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("stillhouse_plugins")


def test_no_bytecode_is_read_or_written(write: Write, installed: Catalogue) -> None:
    path = write(FILE + "# bytecode\n")
    installed.beside(path)
    assert not (path.parent / "__pycache__").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nraise RuntimeError('no licence')", ":2: failed on import: RuntimeError: no lice"),
        ("import sys\nsys.exit(3)", ":2: failed on import: SystemExit: 3"),
        ("def broken(:\n", ":1: failed on import: SyntaxError"),
        (FILE + "undefined_name", ":19: failed on import: NameError"),
        (FILE.replace("    yield MethodInfo", "    1 / 0\n    yield MethodInfo"),
         ":13: failed in stillhouse_methods: ZeroDivisionError"),
        (FILE.replace("stillhouse_losses", "stillhouse_loses"), ":16: no hook is called "
         "'stillhouse_loses'; did you mean 'stillhouse_losses'?"),
        (FILE.replace("@hookimpl\ndef stillhouse_methods", "def stillhouse_methods"),
         ":11: expected @hookimpl above 'stillhouse_methods', found none"),
        ("x = 1", "expected a hook such as stillhouse_methods, with @hookimpl"),
        (FILE.replace("yield LossInfo", "yield dict"), "stillhouse_losses: expected records of the "
         "type LossInfo, got {"),
        (FILE.replace('"thin-one"', '"Thin One"'), "method 'Thin One': a name is lower-case"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_error_with_its_place(
    text: str, said: str, write: Write, installed: Catalogue
) -> None:
    path = write(text)
    with pytest.raises(PluginError) as caught:
        installed.beside(path)
    assert str(caught.value).startswith(f"{path}:")
    assert said in str(caught.value)


def test_a_file_that_failed_is_run_again_once_it_is_mended(
    write: Write, installed: Catalogue
) -> None:
    with pytest.raises(PluginError):
        installed.beside(write("raise RuntimeError"))
    assert "thin-one" in installed.beside(write()).names("method")


def test_a_name_that_is_taken_is_refused(write: Write, installed: Catalogue) -> None:
    path = write(FILE.replace('"thin-loss"', '"kd"'))
    with pytest.raises(UserError, match=r"loss 'kd' is provided by stillhouse .* too; give it"):
        installed.beside(path)


def test_two_files_are_refused(write: Write, installed: Catalogue) -> None:
    path = write()
    with pytest.raises(UserError, match="expected one file of plugins, got"):
        installed.beside(path).beside(path)


@pytest.mark.parametrize("token", ["all", "stillhouse_plugins.py"])
def test_a_disabled_one_is_not_run(token: str, write: Write) -> None:
    catalogue = Catalogue.discover({"STILLHOUSE_DISABLE_PLUGINS": token})
    with pytest.raises(UserError, match="is disabled by STILLHOUSE_DISABLE_PLUGINS"):
        catalogue.beside(write("raise RuntimeError('it ran')"))


def test_what_is_no_plain_file_is_not_run(
    write: Write, installed: Catalogue, tmp_path: Path
) -> None:
    outside = write("raise RuntimeError('it ran')", folder="elsewhere")
    link = tmp_path / "linked.py"
    link.symlink_to(outside)
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "large.py").write_bytes(b"#" * 1_000_001)
    for name, said in {
        "linked.py": "got a link",
        "folder.py": "Is a directory",
        "large.py": "at most 1000000 bytes",
        "absent.py": "no such file",
        "no-name.py": "expected a Python file whose name is letters",
    }.items():
        with pytest.raises(UserError, match=said):
            installed.beside(tmp_path / name)


def test_it_stands_by_name_and_content(write: Write, installed: Catalogue) -> None:
    path, copy, other = write(), write(folder="copy"), write(FILE + "#", folder="other")
    catalogue = installed.beside(path)
    assert catalogue.runs(path)
    assert catalogue.runs(copy)
    assert not catalogue.runs(other)
    assert not catalogue.runs(write(name="renamed.py"))
    assert not installed.runs(path)
    assert not same_content(path.with_name("absent.py"), "")


def test_another_suppliers_record_is_not_looked_for_in_it(
    write: Write, installed: Catalogue
) -> None:
    catalogue = installed.beside(write())
    foreign = installed.method("fresh")
    assert catalogue.resolve(foreign) is installed.resolve(foreign)
    with pytest.raises(StillhouseError, match="no method 'thin-one'"):
        installed.resolve(catalogue.method("thin-one"))
