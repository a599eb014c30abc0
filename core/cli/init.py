"""`stillhouse init`: write a commented run file to start from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.core.atomic import write_atomically
from stillhouse.core.errors import UserError

if TYPE_CHECKING:
    from stillhouse.core.config import Plugins


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `init` to the command line."""
    parser = subparsers.add_parser(
        "init",
        help="write a commented run file",
        description="Write a run file with every setting explained; it runs as it stands.",
    )
    parser.add_argument("path", nargs="?", type=Path, default=Path("run.yaml"), metavar="PATH")
    parser.add_argument("--task", default="spoken-digits", help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the run file and say what to do next."""
    from stillhouse.core.plugin import Catalogue

    write_sample(args.path, args.task, Catalogue.discover(), force=args.force)
    print(f"wrote {args.path}; check it with: stillhouse plan {args.path}")
    return 0


def write_sample(path: Path, task: str, catalogue: Plugins, *, force: bool = False) -> None:
    """Write a sample run file for a task.

    Raises UserError for an unknown task, for a file that exists (unless `force`), and for a path
    that cannot be written.
    """
    from stillhouse.core.config.sample import sample

    if path.is_dir():
        raise UserError(f"{path}: expected a file to write, got a folder; try {path / 'run.yaml'}")
    if path.exists() and not force:
        raise UserError(f"{path} exists and is left as it is; give another path, or --force")
    text = sample(catalogue, task, path.name)
    try:
        write_atomically(path, text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path} cannot be written: {reason}; is its folder there?") from None
