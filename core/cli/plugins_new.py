"""`stillhouse plugins new`: a package for a plugin, which installs and keeps the contract."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Final

# Spelt out here, so that building the parser imports no plugin machinery; a test compares.
SCAFFOLDS: Final = ("method", "loss", "task", "reporter")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `plugins new` to the command line."""
    parser = subparsers.add_parser(
        "new",
        help="write a package for a plugin of your own",
        description="Write a package of one small plugin that works: it installs, and keeps the "
        "contract as it stands. Change it into yours.",
    )
    parser.add_argument("name", metavar="NAME", help="the plugin's name, as in thin-layers")
    parser.add_argument("--kind", choices=SCAFFOLDS, default="method", help="default: %(default)s")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="new folder to write (stillhouse-NAME)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the package and say what to do next.

    Raises UserError for a name that cannot be used, and for a folder that is there already.
    """
    from stillhouse.core.plugin import Catalogue
    from stillhouse.core.plugin.scaffold import Names, write_package

    names = Names.of(args.kind, args.name, Catalogue.discover())
    folder = args.out or Path(names.distribution)
    for path in write_package(names, folder):
        print(f"wrote {path}")
    place = shlex.quote(str(folder))
    print(f"next  pip install -e {place} && stillhouse plugins check {place}")
    return 0
