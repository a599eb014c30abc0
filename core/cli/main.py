"""The `stillhouse` command: parse, call, render. Subcommands import their work when they run."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from stillhouse.core.cli.printable import printable

COMMANDS = (
    "search",
    "sweep",
    "status",
    "plan",
    "init",
    "plugins",
    "taps",
    "schema",
    "report",
    "export",
    "certify",
    "profile",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (2 for user errors, 130 when interrupted)."""
    from stillhouse.core.errors import StillhouseError
    from stillhouse.core.run.stopping import terminable

    parser = make_parser()
    args = parser.parse_args(arguments)
    try:
        with terminable():
            return int(args.run(args))
    except StillhouseError as error:
        print(printable(f"{type(error).__name__}: {error}"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141


def make_parser() -> argparse.ArgumentParser:
    """The parser with every subcommand."""
    parser = argparse.ArgumentParser(
        prog="stillhouse",
        description="Find the smallest, fastest model that still does the job.",
        epilog="Start with: stillhouse init run.yaml, then stillhouse search run.yaml",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"stillhouse.core.cli.{name}").add_parser(subparsers)
    return parser


class _Version(argparse.Action):
    """Reads the installed metadata only when asked; that import costs 30 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"stillhouse {version('stillhouse')}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
