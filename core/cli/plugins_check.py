"""`stillhouse plugins check`: hold a package, or a file of plugins, to the contract."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.core.cli.columns import wrapped
from stillhouse.core.errors import UserError

if TYPE_CHECKING:
    from stillhouse.core.plugin.conformance import Check


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `plugins check` to the command line."""
    parser = subparsers.add_parser(
        "check",
        help="hold a package's plugins to the contract",
        description="Run the conformance kit over everything that an installed package supplies, "
        "or that a file of plugins does, whose code this runs. One line a check; exit code 1 when "
        "one fails, with what to mend.",
    )
    parser.add_argument(
        "package", metavar="PACKAGE",
        help="an installed distribution, the folder of its project, or a file such as "
        "./stillhouse_plugins.py",
    )  # fmt: skip
    parser.add_argument(
        "--setup", type=Path, metavar="FILE",
        help="TOML with [tool.stillhouse.check.NAME], how plugins are tried out where defaults "
        "will not do; default: the project's pyproject.toml",
    )  # fmt: skip
    parser.add_argument("-k", default="", metavar="TEXT", dest="only", help="checks with TEXT only")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print an outcome a check; 1 when one failed.

    Raises UserError for what is not installed, supplies no plugins or has no check of that text.
    """
    chosen = [c for c in _checks(args.package, args.setup) if args.only.lower() in str(c).lower()]
    if not chosen:
        raise UserError(f"-k {args.only}: no check has this in its name; leave -k out to see them")
    outcomes = list(_outcomes(chosen, quiet=args.json))
    failed = [one for one in outcomes if not one["ok"]]
    if args.json:
        print(json.dumps(outcomes, indent=2))
    else:
        checks = f"{len(outcomes)} checks" if len(outcomes) > 1 else "1 check"
        print(f"{len(failed)} of {checks} failed" if failed else f"{checks} passed")
    return 1 if failed else 0


def _checks(package: str, setup: Path | None) -> Sequence[Check]:
    from stillhouse.core.plugin.conformance import checks, checks_of_file, setups_in

    place = Path(package)
    setups = setups_in(setup) if setup else {}
    if place.suffix == ".py":
        return checks_of_file(place, setups)
    if not (place / "pyproject.toml").is_file():
        return checks(package, setups)
    project = place / "pyproject.toml"
    return checks(_installed(project), setups if setup else setups_in(project))


def _installed(project: Path) -> str:
    """The name of the distribution that a project makes, which has to be installed here."""
    from importlib.metadata import PackageNotFoundError, distribution

    from stillhouse.core.plugin.conformance.setups import project_in

    table = project_in(project).get("project")
    name = table.get("name") if isinstance(table, dict) else None
    if not isinstance(name, str) or not name:
        raise UserError(f"{project}: expected project.name, the distribution's name, found none")
    try:
        distribution(name)
    except PackageNotFoundError:
        command = f"pip install -e {project.parent}"
        raise UserError(f"'{name}' is not installed here; install it with: {command}") from None
    return name


def _outcomes(checks: Sequence[Check], *, quiet: bool) -> Iterator[dict[str, Any]]:
    from stillhouse.core.plugin.conformance.check import failure

    said = ""
    for check in checks:
        error = failure(check)
        # The line above it says what comes before the title.
        message = str(error).partition(f": {check.title}: ")[2] if error else ""
        if not quiet:
            print(f"{'FAIL' if error else 'ok  '}  {check}", flush=True)
            _tell("the same" if message and message == said else message)
        said = message or said
        yield {
            "kind": check.kind,
            "plugin": check.plugin,
            "check": check.title,
            "ok": error is None,
            "message": message or None,
        }


def _tell(message: str) -> None:
    width = min(max(shutil.get_terminal_size().columns, 40), 100)
    for line in message.splitlines():
        print("\n".join(wrapped(line, width=width, indent=6, hang=6)), flush=True)
