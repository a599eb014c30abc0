"""Fake installed distributions: metadata and modules in a folder on `sys.path`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

Install = Callable[..., None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on `sys.path`; what was imported from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    """`install("kd-zoo", {"methods": {"binary": "kd_zoo"}}, kd_zoo="...", version="0.4")`."""

    def write(
        name: str,
        groups: Mapping[str, Mapping[str, str]],
        *,
        version: str = "1.0",
        **modules: str,
    ) -> None:
        folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (folder / "METADATA").write_text(head)
        lines = [
            line
            for group, points in groups.items()
            for line in (f"[stillhouse.{group}]", *(f"{n} = {v}" for n, v in points.items()))
        ]
        (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, text in modules.items():
            (site / f"{module}.py").write_text(textwrap.dedent(text))

    return write


def method_module(*names: str, prelude: str = "", **fields: str) -> str:
    """Source of a module that yields one method a name; `fields` replace constructor fields."""
    base = {"summary": "'a method'", "build": "'json:loads'", "changes": "'form'"} | fields
    lines = [
        "from stillhouse.core.plugin import MethodInfo, Params, hookimpl, param",
        prelude,
        "@hookimpl",
        "def stillhouse_methods():",
    ]
    for name in names:
        arguments = ", ".join(f"{k}={v}" for k, v in base.items())
        lines.append(f"    yield MethodInfo(name={name!r}, {arguments})")
    return "\n".join(lines) + "\n"


@pytest.fixture
def source() -> Callable[..., str]:
    return method_module
