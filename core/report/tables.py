"""Tables of a run: CSV and JSON for programs, the closing table for the terminal."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stillhouse.core.report.numerals import finite
from stillhouse.core.report.quality import primary
from stillhouse.core.report.rows import CLOSING, Line, headings, lines
from stillhouse.core.run.summary import Evaluation, RunSummary

if TYPE_CHECKING:
    from rich.table import Table

_LIVE = re.compile(r"(^|[;|\t\n])(?=\s*[=+@\t-])")
"""Where a spreadsheet would begin a formula, whatever it takes for a separator."""
_FIXED = ("number", "key", "on_front", "seconds", "fidelity")


def results_csv(summary: RunSummary) -> str:
    """One line an evaluation, in order; lists become one column an item (`gene.heads.0`).

    The first four are followed by `fidelity` where the run has a ladder of them. The others are
    called `quality.NAME`, `cost.NAME` and `gene.NAME`. A cell is empty where the evaluation has
    no such value, or one that is not finite. A text that a spreadsheet would take for a formula
    has a quote (') before it.
    """
    records = [_record(evaluation) for evaluation in summary.evaluations]
    names = dict.fromkeys(name for record in records for name in record)
    fixed = [name for name in _FIXED if name in names or (not records and name != "fidelity")]
    ordered = [*fixed, *sorted((n for n in names if n not in _FIXED), key=_column_order)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_cell, ordered))
    writer.writerows([record.get(name, "") for name in ordered] for record in records)
    return out.getvalue()


def _column_order(name: str) -> tuple[int, list[tuple[int, int, str]]]:
    """Qualities, then costs, then genes; items of a list by number."""
    kind, *rest = name.split(".")
    parts = [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in rest]
    return ("quality", "cost", "gene").index(kind), parts


def _record(evaluation: Evaluation) -> dict[str, object]:
    record: dict[str, object] = {
        "number": evaluation.number,
        "key": _cell(evaluation.key),
        "on_front": int(evaluation.on_front),
        "seconds": _cell(evaluation.seconds),
    }
    if evaluation.fidelity is not None:
        record["fidelity"] = evaluation.fidelity
    record |= {f"quality.{name}": _cell(value) for name, value in evaluation.values.items()}
    record |= {f"cost.{name}": _cell(value) for name, value in evaluation.costs.items()}
    for name, value in evaluation.configuration.items():
        record |= dict(_flat(f"gene.{name}", value))
    return record


def _flat(name: str, value: object) -> Iterator[tuple[str, object]]:
    """A nested value as columns, one a leaf."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{name}.{key}", item)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _flat(f"{name}.{i}", item)
    else:
        yield name, _cell(value)


def _cell(value: object) -> object:
    if isinstance(value, str):
        return _LIVE.sub(r"\1'", value.replace("\r", "\n"))
    return "" if isinstance(value, float) and finite(value) is None else value


def pareto_json(summary: RunSummary) -> str:
    """The front as JSON, best first by the first objective, then in order of evaluation.

    Holds the run's name, task, objectives and limits beside it; what is not finite is null.
    """
    quality = primary(summary)
    front = [e for e in summary.evaluations if e.on_front]
    front.sort(key=lambda e: _rank(quality.of(e.values), quality.maximize))
    record = {
        "name": summary.name,
        "task": summary.task,
        "objectives": [dict(objective) for objective in summary.objectives],
        "limits": [asdict(limit) for limit in summary.limits],
        "front": [asdict(e) for e in front],
    }
    return json.dumps(_sound(record), indent=2, allow_nan=False) + "\n"


def _rank(value: float | None, maximize: bool) -> float:
    if value is None:
        return float("inf")
    return -value if maximize else value


def _sound(value: Any) -> Any:
    """The same value with null for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): _sound(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sound(item) for item in value]
    return None if isinstance(value, float) and finite(value) is None else value


def closing_table(summary: RunSummary) -> Table:
    """Teacher, found, trained from scratch, scaled down: figures, and below them the ratios.

    Where several objectives ask for a choice, the other certified models follow. Fits 80 columns
    with the usual labels.
    """
    from rich import box
    from rich.table import Table

    first, *rest = headings(primary(summary))
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
        collapse_padding=True,
        caption=f"{first}; latency: of undisturbed runs; median, p95: over all",
    )
    table.add_column("model", overflow="fold", min_width=8)
    for heading in (first.removeprefix("test "), *rest):
        table.add_column(heading.replace("parameters", "params"), justify="right", overflow="fold")
    along = ("finalist",) if len(summary.objectives) > 1 else ()
    for line in lines(summary, (*CLOSING, *along)):
        table.add_row(*_cells(line), style="bold" if line.role == "found" else "")
    return table


def _cells(line: Line) -> Sequence[Any]:
    from rich.text import Text

    cells = [Text(line.label)]
    for figure in line.figures:
        cell = Text(figure.text)
        if figure.against:
            cell.append(f"\n{figure.against}", style="not bold dim")
        cells.append(cell)
    return cells
