"""Keeping torch's exporters from talking: what matters comes as exceptions."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings and no log lines for as long as it lasts."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            logging.disable(max(before, logging.ERROR))
            yield
        finally:
            logging.disable(before)


def reason(error: BaseException) -> str:
    """The first line of the innermost cause, which names the operator."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
