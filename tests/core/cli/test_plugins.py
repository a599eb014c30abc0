"""`stillhouse plugins` and `stillhouse plugins show`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.core.cli import plugins
from stillhouse.core.errors import UserError
from stillhouse.core.plugin import KINDS

INFO = """
from stillhouse.core.plugin import Gain, MethodInfo, ModelInfo, Params, hookimpl, param

def gain(network, speed_up, low, high):
    return Gain(target="onnxruntime-cpu", network=network, setting="half of it", speed_up=speed_up,
                low=low, high=high, size=0.27, machine="abacus")

class TwoBitParams(Params):
    groups: int = param(1, low=1, high=64, log=True, help="scales in each row", phase="apply")
    scheme: str = param("row", choices=("row", "a-very-long-choice"), help="where scales sit")
    folder: str = param(kind="path", searchable=False, help="calibration files")

@hookimpl
def stillhouse_methods():
    yield MethodInfo(
        name="cli-two-bit", summary="two-bit weights", build="cli_zoo.never:TwoBit",
        params=TwoBitParams, changes="form", needs=frozenset({"float weights"}),
        spends=frozenset({"float weights"}), extra="kernels",
    )
    yield MethodInfo(
        name="cli-both", summary="fewer columns", build="cli_zoo.never:Prune",
        changes="form", speeds_up=frozenset({"onnxruntime-cpu"}),
        measured=(gain("small", 0.9, 0.8, 1.0), gain("large", 2.104, 2.05, 2.2)),
    )
    yield MethodInfo(
        name="cli-slower", summary="more columns", build="cli_zoo.never:Slower",
        changes="form", measured=(gain("small", 0.97, 0.97, 0.97),),
    )
    yield MethodInfo(name="cli-term", summary="a term", build="x.y:Z", changes="loss terms")

@hookimpl
def stillhouse_models():
    yield ModelInfo(name="cli-both", summary="a family", build="cli_zoo.never:Family")
