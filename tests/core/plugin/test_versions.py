"""The code that a run depends on, by distribution, and what is said where it differs."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.config.runfile import parse
from stillhouse.core.errors import PluginError
from stillhouse.core.plan import Plan, make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.plugin.versions import (
    ABSENT,
    code_digest,
    refuse_mismatch,
    versions,
    versions_of,
)

RUN = """
task: spoken-digits
teacher: {model: keyword-transformer, width: 16, depth: 1, heads: 1}
recipe: [RECIPE]
search: {maximize: accuracy, sampler: SAMPLER}
target: {runtime: onnxruntime-cpu}
"""
LOSSES = """
from stillhouse.core.plugin import LossInfo, SamplerInfo, hookimpl
@hookimpl
def stillhouse_losses():
    yield LossInfo(name="far-loss", summary="a loss", build="json:loads")
"""
SAMPLERS = """
from stillhouse.core.plugin import SamplerInfo, hookimpl
@hookimpl
def stillhouse_samplers():
    yield SamplerInfo(name="luck", summary="a sampler", build="json:loads")
"""
DIGEST = r" \(sha256 [0-9a-f]{16}\)"


def planned(
    catalogue: Catalogue, recipe: str = "fresh, distil", sampler: str = "random", more: str = ""
) -> Plan:
    text = RUN.replace("RECIPE", recipe).replace("SAMPLER", sampler) + more
    return make_plan(parse(text, "run.yaml", catalogue), catalogue)


@pytest.fixture
def strangers(install: Callable[..., None], source: Callable[..., str]) -> None:
    """A method of `far-kd`, which comes with a loss, and a sampler of `luck`."""
    groups = {"methods": {"far": "far_info"}, "losses": {"far-loss": "far_losses"}}
    install("far-kd", groups, version="1.2", far_info=source("far"), far_losses=LOSSES)
    install("Luck", {"samplers": {"luck": "luck_info"}}, version="3", luck_info=SAMPLERS)


def test_a_run_of_built_ins_depends_on_stillhouse_and_its_libraries() -> None:
    catalogue = Catalogue.discover({})
    found = versions(planned(catalogue), catalogue)
    assert list(found) == ["numpy", "python", "stillhouse", "torch"]
    assert found["numpy"] == version("numpy")
    assert found["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert found["torch"] == version("torch").partition("+")[0]
    assert re.fullmatch(re.escape(version("stillhouse")) + DIGEST, found["stillhouse"])


@pytest.mark.usefixtures("strangers")
def test_only_distributions_that_a_run_uses_count() -> None:
    catalogue = Catalogue.discover({})
    assert "far-kd" not in versions(planned(catalogue), catalogue)
    for recipe in ("far, fresh, distil", "hints: {loss: far-loss}, fresh, distil"):
        found = versions(planned(catalogue, recipe), catalogue)
        assert re.fullmatch("1.2" + DIGEST, found["far-kd"])
    searched = "hints: {loss: {choices: [fitnets, far-loss]}}, fresh, distil: {epochs: 1}"
    assert "far-kd" in versions(planned(catalogue, searched), catalogue)
    found = versions(planned(catalogue, sampler="luck"), catalogue)
    assert re.fullmatch("3" + DIGEST, found["Luck"])


@pytest.mark.usefixtures("strangers")
def test_code_of_the_same_number_is_told_apart_by_content(site: Path) -> None:
    catalogue = Catalogue.discover({})
    plan = planned(catalogue, "far, fresh, distil")
    before, digest = versions(plan, catalogue), code_digest(plan, catalogue)
    (site / "far_losses.py").write_text(LOSSES + "\n")
    after = versions(plan, catalogue)
    assert {name for name in after if after[name] != before[name]} == {"far-kd"}
    assert code_digest(plan, catalogue) != digest


@pytest.mark.usefixtures("strangers")
def test_the_digest_is_of_content_and_not_of_the_place(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, here = ["far-kd"], versions_of(["far-kd"], Catalogue.discover({}))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "moved"), *sys.path])
    site.rename(tmp_path / "moved")
    importlib.invalidate_caches()
    assert versions_of(names, Catalogue.discover({})) == here


def test_a_package_counts_with_all_its_modules(
    site: Path, install: Callable[..., None], source: Callable[..., str]
) -> None:
    package = site / "far_zoo" / "deep"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "info.py").write_text(source("far"))
    (package / "code.py").write_text("one = 1\n")
    (site / "far_zoo" / "of_another.py").write_text("one = 1\n")
    install("zoo", {"methods": {"far": "far_zoo.deep.info"}})
    catalogue = Catalogue.discover({})
    before = versions_of(["zoo"], catalogue)
    (site / "far_zoo" / "of_another.py").write_text("two = 2\n")
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "code.py").write_text("two = 2\n")
    assert versions_of(["zoo"], catalogue) == before
    (package / "code.py").write_text("two = 2\n")
    assert versions_of(["zoo"], catalogue) != before
    for module in ("far_zoo.deep", "far_zoo"):
        sys.modules.pop(module, None)


@pytest.mark.usefixtures("strangers")
def test_the_sampler_makes_no_artefacts() -> None:
    catalogue = Catalogue.discover({})
    assert code_digest(planned(catalogue), catalogue) == code_digest(
        planned(catalogue, sampler="luck"), catalogue
    )
    assert code_digest(planned(catalogue), catalogue) != code_digest(
        planned(catalogue, "far, fresh, distil"), catalogue
    )


def test_a_file_of_plugins_counts_with_its_digest(
    tmp_path: Path, source: Callable[..., str]
) -> None:
    path = tmp_path / "stillhouse_plugins.py"
    path.write_text(source("near", build="'stillhouse_plugins:near'", prelude="near = 1"))
    catalogue = Catalogue.discover({}).beside(path)
    assert catalogue.file is not None
    found = versions(planned(catalogue, "near, fresh, distil"), catalogue)
    assert found[path.name] == f"(sha256 {catalogue.file.sha256[:16]})"


def test_what_is_not_installed_says_so() -> None:
    assert versions_of(["far-kd", "numpy"], Catalogue.discover({})) == {
        "far-kd": ABSENT,
        "numpy": version("numpy"),
    }


def test_equal_versions_are_no_mismatch() -> None:
    refuse_mismatch({"torch": "2.13.0"}, {"torch": "2.13.0"}, "this worker")


@pytest.mark.parametrize(
    ("expected", "found", "said"),
    [
        (
            {"torch": "2.13.0", "numpy": "2.4"}, {"torch": "2.12.1", "numpy": "2.4"},
            "torch 2.13.0 in the run, 2.12.1 there. Install torch==2.13.0 there",
        ),
        (
            {"far-kd": "1.2 (sha256 ab)"}, {"far-kd": ABSENT},
            "far-kd 1.2 (sha256 ab) in the run, not installed there. Install far-kd==1.2 there",
        ),
        (
            {"far-kd": "1.2 (sha256 ab)"}, {},
            "far-kd 1.2 (sha256 ab) in the run, not installed there. Install far-kd==1.2 there",
        ),
        (
            {"far-kd": "1.2 (sha256 ab)"}, {"far-kd": "1.2 (sha256 cd)"},
            "far-kd 1.2 (sha256 ab) in the run, 1.2 (sha256 cd) there. The code of far-kd 1.2 "
            "differs: install the same copy there",
        ),
        (
            {"python": "3.11"}, {"python": "3.12"},
            "python 3.11 in the run, 3.12 there. Use Python 3.11 there",
        ),
        (
            {"my.py": "(sha256 ab)"}, {"my.py": "(sha256 cd)"},
            "my.py (sha256 ab) in the run, (sha256 cd) there. Copy the run's my.py there",
        ),
        (
            {}, {"luck": "3"},
            "luck 3 there, which the run does not use. Remove luck there, or disable it",
        ),
        (
            {"a": "1", "b": "1"}, {"a": "2", "b": "3"},
            "a 1 in the run, 2 there; b 1 in the run, 3 there. Install a==1 there; Install b==1",
        ),
    ],
)  # fmt: skip
def test_a_mismatch_names_both_and_the_next_step(
    expected: dict[str, str], found: dict[str, str], said: str
) -> None:
    with pytest.raises(PluginError, match=re.escape(said)) as raised:
        refuse_mismatch(expected, found, "node 10.0.0.7")
    assert str(raised.value).startswith("node 10.0.0.7: expected the plugins and versions")


def test_versions_are_told_without_torch() -> None:
    code = (
        "import sys; from stillhouse.core.plugin import Catalogue\n"
        "from stillhouse.core.plugin.versions import versions_of\n"
        "print(versions_of(['torch', 'stillhouse', 'numpy'], Catalogue.discover({}))['torch'])\n"
        "print([name for name in ('torch', 'numpy', 'ray') if name in sys.modules])"
    )
    done: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == [version("torch").partition("+")[0], "[]"], done.stderr
