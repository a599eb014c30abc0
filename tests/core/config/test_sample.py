from __future__ import annotations

import re

import pytest

from stillhouse.core.config import TeacherTraining, parse
from stillhouse.core.config.sample import sample
from stillhouse.core.errors import UserError
from stillhouse.core.plugin.params import Params, declared, param


@pytest.mark.parametrize("task", ["spoken-digits", "npz"])
def test_the_sample_parses_and_uses_the_task(catalogue, task):
    run = parse(sample(catalogue, task, "run.yaml"), "run.yaml", catalogue)
    assert run.task.name == task
    assert [use.name for use in run.recipe] == ["soft-labels", "supernet"]
    assert len(run.search.limits) == 2


def test_the_sample_explains_every_parameter_from_its_declaration(catalogue):
    text = sample(catalogue, "npz", "run.yaml")
    used = [catalogue.declarations["method"][name] for name in ("soft-labels", "supernet")]
    for known in (p for params in (*used, TeacherTraining) for p in declared(params)):
        assert re.search(rf"^ +(# )?{known.name}:", text, re.MULTILINE)
        assert known.name == "space" or known.help in text


def test_the_sample_fits_a_terminal(catalogue, monkeypatch):
    class Wordy(Params):
        path: str = param(kind="path", help="a long story " * 20)
        seed: int = param(1, low=0, help="another long story " * 20)

    monkeypatch.setitem(catalogue.declarations, "task", {"wordy": Wordy})
    text = sample(catalogue, "wordy", "run.yaml")
    assert max(map(len, text.splitlines())) <= 100
    assert parse(text, "run.yaml", catalogue).task.fixed["seed"] == 1


def test_uncommenting_the_defaults_changes_nothing(catalogue):
    text = sample(catalogue, "npz", "run.yaml")
    lines = [line.replace("# ", "", 1) if is_default(line) else line for line in text.splitlines()]
    assert lines != text.splitlines()
    before = parse(text, "run.yaml", catalogue)
    assert parse("\n".join(lines), "run.yaml", catalogue) == before


def is_default(line: str) -> bool:
    return re.fullmatch(r" *# [a-z_]+:.*  # .*", line) is not None


def test_an_unknown_task_offers_the_nearest(catalogue):
    with pytest.raises(UserError, match="unknown task 'spoken'; did you mean 'spoken-digits'"):
        sample(catalogue, "spoken", "run.yaml")


def test_a_missing_plugin_is_named(catalogue, monkeypatch):
    monkeypatch.setitem(catalogue.declarations, "target", {})
    with pytest.raises(UserError, match="needs the target 'onnxruntime-cpu'"):
        sample(catalogue, "npz", "run.yaml")


def test_the_sample_of_required_lists_parses(catalogue, monkeypatch):
    class Listing(Params):
        files: tuple[str, ...] = param(kind="paths", help="files")
        shares: tuple[float, ...] = param(kind="simplex", help="shares")
        networks: tuple[object, ...] = param(kind="models", help="networks")

    monkeypatch.setitem(catalogue.declarations["task"], "listing", Listing)
    run = parse(sample(catalogue, "listing", "/runs/run.yaml"), "/runs/run.yaml", catalogue)
    assert run.task.fixed == {"files": ("/runs/my-files",), "shares": (1.0,), "networks": ()}
