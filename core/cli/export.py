"""`stillhouse export`: write a run's evaluations for another tool."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "export",
        help="write a run's evaluations as an Optuna study",
        description="Write the evaluations of a finished or running search as an Optuna study, "
        "with limits as constraints; optuna-dashboard opens it.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument(
        "--optuna", required=True, metavar="STORAGE",
        help="database or journal file: sqlite:///study.db, journal:study.log",
    )  # fmt: skip
    parser.add_argument("--name", help="name of the study (the run's)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write a new study; one that is there already is an error."""
    from stillhouse.core.plugin import Catalogue
    from stillhouse.core.run.optuna_export import export_run

    name, count = export_run(args.folder, args.optuna, args.name, Catalogue.discover())
    print(f"study    {name} with {count} trials in {args.optuna}")
    print(f"look at  optuna-dashboard {args.optuna.removeprefix('journal:')}")
    return 0
