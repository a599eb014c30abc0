"""A size model that does not fit says so."""

from __future__ import annotations

import numpy as np

from stillhouse.core.cost.file_size import SizeModel
from stillhouse.core.cost.model import RecipeCosts
from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.run.costing import size_notes


def notes(residual_bytes: float) -> list[str]:
    rows = (Operator("layer", "linear", "linear", {"inputs": 100, "outputs": 100}),)
    size = SizeModel({}, residual_bytes)
    costs = RecipeCosts(lambda codes: OperatorSheet(len(codes), rows), (), size=size)
    return list(size_notes(costs, size, np.zeros((3, 1))))


def test_errors_above_a_twentieth_of_a_file_are_told() -> None:
    assert notes(1_900) == []
    (said,) = notes(2_100)
    assert said.startswith(
        "size model: errs by up to 2.1 kB on the networks profiled, of files of about 40 kB"
    )
