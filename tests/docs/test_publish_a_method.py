"""The page about publishing a method is true: its package is made, checked, built and installed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.plugin.conformance import Setup, checks_of, composed
from stillhouse.core.plugin.conformance.info import discover
from stillhouse.core.plugin.conformance.trial import Trial
from stillhouse.core.plugin.scaffold import SCAFFOLDS

PAGE = Path(__file__).parents[2] / "docs" / "publish-a-method.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TEXT = PAGE.read_text("utf-8")
PACKAGE = "stillhouse-narrow-blocks"
SMALL = (
    "task=npz", "task.npz.path=waves.npz", "teacher.width=24", "teacher.depth=2",
    "teacher.heads=2", "teacher.epochs=2", "recipe.supernet.space=keyword-transformer-tiny",
    "recipe.supernet.full_epochs=1", "recipe.supernet.epochs=1", "search.limits={parameters: 90%}",
    "search.evaluations=4", "search.batch=2", "search.finalists=1", "target.profile=5",
    "target.repeats=3", "target.processes=1", "target.patience_s=0", "target.device=device.json",
    "baselines=false", "train.threads=1",
)  # fmt: skip
"""What makes the page's run a matter of seconds."""
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def commands() -> tuple[str, ...]:
    shell = "".join(text for language, text in FENCE.findall(TEXT) if language == "console")
    return tuple(re.findall(r"^\$ (.+)$", shell, re.MULTILINE))


@pytest.fixture(scope="module")
def folder(page: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page's files, the package that its first command writes, and waves to learn from."""
    folder = tmp_path_factory.mktemp("publish")
    for language, text in FENCE.findall(TEXT):
        if language != "console":
            path = folder / re.match(r"# (\S+)\n", text)[1]  # type: ignore[index]
            path.write_text(text)
    shutil.copyfile(page.folder / "waves.npz", folder / "waves.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def written(folder: Path, commands: tuple[str, ...]) -> Path:
    assert main(words(commands, "stillhouse plugins new")) == 0
    return folder / PACKAGE


def words(commands: tuple[str, ...], start: str) -> list[str]:
    """The arguments of the one command that begins so."""
    (command,) = (c for c in commands if c.startswith(start))
    return shlex.split(command)[1:]


def test_the_package_has_the_files_of_the_page(written: Path) -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ", TEXT, re.MULTILINE)
    assert len(rows) == 6
    assert [row for row in rows if not (written / row).is_file()] == []


def test_the_page_names_the_kinds_that_have_templates() -> None:
    sentence = " ".join(TEXT.split()).partition("There are templates for the kinds ")[2]
    assert tuple(re.findall(r"`(\w+)`", sentence.partition(".")[0])) == SCAFFOLDS


def test_the_table_lists_every_check_of_a_method() -> None:
    table = TEXT.partition("| check | what it expects |")[2].partition("\n\n")[0]
    titles = re.findall(r"^\| ([a-z ]+) \| ", table, re.MULTILINE)
    assert titles == [check.title for check in checks_of("method", "fresh")]


def test_the_gain_of_the_page_can_be_written_so(folder: Path) -> None:
    space: dict[str, Any] = {}
    exec((folder / "gains.py").read_text(), space)  # noqa: S102 - the page's own code
    (gain,) = space["MEASURED"]
    assert gain.low < gain.speed_up < gain.high


@pytest.mark.slow
def test_the_file_of_the_page_keeps_the_contract(
    folder: Path, commands: tuple[str, ...], capsys: Said
) -> None:
    assert main(words(commands, "stillhouse plugins check ./")) == 0
    assert capsys.readouterr().out.endswith("13 checks passed\n")


@pytest.mark.parametrize("group", ["front_end", "attention", "feed_forward", "head"])
def test_bits_after_the_file_of_the_page_are_counted_where_they_are(
    folder: Path, group: str
) -> None:
    setup = Setup(after=[{"int8": {"scheme": "none", group: "static"}}])
    trial = Trial("quieter", setup, discover(folder / "stillhouse_plugins.py"))
    quantised = composed._student(trial).rebuilds[-1].record["layers"]
    rows = composed._sheet(trial).rows
    counted = {row.name for row in rows if np.any(np.equal(row["weight_bits"], 8))}
    assert counted == {name.removesuffix(".qkv") for name in quantised} != set()


@pytest.mark.slow
def test_the_commands_with_a_file_run_as_printed(
    folder: Path,
    commands: tuple[str, ...],
    measured_once: Callable[[], AbstractContextManager[None]],
    capsys: Said,
) -> None:
    small = [word for one in SMALL for word in ("--set", one)]
    with measured_once():
        assert main([*words(commands, "stillhouse plan"), *small]) == 0
        assert "quieter.factor: one of 0.5, 2.0" in capsys.readouterr().out
        assert main([*words(commands, "stillhouse search run.yaml"), *small]) == 0
        assert main(words(commands, "stillhouse search --resume")) == 0
        assert main(words(commands, "stillhouse export")) == 0
    assert (folder / "found.pt2").stat().st_size > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_package_installs_and_keeps_the_contract(
    written: Path, folder: Path, commands: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(installed(written, folder / "site")))
    for start in ("plugins show", f"plugins check {PACKAGE}$", "plugins check .* -k sheet"):
        (command,) = (c for c in commands if re.match(f"stillhouse {start}", c))
        said = run("-m", "stillhouse.core.cli.main", *shlex.split(command)[1:], cwd=folder)
    assert said == "ok    method narrow-blocks: sheet\n1 check passed\n"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_package_builds_and_its_wheel_passes_its_tests(
    written: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdist, wheel = built(written)
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "stillhouse_narrow_blocks/info.py"} <= inside
    with zipfile.ZipFile(wheel) as archive:
        assert "stillhouse_narrow_blocks/method.py" in archive.namelist()
    monkeypatch.setenv("PYTHONPATH", str(installed(wheel, folder / "clean")))
    assert "14 passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=written)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in SCAFFOLDS if kind != "method"])
def test_every_other_kind_installs_and_keeps_the_contract(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    assert main(["plugins", "new", f"some-{kind}", "--kind", kind, "--out", str(project)]) == 0
    monkeypatch.setenv("PYTHONPATH", str(installed(project, tmp_path / "site")))
    said = run("-m", "stillhouse.core.cli.main", "plugins", "check", str(project), cwd=tmp_path)
    assert re.search(r"^\d+ checks passed$", said, re.MULTILINE)


def installed(source: Path, site: Path) -> Path:
    """A project or a wheel, installed without a network into a folder of its own."""
    run(*PIP, "--no-build-isolation", "--target", str(site), str(source), cwd=site.parent)
    return site


def built(project: Path) -> tuple[Path, Path]:
    """What `python -m build` makes, by the same calls of the project's own build backend."""
    for kind in ("sdist", "wheel"):
        code = f"from setuptools import build_meta; build_meta.build_{kind}('dist')"
        run("-c", code, cwd=project)
    return next((project / "dist").glob("*.tar.gz")), next((project / "dist").glob("*.whl"))


def run(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
