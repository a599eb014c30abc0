"""One sentence made of numbers, and the key figures beside it."""

from __future__ import annotations

from dataclasses import dataclass

from stillhouse.core.report.costs import LATENCY, MACS, PARAMETERS, SIZE, Cost
from stillhouse.core.report.numerals import count, positive, share, significant, times
from stillhouse.core.report.quality import Quality, primary
from stillhouse.core.report.rows import cost_of, row_of
from stillhouse.core.run.summary import ModelRow, RunSummary


@dataclass(frozen=True)
class Tile:
    """A key figure: its name, its value, and a second line."""

    title: str
    value: str
    detail: str


def verdict(summary: RunSummary) -> str:
    """What came out, against the teacher where there is one."""
    found, teacher = row_of(summary, "found"), row_of(summary, "teacher")
    if found is None:
        return "The summary lists no model that was found."
    parts = _against(found, teacher) if teacher else _alone(found)
    parts.append(_tested(found, teacher, primary(summary)))
    return ", ".join(part for part in parts if part) + "."


def _against(found: ModelRow, teacher: ModelRow) -> list[str]:
    parts = []
    size, whole = cost_of(found, SIZE), cost_of(teacher, SIZE)
    if size and whole:
        parts.append(f"{share(size, whole)} the teacher’s size")
    latency, slow = cost_of(found, LATENCY), cost_of(teacher, LATENCY)
    if latency and slow:
        parts.append(f"{times(latency, slow)} its latency")
    return parts


def _alone(found: ModelRow) -> list[str]:
    known = ((cost, cost_of(found, cost)) for cost in (SIZE, LATENCY))
    return [cost.text(value) for cost, value in known if value]


def _tested(found: ModelRow, teacher: ModelRow | None, quality: Quality) -> str:
    own = quality.of(found.test)
    if own is None:
        return ""
    name = "" if quality.percent else f"{quality.title} "
    reference = quality.of(teacher.test) if teacher else None
    against = "" if reference is None else f" against {quality.text(reference)}"
    what = f" {quality.title}" if quality.percent and reference is None else ""
    return f"{name}{quality.text(own)}{what}{against} on the untouched test split"


def tiles(summary: RunSummary) -> list[Tile]:
    """Quality, size, latency, arithmetic, parameters and the search, as far as they are known."""
    found, teacher = row_of(summary, "found"), row_of(summary, "teacher")
    if found is None:
        return [_search(summary)]
    quality = primary(summary)
    shown = [_quality(found, teacher, quality)]
    shown += [_cost(found, teacher, cost) for cost in (SIZE, LATENCY, MACS, PARAMETERS)]
    return [*(tile for tile in shown if tile), _search(summary)]


def _quality(found: ModelRow, teacher: ModelRow | None, quality: Quality) -> Tile | None:
    own = quality.of(found.test)
    if own is None:
        return None
    reference = quality.of(teacher.test) if teacher else None
    gap = quality.gap(own, reference)
    detail = quality.direction if reference is None else f"{gap} against the teacher"
    return Tile(f"test {quality.title}", quality.text(own), detail)


def _cost(found: ModelRow, teacher: ModelRow | None, cost: Cost) -> Tile | None:
    value = cost_of(found, cost)
    if value is None:
        return None
    whole = cost_of(teacher, cost) if teacher else None
    detail = f"{times(value, whole)} the teacher’s" if whole else ""
    p95 = positive(found.p95_ms)
    if cost is LATENCY and p95:
        detail = f"{times(value, whole)}, " if whole else ""
        detail += f"p95 {significant(p95)} ms"
    title = cost.title
    return Tile(title, cost.text(value), detail)


def _search(summary: RunSummary) -> Tile:
    spent = len(summary.evaluations)
    noun = "evaluation" if spent == 1 else "evaluations"
    return Tile(noun, f"{spent:,}", f"of {count(summary.space_size)} configurations")
