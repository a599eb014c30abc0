"""Errors that cross from one process to another: a class by its name, and its text."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from stillhouse.core.errors import StillhouseError


def told(error: StillhouseError) -> dict[str, Any]:
    """A `StillhouseError` as plain data: its text, and its classes from the narrowest on."""
    kinds = [kind for kind in type(error).__mro__ if issubclass(kind, StillhouseError)]
    return {
        "kinds": [f"{kind.__module__}:{kind.__qualname__}" for kind in kinds],
        "text": str(error),
    }


def retold(record: Mapping[str, Any]) -> StillhouseError:
    """The error that `told` wrote down, of the narrowest of its classes that is known here.

    Imports nothing: a class counts as known where its module is loaded already.
    """
    for name in record["kinds"]:
        module, _, kind = name.partition(":")
        found = getattr(sys.modules.get(module), kind, None)
        if isinstance(found, type) and issubclass(found, StillhouseError):
            try:
                return found(record["text"])
            except TypeError:
                continue
    return StillhouseError(record["text"])
