"""What a run left in its directory, read without torch and without disturbing the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from stillhouse.core import plain_json
from stillhouse.core.config.records import Limit as WantedLimit
from stillhouse.core.config.runfile import load
from stillhouse.core.cost.latency import from_json as latency_from_json
from stillhouse.core.cost.limits import Limit, resolve
from stillhouse.core.cost.names import is_timed
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.plan import Plan, make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.cost_facts import checked_facts
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.goals import Goals, goals_of
from stillhouse.core.run.ledger import Entry, read_entries
from stillhouse.core.run.pool import POOL, Pool, mark_of
from stillhouse.core.run.summary import RunSummary
from stillhouse.core.search.sampler import Codes
from stillhouse.core.space import Space

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Returned:
    """The model in `best/`, by its candidate's key, and its values on the validation split."""

    key: str
    values: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Stored:
    """A run as it lies on disk, its limits replaced by those that are asked about.

    `limits` are those on known costs, with the margin that predicted latencies need; `goals` hold
    those on metrics. `profiled` are codes (n, width) whose latencies are measured; `measured` the
    costs of finalists as measured, by key. `returned` is None before the run has ended, `pool`
    where none was kept.
    """

    folder: Path
    plan: Plan
    limits: Sequence[Limit]
    goals: Goals
    entries: Sequence[Entry]
    profiled: Codes
    measured: Mapping[str, Mapping[str, float]]
    returned: Returned | None
    pool: Pool | None


def read_stored(folder: Path, limits: Sequence[str], catalogue: Catalogue) -> Stored:
    """Read a finished, interrupted or running run.

    `limits` are added to the run's own, or replace them, as `--limit` does. Raises ConfigError for
    a limit that cannot be read, UserError for a percentage of what is not known of the teacher,
    RunDirectoryError for a folder that holds no run, one before its costs are known, or damage.
    """
    directory = RunDirectory.existing(folder)
    plan = make_plan(load(directory.run_file, catalogue, limits=limits), catalogue)
    facts, margin = _costs(directory.costs)
    summary = _optional(directory.summary, RunSummary.from_json)
    measured = _optional(directory.best / "model.json", lambda text: _measured(text, plan.space))
    own = _validation(summary, "found")
    return Stored(
        folder=folder,
        plan=plan,
        limits=[_limit(w, facts["teacher"], margin) for w in plan.run.search.cost_limits],
        goals=goals_of(plan.run.search, _validation(summary, "teacher")),
        entries=read_entries(directory.ledger) if directory.ledger.exists() else [],
        profiled=_profiled(facts["measured"]["codes"], plan.space),
        measured=measured or {},
        returned=Returned(next(iter(measured)), own) if measured else None,
        pool=Pool.read(folder / POOL, mark_of(plan.space, facts)),
    )


def _costs(path: Path) -> tuple[Mapping[str, Any], float]:
    """The fitted models, and the margin of a predicted latency."""
    facts = _optional(path, lambda text: checked_facts(plain_json.parsed(text)))
    if facts is None:
        raise RunDirectoryError(
            f"{path}: expected the costs of a run, found none: it ended before they were known; "
            f"continue it with: stillhouse search --resume {path.parent}"
        )
    return facts, latency_from_json(facts["latency"]).margin


def _optional(path: Path, parse: Callable[[str], _T]) -> _T | None:
    """What a file says, None where there is none; RunDirectoryError for a damaged one."""
    try:
        return parse(plain_json.content(path).decode())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunDirectoryError(
            f"{path}: damaged ({error!r}); restore the file from a copy, or make it anew with: "
            f"stillhouse search --resume {path.parent}"
        ) from None


def _measured(text: str, space: Space) -> dict[str, Mapping[str, float]]:
    """Measured costs by key: of the model in `best/` first, then of the finalists dropped."""
    record = plain_json.parsed(text)
    certificate = record["certificate"]
    found = [(record["configuration"], certificate["measured"])]
    for miss in certificate["dropped"]:
        if "measured_ms" in miss:
            costs = {miss["cost"]: miss["measured"], "latency_ms": miss["measured_ms"]}
            found.append((miss["configuration"], costs))
    # A control arm that was returned names parameters which the run file fixes, too.
    own = [{n: v for n, v in one.items() if n in space.names} for one, _ in found]
    rows = [space.encode(configuration) for configuration in own]
    keys = space.keys(np.array(rows))
    return dict(zip(keys, (costs for _, costs in found), strict=True))


def _validation(summary: RunSummary | None, role: str) -> Mapping[str, float]:
    """Values on the validation split; none before the run has ended."""
    rows = summary.rows if summary else ()
    return next((row.validation for row in rows if row.role == role), {})


def _profiled(rows: Sequence[Sequence[float]], space: Space) -> Codes:
    return np.array(rows, np.float64).reshape(len(rows), space.width)


def _limit(wanted: WantedLimit, teacher: Mapping[str, float], margin: float) -> Limit:
    limit = resolve(wanted.cost, wanted.relation, wanted.value, wanted.relative, teacher)
    return replace(limit, margin=margin) if is_timed(limit.cost) else limit
