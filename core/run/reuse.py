"""A new budget from an old run: what is known within other limits, and what more looks promising.

Evaluates nothing and imports no torch.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RUN_FILE
from stillhouse.core.run.evaluated import Evaluated, Known
from stillhouse.core.run.goals import front_of, ranked
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.outlook import SHOWN, Outlook, look
from stillhouse.core.run.pool import POOL
from stillhouse.core.run.stored import Stored, read_stored


@dataclass(frozen=True)
class Answer:
    """What a run knows about other limits; see `answer`."""

    objectives: Sequence[Mapping[str, Any]]
    limits: Sequence[Mapping[str, Any]]
    """Each with cost, relation, bound, margin, the text as written, and whether it is `known`
    before an evaluation."""
    evaluated: int
    meeting: int
    best: Sequence[Evaluated]
    """The front within the limits; with one objective the five best, best first."""
    certified: Evaluated | None
    """The exported model in `best/`, where it meets the limits as measured."""
    outlook: Outlook | None
    """None for a run that kept no pool."""
    verdict: Sequence[str]
    """All this in sentences."""
    command: str
    """What would search within these limits."""


def answer(folder: Path, limits: Sequence[str], catalogue: Catalogue) -> Answer:
    """Answer from a run directory for its limits with these added or in their place.

    Raises:
        LimitError: no stored configuration meets the limits on known costs; names the binding
            limit and the nearest reachable value.
        UserError: as `read_stored`.
    """
    stored = read_stored(folder, limits, catalogue)
    known = Known(stored)
    outlook = look(stored, known)
    found = Answer(
        objectives=[{"name": o.name, "maximize": o.maximize} for o in stored.goals.objectives],
        limits=_limit_lines(stored),
        evaluated=len(known.entries),
        meeting=int(known.sound.sum()),
        best=[known.row(entry) for entry in _best(stored, known)],
        certified=known.returned(stored),
        outlook=outlook,
        verdict=(),
        command=_command(stored, limits),
    )
    return replace(found, verdict=tuple(_verdict(stored, found)))


def _best(stored: Stored, known: Known) -> list[Entry]:
    """What meets the limits, best first: the front, or with one objective the first five."""
    sound = [entry for entry, met in zip(known.entries, known.sound, strict=True) if met]
    costs = dict.fromkeys(limit.cost for limit in stored.limits)
    if len(stored.goals.objectives) > 1:
        front = front_of(sound, stored.goals, ())
        sound = [entry for entry, on in zip(sound, front, strict=True) if on]
        return ranked(sound, stored.goals, list(costs))
    return ranked(sound, stored.goals, list(costs))[:SHOWN]


def _limit_lines(stored: Stored) -> list[dict[str, Any]]:
    """The limits as they were written beside the numbers they came to."""
    search = stored.plan.run.search
    written = (*search.cost_limits, *search.outcome_limits)
    pairs = zip(written, (*stored.limits, *stored.goals.outcomes), strict=True)
    lines = {
        wanted: {**asdict(limit), "text": wanted.text, "known": wanted in search.cost_limits}
        for wanted, limit in pairs
    }
    return [lines[wanted] for wanted in search.limits]


def _command(stored: Stored, limits: Sequence[str]) -> str:
    """The command that would search within the limits, into a folder that is free."""
    folder, number = stored.folder, 2
    while (out := folder.with_name(f"{folder.name}-{number}")).exists():
        number += 1
    options = [word for limit in limits for word in ("--limit", limit)]
    words = ["stillhouse", "search", str(folder / RUN_FILE), *options, "--out", str(out)]
    return shlex.join(words)


def _verdict(stored: Stored, found: Answer) -> Iterator[str]:
    if not found.evaluated:
        yield "nothing has been evaluated yet"
    elif not found.best:
        yield f"none of the {found.evaluated} evaluated candidates meets these limits"
    else:
        yield f"{found.meeting} of {found.evaluated} evaluated candidates meet these limits"
    if found.certified:
        yield "the exported model in best/ meets them as it was measured"
    elif found.best:
        yield "none of those is exported and measured yet: a search within these limits does that"
    yield _outlook_sentence(stored, found)


def _outlook_sentence(stored: Stored, found: Answer) -> str:
    outlook = found.outlook
    if outlook is None:
        resume = shlex.join(["stillhouse", "search", "--resume", str(stored.folder)])
        return (
            f"nothing can be said about other candidates: {stored.folder} holds no {POOL} with "
            f"their costs; make it with: {resume}"
        )
    where = "of the space" if outlook.whole else "in store"
    pool = f"{outlook.configurations:,} configurations {where}"
    them = "the limits on known costs" if stored.goals.outcomes else "them"
    if not outlook.meeting:
        return f"none of the {pool} meets {them} without having been evaluated"
    others = f"{outlook.meeting:,} of {pool} meet {them} and were never evaluated"
    if not outlook.top:
        return f"{others}; too few evaluations to say which of them are good"
    if not found.best:
        return f"{others}; the most promising are below"
    if not outlook.better:
        return f"{others}; none of these is predicted better than the best evaluated"
    return f"{others}; {outlook.better:,} of these are predicted better than the best evaluated"
