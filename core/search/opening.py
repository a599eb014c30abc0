"""Opening an ask-tell study: names checked, limits settled, the sampler built."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stillhouse.core.cost.limit_text import parse_limit
from stillhouse.core.cost.limits import Limit
from stillhouse.core.errors import UserError, nearest
from stillhouse.core.search.asking import AskTell
from stillhouse.core.search.known import FunctionCosts, KnownCosts
from stillhouse.core.search.ledger import StudyLedger
from stillhouse.core.search.results import Measurements
from stillhouse.core.search.sampler import Objective, Problem, Sampler
from stillhouse.core.space import Space

if TYPE_CHECKING:
    from stillhouse.core.plugin import Catalogue

Build = Callable[[Problem], Sampler]
_LIMITS = 7
"""Second word of the seed that the limits are settled with; samplers have others."""


def open_study(
    space: Space,
    *,
    maximize: Sequence[str] = (),
    minimize: Sequence[str] = (),
    costs: KnownCosts | None = None,
    limits: Sequence[str] = (),
    measures: Sequence[str] = (),
    sampler: str | Build | None = None,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
    budget: int | None = None,
    ledger: str | Path | None = None,
    catalogue: Catalogue | None = None,
) -> AskTell:
    """A study over a space, new or continued from its ledger.

    Objectives name measured values or known costs. A limit such as `"latency_ms <= 2"` or
    `"1 <= size_kb <= 9"` names a known cost, which holds for every candidate that is asked, or a
    measured value (an objective, or one of `measures`), which the search learns to meet. `sampler`
    is a plugin's name with its `params`, or a function that builds one; None is the default one.
    `budget` is the number of candidates to evaluate; None asks until the space is exhausted.

    Raises:
        LimitError: the limits on known costs cannot be met, before anything else happens.
        UserError: a name, a limit, a parameter or the ledger cannot be used.
    """
    objectives = _objectives(maximize, minimize)
    known = costs or KnownCosts(lambda _: {})
    names = tuple(known.table(space, space.corners()))
    wanted = _limits(limits, names, {*(o.name for o in objectives), *measures})
    measured = [limit for limit in wanted if limit.cost not in names]
    under = FunctionCosts(space, known, [limit for limit in wanted if limit.cost in names])
    name, fixed, build = _sampler(sampler, params or {}, catalogue)
    feasible = _feasible(space, under, seed)
    outcomes = [str(limit) for limit in measured]
    problem = Problem(space, under, objectives, seed, feasible, outcomes, budget)
    measurements = Measurements(objectives, measured, frozenset(names))
    chosen = {"sampler": name, "params": fixed, "seed": seed, "budget": budget}
    identity = {**_identity(problem, wanted), **chosen}
    built = build(problem)
    kept = StudyLedger(Path(ledger), identity, problem) if ledger is not None else None
    try:
        return AskTell(problem, built, under.limits, measurements, kept)
    except BaseException:
        if kept is not None:
            kept.close()
        raise


def _objectives(maximize: Sequence[str], minimize: Sequence[str]) -> tuple[Objective, ...]:
    up = [maximize] if isinstance(maximize, str) else maximize
    down = [minimize] if isinstance(minimize, str) else minimize
    found = (*(Objective(n, True) for n in up), *(Objective(n, False) for n in down))
    if len({objective.name for objective in found}) < max(len(found), 1):
        given = ", ".join(objective.name for objective in found) or "none"
        raise UserError(f"objectives: expected at least one, each once; got {given}")
    return found


def _limits(texts: Iterable[str], known: Sequence[str], measured: Iterable[str]) -> list[Limit]:
    """Absolute limits on known names, in their order."""
    names = [*known, *measured]
    found = []
    for written in (written for text in texts for written in parse_limit(text)):
        if written.cost not in names:
            hint = nearest(written.cost, names)
            raise UserError(
                f"limits: nothing is called '{written.cost}'{hint}; expected a known cost "
                f"({', '.join(known) or 'none'}), an objective, or a name in measures="
            )
        if written.percent:
            raise UserError(
                f"limits: {written.cost} {written.text}: there is no teacher to take a "
                "percentage of; give an absolute bound"
            )
        found.append(Limit(written.cost, written.relation, written.number))
    return found


def _feasible(space: Space, costs: FunctionCosts, seed: int) -> np.ndarray[Any, Any]:
    """A few candidates that meet the limits; LimitError when there are none."""
    from stillhouse.core.cost.feasibility import settle

    if not costs.limits:
        return np.empty((0, space.width))
    return settle(space, costs, costs.limits, np.random.default_rng([seed, _LIMITS])).feasible


def _sampler(
    sampler: str | Build | None, params: Mapping[str, Any], catalogue: Catalogue | None
) -> tuple[str, Mapping[str, Any], Build]:
    """A sampler's name, its fixed parameters, and how it is built."""
    if callable(sampler):
        if params:
            raise UserError("params: a sampler that is a function brings its own parameters")
        return f"{sampler.__module__}.{sampler.__qualname__}", {}, sampler
    from stillhouse.core.config.sections import DEFAULT_SAMPLER
    from stillhouse.core.plugin import Catalogue

    catalogue = catalogue or Catalogue.discover()
    record = catalogue.sampler(sampler or DEFAULT_SAMPLER)
    _check_params(record.name, record.params, params)
    build = cast("Callable[[Any, Problem], Sampler]", catalogue.resolve(record))
    return record.name, params, lambda problem: build(record.params(**params), problem)


def _check_params(name: str, declaration: Any, params: Mapping[str, Any]) -> None:
    from stillhouse.core.plugin import declared

    known = {param.name: param for param in declared(declaration)}
    for param, value in params.items():
        if param not in known:
            hint = nearest(param, known)
            raise UserError(f"sampler '{name}' has no parameter '{param}'{hint}")
        if problem := known[param].problem(value):
            raise UserError(f"sampler '{name}': {param}: {problem}")


def _identity(problem: Problem, limits: Iterable[Limit]) -> dict[str, Any]:
    """What a ledger belongs to; the costs by what they are for a few candidates."""
    space = problem.space
    rows = np.concatenate([space.corners(), space.sample(16, np.random.default_rng(0))])
    table = problem.costs.table(rows)
    costs = {name: [f"{cost:.9g}" for cost in column] for name, column in sorted(table.items())}
    return {
        "space": _digest(repr(space.dimensions)),
        "objectives": [f"{'max' if o.maximize else 'min'} {o.name}" for o in problem.objectives],
        "limits": [str(limit) for limit in limits],
        "costs": _digest(json.dumps(costs)),
    }


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
