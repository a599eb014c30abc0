from __future__ import annotations

import subprocess
import sys

from stillhouse.core.plan.order import ordered
from stillhouse.core.plugin import declared
from stillhouse.plugins.distil.info import DistilParams, SoftLabelsParams, stillhouse_methods
from stillhouse.plugins.supernet.info import stillhouse_methods as supernet_methods


def test_describing_the_methods_imports_no_torch() -> None:
    code = (
        "import sys, stillhouse.plugins.distil.info as d, stillhouse.plugins.supernet.info as s;"
        "list(d.stillhouse_methods()); list(s.stillhouse_methods());"
        "print([m for m in ('torch', 'scipy', 'optuna', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_terms_are_left_by_two_methods_and_spent_by_one() -> None:
    infos = {info.name: info for info in stillhouse_methods()}
    assert infos["soft-labels"].leaves == infos["hidden-states"].leaves == {"loss terms"}
    assert infos["distil"].spends == {"loss terms", "masked spans"}
    assert infos["distil"].needs == {"student", "float weights"}


def test_masks_are_in_place_before_anything_trains() -> None:
    infos = {info.name: info for info in (*stillhouse_methods(), *supernet_methods())}
    written = ("soft-labels", "supernet", "distil", "mask-spans")
    found = [info.name for info in ordered([infos[name] for name in written])]
    assert found == ["soft-labels", "mask-spans", "supernet", "distil"]


def test_searching_distil_costs_no_artefact_while_terms_split_what_follows() -> None:
    assert {p.phase for p in declared(DistilParams)} == {"apply"}
    assert {p.phase for p in declared(SoftLabelsParams)} == {"prepare"}
