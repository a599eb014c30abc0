"""The one training loop: teachers, supernet stages, distillation, networks from scratch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor, nn

from stillhouse.core.distill.checkpoint import Checkpoint, fingerprint
from stillhouse.core.distill.journal import Course
from stillhouse.core.distill.loop import Loop, widest
from stillhouse.core.distill.objective import Objective
from stillhouse.core.distill.paths import PathSampler
from stillhouse.core.distill.randomness import own_randomness, reseed
from stillhouse.core.distill.settings import FitResult, TrainSettings
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.context import Context
from stillhouse.core.evaluate.state import State, Structure


def fit(
    module: nn.Module,
    *,
    structure: Structure,
    state: State,
    settings: TrainSettings,
    context: Context,
    label: str,
    paths: PathSampler | None = None,
    stop_after: int | None = None,
    adapters: Mapping[str, Tensor] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FitResult:
    """Train a network in place on `state.data` against the task's loss and `state.terms`.

    `structure` is the network's (a supernet's full one). With `paths` the network is an
    `ElasticModule` and every update trains the subnets drawn. `stop_after` trains exactly so many
    updates, whatever `settings.epochs` says. `adapters` are those an earlier run of the same terms
    left, to go on from. The network is left in eval mode on the device it came from; teachers must
    be on `context.device`.

    Every draw comes from `context.seed(label, ...)` and the number of the update, so a run that
    was killed and called again with the same arguments goes on from its checkpoint in
    `context.checkpoints` and ends with the same weights bit for bit (same machine and threads).

    With a `context.group` of several processes each makes this same call; every batch is split
    among them, and all end with the weights that one process would have, up to float error and to
    what dropout and batch-norm statistics see of a batch.

    Raises:
        StillhouseError: the loss is not finite; names update, epoch and addend.
        UserError: a term's teacher or tap is missing, `inplace` without a largest subnet, or
            masks that the network cannot have.
        RunDirectoryError: the checkpoint is damaged.
    """
    _check(settings, paths)
    home = next(module.parameters()).device
    course = _course(label, settings, stop_after, len(state.data.train))
    module.to(context.device)
    widest(module)
    try:
        with own_randomness(context):
            reseed(context, label, "adapters")
            objective = Objective(
                module, structure, state.teachers, state.terms, settings, context, state.masking
            )
            if adapters is not None:
                objective.adapters.load_state_dict(adapters)
                objective.begun = True
            objective.adapters.to(context.device)
            facts = _facts(structure, state, course, context, paths)
            with objective.taps() as taps:
                run = Loop(module, objective, taps, state, course, context, paths)
                mark = fingerprint(run.modules, facts)
                return run.through(Checkpoint(context.checkpoints, label, mark, clock))
    finally:
        widest(module)
        module.to(home).eval()


def updates_an_epoch(settings: TrainSettings, samples: int) -> int:
    """Optimiser steps of one pass over so many samples."""
    return -(-samples // (settings.batch_size * settings.gradient_accumulation))


def _course(label: str, settings: TrainSettings, stop_after: int | None, samples: int) -> Course:
    per_epoch = updates_an_epoch(settings, samples)
    total = settings.epochs * per_epoch if stop_after is None else stop_after
    return Course(label, total, per_epoch, settings)


def _facts(
    structure: Structure,
    state: State,
    course: Course,
    context: Context,
    paths: PathSampler | None,
) -> dict[str, Any]:
    """What must be equal, beside the starting weights, for a checkpoint to be taken up."""
    settings = replace(course.settings, save_every=None)
    masking = {} if state.masking is None else {"masking": asdict(state.masking)}
    return {
        **masking,
        "course": asdict(replace(course, settings=settings)),
        "seed": context.root_seed,
        "precision": context.precision,
        "structure": dict(structure),
        "data": state.data.sha256,
        "terms": [(term.name, term.weight) for term in state.terms],
        "paths": None if paths is None else paths.name,
    }


def _check(settings: TrainSettings, paths: PathSampler | None) -> None:
    if settings.inplace != "none" and (paths is None or not paths.leads_with_largest):
        got = "no sampler" if paths is None else paths.name
        raise UserError(
            f"inplace: {settings.inplace} needs a sampler that draws the largest subnet in every "
            f"update, got {got}; use sampler: sandwich, or inplace: none"
        )
