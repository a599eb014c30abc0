"""`stillhouse report`: write the reports of a finished run again."""

from __future__ import annotations

import argparse
from pathlib import Path

from stillhouse.core.cli.plugin_file import add_plugins_argument, catalogue_with
from stillhouse.core.errors import RunDirectoryError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "report",
        help="write the reports of a finished run or sweep again",
        description="Write report.html, results.csv and pareto.json from summary.json (of a sweep "
        "sweep.json).",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    add_plugins_argument(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Render from the stored summary; trains and measures nothing."""
    from stillhouse.core.run.directory import SWEEP_MARK, RunDirectory
    from stillhouse.core.run.reporting import write_reports
    from stillhouse.core.run.summary import RunSummary
    from stillhouse.core.sweep.directory import SweepDirectory

    swept = (args.folder / SWEEP_MARK).exists()
    directory = (SweepDirectory if swept else RunDirectory).existing(args.folder)
    try:
        summary = RunSummary.read(directory.summary)
    except FileNotFoundError:
        raise RunDirectoryError(
            f"{directory.summary}: expected a finished {'sweep' if swept else 'run'}, found none; "
            f"finish it with: stillhouse {'sweep' if swept else 'search'} --resume {args.folder}"
        ) from None
    write_reports(catalogue_with(args.plugins), summary, directory.folder)
    print(f"report   {directory.folder / 'report.html'}")
    return 0
