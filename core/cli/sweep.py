"""`stillhouse sweep`: run a hyper-parameter sweep over a run file, or continue one."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.core.cli.full_disk import told_how_to_go_on
from stillhouse.core.cli.plugin_file import add_plugins_argument, catalogue_with
from stillhouse.core.cli.search import add_override_arguments
from stillhouse.core.errors import UserError

if TYPE_CHECKING:
    from stillhouse.core.config.runfile import RunFile
    from stillhouse.core.plugin import Catalogue
    from stillhouse.core.sweep.directory import SweepDirectory


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "sweep",
        help="sweep over parameters of a run file, each trial a run (Ray Tune)",
        description="Run the sweep that a run file describes (sweep: ...), or continue one. Each "
        "trial is a search of its own in DIR/trials; what they have in common is made once.",
    )
    parser.add_argument("run_file", nargs="?", type=Path, metavar="RUN_FILE")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder (sweeps/NAME)")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="continue the sweep in DIR")
    parser.add_argument("--overwrite", action="store_true", help="replace a sweep found in DIR")
    add_override_arguments(parser)
    add_plugins_argument(parser, "with --resume: ")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan first (no torch, no Ray), then run the trials."""
    from stillhouse.core.config.runfile import load, load_with_plugins
    from stillhouse.core.sweep.directory import SweepDirectory

    _check_arguments(args)
    catalogue = catalogue_with(args.plugins)
    if args.resume:
        directory = SweepDirectory.existing(args.resume)
        _checked(load(directory.run_file, catalogue), catalogue)
    else:
        run_file, catalogue = load_with_plugins(args.run_file, catalogue, args.sets, args.limits)
        _checked(run_file, catalogue)
        folder = args.out or Path("sweeps") / run_file.name
        resolved, code = run_file.to_yaml(), catalogue.file
        directory = SweepDirectory.create(folder, resolved, code, overwrite=args.overwrite)
    return _swept(catalogue, directory)


def _check_arguments(args: argparse.Namespace) -> None:
    if args.resume and any((args.run_file, args.sets, args.limits, args.out, args.overwrite)):
        raise UserError(
            "--resume DIR continues the sweep stored in DIR as it is; it takes no run file, "
            "--out, --overwrite, --set or --limit"
        )
    if args.plugins and not args.resume:
        raise UserError(
            "--plugins FILE goes with --resume DIR; a run file names its own, in its own folder "
            "(plugins: NAME.py)"
        )
    if not args.resume and not args.run_file:
        raise UserError(
            "expected a run file with a section sweep: (stillhouse sweep RUN_FILE), or --resume DIR"
        )


def _checked(run_file: RunFile, catalogue: Catalogue) -> None:
    """Raise what the plan of the run, or of one at an end of the sweep's ranges, is refused for."""
    from stillhouse.core.sweep.planning import check_ends

    if run_file.sweep is None:
        raise UserError(
            f"{run_file.source}: expected a section sweep:, for example sweep: {{parameters: "
            "{recipe.supernet.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}, "
            "maximize: accuracy}; without one: stillhouse search"
        )
    check_ends(run_file, catalogue)


def _command(catalogue: Catalogue, directory: SweepDirectory) -> str:
    words = ["stillhouse", "sweep", "--resume", str(directory.folder)]
    if catalogue.file is not None:
        words += ["--plugins", str(directory.folder / catalogue.file.name)]
    return shlex.join(words)


def _swept(catalogue: Catalogue, directory: SweepDirectory) -> int:
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")

    from rich.console import Console

    from stillhouse.core.cli.progress import bars
    from stillhouse.core.sweep.sweeping import sweep

    console, again = Console(), _command(catalogue, directory)
    try:
        with told_how_to_go_on(directory.folder, again), directory, bars() as progress:
            done = sweep(directory, catalogue, progress)
    except KeyboardInterrupt:
        print(f"\nstopped; nothing is lost. Continue with: {again}", file=sys.stderr)
        return 130
    for line in done.lines:
        console.print(line, markup=False, highlight=False)
    console.print(f"model    {directory.best}", markup=False)
    console.print(f"report   {directory.folder / 'report.html'}", markup=False)
    return 0
