from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stillhouse.core.errors import LimitError, UserError
from stillhouse.core.evaluate import Artefact, Choice, Context
from stillhouse.core.search.ensembles import loss, mixed
from stillhouse.plugins.ensemble import weighing
from stillhouse.plugins.ensemble.cached import chosen, predictions
from stillhouse.plugins.ensemble.info import EnsembleParams
from stillhouse.plugins.ensemble.weighing import Weighed, weighed

Build = Callable[..., Artefact]
Said = Callable[..., np.ndarray]
TARGETS = np.arange(200) % 4


@pytest.fixture
def context(stage: Any) -> Context:
    found: Context = stage.context
    return found


@pytest.fixture
def four(stored: Build, noisy: Said) -> Artefact:
    """A teacher and three others, of rising costs."""
    said = [noisy(TARGETS, strength, k) for k, strength in enumerate((4.0, 1.0, 2.0, 1.5))]
    costs = (100, 10, 20, 30)
    return stored(said, TARGETS, parameters=costs, macs=costs, training_macs=costs)


def weighs(artefact: Artefact, context: Context, **given: Any) -> Weighed:
    return weighed(artefact, Choice(EnsembleParams(**given)), context)


def test_one_model_has_weight_one_without_a_search(
    four: Artefact, stored: Build, noisy: Said, context: Context
) -> None:
    one = stored([noisy(TARGETS, 4.0, 0), noisy(TARGETS, 1.0, 1)], TARGETS)
    found = weighs(one, context)
    assert found.weights.tolist() == [0.0, 1.0]
    assert found.evaluations == 1
    assert weighs(four, context, only=(1,)).weights.tolist() == [0.0, 0.0, 1.0, 0.0]


def test_the_teacher_is_mixed_only_where_it_is_asked_for(four: Artefact, context: Context) -> None:
    assert weighs(four, context).weights[0] == 0
    assert weighs(four, context, include_teacher=True).weights[0] > 0.5
    alone = weighs(four, context, weights="teacher-alone")
    assert alone.weights.tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("mixing", ["probabilities", "logits"])
@pytest.mark.parametrize("solver", ["differential-evolution", "em", "slsqp", "greedy"])
def test_weights_lie_on_the_simplex_and_are_no_worse_than_any_model_or_all_alike(
    four: Artefact, context: Context, solver: str, mixing: str
) -> None:
    if (solver, mixing) == ("em", "logits"):
        return
    found = weighs(four, context, weights=solver, mixing=mixing, drop=False)
    assert (found.weights >= 0).all()
    assert abs(found.weights.sum() - 1) < 1e-9
    for other in ("uniform", "best-single"):
        known = weighs(four, context, weights=other, mixing=mixing).value
        assert found.value <= known + (1e-12 if solver == "differential-evolution" else 1e-9)
    assert found.gap is not None
    assert abs(found.gap) <= (0.05 if solver == "greedy" else 1e-4)


def test_the_same_seed_gives_the_same_weights_in_every_repeat(
    four: Artefact, context: Context
) -> None:
    given = {"objective": "accuracy", "drop": False}
    first = weighs(four, context, **given)
    four.memo.clear()
    again = weighs(four, replace(context, repeat=2), **given)
    assert first.weights.tolist() == again.weights.tolist()
    assert first.seed == again.seed


