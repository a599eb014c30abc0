"""`stillhouse certify`: measure a finished run's models again and say what changed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.core.cli.plugin_file import add_plugins_argument, catalogue_with

if TYPE_CHECKING:
    from stillhouse.core.run.exported_model import Check, Recertified


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "certify",
        help="measure a finished run's models again, on another day or machine",
        description="Run the exported models of a finished run in fresh processes, hold them "
        "against the run's limits and say what changed. Exit code 0: every limit is met; 1: one is "
        "broken or cannot be decided. The outcome is added to DIR/certificates.jsonl.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument(
        "--bundle", type=Path, metavar="OUT",
        help="write a folder with the models and a script, to be measured on another device",
    )  # fmt: skip
    parser.add_argument(
        "--from-result", type=Path, metavar="FILE",
        help="take what the script of --bundle OUT measured there, instead of measuring here",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    add_plugins_argument(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, print, and tell by the exit code whether everything holds."""
    from stillhouse.core.errors import UserError
    from stillhouse.core.run import recertifying

    catalogue = catalogue_with(args.plugins)
    if args.from_result and not args.bundle:
        raise UserError("--from-result FILE needs --bundle OUT, the folder that was measured")
    if args.from_result:
        found = recertifying.recertify_from(args.folder, args.bundle, args.from_result, catalogue)
    elif args.bundle:
        written = recertifying.write_certifying_bundle(args.folder, args.bundle, catalogue)
        print(f"bundle   {written.folder} ({written.size_bytes / 1e3:.0f} kB)")
        print("next     copy it to the device and run: python measure.py")
        return 0
    else:
        found = recertifying.recertify(args.folder, catalogue)
    if args.json:
        _print_json(found)
    else:
        _print(found)
    return 0 if all(one.holds for one in found) else 1


def _print_json(found: list[Recertified]) -> None:
    import json
    from dataclasses import asdict

    print(json.dumps([{**asdict(one), "holds": one.holds} for one in found], indent=2))


def _print(found: list[Recertified]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for one in found:
        table = Table(title=f"{one.model}: {'holds' if one.holds else 'does not hold'}")
        for name in ("limit", "then", "now", "certain", "verdict"):
            table.add_column(name, justify="left" if name in ("limit", "verdict") else "right")
        for check in one.checks:
            table.add_row(*_cells(check))
        if one.checks:
            console.print(table)
        else:
            console.print(f"{one.model}: the run has no limits to hold")
        latency = one.latency
        console.print(
            f"latency {latency.latency_ms:.4g} ms ({latency.low_ms:.4g} to {latency.high_ms:.4g}), "
            f"{latency.repeats} runs, machine {latency.conditions}"
        )
        for line in one.changed:
            console.print(f"changed: {line}", markup=False)


def _cells(check: Check) -> list[str]:
    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.4g}"

    certain = "" if check.low is None else f"{shown(check.low)} to {shown(check.high)}"
    limit = f"{check.cost} {check.relation} {check.bound:.4g}"
    return [limit, shown(check.then), shown(check.now), certain, check.verdict]
