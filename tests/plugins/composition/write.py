"""Carry out every pair of built-in methods and write the page: `python write.py` from anywhere.

Minutes of work. Tests read the setups and the path from here.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stillhouse.core.plugin import Catalogue
from stillhouse.core.plugin.conformance import Setup
from stillhouse.core.plugin.conformance.composing import Composition, every_pair
from stillhouse.core.plugin.entries import HOST
from stillhouse.core.reference.composition import composition_page

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parents[2] / "docs" / "reference" / "composition.md"
COMMAND: Final = "python tests/plugins/composition/write.py"


def composition() -> Composition:
    """Every method with the setup in which the conformance kit tries it."""
    known = runpy.run_path(str(HERE.parent / "test_conformance.py"))
    setups: Mapping[str, Setup] = {
        name: setup for (kind, name), setup in known["SETUPS"].items() if kind == "method"
    }
    return Composition(known["CATALOGUE"], setups)


def methods() -> list[str]:
    """The built-in methods, whatever else is installed."""
    catalogue = Catalogue.discover({})
    names = catalogue.names("method")
    return [n for n in names if catalogue.provenance("method", n).distribution == HOST]


def written() -> str:
    """The page as it is now."""
    every = composition()
    return composition_page([every.paired(*pair) for pair in every_pair(methods())])


if __name__ == "__main__":
    text = written()
    PAGE.write_text(text, "utf-8")
    sys.exit("some pairs are broken: see the end of the page" if "## Broken" in text else 0)
