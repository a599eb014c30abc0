"""Which latency model a run goes by: the one named, or the one that errs least, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np

from stillhouse.core.cost.latency.adapted import AdaptedLatency
from stillhouse.core.cost.latency.contract import Array, FitReport, LatencyModel
from stillhouse.core.cost.latency.fitted import LEAST_MEASURED, FittedLatency
from stillhouse.core.cost.latency.reasons import (
    compared,
    none_predicts,
    unmeasured,
    unsure,
)
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError

Predictor = Literal["auto", "fitted", "table", "roofline"]

_UNMEASURED: Final = ("table", "roofline")
"""Which model to go by where no network was measured, the best first."""
_ELSEWHERE: Final = "adapted from another device"
_SPREAD: Final = float(np.sqrt(np.pi / 2 - 1))
"""Standard deviation of a normal error's size, in terms of its mean."""


@final
@dataclass(frozen=True, eq=False)
class Choice:
    """The model to go by, what each one that was considered is worth, and the reason.

    reports: by the models' names ("fitted", "table", "adapted table", ...), the best first; empty
    where no network was measured. why: one sentence.
    """

    model: LatencyModel
    reports: Mapping[str, FitReport]
    why: str


def chosen(
    models: Sequence[LatencyModel],
    sheet: OperatorSheet,
    measured_ms: Array,
    predictor: Predictor = "auto",
    elsewhere: LatencyModel | None = None,
) -> Choice:
    """Choose a model for candidates like the sheet's, whose latencies (candidates,) were measured.

    Where none was measured (`measured_ms` empty) the sheet is of any candidates.

    `models` are those of this device that have not seen the measured networks (a table, a
    roofline), at most one of a kind; `elsewhere` is a model of another device. "auto" compares
    them, as they are and adapted to the measurements, with one fitted to the measurements alone,
    by their mean absolute errors on networks they have not seen (cross-validated where they are
    fitted), and takes the smallest, or the fitted one where it is within a standard error of it.
    Where fewer than five networks were measured nothing can be compared: the table is taken, or
    else the roofline, whichever knows the sheet's operators, with the margin it has; a model of
    another device is of no use as it is.

    Raises `UserError` for a predictor that is not at hand, and where no model can predict.
    """
    if predictor != "auto":
        return _named(predictor, models, sheet, measured_ms)
    if len(measured_ms) < LEAST_MEASURED:
        return _unmeasured(models, sheet, elsewhere is not None)
    contestants: dict[str, LatencyModel] = {}
    refused: dict[str, str] = {}
    for name, build in _builders(models, sheet, measured_ms, elsewhere).items():
        try:
            contestants[name] = build()
        except (UserError, ValueError) as error:
            refused[name] = str(error)
    contestants = dict(sorted(contestants.items(), key=lambda pair: pair[1].report.mape))
    if not contestants:
        raise UserError(none_predicts(refused))
    best = _preferred(contestants)
    reports = {name: model.report for name, model in contestants.items()}
    return Choice(contestants[best], reports, compared(best, contestants, refused))


def _preferred(contestants: Mapping[str, LatencyModel]) -> str:
    """The fitted model where it errs no more than the best one by one standard error.

    Breiman et al. 1984, section 3.4.3: an adapted model's strength was chosen on the errors that
    judge it, so its error and its margin flatter it. The standard error is that of normal errors'
    mean size.
    """
    best = next(iter(contestants))
    report = contestants[best].report
    allowed = report.mape * (1 + _SPREAD / np.sqrt(report.measured))
    fitted = contestants.get("fitted")
    return "fitted" if fitted is not None and fitted.report.mape <= allowed else best


def _builders(
    models: Sequence[LatencyModel],
    sheet: OperatorSheet,
    measured_ms: Array,
    elsewhere: LatencyModel | None,
) -> dict[str, Callable[[], LatencyModel]]:
    """How each contestant is made, by name. Any may raise `UserError` or ValueError."""

    def judged(model: LatencyModel) -> Callable[[], LatencyModel]:
        return lambda: model.judged_on(sheet, measured_ms)

    def fitted_to(base: LatencyModel) -> Callable[[], LatencyModel]:
        return lambda: AdaptedLatency.fit(base, sheet, measured_ms)

    found: dict[str, Callable[[], LatencyModel]] = {
        "fitted": lambda: FittedLatency.fit(sheet, measured_ms)
    }
    for model in models:
        found[model.kind] = judged(model)
        found[f"adapted {model.kind}"] = fitted_to(model)
    if elsewhere is not None:
        found[_ELSEWHERE] = fitted_to(elsewhere)
    return found


def _named(
    predictor: Predictor, models: Sequence[LatencyModel], sheet: OperatorSheet, measured_ms: Array
) -> Choice:
    enough = len(measured_ms) >= LEAST_MEASURED
    if predictor == "fitted":
        model: LatencyModel = FittedLatency.fit(sheet, measured_ms)
    else:
        found = next((model for model in models if model.kind == predictor), None)
        if found is None:
            raise UserError(
                f"target.predictor: expected a model that the device file has measurements for, "
                f"got {predictor}, and no single operators were measured; measure them with "
                "stillhouse profile, or set target.predictor to auto"
            )
        model = found.judged_on(sheet, measured_ms) if enough else _predicting(found, sheet)
    reports: dict[str, FitReport] = {predictor: model.report} if enough else {}
    return Choice(model, reports, f"{predictor}: named by target.predictor{unsure(model)}.")


def _unmeasured(models: Sequence[LatencyModel], sheet: OperatorSheet, elsewhere: bool) -> Choice:
    refused: dict[str, str] = {}
    if elsewhere:
        refused[_ELSEWHERE] = f"needs at least {LEAST_MEASURED} measured networks"
    for model in sorted(models, key=lambda model: _UNMEASURED.index(model.kind)):
        try:
            taken = _predicting(model, sheet)
        except (UserError, ValueError) as error:
            refused[model.kind] = str(error)
            continue
        return Choice(taken, {}, unmeasured(taken, refused))
    raise UserError(none_predicts(refused))


def _predicting(model: LatencyModel, sheet: OperatorSheet) -> LatencyModel:
    """The model, if it knows the arithmetic of the sheet; else it raises."""
    model.predict(sheet)
    return model
