"""`space: auto`: the student's family offers the space."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stillhouse.core.config.runfile import parse
from stillhouse.core.errors import PlanError
from stillhouse.core.plan import Plan, make_plan
from stillhouse.core.plugin import Catalogue

RUN = """
task: spoken-digits
teacher: {model: keyword-transformer, width: 96, depth: 6}
student: {model: keyword-transformer, width: 48, depth: 4, heads: 3, ffn_ratio: 2.0}
recipe: [{supernet: {space: SPACE}}]
search: {maximize: accuracy}
target: {runtime: onnxruntime-cpu}
"""


def planned(space: str) -> Plan:
    catalogue = Catalogue.discover()
    text = RUN.replace("SPACE", space)
    return make_plan(parse(text, "run.yaml", catalogue), catalogue)


def test_the_automatic_space_lies_around_the_student_and_not_the_teacher() -> None:
    plan = planned("auto")
    largest = plan.space.decode(plan.space.corners()[2])
    assert largest["supernet.width"] == 48
    assert largest["supernet.depth"] == 4
    assert largest["supernet.heads"] == [3, 3, 3, 3]
    assert plan.space.decode(plan.space.corners()[0])["supernet.depth"] == 2


def test_a_space_of_another_family_is_refused_and_auto_is_offered() -> None:
    with pytest.raises(PlanError, match=r"for the model family 'hubert'.* auto"):
        planned("lighthubert-small")


def test_planning_with_an_automatic_space_imports_no_torch() -> None:
    code = (
        "import sys; from stillhouse.core.plugin import Catalogue;"
        "from stillhouse.core.config.runfile import parse;"
        "from stillhouse.core.plan import make_plan;"
        "c = Catalogue.discover(); make_plan(parse(sys.argv[1], 'r.yaml', c), c);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, RUN.replace("SPACE", "auto")], check=True)
