"""What the report shows of an ensemble: weights, and everybody's scores on tuning and test.

The test split is predicted here, once, when nothing is left to choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from stillhouse.core.evaluate import Artefact, Choice, Context, State
from stillhouse.core.evaluate.predictions import Predictions
from stillhouse.plugins.ensemble.cached import predictions, tested
from stillhouse.plugins.ensemble.member import Member, members
from stillhouse.plugins.ensemble.scores import (
    Array,
    answers,
    hits,
    interval,
    log_losses,
    share,
)
from stillhouse.plugins.ensemble.weighing import Weighed, mixable, weighed

_SEARCHED = "differential-evolution"


@final
@dataclass(frozen=True, eq=False)
class Mixture:
    """A line of the exhibit: who is weighed how."""

    role: str
    label: str
    found: Weighed
    mixing: str

    def on(self, split: Predictions) -> Array:
        found = self.found
        return answers(split, found.weights, self.mixing, found.temperature, found.stack)


def exhibited(
    state: State, choice: Choice, artefact: Artefact, context: Context
) -> Mapping[str, Any]:
    """The exhibit of kind "ensemble"."""
    params, everyone = choice.params, members(artefact)
    lines = _lines(artefact, choice, context)
    tuning, test = predictions(artefact, "tuning"), tested(state, params, artefact, context)
    found = lines[0].found
    referee = {"probabilities": "em", "logits": "slsqp"}[params.mixing]
    return {
        "kind": "ensemble",
        "method": "ensemble",
        "weights": params.weights,
        "objective": params.objective,
        "mixing": params.mixing,
        "temperature": found.temperature,
        "distil_temperature": params.temperature,
        "topology": params.topology,
        "gap": found.gap,
        "referee": None if found.gap is None else referee,
        "evaluations": found.evaluations,
        "seed": found.seed,
        "predictions_sha256": tuning.sha256,
        "samples": {"tuning": tuning.samples, "test": test.samples if test else None},
        "several": tuning.several,
        "metric": "log_loss",
        "members": [
            _member(one, place, found) for place, one in enumerate(everyone)
            if place in mixable(everyone, params)
        ],
        "rows": _rows(lines, tuning, test),
    }  # fmt: skip


def tuning_loss(artefact: Artefact, found: Weighed, mixing: str) -> float:
    """Mean log-loss of a mixture on the tuning split, in nats."""
    tuning = predictions(artefact, "tuning")
    said = answers(tuning, found.weights, mixing, found.temperature, found.stack)
    return float(log_losses(said, tuning).mean())


def _lines(artefact: Artefact, choice: Choice, context: Context) -> list[Mixture]:
    """The chosen mixture, other ways to find weights, then every model alone."""
    params, everyone = choice.params, members(artefact)
    lines = [
        Mixture("chosen", _label(params.weights), weighed(artefact, choice, context), params.mixing)
    ]
    others = [_SEARCHED] if params.weights != _SEARCHED else []
    if params.objective == "log_loss":
        others.append("em" if params.mixing == "probabilities" else "slsqp")
    for solver in dict.fromkeys([*others, "uniform", "best-single"]):
        if solver == params.weights:
            continue
        plain = replace(params, weights=solver, drop=solver == _SEARCHED and params.drop)
        found = weighed(artefact, replace(choice, params=plain), context)
        label = everyone[found.used[0]].name if solver == "best-single" else _label(solver)
        lines.append(Mixture(solver, label, found, params.mixing))
    for place, one in enumerate(everyone):
        weights = np.eye(len(everyone))[place]
        alone = Weighed(weights, 1.0, 0.0, None, 0, 0, {})
        role = "teacher" if place == 0 else "member"
        lines.append(Mixture(role, one.name, alone, "probabilities"))
    return lines


def _label(solver: str) -> str:
    return "EM optimum" if solver == "em" else solver.replace("-", " ").replace("slsqp", "SLSQP")


def _member(one: Member, place: int, found: Weighed) -> dict[str, Any]:
    return {
        "name": one.name,
        "weight": float(found.weights[place]),
        "parameters": one.parameters,
        "macs": one.macs,
        "source": one.source,
        "channels": list(one.channels),
        "dropped": {"rise": found.dropped[place]} if place in found.dropped else None,
        "learnt_from": list(one.learnt_from),
    }


def _rows(
    lines: Sequence[Mixture], tuning: Predictions, test: Predictions | None
) -> list[dict[str, Any]]:
    """Each line's scores; `behind` is how much more it loses than the first, paired by sample."""
    found: list[dict[str, Any]] = []
    chosen: Array | None = None
    for line in lines:
        scores, losses = _scored(line, tuning)
        row: dict[str, Any] = {"role": line.role, "label": line.label, "tuning": scores}
        row["test"], losses = _scored(line, test) if test else (None, losses)
        row["behind"] = None if chosen is None else interval(losses - chosen)
        chosen = losses if chosen is None else chosen
        found.append(row)
    return found


def _scored(line: Mixture, split: Predictions) -> tuple[dict[str, Any], Array]:
    """Scores on a split, and the log-loss of every sample."""
    found = line.on(split)
    losses = log_losses(found, split)
    return {"log_loss": interval(losses), "accuracy": share(hits(found, split))}, losses
