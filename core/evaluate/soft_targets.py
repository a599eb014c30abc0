"""A student's targets from cached predictions: the weighted mixture of several models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.predictions import Mixing, Predictions
from stillhouse.core.search.ensembles import MIXINGS, mixed

if TYPE_CHECKING:
    from stillhouse.core.evaluate.task import Task

Weights = Sequence[float] | NDArray[np.floating[Any]]


def soft_targets(
    predictions: Predictions,
    weights: Weights,
    temperature: float = 1.0,
    mixing: Mixing = "probabilities",
) -> NDArray[np.float32]:
    """The mixture (samples, classes), the very one that a search for weights scores (`mixed`).

    Computed in float64, a block of samples at a time; a model of weight 0 is not read. Where
    samples have several labels, each is mixed by itself, as the outcomes there and not there.

    Raises:
        UserError: the weights are not on the simplex, or the temperature is not above 0.
    """
    shares = _on_simplex(weights, predictions)
    _check(temperature, mixing)
    used = np.flatnonzero(shares)
    targets = np.empty((predictions.samples, len(predictions.classes)), np.float32)
    for rows in predictions.blocks():
        stored = predictions.probabilities[used, rows]
        targets[rows] = mixed(stored, shares[used], mixing, temperature, predictions.several)
    return targets


def student_targets(
    predictions: Predictions,
    weights: Weights,
    task: Task,
    temperature: float = 1.0,
    mixing: Mixing = "probabilities",
) -> NDArray[np.float32]:
    """`soft_targets` for a student of `task`: row i belongs to sample i of the train split.

    Raises:
        UserError: the predictions are not of the task's train split and data, or were made of
            other views of the samples than the student sees.
    """
    _check_data(predictions, task)
    _check_views(predictions, task)
    return soft_targets(predictions, weights, temperature, mixing)


def _check_data(predictions: Predictions, task: Task) -> None:
    where, known = predictions.place, predictions.origin.data
    if predictions.split != "train":
        raise UserError(
            f"{where}: expected predictions on the train split, got the {predictions.split} split; "
            "a student learns from the samples it trains on"
        )
    if predictions.classes != tuple(task.labels):
        raise UserError(
            f"{where}: expected the task's classes {', '.join(task.labels)} in this order, got "
            f"{', '.join(predictions.classes)}; predict again"
        )
    same = np.array_equal(predictions.targets, task.data.train.targets.cpu().numpy())
    if not same or known not in ("", task.data.sha256, task.viewed(()).data.sha256):
        raise UserError(
            f"{where}: expected predictions on the task's data {task.data.sha256}, got "
            f"{known if same else 'other targets'}; predict the train split again"
        )


def _check_views(predictions: Predictions, task: Task) -> None:
    made = predictions.origin.training_views
    if made or (made is None and task.augments):
        came = "made of training views" if made else "that do not say whether they were made so"
        raise UserError(
            f"{predictions.place}: expected predictions made without training views "
            f"(augmentation), got some {came}; mix the models online while the student trains, or "
            "predict the samples as they are"
        )


def _on_simplex(weights: Weights, predictions: Predictions) -> NDArray[np.float64]:
    shares = np.asarray(weights, np.float64)
    models = len(predictions.models)
    if shares.shape != (models,):
        raise UserError(
            f"{predictions.place}: expected one weight for each of {', '.join(predictions.models)},"
            f" got shape {shares.shape}"
        )
    if not (shares >= 0).all() or not abs(shares.sum() - 1) <= 1e-6:
        raise UserError(
            f"{predictions.place}: expected weights of at least 0 that sum to one, got "
            f"{', '.join(f'{share:g}' for share in shares)}; divide them by their sum"
        )
    return shares


def _check(temperature: float, mixing: str) -> None:
    if not 0 < temperature < float("inf"):
        raise UserError(f"temperature: expected a finite number above 0, got {temperature:g}")
    if mixing not in MIXINGS:
        raise UserError(f"mixing: expected {' or '.join(MIXINGS)}, got {mixing!r}")
