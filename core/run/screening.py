"""Screening: which proposals are worth an evaluation, by what can be told without one."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar, final

from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import RunDirectoryError, StillhouseError
from stillhouse.core.evaluate import Artefact, State
from stillhouse.core.evaluate.evaluator import CandidateError, Evaluator
from stillhouse.core.run.opened import Opened

_REGRESSION: Final = TrainSettings(epochs=1, task_weight=0.0, learning_rate=2e-3)


class Proposal(Protocol):
    """What is screened."""

    @property
    def configuration(self) -> Mapping[str, Any]: ...


P = TypeVar("P", bound=Proposal)


@final
class Screening:
    """The first rungs of the fidelity ladder, below the search's evaluations.

    Of `search.proposals` times as many candidates as are evaluated, those that the methods' free
    proxies speak for are kept (`Method.proxy`); `search.regressions` times as many of them spend
    an epoch on their normalised loss terms alone, hint regression, and those whose terms fall most
    are evaluated. A candidate of which a rung can tell nothing passes it; one that fails on a rung
    comes last, and its evaluation, where it gets one, says why.
    """

    def __init__(self, opened: Opened, evaluator: Evaluator) -> None:
        search = opened.plan.run.search
        self.proposals = max(search.proposals, search.regressions)
        self._regressions, self._opened, self._evaluator = search.regressions, opened, evaluator

    def kept(self, candidates: Sequence[P], count: int) -> list[P]:
        """So many of the candidates, in the order they came."""
        some = _best(candidates, self._proxy, count * self._regressions)
        return _best(some, self._regression, count)

    def _proxy(self, candidate: Proposal) -> float | None:
        try:
            told = self._evaluator.proxies(candidate.configuration)
        except CandidateError:
            return math.inf
        return -sum(told) / len(told) if told else None

    def _regression(self, candidate: Proposal) -> float | None:
        try:
            state, key = self._evaluator.untrained(candidate.configuration)
        except CandidateError:
            return math.inf
        terms = tuple(term for term in state.terms if term.normalised and term.weight)
        if not terms or state.student is None:
            return None
        state = replace(state, terms=terms)

        def make() -> Artefact:
            return Artefact({}, {"loss": self._spent(state)})

        try:
            found = self._opened.store.memo("regression", key, make, local=True)
            return float(found.record["loss"])
        except RunDirectoryError:
            raise
        except StillhouseError:
            return math.inf

    def _spent(self, state: State) -> float:
        """The terms' mean over an epoch, each batch before it is learnt; 1 where nothing falls."""
        assert state.student is not None  # noqa: S101 - looked at above
        result = fit(
            copy.deepcopy(state.student.module),
            structure=state.student.structure,
            state=state,
            settings=_REGRESSION,
            context=replace(self._evaluator.context, checkpoints=None),
            label="regression",
        )
        losses = result.history[-1].losses
        return sum(losses[term.name] for term in state.terms) / len(state.terms)


def _best(some: Sequence[P], value: Callable[[P], float | None], count: int) -> list[P]:
    """The least valued, and those without a value before them, in the order they came."""
    if len(some) <= count:
        return list(some)
    told = [value(one) for one in some]
    ranked = sorted(range(len(some)), key=lambda i: (told[i] is not None, told[i] or 0.0, i))
    return [some[i] for i in sorted(ranked[:count])]
