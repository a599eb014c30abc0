"""Every two built-in methods compose or are refused with a reason, as the page says."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from stillhouse.core.plugin.conformance.composing import Composition, Pairing, every_pair
from stillhouse.core.plugin.conformance.info import discover
from stillhouse.core.reference.composition import (
    BROKEN,
    KEPT,
    REFUSED,
    SWAPPED,
    composition_page,
    mark,
)

WRITE: Final[Mapping[str, Any]] = runpy.run_path(str(Path(__file__).with_name("write.py")))
METHODS: Final[list[str]] = WRITE["methods"]()
PAGE: Final[str] = WRITE["PAGE"].read_text("utf-8")
SAY: Final = f"write the page again: {WRITE['COMMAND']}"
FEW: Final = (
    ("soft-labels", "fresh"),
    ("fresh", "factorize"),
    ("distil", "factorize"),
    ("factorize", "distil"),
    ("supernet", "factorize"),
    ("mask-spans", "distil"),
)
"""Pairs that the fast tests carry out; each takes less than a second."""


@pytest.fixture(scope="module")
def pairs() -> Composition:
    found: Composition = WRITE["composition"]()
    return found


@pytest.fixture(scope="module")
def cells() -> Mapping[tuple[str, str], str]:
    """The page's marks by pair."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("|")]
    rows = {line[1].split("]")[0][1:]: line[2:] for line in lines if "](methods.md#" in line[1]}
    return {
        (first, second): cell
        for first, row in rows.items()
        for second, cell in zip(rows, row, strict=True)
    }


def test_the_page_has_every_pair_of_built_in_methods(cells: Mapping[Any, str]) -> None:
    assert list(cells) == every_pair(METHODS), SAY


def test_no_pair_on_the_page_is_broken(cells: Mapping[Any, str]) -> None:
    assert set(cells.values()) == {KEPT, SWAPPED, REFUSED}


def test_the_plan_orders_or_refuses_every_pair_as_the_page_says(
    pairs: Composition, cells: Mapping[tuple[str, str], str]
) -> None:
    for pair in every_pair(METHODS):
        planned = pairs.planned(*pair)
        if planned.verdict == "refused":
            assert (cells[pair], planned.reason in PAGE) == (REFUSED, True), f"{pair}: {SAY}"
        else:
            assert cells[pair] in (mark(planned), REFUSED, BROKEN), f"{pair}: {SAY}"


def test_a_method_does_not_stand_twice_in_a_recipe(cells: Mapping[tuple[str, str], str]) -> None:
    assert {cells[name, name] for name in METHODS} == {REFUSED}


@pytest.mark.parametrize("pair", FEW, ids="-".join)
def test_a_few_pairs_compose_when_carried_out(pairs: Composition, pair: tuple[str, str]) -> None:
    found = pairs.paired(*pair)
    assert (found.verdict, found.reason) == ("composed", "")


def test_two_pairs_of_one_order_share_what_was_carried_out(pairs: Composition) -> None:
    one, other = pairs.paired("fresh", "factorize"), pairs.paired("factorize", "fresh")
    assert one.order == other.order
    assert (one.swapped, other.swapped) == (False, True)


def test_a_broken_pair_is_shown_with_what_it_does_not_keep() -> None:
    broken = Pairing("a", "b", "broken", ("a", "b"), "UnmetError: expected this, got that")
    page = composition_page([broken if p == ("a", "b") else Pairing(*p, "composed", p)
                             for p in every_pair(["a", "b"]) if p[0] != p[1]] + [
                             Pairing(n, n, "refused", (), "twice") for n in "ab"])  # fmt: skip
    assert "## Broken" in page
    assert "expected this, got that" in page


FOREIGN: Final = """
import copy
from dataclasses import replace
from typing import final

import torch
from stillhouse.core.evaluate import Method
from stillhouse.core.plugin import MethodInfo, hookimpl

@hookimpl
def stillhouse_methods():
    needs = frozenset({"student", "float weights"})
    for name in ("Raises", "Idle", "Grows"):
        yield MethodInfo(
            name=name.lower(), summary="breaks", build=f"stillhouse_plugins:{name}",
            changes="student", needs=needs,
        )

class Adds(Method):
    size = 0

    def apply(self, state, choice, artefact, context):
        module = copy.deepcopy(state.student.module)
        if self.size:
            module.extra = torch.nn.Parameter(torch.zeros(self.size))
        return state.with_student(replace(state.student, module=self.changed(module)))

@final
class Raises(Adds):
    def changed(self, module):
        raise RuntimeError("out of luck")

@final
class Idle(Adds):
    size = 3
    changed = staticmethod(lambda module: module)

@final
class Grows(Adds):
    size = 1

    def changed(self, module):
        module.register_forward_hook(added)
        return module

def added(module, given, answer):
    return answer + module.extra
"""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raises", "RuntimeError: out of luck"),
        ("idle", "every parameter to take part in the answers, got idle: extra"),
        ("grows", "the weights do not fit the structure"),
    ],
)
def test_a_pair_that_breaks_an_invariant_says_which(name: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "stillhouse_plugins.py"
    file.write_text(FOREIGN)
    found = Composition(discover(file), {}).paired("fresh", name)
    assert found.verdict == "broken"
    assert reason in found.reason


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page_is_what_carrying_out_every_pair_says() -> None:
    assert WRITE["written"]() == PAGE, SAY
