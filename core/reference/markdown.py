"""Markdown as the reference writes it: tables and paragraphs, the same on every machine."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Final

NONE: Final = "–"
"""What a cell without content holds."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold anything but line breaks, which become spaces."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def code(text: str) -> str:
    """Text as code within a line; "" for none."""
    return f"`{text}`" if text else ""


def listed(names: Iterable[str]) -> str:
    """Names in order of the alphabet, as code."""
    return ", ".join(code(name) for name in sorted(names))


def block(text: str, language: str = "") -> str:
    """Lines of code."""
    return f"```{language}\n{text.strip()}\n```"


def documentation(thing: object) -> str:
    """The docstring's paragraphs, each on one line; "" without one."""
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def sentences(text: str) -> list[str]:
    """The sentences of running text. A full stop within code ends none."""
    return _split(text, r"\.(?=\s|$)")


def clauses(sentence: str) -> list[str]:
    """What stands between semicolons; one within code divides nothing."""
    return _split(sentence, ";")


def _split(text: str, stop: str) -> list[str]:
    parts = re.findall(rf"(?:`[^`]*`|(?!{stop}).)+(?:{stop}|$)", " ".join(text.split()))
    return [part.strip() for part in parts]


def page(title: str, about: str, *parts: str) -> str:
    """A whole page; `about` is its first paragraph."""
    kept = (part for part in parts if part)
    return "\n\n".join([f"# {title}", about, *kept]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") or NONE
