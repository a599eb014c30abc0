"""The least recipe that holds two methods: what each asks for around it, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup
from stillhouse.core.plugin.conformance.runs import STUDENT, TERMS, Entry, completed
from stillhouse.core.plugin.records import MethodInfo


def paired(names: Sequence[str], setups: Sequence[Setup], catalogue: Catalogue) -> Setup:
    """A setup of the second method with the first right before it, `names` and `setups` in order.

    Whatever makes a student is left out where one of the two makes it, and whatever trains on loss
    terms where one of the two does. The network is that of the setup that departs from the default.
    """
    infos = [catalogue.method(name) for name in names]
    around = [_around(*each, catalogue) for each in zip(infos, setups, strict=True)]
    before = _once([entry for sides in around for entry in sides[0]])
    after = _once([entry for sides in around for entry in sides[1]])
    others = [one for one in before if _wanted(catalogue.method(_name(one)), infos, STUDENT)]
    trainers = [one for one in after if not any(TERMS in info.spends for info in infos)]
    first: Entry = {names[0]: dict(setups[0].params)} if setups[0].params else names[0]
    return replace(_network(setups), before=[*others, first], after=trainers)


def _around(
    info: MethodInfo, setup: Setup, catalogue: Catalogue
) -> tuple[Sequence[Entry], Sequence[Entry]]:
    recipe = list(completed(info, setup, catalogue))
    place = [_name(entry) for entry in recipe].index(info.name)
    return recipe[:place], recipe[place + 1 :]


def _wanted(info: MethodInfo, pair: Sequence[MethodInfo], capability: str) -> bool:
    """Whether a method around the pair is no member of it, and does nothing that a member does."""
    given = any(capability in one.leaves for one in pair)
    return info.name not in [one.name for one in pair] and not (given and capability in info.leaves)


def _network(setups: Sequence[Setup]) -> Setup:
    """The second setup, on the first one's network where only that one is particular about it."""
    first, second = setups
    plain = Setup()
    same = ("model", "model_params", "shape", "tokens", "runtime")
    if any(getattr(second, name) != getattr(plain, name) for name in same):
        return second
    return replace(second, **{name: getattr(first, name) for name in same})


def _once(entries: Sequence[Entry]) -> list[Entry]:
    return list({_name(entry): entry for entry in reversed(entries)}.values())[::-1]


def _name(entry: Entry) -> str:
    return entry if isinstance(entry, str) else next(iter(entry))
