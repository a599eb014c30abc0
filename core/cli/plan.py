"""`stillhouse plan`: say what a run would do, without torch and without doing it."""

from __future__ import annotations

import argparse
from pathlib import Path

from stillhouse.core.cli.search import add_override_arguments


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "plan",
        help="check a run file and show what it would do",
        description="Validate a run file, order its recipe and size its search space.",
    )
    parser.add_argument("run_file", type=Path, metavar="RUN_FILE")
    add_override_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the plan."""
    from stillhouse.core.config.runfile import load_with_plugins
    from stillhouse.core.plan import describe
    from stillhouse.core.plugin import Catalogue
    from stillhouse.core.sweep.outlook import describe_sweep
    from stillhouse.core.sweep.planning import check_ends

    installed = Catalogue.discover()
    run_file, catalogue = load_with_plugins(args.run_file, installed, args.sets, args.limits)
    plan = check_ends(run_file, catalogue)
    print("\n".join(filter(None, (describe(plan), describe_sweep(plan)))))
    return 0