"""
POINTS = """[stillhouse.methods]
cli-two-bit = cli_zoo_info
cli-both = cli_zoo_info
cli-broken = cli_zoo_broken
cli-slower = cli_zoo_info
cli-term = cli_zoo_info
[stillhouse.models]
cli-both = cli_zoo_info
"""


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cli_zoo-0.4.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: cli-zoo\nVersion: 0.4\n")
    (folder / "entry_points.txt").write_text(POINTS)
    (tmp_path / "cli_zoo_info.py").write_text(INFO)
    (tmp_path / "cli_zoo_broken.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("STILLHOUSE_DISABLE_PLUGINS", raising=False)
    monkeypatch.delitem(sys.modules, "cli_zoo_info", raising=False)
    return tmp_path


def invoke(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    plugins.add_parser(parser.add_subparsers())
    args = parser.parse_args(["plugins", *arguments])
    return int(args.run(args))


def test_the_list_says_who_how_and_what_for_in_80_columns(
    zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke() == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "KIND NAME SUPPLIED BY STATUS SPEEDS UP"
    at = lines.index("method cli-two-bit cli-zoo 0.4 active not measured")
    assert lines[at + 1] == "two-bit weights"
    at = lines.index("method cli-both cli-zoo 0.4 active up to 2.10x")
    assert lines[at + 1] == "fewer columns (2.10x onnxruntime-cpu)"
    at = lines.index("method cli-slower cli-zoo 0.4 active none measured")
    assert lines[at + 1] == "more columns (0.97x onnxruntime-cpu)"
    assert "method cli-term cli-zoo 0.4 active" in lines
    assert "model cli-both cli-zoo 0.4 active" in lines
    broken = lines.index("method cli-broken cli-zoo 0.4 failed")
    assert lines[broken + 1] == "RuntimeError: no licence"


def test_no_line_of_the_list_is_wider_than_80(
    zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke()
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 80


def test_the_list_as_json_holds_the_same(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    invoke("--json")
    found = {(s["kind"], s["name"]): s for s in json.loads(capsys.readouterr().out)}
    broken = found["method", "cli-broken"]
    assert broken["status"] == "failed: RuntimeError: no licence"
    assert (broken["distribution"], broken["version"]) == ("cli-zoo", "0.4")
    assert found["method", "cli-two-bit"]["gain"] == "not measured"
    assert found["method", "cli-slower"]["gain"] == "none measured (0.97x onnxruntime-cpu)"


def test_networks_are_shown_with_what_each_may_say(
    zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (zoo / "cli_zoo_info.py").write_text(
        INFO.replace('folder: str = param(kind="path"', 'helpers: tuple = param((), kind="models"')
    )
    invoke("show", "cli-two-bit")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "helpers models - - no prepare" in lines
    assert "helpers.N.epochs int 20 at least 1 no -" in lines
    assert "helpers.N.draw int 0 0 to 64 no -" in lines
    invoke("show", "cli-two-bit", "--json")
    (described,) = json.loads(capsys.readouterr().out)
    networks = {p["name"]: p.get("networks") for p in described["parameters"]}
    assert networks["groups"] is None
    assert {"epochs", "name", "checkpoint", "draw"} <= {p["name"] for p in networks["helpers"]}


def test_showing_a_method_prints_capabilities_and_parameters(
    zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke("show", "cli-two-bit") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "method cli-two-bit",
        "supplied by cli-zoo 0.4",
        "extra kernels",
        "needs float weights",
        "leaves -",
        "spends float weights",
        "PARAMETER TYPE DEFAULT BOUNDS SEARCH PHASE",
        "groups int 1 1 to 64 log apply",
        "scales in each row",
        "scheme str row see below yes prepare",
        "where scales sit; one of row, a-very-long-choice",
        "folder path required - no prepare",
    ):
        assert line in lines


def test_showing_a_method_prints_every_measured_gain_as_a_line(
    zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke("show", "cli-both", "--kind", "method")
    lines = " ".join(capsys.readouterr().out.split())
    assert (
        "measured 0.90x (0.80 to 1.00), 27% of the bytes: small, half of it; onnxruntime-cpu, "
        "abacus 2.10x (2.05 to 2.20), 27% of the bytes: large, half of it; onnxruntime-cpu, abacus "
    ) in lines
    invoke("show", "cli-slower", "--json")
    (shown,) = json.loads(capsys.readouterr().out)
    (gain,) = shown["measured"]
    assert (gain["speed_up"], gain["size"], gain["network"]) == (0.97, 0.27, "small")


def test_showing_as_json_gives_every_declared_field(
    zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke("show", "cli-two-bit", "--json")
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["needs"] == ["float weights"]
    assert shown["parameters"][0] == {
        "name": "groups",
        "type": "int",
        "required": False,
        "default": 1,
        "bounds": "1 to 64",
        "searchable": True,
        "log": True,
        "phase": "apply",
        "help": "scales in each row",
    }


def test_a_name_of_two_kinds_shows_both_unless_one_is_asked_for(
    zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke("--json", "show", "cli-both")
    assert [s["kind"] for s in json.loads(capsys.readouterr().out)] == ["method", "model"]
    invoke("--json", "show", "cli-both", "--kind", "model")
    assert [s["kind"] for s in json.loads(capsys.readouterr().out)] == ["model"]


def test_an_unknown_name_gets_the_nearest_one(zoo: Path) -> None:
    with pytest.raises(UserError, match=r"'cli-two-bits'; did you mean 'cli-two-bit'\?"):
        invoke("show", "cli-two-bits")
    with pytest.raises(UserError, match=r"no task 'cli-both'; 'cli-both' is a method"):
        invoke("show", "cli-both", "--kind", "task")


def test_a_disabled_name_says_so(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_DISABLE_PLUGINS", "cli-zoo")
    with pytest.raises(UserError, match="method 'cli-two-bit' is disabled"):
        invoke("show", "cli-two-bit")


def test_the_parser_offers_exactly_the_kinds_there_are() -> None:
    assert plugins.KINDS == KINDS


@pytest.mark.parametrize(
    "arguments", [[], ["show", "cli-two-bit"], ["--help"], ["check", "--help"], ["new", "--help"]]
)
def test_the_command_imports_nothing_heavy(zoo: Path, arguments: list[str]) -> None:
    script = (
        "import argparse, sys\n"
        f"sys.path.insert(0, {str(zoo)!r})\n"
        "from stillhouse.core.cli import plugins\n"
        "parser = argparse.ArgumentParser(); plugins.add_parser(parser.add_subparsers())\n"
        "try:\n"
        f"    args = parser.parse_args(['plugins', *{arguments!r}]); args.run(args)\n"
        "except SystemExit:\n"
        "    assert 'pluggy' not in sys.modules\n"
        "heavy = {'torch', 'transformers', 'ray', 'sklearn', 'scipy.stats', 'optuna',"
        " 'onnxruntime'}\n"
        "assert heavy.isdisjoint(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
