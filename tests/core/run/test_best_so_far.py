"""The best evaluation so far: one by one, and all at once."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.core.cost.limits import Limit
from stillhouse.core.run.best_so_far import BestSoFar
from stillhouse.core.run.goals import Goals
from stillhouse.core.run.ledger import Entry
from stillhouse.core.search import Objective

LIMITED = (Limit("recall", ">=", 0.5),)


@pytest.mark.parametrize("outcomes", [(), LIMITED])
@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("rungs", [(None,), (0.1, 0.5, 1.0)])
def test_many_at_once_come_to_what_they_come_to_one_by_one(outcomes, maximize, rungs):
    goals = Goals((Objective("accuracy", maximize),), outcomes)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        entries = []
        for number in range(int(rng.integers(1, 30))):
            values = {"accuracy": float(rng.integers(5)) / 5, "recall": float(rng.random())}
            found = values if rng.random() < 0.8 else {}
            share = rungs[int(rng.integers(len(rungs)))]
            entries.append(Entry(number, str(number), {}, {}, found, 1.0, "", share))
        single, many = BestSoFar(goals), BestSoFar(goals)
        for entry in entries:
            text = single.after(entry)
        assert many.among(entries) == text
