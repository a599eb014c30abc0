"""The contract of a sampler: ask for candidates, be told their values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.limits import Limit
from stillhouse.core.space import Space

Codes = NDArray[np.float64]
"""Canonical codes of candidates, shape (candidates, space.width); -1 where inactive."""


@dataclass(frozen=True)
class Objective:
    """A value to optimise, by name; internally everything is minimised (`sign` * value)."""

    name: str
    maximize: bool

    @property
    def sign(self) -> float:
        return -1.0 if self.maximize else 1.0


class Costs(ABC):
    """Known costs of candidates, and the limits on them. No candidate is evaluated for this."""

    limited: Sequence[str] = ()
    """Names, as in `table`, of the costs that carry a limit, the most important first."""

    limits: Sequence[Limit] = ()
    """The limits that `violation` judges by, where they can be stated as limits on costs."""

    apart: Codes | None = None
    """Candidates (n, width) whose costs were measured: no rule that the others follow holds."""

    @abstractmethod
    def table(self, codes: Codes) -> Mapping[str, NDArray[np.float64]]:
        """Every known cost by name, each (candidates,)."""

    @abstractmethod
    def violation(self, codes: Codes) -> NDArray[np.float64]:
        """Sum of relative excesses over the limits, (candidates,); 0 means every limit is met."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What a sampler is built with.

    `feasible` is a few known feasible codes (may be empty). `outcomes` names the limits on values
    that only an evaluation tells (a limit on a known cost is the business of `costs`). `budget` is
    how many evaluations are planned, None when that is open.
    """

    space: Space
    costs: Costs
    objectives: Sequence[Objective]
    seed: int
    feasible: Codes
    outcomes: Sequence[str] = ()
    budget: int | None = None


class Sampler(ABC):
    """Final in a plugin; built as `build(params, problem)`.

    The engine replays asks and tells from the ledger after an interruption, so a sampler must be
    a pure function of its problem and of what it was told.
    """

    fallbacks: int = 0
    """Candidates drawn at random because the sampler's own proposals broke the limits."""

    notes: Sequence[str] = ()
    """What a report should say about the choices that the sampler made by itself."""

    @abstractmethod
    def ask(self, count: int) -> Codes:
        """Up to `count` new, distinct candidates that meet the limits and were not told before.

        Fewer (or none) when the feasible part of the space is exhausted. Must always return:
        every inner loop is bounded.
        """

    @abstractmethod
    def tell(
        self, codes: Codes, values: NDArray[np.float64], excess: NDArray[np.float64] | None = None
    ) -> None:
        """Results, (candidates, objectives) in the objectives' order and own direction.

        `excess` (candidates, outcomes) says by how much each limit on a measured value is broken:
        0 or less where it is met; None when the problem has no outcomes. A failed evaluation is
        told as NaN and never proposed again.
        """
