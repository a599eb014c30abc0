"""Two methods in one recipe: they compose and keep every invariant, or are refused in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

from stillhouse.core.config.runfile import parse
from stillhouse.core.errors import UserError
from stillhouse.core.plan import Plan, make_plan
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup
from stillhouse.core.plugin.conformance.pairs import paired
from stillhouse.core.plugin.conformance.runs import run_text

_FILE: Final = "composition.yaml"
_WHERE: Final = re.compile(rf"^{_FILE}(:\d+)*: ")
"""Where in a run file that no reader has a reason was found."""
Verdict = Literal["composed", "refused", "broken"]


@dataclass(frozen=True)
class Pairing:
    """What became of an ordered pair.

    `order` is the whole recipe as the plan orders it, () where the plan refuses it. `reason` is
    what the user is told of a refusal, or what a broken pair does not keep.
    """

    first: str
    second: str
    verdict: Verdict
    order: tuple[str, ...] = ()
    reason: str = ""

    @property
    def swapped(self) -> bool:
        """Whether the plan put the second method before the first."""
        return bool(self.order) and self.order.index(self.second) < self.order.index(self.first)


@final
class Composition:
    """Pairs of methods, each in the least recipe that holds both; `setups` as for `checks_of`.

    A recipe that two pairs share, since the plan orders both alike, is realised once.
    """

    def __init__(self, catalogue: Catalogue, setups: Mapping[str, Setup]) -> None:
        self._catalogue, self._setups = catalogue, setups
        self._tried: dict[tuple[str, ...], tuple[Verdict, str]] = {}

    def planned(self, first: str, second: str) -> Pairing:
        """What the plan says: the order, or the reason of a refusal. Imports no torch."""
        try:
            plan = self._plan(first, second)
        except UserError as error:
            return Pairing(first, second, "refused", (), _WHERE.sub("", str(error)))
        return Pairing(first, second, "composed", _names(plan))

    def paired(self, first: str, second: str) -> Pairing:
        """What becomes of the pair when its recipe is carried out: seconds at most."""
        found = self.planned(first, second)
        if found.verdict == "refused":
            return found
        if found.order not in self._tried:
            self._tried[found.order] = self._carried_out(first, second)
        verdict, reason = self._tried[found.order]
        return Pairing(first, second, verdict, found.order, reason)

    def _plan(self, first: str, second: str) -> Plan:
        text = run_text("method", second, self._setup(first, second), self._catalogue)
        return make_plan(parse(text, _FILE, self._catalogue), self._catalogue)

    def _setup(self, first: str, second: str) -> Setup:
        names, plain = (first, second), Setup()
        return paired(names, [self._setups.get(n, plain) for n in names], self._catalogue)

    def _carried_out(self, first: str, second: str) -> tuple[Verdict, str]:
        from stillhouse.core.plugin.conformance.composed import verdict

        return verdict(second, self._setup(first, second), self._catalogue)


def _names(plan: Plan) -> tuple[str, ...]:
    return tuple(step.name for step in plan.steps)


def every_pair(names: Sequence[str]) -> list[tuple[str, str]]:
    """All ordered pairs, each name with itself included."""
    return [(first, second) for first in names for second in names]
