"""Data files that come with the package, checked before they are used."""

from __future__ import annotations

import hashlib
from importlib.resources.abc import Traversable

from stillhouse.core.errors import DataError


def verified(path: Traversable, sha256: str, what: str) -> bytes:
    """The file's content; `DataError` when it is missing or its hash is not the known one."""
    if not path.is_file():
        raise DataError(f"{path}: expected {what}, found no file; reinstall stillhouse")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path}: expected sha256 {sha256}, got {found}; "
            "the file is damaged or altered, reinstall stillhouse"
        )
    return content
