"""Why a search that evaluated candidates has none to return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.core.cost.limits import Limit
from stillhouse.core.errors import LimitError, StillhouseError
from stillhouse.core.run.goals import Goals, known_of
from stillhouse.core.run.ledger import Entry


def none_passed(
    entries: Sequence[Entry],
    dropped: Sequence[Mapping[str, Any]],
    goals: Goals,
    folder: Path,
) -> StillhouseError:
    """The error for a run in which no finalist passed; names the nearest miss.

    `dropped` is what `Certified.dropped` would hold, `folder` the run's directory.
    """
    missed = [d for d in dropped if "bound" in d]
    if not missed:
        errors = [e.error for e in entries if e.error] + [d["error"] for d in dropped]
        return StillhouseError(
            f"no candidate could be evaluated, of {len(entries)} tried; the first error: "
            f"{errors[0] if errors else 'none was proposed'}"
        )
    nearest = min(missed, key=_distance)
    sought = f"{nearest['cost']} {nearest['relation']}"
    return LimitError(
        f"none of the {len(missed)} best candidates meets the limits when measured; the nearest "
        f"has {nearest['cost']} {nearest['measured']:.4g} against {nearest['relation']} "
        f"{nearest['bound']:.4g}{_reached(entries, goals)}. All {len(entries)} evaluations are "
        f"kept: see what other limits would give with stillhouse search --reuse {folder} --limit "
        f"'{sought} ...', or search with the limit relaxed a little"
    )


def _distance(dropped: Mapping[str, Any]) -> float:
    limit = Limit(dropped["cost"], dropped["relation"], dropped["bound"])
    return float(limit.excess(np.array([dropped["measured"]]))[0])


def _reached(entries: Sequence[Entry], goals: Goals) -> str:
    """How near the search itself came to the limits on metrics, where it met none of them."""
    over = [(goals.violation(known), known) for e in entries if (known := known_of(e))]
    if not goals.outcomes or not over or min(o for o, _ in over) == 0:
        return ""
    _, known = min(over, key=lambda pair: pair[0])
    best = " and ".join(f"{name} {known[name]:.4g}" for name in _limited(goals))
    return f"; no candidate met the limits on metrics in the search, the nearest had {best}"


def _limited(goals: Goals) -> list[str]:
    return list(dict.fromkeys(limit.cost for limit in goals.outcomes))
