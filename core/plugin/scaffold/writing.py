"""The package's files, from templates."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template
from typing import Final

from stillhouse.core.errors import UserError
from stillhouse.core.plugin.entries import HOST
from stillhouse.core.plugin.records import API
from stillhouse.core.plugin.scaffold.names import Names

_SUFFIX: Final = ".tmpl"
_SHARED: Final = "shared"
_PACKAGE: Final = "package"
"""Stands for the package's name in the paths of templates."""
_DOT: Final = "dot-"
"""Stands for a leading dot: package data leave out what begins with one."""


def write_package(names: Names, folder: Path) -> list[Path]:
    """Write the package's project into a new folder; returns its files.

    Raises UserError where something is there already, or cannot be written; nothing is left then.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UserError(
            f"{folder} is there already and stays as it is; give another folder with --out"
        ) from None
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}") from None
    try:
        return [_written(folder / path, text) for path, text in _files(names)]
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(f"{folder} cannot be written: {error.strerror}") from None


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def _files(names: Names) -> Iterator[tuple[PurePosixPath, str]]:
    root = files(__package__).joinpath("templates")
    words = _words(names)
    for part in (_SHARED, names.kind):
        for path, text in _templates(root.joinpath(part), PurePosixPath()):
            yield _named(path, names), Template(text).substitute(words)


def _templates(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _templates(item, path / item.name)
        elif item.name.endswith(_SUFFIX):
            yield path / item.name.removesuffix(_SUFFIX), item.read_text("utf-8")


def _named(path: PurePosixPath, names: Names) -> PurePosixPath:
    parts = (names.package if part == _PACKAGE else part for part in path.parts)
    return PurePosixPath(*(part.replace(_DOT, ".", 1) for part in parts))


def _words(names: Names) -> Mapping[str, str]:
    return {
        "plugin": names.plugin,
        "kind": names.kind,
        "distribution": names.distribution,
        "package": names.package,
        "code": names.code,
        "group": names.group,
        "host": f"{HOST}>={version(HOST)}",
        "api": str(API),
    }
