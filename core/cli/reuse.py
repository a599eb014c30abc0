"""`stillhouse search --reuse DIR`: answer for other limits from a run, without evaluating."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.core.cli.plugin_file import catalogue_with
from stillhouse.core.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from stillhouse.core.run.evaluated import Evaluated
    from stillhouse.core.run.outlook import Prospect
    from stillhouse.core.run.reuse import Answer


def add_reuse_arguments(parser: argparse.ArgumentParser) -> None:
    """`--reuse` and `--json`."""
    parser.add_argument(
        "--reuse", type=Path, metavar="DIR",
        help="answer for other --limit values from the run in DIR; evaluates nothing",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="with --reuse: print JSON")


def refuse_mixed(args: argparse.Namespace) -> None:
    """Raise `UserError` for options that have no meaning together with `--reuse`."""
    others = (args.run_file, args.resume, args.sets, args.out, args.overwrite, args.workers)
    if args.reuse and any(others):
        raise UserError(
            "--reuse DIR answers from the run stored in DIR and evaluates nothing; it takes "
            "--limit and --json, but no run file, --resume, --out, --overwrite, --set or --workers"
        )
    if args.json and not args.reuse:
        raise UserError("--json goes with --reuse DIR; a search writes results.csv and pareto.json")


def run(args: argparse.Namespace) -> int:
    """Print the answer."""
    from stillhouse.core.run.reuse import answer

    found = answer(args.reuse, args.limits, catalogue_with(args.plugins))
    if args.json:
        print(json.dumps(_plain(asdict(found)), indent=2, allow_nan=False))
    else:
        _show(found)
    return 0


def _plain(value: Any) -> Any:
    """The same with null for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(found: Answer) -> None:
    from rich.console import Console

    console = Console()

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say(f"limits   {'; '.join(map(_limit, found.limits)) or 'none'}")
    for sentence in found.verdict:
        say(f"         {sentence}")
    if found.best:
        console.print(_evaluated_table(found))
    if found.outlook and found.outlook.top:
        console.print(_prospects_table(found, found.outlook.top))
    say(f"search   {found.command}")


def _limit(line: Mapping[str, Any]) -> str:
    """A limit as it was written, and what it comes to."""
    from stillhouse.core.report.numerals import significant

    bound = f" ({significant(line['bound'], 4)})" if "%" in line["text"] else ""
    margin = f", predicted ones with a margin of {line['margin']:.1%}" if line["margin"] else ""
    return f"{line['cost']} {line['text']}{bound}{margin}"


def _evaluated_table(found: Answer) -> Table:
    names, costs = _names(found), _costs(found)
    table = _table("evaluated", ("#", *names, *costs))
    for row in found.best:
        mark = " certified" if row.certified else ""
        values = [_value(row.values.get(n, row.costs.get(n))) for n in names]
        table.add_row(f"{row.number}{mark}", *values, *_cost_cells(row, costs), _genes(row))
    return table


def _prospects_table(found: Answer, top: Sequence[Prospect]) -> Table:
    names, costs = _names(found), _costs(found)
    table = _table("never evaluated", ("gain", *names, *costs))
    for row in top:
        values = [_uncertain(row, name) for name in names]
        table.add_row(_value(row.improvement), *values, *_cost_cells(row, costs), _genes(row))
    return table


def _table(title: str, headings: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("configuration", overflow="fold")
    return table


def _names(found: Answer) -> list[str]:
    """Objectives, then other values with a limit."""
    outcomes = (line["cost"] for line in found.limits if not line["known"])
    return list(dict.fromkeys([*(str(o["name"]) for o in found.objectives), *outcomes]))


def _costs(found: Answer) -> list[str]:
    limited = [line["cost"] for line in found.limits if line["known"]]
    objectives = {o["name"] for o in found.objectives}
    wanted = limited or ["parameters", "size_kb", "latency_ms"]
    return [name for name in dict.fromkeys(wanted) if name not in objectives]


def _cost_cells(row: Evaluated | Prospect, names: Sequence[str]) -> Iterator[str]:
    import numpy as np

    from stillhouse.core.cost.limits import column
    from stillhouse.core.report.numerals import quantity

    table = {name: np.array([value]) for name, value in row.costs.items()}
    return (quantity(float(column(table, name)[0])) for name in names)


def _uncertain(row: Prospect, name: str) -> str:
    spread = row.spread[name]
    return _value(row.values[name]) + (f" ± {spread:.2g}" if spread else "")


def _value(value: float | None) -> str:
    from stillhouse.core.report.numerals import significant

    return significant(value, 4)


def _genes(row: Evaluated | Prospect) -> str:
    from stillhouse.core.report.configuration import one_line

    return one_line(row.configuration)
