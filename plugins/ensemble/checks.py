"""What an ensemble's parameters cannot ask for: refused before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stillhouse.core.cost.terms import totals
from stillhouse.core.errors import LimitError, UserError
from stillhouse.core.evaluate import Context
from stillhouse.core.evaluate.data import SplitName
from stillhouse.plugins.ensemble.cached import CACHED
from stillhouse.plugins.ensemble.drawing import supernet_space
from stillhouse.plugins.ensemble.given import (
    predicted,
    predicted_names,
    predicted_on,
    take_checkpoint,
)
from stillhouse.plugins.ensemble.member import TEACHER
from stillhouse.plugins.ensemble.network import Network, names, network
from stillhouse.plugins.ensemble.runs import run_fits, run_name
from stillhouse.plugins.ensemble.term import once, refuse_files


def refuse(params: Any, context: Context) -> None:
    """Raise for what cannot work, from parameters, structures and files alone.

    Raises:
        UserError: no models; names given twice; networks that cannot be built; weights that do
            not fit, or fit no number of models; settings that exclude each other.
        DataError: files of predictions that do not fit the task.
        LimitError: no model is within the limit.
    """
    if params.weights == "none" and not _models(params):
        return
    if not _models(params):
        raise UserError(
            "ensemble: expected models to mix, got none; list assistants, runs or predictions"
        )
    networks = [
        network(name, section, context)
        for name, section in zip(names(params.assistants), params.assistants, strict=True)
    ]
    for path in params.runs:
        run_fits(Path(path), params, context)
    files = _files(params, context)
    models = _named_once(params, networks, files)
    _refuse_absent(params, models)
    _refuse_given(params, models)
    _refuse_unknown_costs(params, models, files)
    _refuse_solver(params, context)
    once(params, context)
    for net in networks:
        _refuse_network(net)
    if params.limit is not None and not params.runs and not files:
        _refuse_limit(params, networks)


def _models(params: Any) -> bool:
    return bool(params.assistants or params.runs or params.predictions)


def _files(params: Any, context: Context) -> list[str]:
    """Names of predicted models; every split that is there is looked at whole."""
    if params.predictions is None:
        return []
    found = predicted_names(params.predictions)
    refuse_files(found, params, context)
    told: tuple[SplitName, ...] = ("test",) if predicted_on(params.predictions, "test") else ()
    for split in (*CACHED, *told):
        predicted(params.predictions, split, context)
    return found


def _named_once(params: Any, networks: Sequence[Network], files: Sequence[str]) -> list[str]:
    """Names of all models but the teacher. Raises UserError where two are the same."""
    given = [TEACHER]
    for net in networks:
        drawn = net.section["draw"]
        given += [f"{net.name}-{k}" for k in range(1, drawn + 1)] if drawn else [net.name]
    given += [*(run_name(Path(path)) for path in params.runs), *files]
    for name in given:
        if given.count(name) > 1:
            raise UserError(
                f"ensemble: expected a name of its own for every model, got '{name}' twice; rename "
                "an assistant, a run's folder or a file"
            )
    return given[1:]


def _refuse_absent(params: Any, models: Sequence[str]) -> None:
    if params.only and max(params.only) >= len(models):
        raise UserError(
            f"ensemble.only: expected places from 0 to {len(models) - 1} ({', '.join(models)}), "
            f"got {max(params.only)}"
        )


def _refuse_network(net: Network) -> None:
    """What a section asks for must be there, and one way to come by weights exclude the others."""
    section = net.section
    ways = [name for name in ("checkpoint", "draw", "freeze") if section[name]]
    if len(ways) > 1:
        raise UserError(
            f"assistant {net.name}: expected one of {' and '.join(ways)}, got both; take one out"
        )
    if section["checkpoint"]:
        take_checkpoint(net.fresh(0), section["checkpoint"], net.name)
    if section["draw"]:
        supernet_space(net)


def _refuse_given(params: Any, names: Sequence[str]) -> None:
    if params.weights != "given":
        if params.given:
            raise UserError(
                f"ensemble.given: expected weights: given with it, got weights: {params.weights}; "
                "write one of them"
            )
        return
    models = len(params.only or names) + bool(params.include_teacher)
    if len(params.given) != models:
        raise UserError(
            f"ensemble.given: expected a weight for each of {models} models, in the order teacher "
            f"(if included), assistants, runs, predictions; got {len(params.given)}"
        )


def _refuse_solver(params: Any, context: Context) -> None:
    if params.weights == "stacking" and (context.task.several or params.calibrate):
        raise UserError(
            "ensemble.weights: stacking needs one label a sample and no calibration; use "
            "differential-evolution"
        )
    if params.weights == "em" and (params.mixing, params.objective) != (
        "probabilities",
        "log_loss",
    ):
        raise UserError(
            "ensemble.weights: em is for the log-loss of mixed probabilities; use slsqp or "
            "differential-evolution"
        )
    if params.weights == "slsqp" and params.objective == "accuracy":
        raise UserError(
            "ensemble.weights: slsqp needs an objective with a gradient, got accuracy; use "
            "differential-evolution or greedy"
        )


def _refuse_unknown_costs(params: Any, models: Sequence[str], files: Sequence[str]) -> None:
    """A limit needs the cost of every model that may be mixed; of files only training is known.

    Given weights need it of those above 0 alone, which `weighed` looks at.
    """
    solved = params.weights not in ("given", "none", "teacher-alone")
    if params.limit is None or params.limit_on == "training_macs" or not solved:
        return
    allowed = [models[place] for place in params.only or range(len(models))]
    if unknown := [name for name in allowed if name in files]:
        raise UserError(
            f"ensemble.limit: expected models whose {params.limit_on} are known, but of "
            f"{', '.join(unknown)} there are only predictions; use at_most, limit training_macs, "
            "or leave them out with only"
        )


def _refuse_limit(params: Any, networks: Sequence[Network]) -> None:
    """Of a cost that needs no training to be known, where the networks are all that is mixed."""
    mixes = params.weights not in ("none", "teacher-alone") and not params.include_teacher
    told = params.limit_on in ("parameters", "macs") and mixes
    if not told or any(net.section["draw"] for net in networks):
        return
    costs = {}
    for net in [networks[place] for place in params.only or range(len(networks))]:
        sheet = net.family.sheet(net.structure, net.family.columns([net.structure]))
        costs[net.name] = float(totals(sheet, (params.limit_on,))[params.limit_on][0])
    least = min(costs, key=lambda name: costs[name])
    if costs[least] > params.limit:
        raise LimitError(
            f"ensemble.limit: expected a limit that one assistant meets, got {params.limit:g} "
            f"{params.limit_on}; nearest reachable: {costs[least]:g}, {least} alone"
        )
