"""`stillhouse schema`: the JSON Schema of run files, for editors."""

from __future__ import annotations

import argparse
import json


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `schema` to the command line."""
    parser = subparsers.add_parser(
        "schema",
        help="print the JSON Schema of run files",
        description="Print a JSON Schema (draft 2020-12) of run files with the parameters of "
        "every installed plugin, so that an editor can complete and check them.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    from stillhouse.core.config.schema import json_schema
    from stillhouse.core.plugin import Catalogue

    print(json.dumps(json_schema(Catalogue.discover()), indent=2))
    return 0
