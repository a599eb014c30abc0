"""The loss term of an ensemble: its mixture, made online or once for the whole training split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.losses import distilled, softened
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Batch, Context, LossTerm, Observation
from stillhouse.core.evaluate.artefacts import fingerprint
from stillhouse.core.evaluate.soft_targets import student_targets
from stillhouse.plugins.ensemble.cached import predictions
from stillhouse.plugins.ensemble.member import members
from stillhouse.plugins.ensemble.mixture import stacked
from stillhouse.plugins.ensemble.weighing import Weighed

ENSEMBLE: Final = "ensemble"


def sigmoid(params: Any, context: Context) -> bool:
    """Whether each label is taken by itself."""
    return context.task.several if params.form == "auto" else params.form == "sigmoid"


def once(params: Any, context: Context) -> bool:
    """Whether the mixture is made once, of predictions on the training split.

    Raises UserError where that is asked for and inputs are augmented, or predictions are of another
    form than what is to be mixed.
    """
    as_stored = sigmoid(params, context) == context.task.several
    if params.targets == "cached" and context.task.augments:
        raise UserError(
            "ensemble.targets: cached targets belong to inputs as they are, but the task augments "
            "them (shift, noise, mask); use targets: online, or turn the augmentation off"
        )
    if params.targets == "cached" and not as_stored:
        raise UserError(
            "ensemble.targets: cached targets are of the task's own form, got form: "
            f"{params.form}; use targets: online, or form: auto"
        )
    return params.targets != "online" and not context.task.augments and as_stored


def refuse_files(names: Sequence[str], params: Any, context: Context) -> None:
    """Raise UserError where models that are only files would have to be mixed online."""
    if names and not once(params, context):
        raise UserError(
            f"ensemble: {', '.join(names)}: expected networks to mix while the student trains, got "
            "files of predictions; turn the task's augmentation off, and use targets: cached and "
            "form: auto"
        )


def ensemble_term(params: Any, found: Weighed, artefact: Artefact, context: Context) -> LossTerm:
    """tau^2 KL(q || p_S) against the mixture q at tau, weighted; without tau^2 where asked.

    Raises as `named` does, and UserError where predictions are of other data.
    """
    each = sigmoid(params, context)
    name, scale = named(params, found, artefact, context)
    if once(params, context):
        targets = _targets(params, found, artefact, context, each)
        return LossTerm(name, scale, _cached(targets, params.temperature, each))
    return LossTerm(name, scale, _online(params.temperature, each), teachers=(ENSEMBLE,))


def named(params: Any, found: Weighed, artefact: Artefact, context: Context) -> tuple[str, float]:
    """The term's name, which says all that decides its value, and its weight; mixes nothing.

    Raises as `once` and `refuse_files` do.
    """
    everyone = members(artefact)
    files = [everyone[k].name for k in found.used if everyone[k].source == "file"]
    refuse_files(files, params, context)
    scale = params.weight if params.squared else params.weight / params.temperature**2
    facts = _facts(params, found, artefact, sigmoid(params, context))
    kind = " cached" if once(params, context) else ""
    return f"ensemble({fingerprint(facts)[:16]} temperature={params.temperature:g}{kind})", scale


def _facts(params: Any, found: Weighed, artefact: Artefact, each: bool) -> list[Any]:
    """Who is mixed how: weights, hashes of the models, and of several of them what is mixed."""
    sources = predictions(artefact, "tuning").origin.sources
    orders = [list(one.order) for one in members(artefact)]
    mixing = params.mixing if len(found.used) > 1 else ""
    stack = found.stack and [found.stack.coefficients.tolist(), found.stack.intercepts.tolist()]
    own = [(sources[k], orders[k], float(found.weights[k])) for k in found.used]
    return [own, mixing, found.temperature, each, stack]


def _online(temperature: float, each: bool) -> Any:
    def value(
        student: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        adapter: nn.Module | None,
    ) -> Tensor:
        target = softened(teachers[ENSEMBLE].logits, temperature, each)
        return distilled(student.logits, target, temperature, each)

    return value


def _cached(targets: Tensor, temperature: float, each: bool) -> Any:
    def value(
        student: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        adapter: nn.Module | None,
    ) -> Tensor:
        target = targets[batch.indices.cpu()].to(student.logits.device)
        return distilled(student.logits, target, temperature, each)

    return value


def _targets(
    params: Any, found: Weighed, artefact: Artefact, context: Context, each: bool
) -> Tensor:
    """The mixture for every training sample; UserError where predictions are of other data."""
    train, at = predictions(artefact, "train"), found.temperature * params.temperature
    if found.stack is None:
        mixed = student_targets(train, found.weights, context.task, at, params.mixing)
        return torch.from_numpy(mixed)
    return torch.cat(
        [
            softened(stacked(train.probabilities[found.used, rows], found.stack), at, each)
            for rows in train.blocks()
        ]
    )
