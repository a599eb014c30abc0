from __future__ import annotations

import argparse
import json

import pytest

from stillhouse.core.cli import init, schema
from stillhouse.core.config import load
from stillhouse.core.errors import UserError
from stillhouse.core.plugin import Catalogue


def stillhouse(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    init.add_parser(subparsers)
    schema.add_parser(subparsers)
    args = parser.parse_args(arguments)
    return int(args.run(args))


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue.discover()


@pytest.mark.parametrize("task", ["spoken-digits", "npz", "audio-folder"])
def test_init_writes_a_run_file_that_parses(catalogue, tmp_path, capsys, task):
    path = tmp_path / "run.yaml"
    assert stillhouse("init", str(path), "--task", task) == 0
    assert load(path, catalogue).task.name == task
    assert capsys.readouterr().out == f"wrote {path}; check it with: stillhouse plan {path}\n"


def test_init_without_a_path_writes_run_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stillhouse("init") == 0
    assert [f.name for f in tmp_path.iterdir()] == ["run.yaml"]


def test_init_leaves_an_existing_file_unless_forced(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("mine")
    with pytest.raises(UserError, match=r"run.yaml exists and is left as it is; .*--force"):
        stillhouse("init", str(path))
    assert path.read_text() == "mine"
    assert stillhouse("init", str(path), "--force") == 0
    assert path.read_text().startswith("# A stillhouse run file")
    assert [f.name for f in tmp_path.iterdir()] == ["run.yaml"]


def test_init_into_a_folder_or_a_missing_one_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a file to write, got a folder"):
        stillhouse("init", str(tmp_path))
    with pytest.raises(UserError, match=r"cannot be written: .*is its folder there"):
        stillhouse("init", str(tmp_path / "none" / "run.yaml"))


def test_init_with_an_unknown_task_writes_nothing(tmp_path):
    with pytest.raises(UserError, match="unknown task 'digits'"):
        stillhouse("init", str(tmp_path / "run.yaml"), "--task", "digits")
    assert list(tmp_path.iterdir()) == []


def test_schema_prints_one_that_names_every_method(catalogue, capsys):
    assert stillhouse("schema") == 0
    printed = json.loads(capsys.readouterr().out)
    items = printed["properties"]["recipe"]["items"]["anyOf"]
    named = {name for option in items for name in option.get("properties", ())}
    assert named == set(catalogue.names("method"))
