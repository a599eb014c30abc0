"""Names without imports, records one module at a time, and failures that stay where they are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from stillhouse.core.errors import PluginError, UserError
from stillhouse.core.plugin import Catalogue, MethodInfo, PluginStatus, Provenance, hookimpl

Install = Callable[..., None]
Source = Callable[..., str]
HEAVY = ("torch", "transformers", "ray", "sklearn", "scipy.stats", "optuna", "onnxruntime")


def status_of(catalogue: Catalogue, name: str) -> PluginStatus:
    (status,) = [s for s in catalogue.statuses() if s.name == name]
    return status


def test_names_come_from_metadata_without_importing_the_module(install: Install) -> None:
    install("foo", {"methods": {"zebra": "foo_info", "aard": "foo_info"}}, foo_info="1 / 0")
    names = Catalogue.discover({}).names("method")
    assert [n for n in names if n in ("zebra", "aard")] == ["aard", "zebra"]
    assert "foo_info" not in sys.modules


def test_listing_names_imports_nothing_heavy() -> None:
    script = (
        "import sys; from stillhouse.core.plugin import Catalogue, KINDS;"
        "c = Catalogue.discover(); [c.names(k) for k in KINDS]; c.statuses();"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert ast.literal_eval(result.stdout.decode()) == []


def test_a_record_carries_its_provenance(install: Install, source: Source) -> None:
    install("foo", {"methods": {"ternary": "foo_a"}}, version="2.1", foo_a=source("ternary"))
    catalogue = Catalogue.discover({})
    assert catalogue.method("ternary") is catalogue.record("method", "ternary")
    assert catalogue.provenance("method", "ternary") == Provenance(
        "foo", "2.1", "stillhouse.methods: ternary = foo_a", ("stillhouse_methods",)
    )


def test_a_record_imports_only_the_module_that_its_entry_point_names(
    install: Install, source: Source
) -> None:
    install(
        "foo",
        {"methods": {"one": "foo_one", "two": "foo_two"}},
        foo_one=source("one"),
        foo_two=source("two"),
    )
    Catalogue.discover({}).method("one")
    assert "foo_one" in sys.modules
    assert "foo_two" not in sys.modules


def test_names_that_share_a_module_import_it_once_and_call_its_hook_once(
    install: Install, source: Source
) -> None:
    counting = source("one", "two", prelude="import itertools; COUNT = itertools.count()").replace(
        "def stillhouse_methods():", "def stillhouse_methods():\n    next(COUNT)"
    )
    install("foo", {"methods": {"one": "foo_i", "two": "foo_i"}}, foo_i=counting)
    catalogue = Catalogue.discover({})
    catalogue.method("one"), catalogue.method("two"), catalogue.statuses()
    assert next(sys.modules["foo_i"].COUNT) == 1


FAILURES = {
    "raises at import": ("raise RuntimeError('no\\nlicence')", "on import: RuntimeError: no lic"),
    "exits at import": ("raise SystemExit(3)", "on import: SystemExit: 3"),
    "is absent": (None, "on import: ModuleNotFoundError: No module named 'foo_bad'"),
    "has no hook": ("", "in stillhouse_methods: PluginError: foo_bad has no hook"),
    "misspells a hook": (
        """
        from stillhouse.core.plugin import hookimpl
        @hookimpl
        def stillhouse_metods():
            return []
        """,
        "at registration: PluginError: foo_bad implements unknown hook 'stillhouse_metods'; "
        "did you mean 'stillhouse_methods'?",
    ),
    "wants an argument": (
        """
        from stillhouse.core.plugin import hookimpl
        @hookimpl
        def stillhouse_methods(config):
            return []
        """,
        "at registration: PluginValidationError",
    ),
    "raises in its hook": (
        """
        from stillhouse.core.plugin import hookimpl
        @hookimpl
        def stillhouse_methods():
            raise KeyError("gone")
            yield
        """,
        "in stillhouse_methods: KeyError: 'gone'",
    ),
    "returns a number": (
        """
        from stillhouse.core.plugin import hookimpl
        @hookimpl
        def stillhouse_methods():
            return 7
        """,
        "in stillhouse_methods: TypeError: 'int' object is not iterable",
    ),
    "returns rubbish": (
        """
        from stillhouse.core.plugin import hookimpl
        @hookimpl
        def stillhouse_methods():
            return [{"name": "bad"}, 3]
        """,
        "expected a MethodInfo named 'bad', got a dict, a int",
    ),
    "never ends": (
        """
        import itertools
        from stillhouse.core.plugin import hookimpl
        @hookimpl
        def stillhouse_methods():
            return itertools.repeat(None)
        """,
        "expected a MethodInfo named 'bad', got a NoneType",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_plugin_that_fails_is_attributed_and_stops_nothing_else(
    failure: str, install: Install, source: Source
) -> None:
    text, expected = FAILURES[failure]
    modules = {} if text is None else {"foo_bad": text}
    install("foo", {"methods": {"bad": "foo_bad"}}, version="1.2", **modules)
    install("bar", {"methods": {"good": "bar_good"}}, bar_good=source("good"))
    catalogue = Catalogue.discover({})
    with pytest.raises(PluginError, match=r"^method 'bad' of foo 1\.2 failed ") as caught:
        catalogue.method("bad")
    assert expected in str(caught.value)
    assert "STILLHOUSE_DISABLE_PLUGINS=foo" in str(caught.value)
    assert caught.value.__cause__ is not None
    assert status_of(catalogue, "bad").status.startswith("failed: ")
    assert status_of(catalogue, "good").status == "active"
    assert catalogue.method("good").name == "good"


def test_a_failed_module_is_not_run_again(install: Install) -> None:
    text = "import sys\nsys.foo_runs = getattr(sys, 'foo_runs', 0) + 1\nraise ValueError('x')"
    install("foo", {"methods": {"a": "foo_once", "b": "foo_once"}}, foo_once=text)
    try:
        Catalogue.discover({}).statuses()
        assert vars(sys)["foo_runs"] == 1
    finally:
        vars(sys).pop("foo_runs", None)


def test_two_suppliers_of_one_name_are_refused_when_it_is_asked_for(
    install: Install, source: Source
) -> None:
    old = {"methods": {"same": "foo_old", "own": "foo_old"}}
    install("stillhouse-old", old, foo_old=source("same", "own"))
    install("kd-zoo", {"methods": {"same": "zoo"}}, version="0.4", zoo=source("same"))
    catalogue = Catalogue.discover({})
    assert catalogue.names("method").count("same") == 1
    assert catalogue.method("own").name == "own"
    with pytest.raises(PluginError) as caught:
        catalogue.method("same")
    assert "2 plugins provide method 'same': kd-zoo 0.4 and stillhouse-old 1.0" in str(caught.value)
    found = {s.distribution: s.status for s in catalogue.statuses() if s.name == "same"}
    assert found["kd-zoo"] == "conflict: also provided by stillhouse-old 1.0"


@pytest.mark.parametrize("token", ["stillhouse-old", "Stillhouse.Old", "stillhouse-old:same"])
def test_disabling_one_supplier_resolves_a_conflict(
    token: str, install: Install, source: Source
) -> None:
    install("stillhouse-old", {"methods": {"same": "foo_old"}}, foo_old="1 / 0")
    install("kd-zoo", {"methods": {"same": "zoo"}}, version="0.4", zoo=source("same"))
    catalogue = Catalogue.discover({"STILLHOUSE_DISABLE_PLUGINS": f" x,{token}"})
    assert catalogue.provenance("method", "same").distribution == "kd-zoo"
    assert catalogue.method("same").name == "same"


def test_a_duplicate_of_a_built_in_name_is_named_with_both_suppliers(
    install: Install, source: Source
) -> None:
    install("kd-zoo", {"methods": {"supernet": "zoo"}}, version="0.4", zoo=source("supernet"))
    with pytest.raises(PluginError, match=r"stillhouse 0\.\S+ and kd-zoo 0\.4; .*=kd-zoo:supernet"):
        Catalogue.discover({}).method("supernet")


def test_disabled_plugins_are_listed_but_never_imported(install: Install) -> None:
    install("foo", {"methods": {"off": "foo_off"}}, foo_off="import foo_never")
    catalogue = Catalogue.discover({"STILLHOUSE_DISABLE_PLUGINS": "off"})
    assert "off" not in catalogue.names("method")
    assert status_of(catalogue, "off").status == "disabled"
    assert "foo_off" not in sys.modules
    with pytest.raises(UserError, match="'off' is disabled by STILLHOUSE_DISABLE_PLUGINS"):
        catalogue.method("off")


def test_disabling_all_leaves_the_built_ins(install: Install) -> None:
    install("foo", {"methods": {"off": "foo_off"}})
    catalogue = Catalogue.discover({"STILLHOUSE_DISABLE_PLUGINS": "all"})
    assert "off" not in catalogue.names("method")
    assert "supernet" in catalogue.names("method")


def test_an_unknown_name_gets_the_nearest_one(install: Install) -> None:
    install("foo", {"methods": {"patient-kd": "foo_kd"}, "models": {"mixer": "foo_kd"}})
    catalogue = Catalogue.discover({})
    with pytest.raises(UserError, match=r"no method 'patientkd'; did you mean 'patient-kd'\?"):
        catalogue.method("patientkd")
    with pytest.raises(UserError, match=r"no method 'mixer'; 'mixer' is a model"):
        catalogue.provenance("method", "mixer")


def test_unreadable_metadata_is_logged_and_skipped(
    install: Install, site: Path, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    install("foo", {"methods": {"good": "foo_g"}}, foo_g=source("good"))
    install("bar", {"methods": {"lost": "bar_g"}})
    (site / "bar-1.0.dist-info" / "entry_points.txt").write_text("[stillhouse.methods]\nlost\n")
    catalogue = Catalogue.discover({})
    assert catalogue.method("good").name == "good"
    assert "lost" not in catalogue.names("method")
    assert "unreadable entry points" in caplog.text


def test_the_first_copy_of_a_distribution_on_the_path_counts(
    install: Install, site: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("foo", {"methods": {"twin": "foo_t"}}, version="2.0", foo_t=source("twin"))
    older = site.parent / "older"
    (older / "foo-1.0.dist-info").mkdir(parents=True)
    for file in (site / "foo-2.0.dist-info").iterdir():
        (older / "foo-1.0.dist-info" / file.name).write_text(
            file.read_text().replace("Version: 2.0", "Version: 1.0")
        )
    monkeypatch.setattr(sys, "path", [str(site), str(older), *sys.path[1:]])
    assert Catalogue.discover({}).provenance("method", "twin").version == "2.0"


def test_import_time_comes_from_the_clock(install: Install, source: Source) -> None:
    install("foo", {"methods": {"slow": "foo_s"}}, foo_s=source("slow"))
    ticks = iter(range(1000))
    catalogue = Catalogue.discover({}, clock=lambda: float(next(ticks)))
    assert status_of(catalogue, "slow").import_ms == 1000.0


LOCAL = Provenance("my-plugins", "0", "stillhouse_plugins.py")


def test_an_extra_may_be_a_module_object() -> None:
    module = ModuleType("in_memory")

    def stillhouse_methods() -> list[MethodInfo]:
        return [MethodInfo(name="mine", summary="mine", build="json:loads", changes="data")]

    vars(module)["stillhouse_methods"] = hookimpl(stillhouse_methods)
    catalogue = Catalogue.discover({}, [], extra=[("method", "mine", module, LOCAL)])
    assert catalogue.names("method") == ("mine",)
    assert catalogue.method("mine").changes == "data"
    assert catalogue.provenance("method", "mine") == LOCAL


def test_an_extra_may_be_a_file_whose_code_resolves(tmp_path: Path, source: Source) -> None:
    file = tmp_path / "kd_local_file.py"
    file.write_text(source("mine", build="'kd_local_file:WORK'") + "WORK = 41 + 1\n")
    try:
        catalogue = Catalogue.discover({}, [], extra=[("method", "mine", str(file), LOCAL)])
        assert catalogue.resolve(catalogue.method("mine")) == 42
    finally:
        sys.modules.pop("kd_local_file", None)


def test_a_file_that_would_hide_another_module_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "json.py"
    file.write_text("")
    catalogue = Catalogue.discover({}, [], extra=[("method", "mine", str(file), LOCAL)])
    with pytest.raises(PluginError, match="cannot be imported as 'json': rename the file"):
        catalogue.method("mine")


def test_what_a_plugin_prints_does_not_reach_stdout(
    install: Install, source: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    prelude = "print('imported')"
    install("kd-zoo", {"methods": {"loud": "kd_zoo"}}, kd_zoo=source("loud", prelude=prelude))
    assert Catalogue.discover().method("loud").name == "loud"
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "imported\n")
