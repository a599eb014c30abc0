"""Run files around one plugin: written from records alone, so that planning can be checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from stillhouse.core.config.written import dump
from stillhouse.core.errors import PluginError, nearest
from stillhouse.core.plan.order import GIVEN
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, unmet
from stillhouse.core.plugin.conformance.info import TASK
from stillhouse.core.plugin.entries import HOST
from stillhouse.core.plugin.kinds import RecordKind
from stillhouse.core.plugin.records import MethodInfo, TaskInfo

Entry = str | Mapping[str, Any]
STUDENT: Final = "student"
TERMS: Final = "loss terms"
_QUICK: Final = {"epochs": 1}
"""What a method that only trains what another one changed is told."""


def run_text(kind: RecordKind, name: str, setup: Setup, catalogue: Catalogue) -> str:
    """A run file that uses a plugin; "" for kinds that run files do not name."""
    own: Entry = {name: dict(setup.params)} if setup.params else name
    sections = _plain(setup, catalogue)
    if kind == "method":
        sections["recipe"] = list(completed(catalogue.method(name), setup, catalogue))
    elif kind == "model":
        sections["teacher"] = {"model": name, **setup.params}
    elif kind == "task":
        sections |= {"task": own, "search": _search(catalogue.task(name))}
    elif kind == "sampler":
        sections["search"] = {**sections["search"], "sampler": own}
    elif kind == "target":
        sections["target"] = {"runtime": name, **setup.params}
    else:
        return ""
    return dump(sections)


def completed(info: MethodInfo, setup: Setup, catalogue: Catalogue) -> Iterator[Entry]:
    """A recipe of one method and what its capabilities ask for around it."""
    before = setup.before
    if before is None:
        before = _before(info, catalogue)
    after = setup.after
    if after is None:
        after = _after(info, catalogue)
    yield from before
    yield {info.name: dict(setup.params)} if setup.params else info.name
    yield from after


def _plain(setup: Setup, catalogue: Catalogue) -> dict[str, Any]:
    first = next(iter(_givers(STUDENT, catalogue))).name
    return {
        "task": {TASK: {"shape": list(setup.shape), "tokens": setup.tokens}},
        "teacher": {"model": setup.model, **setup.model_params},
        "recipe": [first],
        "search": {"maximize": "accuracy", "limits": {"parameters": "100%"}},
        "target": {"runtime": setup.runtime},
    }


def _search(info: TaskInfo) -> dict[str, Any]:
    metric = info.metrics[0] if info.metrics else None
    direction = "minimize" if metric and metric.better == "lower" else "maximize"
    name = metric.name if metric else "accuracy"
    return {direction: name, "limits": {"parameters": "100%"}}


def _before(info: MethodInfo, catalogue: Catalogue) -> list[Entry]:
    """Whatever leaves what is needed, and a student for those that need none and leave none."""
    found: list[Entry] = []
    available = set(GIVEN)
    wanted = info.needs if STUDENT in info.leaves else info.needs | {STUDENT}
    for need in sorted(wanted, key=lambda need: (need != STUDENT, need)):
        if need in available:
            continue
        giver = next((g for g in _givers(need, catalogue) if g.name != info.name), None)
        if giver is None:
            known = {*GIVEN, *(word for method in _methods(catalogue) for word in method.leaves)}
            unmet(
                f"some method to leave '{need}', which it needs", f"none{nearest(need, known)}",
                "need a capability that a method leaves, or name the methods in Setup.before",
            )  # fmt: skip
        earlier = [entry for entry in _before(giver, catalogue) if entry not in found]
        found += [*(earlier if giver.needs else []), giver.name]
        available |= giver.leaves
    return found


def _after(info: MethodInfo, catalogue: Catalogue) -> list[Entry]:
    """Something that trains on what a method adds."""
    if info.changes in ("form", "student", "policy") and TERMS not in info.leaves:
        return []
    trainers = sorted(
        (m for m in _methods(catalogue) if TERMS in m.spends and not m.prepares),
        key=lambda m: (catalogue.provenance("method", m.name).distribution != HOST, m.name),
    )
    if not trainers:
        unmet(
            f"some method to train on '{TERMS}', which it leaves", "none",
            "see stillhouse plugins for those that are disabled or in conflict",
        )  # fmt: skip
    return [{trainers[0].name: _QUICK}]


def _givers(need: str, catalogue: Catalogue) -> Sequence[MethodInfo]:
    """The methods that leave a capability: built in and simple ones first."""

    def rank(method: MethodInfo) -> tuple[bool, bool, int, str]:
        supplier = catalogue.provenance("method", method.name).distribution
        return supplier != HOST, method.prepares, len(method.needs), method.name

    return sorted((m for m in _methods(catalogue) if need in m.leaves), key=rank)


def _methods(catalogue: Catalogue) -> Iterator[MethodInfo]:
    """Every method that can be described: another plugin's fault is none of this one's."""
    for name in catalogue.names("method"):
        try:
            yield catalogue.method(name)
        except PluginError:
            continue
