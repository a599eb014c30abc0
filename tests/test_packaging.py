"""The package list names exactly the folders on disk."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
TOPS = ("core", "plugins", "search_spaces")


def packages_on_disk() -> list[str]:
    folders = {p.parent.relative_to(ROOT) for top in TOPS for p in (ROOT / top).rglob("*.py")}
    return sorted("stillhouse." + ".".join(folder.parts) for folder in folders)


def test_every_folder_with_code_is_a_declared_package() -> None:
    assert sorted(SETUPTOOLS["packages"]) == packages_on_disk()


def test_every_package_folder_has_an_init_module() -> None:
    places = [Path(*name.split(".")[1:]) for name in SETUPTOOLS["packages"]]
    assert [str(p) for p in places if not (ROOT / p / "__init__.py").is_file()] == []


def test_every_file_that_is_not_code_is_package_data() -> None:
    covered = set()
    for package, patterns in SETUPTOOLS["package-data"].items():
        top = ROOT / Path(*package.split(".")[1:])
        covered |= {file for pattern in patterns for file in top.glob(pattern)}
    data = {
        file
        for top in TOPS
        for file in (ROOT / top).rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc"}
    }
    assert sorted(map(str, data - covered)) == []
