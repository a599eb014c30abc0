"""Write the reference: `python -m stillhouse.core.reference DOCS TESTS`."""

from __future__ import annotations

import sys
from pathlib import Path

from stillhouse.core.reference.coverage import GENERATED
from stillhouse.core.reference.pages import built_ins, pages


def _main(docs: Path, tests: Path) -> None:
    folder = docs / GENERATED
    folder.mkdir(exist_ok=True)
    for name, text in pages(built_ins(), docs, tests).items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
