"""What a run file's searched values and lists become in the plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stillhouse.core.config import SearchRange, parse
from stillhouse.core.evaluate.evaluator import BoundStep
from stillhouse.core.plan import Plan, describe, make_plan
from stillhouse.core.plan.plan import dimension
from stillhouse.core.plugin import Catalogue, Provenance
from stillhouse.core.space import Choice, Integer, Real, Simplex, Taps

INFO = """
from stillhouse.core.plugin import MethodInfo, Params, hookimpl, param

class MixedParams(Params):
    assistants: tuple = param((), kind="models", help="networks in between")
    shares: tuple = param((), kind="simplex", phase="apply", help="of the mixture")

@hookimpl
def stillhouse_methods():
    yield MethodInfo(
        name="mixed", summary="A method by a stranger", build="mixed_code:Mixed",
        params=MixedParams, changes="student", leaves=frozenset({"student"}), prepares=True,
    )
"""
RUN = """
task: {npz: {path: x.npz}}
teacher: {model: keyword-transformer, width: 16, depth: 1, heads: 1}
recipe: [mixed: {assistants: ASSISTANTS, shares: SHARES}]
search: {maximize: accuracy}
target: {runtime: onnxruntime-cpu}
"""
TWO = "[{model: cnn, name: small}, {model: keyword-transformer}]"


@pytest.mark.parametrize(
    ("searched", "found"),
    [
        (SearchRange(choices=(1, 2)), Choice("x", (1, 2))),
        (SearchRange(1, 4), Integer("x", 1, 4)),
        (SearchRange(1.0, 4.0, True), Real("x", 1.0, 4.0, log=True)),
        (SearchRange(taps=2, of=5), Taps("x", 2, 5)),
        (SearchRange(simplex=3), Simplex("x", 3)),
    ],
)
def test_a_searched_value_is_a_dimension(searched: SearchRange, found: object) -> None:
    assert dimension("x", searched) == found


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("stranger") / "mixed_info.py"
    path.write_text(INFO)
    extra: Any = [("method", "mixed", str(path), Provenance("stranger", "0.3", "mixed"))]
    catalogue = Catalogue.discover(extra=extra)

    def plan(assistants: str = "[]", shares: str = "[]") -> Plan:
        text = RUN.replace("ASSISTANTS", assistants).replace("SHARES", shares)
        return make_plan(parse(text, "run.yaml", catalogue), catalogue)

    return plan


def test_searched_weights_reach_the_method_as_a_list_that_sums_to_one(planned: Any) -> None:
    plan = planned(shares="{simplex: 3}")
    bound = BoundStep(plan.steps[0], None, "stranger 0.3")  # type: ignore[arg-type]
    for row in plan.space.sample(20, np.random.default_rng(0)):
        shares = bound.choice(plan.space.decode(row)).params.shares
        assert isinstance(shares, list)
        assert len(shares) == 3
        assert min(shares) >= 0
        assert sum(shares) == pytest.approx(1, abs=1e-12)


def test_searched_weights_are_found_for_one_artefact(planned: Any) -> None:
    plan = planned(shares="{simplex: 3}")
    assert plan.artefacts(plan.steps[0]) == 1
    text = describe(plan)
    assert "infinitely many configurations" in text
    assert "mixed.shares: 3 non-negative numbers that sum to 1" in text


def test_the_plan_calls_networks_by_their_names(planned: Any) -> None:
    (line,) = (line for line in describe(planned(TWO, "[1, 3]")).splitlines() if "mixed (" in line)
    assert line == "  1. mixed (assistants small + keyword-transformer, shares (0.25, 0.75))"
