"""`stillhouse status`: how a run stands, seen from another terminal."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stillhouse.core.cli.printable import printable
from stillhouse.core.cli.workers import counted, elapsed, going, rows

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from stillhouse.core.run.looking import Look

_EVERY_S: Final = 2.0
_MOST: Final = 32
"""Workers that get a line of their own."""
_STALLED_S: Final = 60.0
_COLOURS: Final = {
    "running": "green",
    "finished": "green",
    "stopping": "yellow",
    "stopped": "yellow",
    "silent": "yellow",
    "failed": "red",
    "killed": "red",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "status",
        help="show how a run stands, from another terminal",
        description="Show how the run in DIR stands: going on, stopped, killed or finished. Only "
        "reads, so the run may be going on, here or on a machine that shares the folder.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument(
        "--watch", nargs="?", type=_seconds, const=_EVERY_S, metavar="SECONDS",
        help="show it again every 2 seconds, or as many as given, until the run ends",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true", help="print JSON, one object a line with --watch"
    )
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 86_400:
        raise argparse.ArgumentTypeError(
            f"expected seconds from 0.1 to 86400, got '{text}' (DIR goes before --watch)"
        )
    return value


def run(args: argparse.Namespace) -> int:
    """Print the status; with --watch again and again. Raises RunDirectoryError for no run."""
    if args.json:
        for seen in _looks(args.folder, args.watch):
            print(json.dumps(seen.to_record(), indent=None if args.watch else 2), flush=True)
        return 0
    from rich.console import Console

    console = Console()
    if args.watch and console.is_terminal:
        _live(args.folder, args.watch, console)
    else:
        for seen in _looks(args.folder, args.watch):
            console.print(page(seen), soft_wrap=True)
            sys.stdout.flush()
    return 0


def _looks(folder: Path, every_s: float | None) -> Iterator[Look]:
    """One look, or with `every_s` looks until the run has ended."""
    from stillhouse.core.run.looking import look

    while True:
        seen = look(folder, time.time())
        yield seen
        if every_s is None or seen.ended:
            return
        time.sleep(every_s)


def _live(folder: Path, every_s: float, console: Console) -> None:
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        for seen in _looks(folder, every_s):
            live.update(page(seen), refresh=True)


def page(seen: Look) -> RenderableType:
    """A line a fact, then a line a worker; a long one is for the terminal to wrap."""
    from rich.console import Group
    from rich.text import Text

    facts = [(printable(name), printable(text)) for name, text in _facts(seen)]
    width = max(len(name) for name, _ in facts)
    lines = []
    for name, text in facts:
        style = _COLOURS.get(seen.standing, "") if name == "state" else ""
        lines.append(Text.assemble((f"{name:<{width}}  ", "bold"), (text, style)))
    workers = () if seen.ended else seen.status.workers
    return Group(*lines, *(Text(printable(line)) for line in rows(workers, _MOST)))


def _facts(seen: Look) -> Iterator[tuple[str, str]]:
    """What there is to say, and under which word."""
    status = seen.status
    yield status.kind if status.kind != "search" else "run", f"{status.name}  ({seen.folder})"
    yield "state", _standing(seen)
    if status.message:
        yield "message", status.message
    if not seen.ended:
        if status.stage:
            yield "stage", status.stage
        for piece in status.work:
            note = piece.note if piece.note != status.best else ""
            yield piece.label, f"{piece.done} of {piece.total}  {note}".rstrip()
        if status.evaluations and (told := going(status.evaluations, status.workers)):
            yield "pace", told
        if status.dashboard:
            yield "dashboard", status.dashboard
    elif status.evaluations:
        yield "evaluations", _spent(seen)
    if status.best:
        yield "best", status.best.removeprefix("best ")
    if seen.report:
        yield "report", seen.report
    if seen.resume:
        yield "continue", seen.resume


def _spent(seen: Look) -> str:
    pace = seen.status.evaluations
    assert pace is not None  # noqa: S101 - for mypy
    told = f"{pace.done} of {pace.total}"
    told += f", {counted(pace.failed, 'failure')}" if pace.failed else ""
    return told + (f", {counted(pace.repeated, 'attempt')} repeated" if pace.repeated else "")


def _standing(seen: Look) -> str:
    status, silent = seen.status, elapsed(seen.silent_s)
    who = f"process {status.pid} on {status.host}"
    if seen.standing == "killed":
        return f"killed {silent} ago: {who} is gone; nothing that was finished is lost"
    if seen.standing == "silent":
        return f"silent: nothing was heard of {who} for {silent}; look there whether it still runs"
    if seen.standing == "unknown":
        return f"unknown: this run keeps no status; its last file was written {silent} ago"
    if seen.ended:
        return f"{seen.standing} {silent} ago"
    told = f"{seen.standing}, {who}"
    if seen.silent_s > _STALLED_S:
        return f"{told}; its status was last written {silent} ago (is the disk full?)"
    if seen.stalled_s > _STALLED_S:
        return f"{told}; last progress {elapsed(seen.stalled_s)} ago"
    return told
