"""`--plugins FILE`: a stored run or model is data, and names no code; who opens it may."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stillhouse.core.plugin import Catalogue


def add_plugins_argument(parser: argparse.ArgumentParser, within: str = "") -> None:
    """`--plugins`; `within` says with which options it goes."""
    parser.add_argument(
        "--plugins", type=Path, metavar="FILE",
        help=f"{within}run this file of plugins, which the run was made with; it is code",
    )  # fmt: skip


def catalogue_with(file: Path | None) -> Catalogue:
    """What is installed, and what a file supplies if the user named one."""
    from stillhouse.core.plugin import Catalogue

    catalogue = Catalogue.discover()
    return catalogue if file is None else catalogue.beside(file)
