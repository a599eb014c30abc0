"""Strangers' text on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with escapes for what moves a terminal's cursor; messages quote strangers' files."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
