"""Foreign packages take part in a joint search; broken ones cost nobody else anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.plugin.conformance import ConformanceError, Setup, check_plugin, checks

Site = Any
"""The `Site` of conftest.py, which importlib mode does not let a test import."""
HEAD = """
task: {npz: {path: waves.npz}}
teacher: {model: keyword-transformer, width: 24, depth: 2, heads: 2, epochs: 2}
search: {maximize: accuracy, limits: {parameters: 90%}, evaluations: 8, batch: 4, finalists: 1}
target: {runtime: onnxruntime-cpu, profile: 5, repeats: 3, processes: 1, patience_s: 0,
         device: device.json}
baselines: false
train: {threads: 1}
"""
JOINT = """
recipe:
  - soft-labels
  - supernet: {space: keyword-transformer-tiny, full_epochs: 1, epochs: 2}
  - prune: {keep: 1.0, feed_forward: {choices: [0.5, 1.0]}}
  - hints: {loss: gram-cosine, samples: 40, k: 1, select: {choices: [none, uniform]}}
  - grouped-feed-forward: {groups: {choices: [2, 4]}}
  - broken-apply: {fails: {choices: [true, false]}}
  - distil: {epochs: 1}
  - int8: {scheme: {choices: [none, dynamic]}}
"""
LOSS = """
recipe:
  - hints: {loss: gram-cosine, samples: 40, k: 1, weight: {choices: [0.5, 1, 2]}}
  - fresh
  - grouped-feed-forward: {groups: {choices: [2, 4]}}
  - distil: {epochs: 1}
"""
GROUPED = "grouped-feed-forward"
BROKEN = {
    "broken-import": "failed: RuntimeError: this package cannot be imported",
    "broken-registration": "failed: RuntimeError: this package cannot be registered",
}


@pytest.fixture(scope="module")
def folder(waves: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    waves(folder / "waves.npz")
    return folder


@pytest.fixture(scope="module")
def found(site: Site, folder: Path) -> Path:
    """A joint search over subnets, pruning, hints by a foreign loss, groups, bits, and a method
    that fails for half of them."""
    (folder / "joint.yaml").write_text(HEAD + JOINT)
    site.stillhouse("search", "joint.yaml", "--out", "joint", cwd=folder)
    return folder / "joint"


@pytest.fixture
def beside(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages on this process's path."""
    monkeypatch.syspath_prepend(str(site.folder))


def test_the_loss_is_one_file_of_25_lines_at_most() -> None:
    package = Path(__file__).parent / "packages" / "stillhouse-foreign-loss"
    (source,) = package.glob("**/*.py")
    assert len(source.read_text().splitlines()) <= 25
    assert (package / "pyproject.toml").read_text().count("entry-points") == 1


def test_the_listing_names_the_broken_ones_with_their_suppliers(site: Site) -> None:
    listed = json.loads(site.stillhouse("plugins", "--json").stdout)
    by_name = {line["name"]: line for line in listed}
    for name, status in BROKEN.items():
        assert by_name[name]["status"] == status
        assert by_name[name]["distribution"] == f"stillhouse-{name}"
    others = {line["name"]: line["status"] for line in listed if line["name"] not in BROKEN}
    assert set(others.values()) == {"active"}
    assert {"gram-cosine", "grouped-feed-forward", "broken-apply", "supernet"} <= set(others)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one_that_is_asked_for_is_refused_with_its_supplier(
    site: Site, name: str, beside: None, capsys: pytest.CaptureFixture[str]
) -> None:
    from stillhouse.core.cli.main import main

    assert main(["plugins", "show", name]) == 2
    said = capsys.readouterr().err
    assert f"method '{name}' of stillhouse-{name} 0.1.0 failed" in said
    assert f"STILLHOUSE_DISABLE_PLUGINS=stillhouse-{name}" in said


@pytest.mark.slow
def test_both_foreign_plugins_take_part_in_a_joint_search(found: Path) -> None:
    summary = json.loads((found / "summary.json").read_text())
    searched = set(summary["evaluations"][0]["configuration"])
    built_in = {"supernet.width", "prune.feed_forward", "hints.select", "int8.scheme"}
    assert built_in | {"grouped-feed-forward.groups"} <= searched
    record = json.loads((found / "best" / "model.json").read_text())
    assert "grouped-feed-forward" in [change["method"] for change in record["rebuilds"]]


@pytest.mark.slow
def test_the_foreign_loss_trains_a_student_beside_the_broken_packages(
    site: Site, folder: Path
) -> None:
    (folder / "loss.yaml").write_text(HEAD + LOSS)
    site.stillhouse("search", "loss.yaml", "--out", "loss", cwd=folder)
    summary = json.loads((folder / "loss" / "summary.json").read_text())
    shown = [exhibit for exhibit in summary["exhibits"] if exhibit.get("loss") == "gram-cosine"]
    assert shown
    assert summary["certificate"]["measured"]["parameters"] > 0


@pytest.mark.slow
def test_what_fails_when_applied_costs_its_own_candidates_only(found: Path) -> None:
    lines = [json.loads(line) for line in (found / "ledger.jsonl").read_text().splitlines()]
    failed = [line for line in lines if "this method cannot be applied" in json.dumps(line)]
    assert failed
    assert all("method 'broken-apply' (stillhouse-broken-apply 0.1.0)" in json.dumps(line)
               for line in failed)  # fmt: skip
    summary = json.loads((found / "summary.json").read_text())
    assert any(e.get("error") is None for e in summary["evaluations"])


@pytest.mark.slow
def test_a_fresh_process_loads_what_the_foreign_method_left(site: Site, found: Path) -> None:
    code = (
        "import sys; from stillhouse.core import load; model = load(sys.argv[1]); "
        "print('stillhouse_foreign_method.grouped' in sys.modules, "
        "'stillhouse_foreign_loss' in sys.modules)"
    )
    assert site.python("-c", code, str(found)).stdout == "True False\n"


@pytest.mark.slow
def test_the_foreign_packages_pass_the_kit(beside: None) -> None:
    check_plugin("stillhouse-foreign-loss")
    check_plugin("stillhouse-foreign-method")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken-import", "this package cannot be imported"),
        ("broken-registration", "this package cannot be registered"),
        ("broken-apply", "ZeroDivisionError: this method cannot be applied"),
    ],
)
def test_the_kit_says_what_is_broken(name: str, said: str, beside: None) -> None:
    with pytest.raises(ConformanceError, match=f"{name} 0.1.0: .*{said}"):
        check_plugin(f"stillhouse-{name}")


def test_the_kit_lists_its_checks_without_running_them(beside: None) -> None:
    titles = [str(check) for check in checks("stillhouse-foreign-method", {GROUPED: Setup()})]
    assert f"method {GROUPED}: rebuild" in titles
    assert len(titles) == len(set(titles)) == 14
