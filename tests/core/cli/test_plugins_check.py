"""`stillhouse plugins check`: packages by name and by project, and files of plugins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stillhouse.core.cli.main import main

LOSS = """
from typing import final

import torch
from stillhouse.core.distill.hint_loss import HintLoss
from stillhouse.core.plugin import LossInfo, hookimpl


@final
class Means(HintLoss):
    def forward(self, hints):
        pairs = zip(hints.student, hints.teacher, strict=True)
        means = [((s.mean() - t.mean().detach()) ** 2).reshape(()) for s, t in pairs]
        return SUM


@hookimpl
def stillhouse_losses():
    code = "stillhouse_plugins:Means"
    yield LossInfo(name="means", summary="squared difference of means", build=code)
"""
SOUND = LOSS.replace("SUM", "torch.stack(means).sum()")
BROKEN = LOSS.replace("SUM", "torch.stack(means)")
INFO = SOUND.replace("import torch\n", "").replace("stillhouse_plugins:", "zoo_means:")
Said = pytest.CaptureFixture[str]


def check(*arguments: str) -> int:
    return main(["plugins", "check", *arguments])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that is not installed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo-means").mkdir()
    (tmp_path / "zoo-means" / "pyproject.toml").write_text(
        '[project]\nname = "zoo-means"\n[tool.stillhouse.check.means]\nshape = [4]\n'
    )
    return tmp_path / "zoo-means"


@pytest.fixture
def install(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def installed(text: str = INFO) -> None:
        folder = project / "zoo_means-0.4.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-means\nVersion: 0.4\n")
        (folder / "entry_points.txt").write_text("[stillhouse.losses]\nmeans = zoo_means\n")
        (project / "zoo_means.py").write_text(text)
        monkeypatch.syspath_prepend(str(project))
        monkeypatch.delitem(__import__("sys").modules, "zoo_means", raising=False)

    return installed


def test_a_sound_file_passes_with_a_line_a_check(tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "stillhouse_plugins.py").write_text(SOUND)
    assert check(str(tmp_path / "stillhouse_plugins.py")) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok    loss means: record",
        "ok    loss means: parameters",
        "ok    loss means: code",
        "ok    loss means: value and slope",
        "4 checks passed",
    ]


def test_a_failing_check_says_what_to_mend(tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "stillhouse_plugins.py").write_text(BROKEN)
    assert check(str(tmp_path / "stillhouse_plugins.py")) == 1
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("FAIL  loss means: value and slope")
    assert lines[at + 1].strip().startswith("expected a scalar tensor, got a tensor (2,); take the")
    assert lines[-1] == "1 of 4 checks failed"


def test_as_json_it_says_the_same(tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "stillhouse_plugins.py").write_text(BROKEN)
    assert check(str(tmp_path / "stillhouse_plugins.py"), "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [(one["check"], one["ok"]) for one in found] == [
        ("record", True), ("parameters", True), ("code", True), ("value and slope", False),
    ]  # fmt: skip
    assert found[0]["message"] is None
    assert found[-1]["message"].startswith("expected a scalar tensor")


def test_some_of_the_checks_can_be_asked_for(tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "stillhouse_plugins.py").write_text(BROKEN)
    assert check(str(tmp_path / "stillhouse_plugins.py"), "-k", "Code") == 0
    assert capsys.readouterr().out == "ok    loss means: code\n1 check passed\n"
    assert check(str(tmp_path / "stillhouse_plugins.py"), "-k", "nothing") == 2
    assert "-k nothing: no check has this in its name" in capsys.readouterr().err


def test_a_project_that_is_not_installed_says_how(project: Path, capsys: Said) -> None:
    assert check("zoo-means") == 2
    said = "'zoo-means' is not installed here; install it with: pip install -e zoo-means"
    assert said in capsys.readouterr().err


def test_a_project_is_checked_with_its_own_setups(
    project: Path, install: Callable[[], None], capsys: Said
) -> None:
    install()
    assert check("zoo-means", "-k", "record") == 0
    assert capsys.readouterr().out == "ok    loss means: record\n1 check passed\n"
    (project / "pyproject.toml").write_text(
        '[project]\nname = "zoo-means"\n[tool.stillhouse.check.medians]\n'
    )
    assert check("zoo-means", "-k", "record") == 2
    assert "setups: zoo-means supplies no plugin 'medians'" in capsys.readouterr().err


def test_an_installed_package_goes_by_its_name(
    project: Path, install: Callable[[], None], tmp_path: Path, capsys: Said
) -> None:
    install()
    assert check("Zoo.Means", "-k", "record") == 0
    (tmp_path / "setups.toml").write_text("[tool.stillhouse.check.means]\nshapes = [3]\n")
    assert check("Zoo.Means", "--setup", str(tmp_path / "setups.toml")) == 2
    assert "setups.toml: tool.stillhouse.check.means.shapes: unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("nowhere", "no distribution 'nowhere' supplies plugins"),
        ("./nowhere.py", "no such file"),
    ],
)
def test_what_is_not_there_is_refused(
    package: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    assert check(package) == 2
    assert said in capsys.readouterr().err


def test_a_project_without_a_name_is_refused(project: Path, capsys: Said) -> None:
    for text in ("", "project = 5\n", "[project]\nname = 5\n"):
        (project / "pyproject.toml").write_text(text)
        assert check("zoo-means") == 2
        assert "expected project.name, the distribution's name" in capsys.readouterr().err
