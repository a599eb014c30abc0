"""`stillhouse export`: write a run's model for a target, or its evaluations for another tool."""

from __future__ import annotations

import argparse
from pathlib import Path

from stillhouse.core.cli.plugin_file import add_plugins_argument, catalogue_with
from stillhouse.core.errors import UserError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "export",
        help="write a run's model for a target, or its evaluations as an Optuna study",
        description="With --target, write the model a finished search returned for that runtime "
        "and check that it answers the same there. With --optuna, write the evaluations of a "
        "finished or running search as an Optuna study, with limits as constraints; "
        "optuna-dashboard opens it.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--target", metavar="NAME", help="runtime to write the model for")
    wanted.add_argument(
        "--optuna", metavar="STORAGE",
        help="database or journal file: sqlite:///study.db, journal:study.log",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="with --target: the file to write")
    parser.add_argument(
        "--set", action="append", default=[], dest="sets", metavar="KEY=VALUE",
        help="with --target: one of its parameters, for example batch=8",
    )  # fmt: skip
    parser.add_argument("--name", help="with --optuna: name of the study (the run's)")
    add_plugins_argument(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write one file, or a new study; a study that is there already is an error."""
    return _model(args) if args.target else _study(args)


def _model(args: argparse.Namespace) -> int:
    if args.out is None or args.name is not None:
        raise UserError("export --target: expected --out FILE beside it, and no --name")
    from stillhouse.core.run.exporting import export_model

    made = export_model(args.folder, args.target, args.sets, args.out, catalogue_with(args.plugins))
    print(f"model    {made.path}, {made.size_bytes / 1e3:.1f} kB for {args.target}")
    print(f"agrees   with the torch model within {made.max_difference:.2g}")
    return 0


def _study(args: argparse.Namespace) -> int:
    if args.out is not None or args.sets:
        raise UserError("export --optuna: --out and --set belong to --target; leave them out")
    from stillhouse.core.run.optuna_export import export_run

    name, count = export_run(args.folder, args.optuna, args.name, catalogue_with(args.plugins))
    print(f"study    {name} with {count} trials in {args.optuna}")
    print(f"look at  optuna-dashboard {args.optuna.removeprefix('journal:')}")
    return 0
