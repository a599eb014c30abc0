"""The page of commands: what `--help` prints of each, at one width on every machine."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Final

from stillhouse.core.cli.main import make_parser
from stillhouse.core.reference.markdown import block, page

_WIDTH: Final = 88
_ABOUT: Final = "What `stillhouse --help` says, and `--help` of every command."


def commands_page() -> str:
    """Depends on nothing but the parser. (Python versions word and wrap usage differently.)"""
    shown = (f"## {parser.prog}\n\n{block(_help(parser))}" for parser in _every(make_parser()))
    return page("Commands", _ABOUT, *shown)


def _every(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and those of its commands, theirs included, in their order."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in dict.fromkeys(action.choices.values()):
                yield from _every(inner)


def _help(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = partial(argparse.HelpFormatter, width=_WIDTH)
    return parser.format_help()
