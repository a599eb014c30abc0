from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.core.search.surrogate import Model, Warp
from stillhouse.plugins.samplers.promise import Aim, Promise

Array = NDArray[np.float64]

QUALITY = Aim(1.0, None, 0)
SECOND = Aim(1.0, None, 1)
SIZE = Aim(1.0, "size_kb", -1, 0.0, 10.0)
AT = np.linspace(0, 1, 9)[:, None]
NEW = np.linspace(-0.5, 1.5, 33)[:, None]


def table(inputs: Array) -> Mapping[str, Array]:
    return {"size_kb": 10.0 * inputs[:, 0]}


def promise(
    aims: Sequence[Aim],
    values: Array,
    outcomes: int = 0,
    failed: Sequence[int] = (),
    at: Array = AT,
) -> Promise:
    """Made of `values` (n, modelled objectives and then outcomes) at `at` (n, 1)."""
    made = values.shape[1] - outcomes
    warps = [*[Warp.of_values] * made, *[Warp.of_excess] * outcomes]
    model = Model(np.array([0], dtype=np.int64), warps)
    model.learn(at, values)
    known = [np.zeros(len(at)) if a.cost is None else a.known(table(at)) for a in aims]
    out = np.isin(np.arange(len(at)), failed)
    return Promise(tuple(aims), model, np.stack(known, axis=1), out)


def best(made: Promise, new: Array = NEW) -> float:
    return float(new[np.argmax(made.of(new, table(new))), 0])


def bowl(at: Array = AT) -> Array:
    """Least at 0.7, which was not observed."""
    out: Array = (at - 0.7) ** 2
    return out


def test_one_objective_is_improved_where_it_is_expected_to_be_least() -> None:
    assert best(promise([QUALITY], bowl())) == pytest.approx(0.7, abs=0.07)


def test_the_rough_score_points_to_the_same_place() -> None:
    made = promise([QUALITY], bowl())
    rough = made.of(NEW, table(NEW), rough=True)
    assert NEW[np.argmax(rough), 0] == pytest.approx(0.7, abs=0.13)


def test_a_known_cost_alone_needs_no_model() -> None:
    made = promise([SIZE], np.empty((9, 0)))
    assert best(made) == -0.5
    assert np.isfinite(made.of(NEW, table(NEW))).all()


def test_what_is_likely_to_break_an_outcome_promises_less() -> None:
    """The excess is 0 at 0.4: the best within it lies there."""
    made = promise([QUALITY], np.concatenate([bowl(), AT - 0.4], axis=1), outcomes=1)
    inside = NEW[(NEW[:, 0] >= 0) & (NEW[:, 0] <= 1)]
    assert best(made, inside) == pytest.approx(0.4, abs=0.1)


def test_before_any_outcome_is_met_its_chance_alone_counts() -> None:
    made = promise([QUALITY], np.concatenate([bowl(), AT + 0.2], axis=1), outcomes=1)
    assert best(made) < 0.0


def test_what_failed_is_no_incumbent() -> None:
    """Without the two lowest, what is between them improves on the rest."""
    near = NEW[np.abs(NEW[:, 0] - 0.7) < 0.1]
    plain = promise([QUALITY], bowl()).of(near, table(near))
    without = promise([QUALITY], bowl(), failed=[5, 6]).of(near, table(near))
    assert (without > plain).all()


@pytest.mark.parametrize("aims", [[QUALITY], [QUALITY, SIZE]])
def test_when_all_told_are_out_of_bounds_the_best_predicted_are_preferred(
    aims: list[Aim],
) -> None:
    made = promise(aims, bowl(), failed=range(9))
    inside = NEW[(NEW[:, 0] >= 0) & (NEW[:, 0] <= 1)]
    assert best(made, inside) == pytest.approx(0.6 if len(aims) > 1 else 0.7, abs=0.2)


def test_several_objectives_gain_where_the_front_has_a_gap() -> None:
    """Between -2 and 3 everything is on the front; the widest gap was left at 1."""
    at = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.9, 1.0])[:, None]
    new = np.linspace(0, 1, 41)[:, None]
    made = promise([QUALITY, SIZE], 1.0 - at, at=at)
    assert best(made, new) == pytest.approx(0.65, abs=0.1)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_a_front_of_one_point_still_tells_better_from_worse(objectives: int) -> None:
    values = np.stack([AT[:, 0] + 1 + j for j in range(objectives)], axis=1)
    aims = [Aim(1.0, None, j) for j in range(objectives)]
    score = promise(aims, values).of(NEW, table(NEW))
    assert np.isfinite(score).all()
    assert NEW[np.argmax(score), 0] < 0


@pytest.mark.parametrize("aims", [[QUALITY], [QUALITY, SIZE], [QUALITY, SECOND, SIZE]])
def test_believing_moves_on_and_leaves_the_promise_as_it_was(aims: list[Aim]) -> None:
    values = np.concatenate([bowl(), -AT], axis=1)[:, : sum(a.cost is None for a in aims)]
    made = promise(aims, values)
    before = made.of(NEW, table(NEW))
    place = int(np.argmax(before))
    row = NEW[place : place + 1]
    later = made.believing(row, table(row))
    np.testing.assert_array_equal(made.of(NEW, table(NEW)), before)
    after = later.of(NEW, table(NEW))
    assert after[place] < before[place] - 0.5


@pytest.mark.parametrize("aims", [[SIZE], [QUALITY], [QUALITY, SIZE], [QUALITY, SECOND, SIZE]])
@pytest.mark.parametrize("outcomes", [0, 1])
def test_a_batch_is_what_choosing_and_believing_in_turn_gives(
    aims: list[Aim], outcomes: int
) -> None:
    made = sum(aim.cost is None for aim in aims)
    values = [*[bowl(), -np.sin(3 * AT)][:made], *[AT - 0.4][:outcomes]]
    start = promise(aims, np.concatenate([AT[:, :0], *values], axis=1), outcomes)
    now, expected = start, list[int]()
    for _ in range(8):
        score = now.of(NEW, table(NEW))
        score[expected] = -np.inf
        place = int(np.argmax(score))
        expected.append(place)
        row = NEW[place : place + 1]
        now = now.believing(row, table(row))
    assert start.chosen(NEW, table(NEW), 8) == expected
    assert sorted(start.chosen(NEW[:5], table(NEW[:5]), 8)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("aims", [[QUALITY], [QUALITY, SIZE]])
@pytest.mark.parametrize("value", [0.0, 0.7])
def test_equal_values_everywhere_give_numbers(aims: list[Aim], value: float) -> None:
    made = promise(aims, np.full((9, 1), value))
    for rough in (False, True):
        assert np.isfinite(made.of(NEW, table(NEW), rough=rough)).all()


def test_a_cost_that_is_not_finite_promises_nothing() -> None:
    made = promise([QUALITY, SIZE], bowl())
    costs = np.array([5.0, np.inf, np.nan, -np.inf])
    new = np.full((4, 1), 0.7)
    score = made.of(new, {"size_kb": costs})
    assert np.isfinite(score).all()
    assert score[0] > score[1:].max() + 10


def test_a_long_front_is_thinned_but_keeps_its_ends() -> None:
    at = np.linspace(0, 1, 400)[:, None]
    made = promise([QUALITY, SIZE], 1.0 - at, at=at)
    edges = made._regions.edges
    assert len(edges[0]) == 200 + 2
    assert edges[1][1] == pytest.approx(0.0)
    assert edges[1][-2] == pytest.approx(1.0)
