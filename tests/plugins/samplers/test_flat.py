"""Flat parameters: the same ones for every configuration, and back to the same row."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.core.space import Choice, Integer, Real, Simplex, Space, Taps
from stillhouse.plugins.samplers.flat import FlatWording

SPACE = Space(
    [
        Choice("heads", (1, 2, 4), per="depth"),
        Choice("mixer", ("attention", "convolution"), per="depth"),
        Integer("kernel", 3, 9, step=2, per="depth", when=("mixer", ("convolution",))),
        Integer("depth", 0, 2),
        Integer("epochs", 1, 64, log=True),
        Real("rate", 1.0, 8.0, log=True, when=("epochs", (1, 2, 3, 4, 5, 6, 7, 8))),
        Simplex("weights", 3),
        Taps("hints", count=2, total=5),
    ]
)
LABELS = {
    "heads[0]", "heads[1]", "mixer[0]", "mixer[1]", "kernel[0]", "kernel[1]", "depth", "epochs",
    "rate", "weights.0", "weights.1", "weights.2", "hints.0", "hints.1",
}  # fmt: skip


@settings(max_examples=50, deadline=1000)
@given(seed=st.integers(0, 2**31), numeric=st.booleans())
def test_parameters_lead_back_to_the_same_row(seed: int, numeric: bool) -> None:
    wording = FlatWording(SPACE, numeric=numeric)
    row = SPACE.sample(1, np.random.default_rng(seed))[0]
    drawn = wording.parameters(row)
    assert set(drawn) == LABELS
    trial = optuna.trial.FixedTrial(drawn)
    assert wording.suggested(trial) == pytest.approx(row, abs=1e-9)
    assert set(trial.params) == LABELS


@pytest.mark.parametrize(("numeric", "categorical"), [(True, set()), (False, {"mixer"})])
def test_only_text_is_categorical_and_nothing_is_when_numbers_are_asked_for(
    numeric: bool, categorical: set[str]
) -> None:
    wording = FlatWording(SPACE, numeric=numeric)
    trial = optuna.trial.FixedTrial(wording.parameters(SPACE.corners()[2]))
    wording.suggested(trial)
    kinds = {
        name.partition("[")[0]
        for name, kind in trial.distributions.items()
        if isinstance(kind, optuna.distributions.CategoricalDistribution)
    }
    assert kinds == categorical
