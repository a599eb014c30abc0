"""The recipe's order follows from capabilities."""

from __future__ import annotations

from typing import Any

import pytest

from stillhouse.core.errors import PlanError
from stillhouse.core.plan.order import ordered
from stillhouse.core.plugin import NEW_STUDENT, MethodInfo


def method(name: str, **capabilities: Any) -> MethodInfo:
    sets = {key: frozenset(value) for key, value in capabilities.items()}
    return MethodInfo(name=name, summary="x", build="a:b", changes="student", **sets)


TERMS = method("terms", leaves={"loss terms"})
MORE_TERMS = method("more-terms", leaves={"loss terms"})
SPANS = method("mask-spans", leaves={"masked spans"})
SUPERNET = method("supernet", leaves={"student", "float weights"}, spends={"loss terms"})
DISTIL = method("distil", needs={"student", "float weights"}, spends={"loss terms"})
PRUNE = method("prune", needs={"student", "float weights"})
INT8 = method("int8", needs={"student", "float weights"}, leaves={"int8"}, spends={"float weights"})
INT8_AGAIN = method(
    "int8-static", needs={"student", "float weights"}, leaves={"int8"}, spends={"float weights"}
)


def names(*methods: MethodInfo) -> list[str]:
    return [m.name for m in ordered(methods)]


def test_the_order_of_the_run_file_is_kept_where_it_works() -> None:
    assert names(TERMS, MORE_TERMS, SUPERNET, DISTIL) == [
        "terms", "more-terms", "supernet", "distil",
    ]  # fmt: skip


def test_loss_terms_come_before_whatever_trains_on_them() -> None:
    assert names(SUPERNET, DISTIL, TERMS) == ["terms", "supernet", "distil"]


def test_loss_terms_between_two_methods_that_train_are_for_the_second_alone() -> None:
    assert names(SUPERNET, TERMS, DISTIL, MORE_TERMS) == [
        "more-terms", "supernet", "terms", "distil",
    ]  # fmt: skip


def test_pruning_comes_before_quantising_because_int8_uses_the_float_weights_up() -> None:
    assert names(SUPERNET, INT8, PRUNE) == ["supernet", "prune", "int8"]


def test_two_methods_that_use_up_the_same_thing_are_refused_with_the_reason() -> None:
    said = "'int8' uses up float weights, which 'int8-static' needs; .*; keep one of them"
    with pytest.raises(PlanError, match=said):
        ordered([SUPERNET, INT8, INT8_AGAIN])


def test_a_need_that_was_used_up_is_refused_naming_who_did() -> None:
    both = method("both", needs={"float weights", "int8"})
    with pytest.raises(PlanError, match=r"'both' needs float weights, but 'int8' used it up"):
        ordered([SUPERNET, INT8, both])


def test_two_methods_that_make_a_student_are_refused() -> None:
    fresh = method("fresh", leaves=NEW_STUDENT)
    with pytest.raises(PlanError, match=r"'supernet' and 'fresh' each make a student"):
        ordered([SUPERNET, fresh])


def test_a_need_that_nothing_leaves_is_refused_naming_both() -> None:
    with pytest.raises(PlanError, match=r"'distil' needs float weights, but nothing before"):
        ordered([TERMS, DISTIL])


def test_loss_terms_that_nothing_trains_on_are_refused() -> None:
    with pytest.raises(PlanError, match=r"'terms' adds loss terms that nothing after it trains on"):
        ordered([TERMS])


def test_a_method_given_twice_is_refused() -> None:
    with pytest.raises(PlanError, match=r"'prune' stands twice"):
        ordered([SUPERNET, PRUNE, PRUNE])
