"""`stillhouse search`: run a search, or continue one."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.core.cli import reuse
from stillhouse.core.cli.full_disk import told_how_to_go_on
from stillhouse.core.cli.plugin_file import add_plugins_argument, catalogue_with
from stillhouse.core.errors import UserError

if TYPE_CHECKING:
    from stillhouse.core.config.runfile import RunFile
    from stillhouse.core.plugin import Catalogue
    from stillhouse.core.run.directory import RunDirectory


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "search",
        help="search for the smallest, fastest model that meets the limits",
        description="Run the search of a run file, or continue an interrupted one.",
    )
    parser.add_argument("run_file", nargs="?", type=Path, metavar="RUN_FILE")
    parser.add_argument("--out", type=Path, metavar="DIR", help="run directory (runs/NAME)")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="continue the run in DIR")
    parser.add_argument("--overwrite", action="store_true", help="replace a run found in DIR")
    parser.add_argument(
        "--workers", type=_count, metavar="N",
        help="evaluate on N workers: processes of this machine, unless the run file says execute: "
        "{kind: ray}; with --resume for the rest of the run",
    )  # fmt: skip
    add_override_arguments(parser)
    reuse.add_reuse_arguments(parser)
    add_plugins_argument(parser, "with --resume or --reuse: ")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 100000, got '{text}'")
    return int(text)


def add_override_arguments(parser: argparse.ArgumentParser) -> None:
    """`--set` and `--limit`, shared by the commands that read a run file."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="sets",
        help="override a key of the run file, e.g. --set recipe.supernet.epochs=5",
    )  # fmt: skip
    parser.add_argument(
        "--limit", action="append", default=[], metavar="LIMIT", dest="limits",
        help='add or replace a limit, e.g. --limit "latency_ms <= 2", "1 <= size_kb <= 9"',
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Plan first (no torch), then execute."""
    reuse.refuse_mixed(args)
    if args.reuse:
        return reuse.run(args)
    from stillhouse.core.config.runfile import load, load_with_plugins
    from stillhouse.core.plan import make_plan
    from stillhouse.core.run.directory import RunDirectory

    _check_arguments(args)
    catalogue = catalogue_with(args.plugins)
    if args.resume:
        directory = RunDirectory.existing(args.resume)
        run_file = load(directory.run_file, catalogue)
        plan = make_plan(with_workers(run_file, args.workers), catalogue)
    else:
        sets = [*args.sets, *([f"execute.workers={args.workers}"] if args.workers else [])]
        run_file, catalogue = load_with_plugins(args.run_file, catalogue, sets, args.limits)
        plan = make_plan(run_file, catalogue)
        folder = args.out or Path("runs") / run_file.name
        resolved, code = run_file.to_yaml(), catalogue.file
        directory = RunDirectory.create(folder, resolved, code, overwrite=args.overwrite)
    return _execute(plan, catalogue, directory)


def with_workers(run: RunFile, workers: int | None) -> RunFile:
    """A stored run on another number of workers: its outcome stays, its `ahead` is settled."""
    if workers is None:
        return run
    kind = run.execute.kind
    if kind == "inline" and workers > 1:
        kind = "processes"
    return replace(run, execute=replace(run.execute, kind=kind, workers=workers))


def _check_arguments(args: argparse.Namespace) -> None:
    fresh = (args.run_file, args.sets, args.limits, args.out, args.overwrite)
    if args.resume and any(fresh):
        raise UserError(
            "--resume DIR continues the run stored in DIR as it is; it takes no run file, "
            "--out, --overwrite, --set or --limit"
        )
    if args.plugins and not args.resume:
        raise UserError(
            "--plugins FILE goes with --resume DIR and --reuse DIR; a run file names its own, in "
            "its own folder (plugins: NAME.py)"
        )
    if not args.resume and not args.run_file:
        raise UserError(
            "expected a run file: stillhouse search RUN_FILE (write one with: stillhouse init)"
        )


def _command(catalogue: Catalogue, directory: RunDirectory) -> str:
    """What continues a run."""
    words = ["stillhouse", "search", "--resume", str(directory.folder)]
    if catalogue.file is not None:
        words += ["--plugins", str(directory.folder / catalogue.file.name)]
    return shlex.join(words)


def _execute(plan: object, catalogue: Catalogue, directory: RunDirectory) -> int:
    # Idle OpenMP threads spin for milliseconds by default; with another process on a core that
    # makes training of small networks ten times slower. Read once, when torch is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")

    from rich.console import Console

    from stillhouse.core.cli.progress import bars
    from stillhouse.core.report.tables import closing_table
    from stillhouse.core.run.engine import execute

    console, again = Console(), _command(catalogue, directory)
    try:
        with told_how_to_go_on(directory.folder, again), directory, bars() as progress:
            summary = execute(plan, catalogue, directory, progress)  # type: ignore[arg-type]
    except KeyboardInterrupt:
        print(f"\nstopped; nothing is lost. Continue with: {again}", file=sys.stderr)
        return 130
    console.print(closing_table(summary))
    for note in summary.notes:
        console.print(f"note: {note}", markup=False)
    console.print(f"model    {directory.best}", markup=False)
    console.print(f"report   {directory.folder / 'report.html'}", markup=False)
    return 0
