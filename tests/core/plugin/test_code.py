"""Code and files are found on use, and failures there say who and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stillhouse.core.errors import PluginError
from stillhouse.core.plugin import Catalogue

Install = Callable[..., None]
Source = Callable[..., str]


def method_error(catalogue: Catalogue, name: str) -> PluginError:
    with pytest.raises(PluginError) as caught:
        catalogue.resolve(catalogue.method(name))
    return caught.value


def test_resolving_imports_the_attribute(install: Install, source: Source) -> None:
    install("foo", {"methods": {"fine": "foo_i"}}, foo_i=source("fine"))
    catalogue = Catalogue.discover({})
    assert catalogue.resolve(catalogue.method("fine")) is json.loads


@pytest.mark.parametrize(
    "failure", ["import absent_lib", "raise ImportError('install absent_lib')"]
)
def test_a_missing_requirement_names_the_extra(
    failure: str, install: Install, source: Source
) -> None:
    info = source("sound", build="'foo_code:X'", extra="'speech'")
    install("foo-audio", {"methods": {"sound": "foo_i"}}, foo_i=info, foo_code=failure)
    error = method_error(Catalogue.discover({}), "sound")
    wanted = """method 'sound' needs the extra 'speech': pip install "foo-audio[speech]\""""
    assert str(error).startswith(wanted)
    assert isinstance(error.__cause__, ImportError)


@pytest.mark.parametrize(
    ("build", "text", "expected"),
    [
        ("foo_gone:X", "", "ModuleNotFoundError: No module named 'foo_gone'"),
        ("foo_code:Binery", "Binary = 1", "did you mean 'Binary'?"),
        ("foo_code:X", "raise OSError('libcudart.so')", "OSError: libcudart.so"),
        ("foo_code:X", "raise SystemExit(1)", "SystemExit: 1"),
        ("foo_code:X", "from json import nothing", "ImportError: cannot import name 'nothing'"),
    ],
)
def test_other_failures_are_attributed_with_their_cause(
    build: str, text: str, expected: str, install: Install, source: Source
) -> None:
    info = source("bad", build=repr(build), extra="'speech'")
    install("foo", {"methods": {"bad": "foo_i"}}, version="3.1", foo_i=info, foo_code=text)
    error = method_error(Catalogue.discover({}), "bad")
    assert str(error).startswith(f"method 'bad' of foo 3.1 cannot load '{build}': ")
    assert expected in str(error)
    assert error.__cause__ is not None


SPACE = """
from stillhouse.core.plugin import SpaceInfo, hookimpl

@hookimpl
def stillhouse_search_spaces():
    yield SpaceInfo(name="tiny", summary="tiny", build="foo_pack:tiny.yaml", family="mixer")
"""


def test_a_space_is_read_as_text_and_has_no_code(install: Install, site: Path) -> None:
    install("foo", {"spaces": {"tiny": "foo_spaces"}}, foo_spaces=SPACE)
    (site / "foo_pack").mkdir()
    (site / "foo_pack" / "__init__.py").write_text("")
    catalogue = Catalogue.discover({})
    with pytest.raises(PluginError, match=r"space 'tiny' of foo 1\.0 cannot load"):
        catalogue.space_text(catalogue.space("tiny"))
    (site / "foo_pack" / "tiny.yaml").write_text("depth: [1, 2] # µ\n", encoding="utf-8")
    assert catalogue.space_text(catalogue.space("tiny")) == "depth: [1, 2] # µ\n"
    with pytest.raises(TypeError, match="use space_text"):
        catalogue.resolve(catalogue.space("tiny"))
