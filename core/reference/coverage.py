"""Which page explains a hook, and which test holds that page: found by reading, not declared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stillhouse.core.plugin.kinds import DOORS

GENERATED: Final = "reference"
"""The folder of generated pages, which explain nothing of their own."""


@dataclass(frozen=True)
class Coverage:
    """Pages whose code implements a hook, and tests of these pages; paths as links from a page."""

    pages: Sequence[str]
    tests: Sequence[str]


def coverage(docs: Path, tests: Path) -> Mapping[str, Coverage]:
    """By hook. A page covers it that defines it in a block of code; the page `add-a-task.md` is
    tested by `docs/test_add_a_task.py`."""
    texts = {path: path.read_text("utf-8") for path in sorted(docs.rglob("*.md"))}
    own = {path: text for path, text in texts.items() if GENERATED not in path.parts}
    return {door.hook: _covered(door.hook, own, docs, tests) for door in DOORS}


def _covered(hook: str, texts: Mapping[Path, str], docs: Path, tests: Path) -> Coverage:
    defines = re.compile(rf"^def {hook}\(\)", re.MULTILINE)
    found = [path.relative_to(docs) for path, text in texts.items() if defines.search(text)]
    held = [Path("docs", *p.parent.parts, f"test_{p.stem.replace('-', '_')}.py") for p in found]
    there = [path.as_posix() for path in held if (tests / path).is_file()]
    return Coverage([path.as_posix() for path in found], there)
