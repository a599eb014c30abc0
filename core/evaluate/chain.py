"""What a state came from, as a key; and as much of the state as a method's `prepare` may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.state import Policy, State
from stillhouse.core.plugin.records import EVERYTHING, Changes

Link = Sequence[Any]
"""What one fingerprint covers beside the key so far."""


@final
@dataclass(frozen=True)
class Chain:
    """The initial state's origin, and what each method did, by the part of the state it changed."""

    origin: str
    links: tuple[tuple[Changes, tuple[Link, ...]], ...] = ()

    def after(self, changes: Changes, links: Sequence[Link]) -> Chain:
        return replace(self, links=(*self.links, (changes, tuple(links))))

    def key(self, more: Sequence[Link] = (), reads: frozenset[Changes] = EVERYTHING) -> str:
        """Stands for all that decides the parts named in `reads`, and for the links in `more`."""
        key = self.origin
        for changes, links in (*self.links, (None, more)):
            for link in links if changes is None or changes in reads else ():
                key = fingerprint(key, *link)
        return key


def read(state: State, reads: frozenset[Changes]) -> State:
    """The state without the student, terms or policy that are not read."""
    if not reads & {"student", "form"}:
        state = replace(state, student=None)
    if "loss terms" not in reads:
        state = replace(state, terms=())
    return state if "policy" in reads else replace(state, policy=Policy())
