"""The trials of a hyper-parameter sweep: what they were given, what came out, what mattered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stillhouse.core.errors import UserError
from stillhouse.core.report.configuration import short_names, value_text
from stillhouse.core.report.costs import named
from stillhouse.core.report.numerals import MISSING, finite, significant
from stillhouse.core.run.summary import RunSummary

KIND: Final = "sweep"
_FOLDER: Final = re.compile(r"[0-9]+(-[0-9]+)?")


@dataclass(frozen=True)
class Row:
    """A trial on a rung; `link` leads to its report, or to its folder where it was not finished."""

    label: str
    link: str
    best: bool
    meets: bool
    cells: Sequence[str]
    error: str


@dataclass(frozen=True)
class Share:
    """A parameter and the share of the first objective's variance that it explains, in percent."""

    name: str
    percent: float


@dataclass(frozen=True)
class Swept:
    """The table of trials, what mattered, and how many reached each rung."""

    lead: str
    headings: Sequence[str]
    rows: Sequence[Row]
    shares: Sequence[Share]
    objective: str
    rungs: Sequence[tuple[str, str, str]]


def sweeps(summary: RunSummary) -> list[Swept]:
    """One for each exhibit of kind "sweep"; UserError for a trial's folder that is none."""
    return [_swept(one) for one in summary.exhibits if one.get("kind") == KIND]


def _swept(exhibit: Mapping[str, Any]) -> Swept:
    trials = list(exhibit["trials"])
    paths = list(dict.fromkeys(path for trial in trials for path in trial["values"]))
    known = list(dict.fromkeys(name for trial in trials for name in trial["known"]))
    budget = [str(exhibit["budget"])] if exhibit["budget"] else []
    short, rungs = short_names([*budget, *paths]), bool(budget)
    shares = sorted(exhibit["mattered"].items(), key=lambda item: -item[1])
    return Swept(
        lead=_lead(exhibit, trials),
        headings=[*(short[path] for path in (*budget, *paths)), *map(_title, known)],
        rows=[_row(trial, paths, known, str(exhibit["best"]), rungs=rungs) for trial in trials],
        shares=[Share(short.get(path, path), 100 * (finite(v) or 0.0)) for path, v in shares],
        objective=_title(str(exhibit["objectives"][0])),
        rungs=[
            (value_text(one["rung"]), str(one["trials"]), _number(one["best"]))
            for one in exhibit["rungs"]
        ],
    )


def _lead(exhibit: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]) -> str:
    count = len({trial["key"] for trial in trials})
    failed = len({trial["key"] for trial in trials if trial["error"]})
    parts = [f"{count} trials, each a search of its own; the best is {exhibit['best']}"]
    if exhibit["budget"]:
        parts.append(f"{exhibit['scheduler']} rationed {exhibit['budget']}")
    if exhibit["limits"]:
        parts.append(f"limits: {', '.join(exhibit['limits'])}")
    if failed:
        parts.append(f"{failed} failed")
    return "; ".join(parts) + "."


def _row(
    trial: Mapping[str, Any], paths: Sequence[str], known: Sequence[str], best: str, *, rungs: bool
) -> Row:
    folder = str(trial["folder"])
    if not _FOLDER.fullmatch(folder):
        raise UserError(f"summary: exhibit 'sweep': expected the folder of a trial, got {folder!r}")
    link = f"trials/{folder}/" + ("report.html" if trial["reported"] else "")
    cells = [value_text(trial["rung"])] if rungs else []
    cells += [value_text(trial["values"].get(path)) for path in paths]
    cells += [_number(trial["known"].get(name)) for name in known]
    chosen = trial["key"] == best
    return Row(str(trial["key"]), link, chosen, bool(trial["meets"]), cells, str(trial["error"]))


def _title(name: str) -> str:
    cost = named(name)
    return f"{cost.title} {cost.unit}".strip()


def _number(value: Any) -> str:
    number = finite(value)
    return MISSING if number is None else significant(number, 4)
