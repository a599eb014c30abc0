"""Who is in a mixture: a bar a member, its size, and whom it learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from stillhouse.core.report.ensemble import Ensemble, Member
from stillhouse.core.report.ensemble_names import percent
from stillhouse.core.report.numerals import NBSP, quantity
from stillhouse.core.report.short_names import shortened
from stillhouse.core.report.spans import exponent

_SOURCES: Final = {"drawn": "drawn from the supernet", "given": "given", "teacher": "the teacher"}
_NAMED: Final = 3
_LETTERS: Final = 22


@final
@dataclass(frozen=True)
class Bar:
    """One line: `share` is the bar's length, 0..100, of the longest there could be.

    `facts` are small words under the name; `quiet` lines have no part in the mixture.
    """

    name: str
    share: float
    weight: str
    quiet: bool
    facts: str
    figures: Sequence[tuple[str, str]]


@final
@dataclass(frozen=True)
class Bars:
    """All lines and where equal weights would end, 0..100; None for one member."""

    headings: Sequence[str]
    lines: Sequence[Bar]
    even: float | None


def bars(found: Ensemble) -> Bars:
    """One line a member, in the order given, with the columns that any member knows."""
    equal = 1 / len(found.members)
    longest = max(equal, *(member.weight for member in found.members))
    columns = {
        "parameters": [_count(member.parameters) for member in found.members],
        "MACs": [_count(member.macs) for member in found.members],
        "learnt from": _teachers(found.members),
    }
    known = {name: cells for name, cells in columns.items() if any(cells)}
    lines = [
        Bar(
            name=member.name,
            share=100 * member.weight / longest,
            weight=percent(member.weight),
            quiet=member.weight == 0,
            facts=_facts(member),
            figures=[(name, cells[i] or "–") for name, cells in known.items()],
        )
        for i, member in enumerate(found.members)
    ]
    return Bars(list(known), lines, 100 * equal / longest if len(lines) > 1 else None)


def _count(value: float | None) -> str:
    return "" if value is None else quantity(value)


def _facts(member: Member) -> str:
    parts = [_SOURCES.get(member.source, "" if member.source == "trained" else member.source)]
    if member.channels:
        noun = "channel" if len(member.channels) == 1 else "channels"
        parts.append(f"sees {noun} {', '.join(map(str, member.channels))}")
    if member.dropped:
        parts.append(_dropped(member.rise))
    return ", ".join(part for part in parts if part)


def _dropped(rise: float | None) -> str:
    if rise is None:
        return "dropped"
    if rise <= 0:
        return "dropped: tuning loss no higher without it"
    return f"dropped: tuning loss +{exponent(rise)} without it"


def _teachers(members: Sequence[Member]) -> list[str]:
    """Whom each learnt from, empty where all learnt from the same one.

    `all above` and `n more` keep long lists short, an ellipsis long names.
    """
    if len({tuple(member.learnt_from) for member in members}) == 1:
        return []
    return [_taught(member, [m.name for m in members[:i]]) for i, member in enumerate(members)]


def _taught(member: Member, above: Sequence[str]) -> str:
    named = list(member.learnt_from)
    others = [name for name in named if name not in above]
    if others and above and len(named) - len(others) == len(above):
        return f"{_listed(others)} and {'all' if len(above) > 1 else 'the one'} above"
    return _listed(named)


def _listed(names: Sequence[str]) -> str:
    shown = [shortened(name, _LETTERS) for name in names]
    if len(shown) <= _NAMED:
        return ", ".join(shown)
    return f"{', '.join(shown[: _NAMED - 1])} and {len(shown) - _NAMED + 1}{NBSP}more"