def test_weights_are_solved_once_for_what_decides_them(
    four: Artefact, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    prune = weighing.prune
    monkeypatch.setattr(weighing, "prune", lambda *a, **k: (runs.append(""), prune(*a, **k))[1])
    monkeypatch.setattr(weighing, "solve", lambda *a, **k: pytest.fail("solved twice"))
    first = weighs(four, context)
    assert weighs(four, context, temperature=2.0, weight=3.0, squared=False) is first
    assert len(runs) == 1
    assert weighs(four, context, objective="brier") is not first


def test_a_small_weight_goes_while_the_loss_hardly_rises(
    stored: Build, noisy: Said, context: Context
) -> None:
    said = [noisy(TARGETS, s, k) for k, s in enumerate((4.0, 2.0, 2.2, 1.8))]
    artefact = stored(said, TARGETS)
    kept = weighs(artefact, context, drop=False)
    assert 0 < kept.weights[3] < min(kept.weights[1:3])
    assert kept.dropped == {}
    lost = weighs(artefact, context, only=(0, 1), drop=False).value - kept.value
    assert lost > 0
    just, below = ({"drop_below": 0.3, "drop_rise": lost + by} for by in (1e-6, -1e-6))
    assert weighs(artefact, context, **below).weights.tolist() == kept.weights.tolist()
    found = weighs(artefact, context, **just)
    assert found.weights[3] == 0
    assert found.dropped == {3: pytest.approx(lost, abs=1e-7)}
    assert weighs(artefact, context, drop_below=0.01, drop_rise=10.0).dropped == {}


def test_random_answers_weigh_next_to_nothing_and_do_no_harm(
    stored: Build, noisy: Said, context: Context
) -> None:
    said = [noisy(TARGETS, s, k) for k, s in enumerate((4.0, 1.5, 2.0))]
    poison = np.random.default_rng(9).dirichlet(np.ones(4), len(TARGETS))
    plain = weighs(stored(said, TARGETS), context, drop=False)
    found = weighs(stored([*said, poison], TARGETS), context, drop=False)
    assert found.weights[3] < 0.05
    assert found.value <= plain.value + 1e-6
    assert weighs(stored([*said, poison], TARGETS), context).weights[3] == 0


def test_a_duplicate_leaves_the_loss_as_it_was(
    stored: Build, noisy: Said, context: Context
) -> None:
    said = [noisy(TARGETS, s, k) for k, s in enumerate((4.0, 1.5, 2.0))]
    plain = weighs(stored(said, TARGETS), context, drop=False)
    found = weighs(stored([*said, said[2]], TARGETS), context, drop=False)
    assert found.value == pytest.approx(plain.value, abs=1e-6)


def test_given_weights_are_taken_as_they_are(four: Artefact, context: Context) -> None:
    found = weighs(four, context, weights="given", given=(0.5, 0.25, 0.25))
    assert found.weights.tolist() == [0.0, 0.5, 0.25, 0.25]
    split = predictions(four, "tuning")
    expected = loss(split.probabilities[1:], split.targets, [0.5, 0.25, 0.25])
    assert found.value == pytest.approx(expected, abs=1e-12)
    calibrated = weighs(four, context, weights="given", given=(0.5, 0.25, 0.25), calibrate=True)
    assert calibrated.temperature != 1
    assert calibrated.value < found.value
    with pytest.raises(UserError, match=r"a weight for each of 4 models \(teacher, m1, m2, m3\)"):
        weighs(four, context, weights="given", given=(0.5, 0.5), include_teacher=True)


@pytest.mark.parametrize("cost", ["parameters", "macs", "training_macs"])
def test_a_limit_on_a_cost_holds_for_the_whole_mixture(
    four: Artefact, context: Context, cost: str
) -> None:
    for limit, most in ((60, {1, 2, 3}), (50, {2, 3}), (30, {1, 2}), (10, {1})):
        found = weighs(four, context, limit_on=cost, limit=float(limit), drop=False)
        assert set(found.used) <= most
        assert sum((100, 10, 20, 30)[k] for k in found.used) <= limit
    with pytest.raises(LimitError, match="nearest reachable: 10, model 0 alone"):
        weighs(four, context, limit_on=cost, limit=9.0)


def test_a_limit_on_the_count_holds_also_after_models_are_dropped(
    four: Artefact, context: Context
) -> None:
    for count in (1, 2):
        assert len(weighs(four, context, at_most=count).used) <= count
        assert len(weighs(four, context, at_most=count, drop=False).used) == count


def test_given_weights_beyond_a_limit_are_refused(four: Artefact, context: Context) -> None:
    given = {"weights": "given", "given": (0.5, 0.5, 0.0)}
    assert weighs(four, context, limit=30.0, at_most=2, **given).used == [1, 2]
    with pytest.raises(LimitError, match="within the limit of 29 macs, got 30; give some"):
        weighs(four, context, limit=29.0, **given)
    with pytest.raises(LimitError, match="within the limit of 1 models, got 2"):
        weighs(four, context, at_most=1, **given)


def test_a_cost_that_is_not_known_cannot_be_limited(
    stored: Build, noisy: Said, context: Context
) -> None:
    artefact = stored([noisy(TARGETS, 1.0, k) for k in range(2)], TARGETS)
    with pytest.raises(UserError, match=r"every model's latency_ms, but 'm1' \(trained\) has none"):
        weighs(artefact, context, limit_on="latency_ms", limit=1.0)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_weights_are_never_found_on_another_split_than_tuning(
    stored: Build, noisy: Said, context: Context, split: str
) -> None:
    artefact = stored([noisy(TARGETS, 1.0, k) for k in range(3)], TARGETS, split)
    for solver in ("differential-evolution", "uniform", "given", "teacher-alone"):
        with pytest.raises(UserError, match=f"tuning split only; got predictions on the {split}"):
            weighs(artefact, context, weights=solver, given=(0.5, 0.5))


def test_no_model_to_mix_is_refused(stored: Build, noisy: Said, context: Context) -> None:
    artefact = stored([noisy(TARGETS, 1.0, 0)], TARGETS)
    with pytest.raises(UserError, match="expected a model to mix, got none"):
        weighs(artefact, context)


def test_a_stack_reads_only_models_that_it_weighs(
    stored: Build, noisy: Said, context: Context
) -> None:
    uniform = np.full((len(TARGETS), 4), 0.25)
    said = [noisy(TARGETS, 4.0, 0), uniform, noisy(TARGETS, 1.0, 1), noisy(TARGETS, 2.0, 2)]
    artefact = stored(said, TARGETS)
    found = weighs(artefact, context, weights="stacking", mixing="logits")
    assert found.used == [2, 3]
    assert found.stack is not None
    split = predictions(artefact, "tuning")
    own = found.stack.predict(split.probabilities[found.used])
    assert own.shape == (len(TARGETS), 4)
    value = -np.log(own[np.arange(len(TARGETS)), TARGETS]).mean()
    assert found.value == pytest.approx(value, abs=1e-9)


def test_several_labels_are_weighed_as_so_many_samples(stored: Build, context: Context) -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 3)) < 0.4).astype(np.int64)
    said = [1 / (1 + np.exp(-(2 * k * (targets - 0.5) + rng.standard_normal((60, 3)))))
            for k in (3, 1, 2)]  # fmt: skip
    artefact = stored(said, targets)
    found = weighs(artefact, context, drop=False)
    split = predictions(artefact, "tuning")
    mixture = mixed(split.probabilities, found.weights, several=True)
    right = np.where(targets == 1, mixture, 1 - mixture)
    assert found.value == pytest.approx(-np.log(right).mean(), abs=1e-7)


def test_models_next_to_each_other_are_not_copied(four: Artefact) -> None:
    split = predictions(four, "tuning")
    assert isinstance(split.probabilities, np.memmap)
    for places in ([1, 2, 3], [2], [0, 1]):
        view = chosen(split, places)
        assert np.shares_memory(view, split.probabilities)
        assert np.array_equal(view, split.probabilities[places])
    assert np.array_equal(chosen(split, [0, 2]), split.probabilities[[0, 2]])
