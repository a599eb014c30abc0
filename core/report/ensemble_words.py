"""An ensemble in words: what it is made of, and how it stands, no surer than its intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stillhouse.core.report.ensemble import Ensemble
from stillhouse.core.report.ensemble_names import against, percent, unit, weighed
from stillhouse.core.report.numerals import NBSP
from stillhouse.core.report.spans import Span, between, decimals, written

_TOLD: Final = ("differential-evolution", "uniform", "best-single", "teacher")
"""Roles that the sentence compares with, in its order; exact optima are told by the gap."""
_NAMED: Final = 4
_UNUSED: Final = "The student that was returned did not learn from it."


def lead(found: Ensemble) -> str:
    """What was mixed, whether the student learnt from it, and how it stands."""
    parts = [_made(found), _UNUSED if found.unused else "", standing(found)]
    return " ".join(part for part in parts if part)


def sentence(found: Ensemble) -> str:
    """Members, weights and how the mixture stands, in one sentence for the model card."""
    stands = standing(found)
    told = f"; {stands[0].lower()}{stands[1:]}" if stands else "."
    if len(found.members) == 1:
        made = f"{found.members[0].name} alone"
    else:
        made = f"{_shares(found)} ({weighed(found)})"
    if found.unused:
        return f"Found, but not what the student learnt from: a mixture of {made}{told}"
    return f"Made of {made}{told}" if found.deployed else f"Taught by {made}{told}"


def _shares(found: Ensemble) -> str:
    """The largest weights, with their members' names."""
    order = sorted(found.members, key=lambda member: -member.weight)
    parts = [f"{one.name} {percent(one.weight)}" for one in order if one.weight > 0]
    more = f" and {len(parts) - _NAMED} more" if len(parts) > _NAMED else ""
    return f"{', '.join(parts[:_NAMED])}{more}"


def _made(found: Ensemble) -> str:
    count, how = len(found.members), weighed(found)
    used = [member.name for member in found.members if member.weight > 0]
    if count == 1:
        return f"{used[0]} alone: with one model there are no weights to search for."
    if len(used) == 1:
        return f"One of {count} models, {used[0]}, has all the weight ({how})."
    of = f"all {count}" if len(used) == count else f"{len(used)} of {count}"
    return f"A mixture of {of} models, {how}."


def standing(found: Ensemble) -> str:
    """Where the mixture is better or worse, and where that cannot be told; empty without rows.

    On the test split, which tuned nothing, if it is known; every claim has its 95 % interval.
    """
    several = len(found.members) > 1
    roles = [role for role in _TOLD if several or role == "teacher"]
    rows = [row for role in roles for row in found.others if row.role == role]
    behinds = [(against(row), row.behind) for row in rows if row.behind]
    if not behinds:
        return ""
    places = decimals(one for _, one in behinds)
    told = [_against(other, one, places, unit(found)) for other, one in behinds]
    paired = any(one.half for _, one in behinds)
    how = f"(log-loss, 95{NBSP}% intervals paired by sample)" if paired else "(log-loss)"
    who = "the mixture" if several else "it"
    return f"On {_split(found)} {how}, {who} is {_listed(told)}."


def _split(found: Ensemble) -> str:
    """The split that decides, and what is to be held against it."""
    count = found.samples[found.decisive]
    of = f" of {count:,} samples" if count else ""
    if found.decisive == "test":
        return f"the test split{of}"
    also = ", which also set the weights" if found.tuned else ""
    return f"the tuning split{of}{also}"


def _against(other: str, behind: Span, places: int, nats: str) -> str:
    if behind.nothing:
        return f"no different from {other}"
    if not behind.half:
        word = "better" if behind.mean > 0 else "worse"
        by = written(abs(behind.mean), places)
        return f"{word} than {other} by {by} {nats} (no interval)"
    held = f"{between(behind, places)} {nats}"
    if behind.undecided:
        return f"not told apart from {other} ({held})"
    word = "better" if behind.mean > 0 else "worse"
    side = behind if behind.mean > 0 else behind.mirrored()
    return f"{word} than {other} by {between(side, places)} {nats}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{'; '.join(parts[:-1])}; and {parts[-1]}"
