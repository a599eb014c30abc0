"""The one training loop: teachers, supernet stages, distillation, networks from scratch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from itertools import islice
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.core.distill.checkpoint import Checkpoint, Snapshot, fingerprint
from stillhouse.core.distill.journal import Course, Journal
from stillhouse.core.distill.objective import Objective
from stillhouse.core.distill.optimiser import Optimiser
from stillhouse.core.distill.paths import Configuration, PathSampler
from stillhouse.core.distill.settings import FitResult, TrainSettings
from stillhouse.core.distill.stopping import Stopping
from stillhouse.core.distill.taps import Taps
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.context import Context, Progress
from stillhouse.core.evaluate.data import Batch
from stillhouse.core.evaluate.family import ElasticModule
from stillhouse.core.evaluate.state import State, Structure

SAVE_EVERY_S: Final = 20.0
_READ_EVERY: Final = 16


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
    clock: Callable[[], float] = time.monotonic,
) -> FitResult:
    """Train a network in place on `state.data` against the task's loss and `state.terms`.

    `structure` is the network's (a supernet's full one). With `paths` the network is an
    `ElasticModule` and every update trains the subnets drawn. `stop_after` trains exactly so many
    updates, whatever `settings.epochs` says. The network is left in eval mode on the device it
    came from; teachers must be on `context.device`.

    Every draw comes from `context.seed(label, ...)` and the number of the update, so a run that
    was killed and called again with the same arguments goes on from its checkpoint in
    `context.checkpoints` and ends with the same weights bit for bit (same machine and threads).

    Raises:
        StillhouseError: the loss is not finite; names update, epoch and addend.
        UserError: a term's teacher or tap is missing, or `inplace` without a largest subnet.
        RunDirectoryError: the checkpoint is damaged.
    """
    _check(settings, paths)
    home = next(module.parameters()).device
    course = _course(label, settings, stop_after, len(state.data.train))
    module.to(context.device)
    try:
        with _own_randomness(context):
            _reseed(context, label, "adapters")
            objective = Objective(module, structure, state.teachers, state.terms, settings, context)
            objective.adapters.to(context.device)
            facts = _facts(structure, state, course, context, paths)
            with objective.taps() as taps:
                run = _Run(module, objective, taps, state, course, context, paths)
                mark = fingerprint(run.modules, facts)
                return run.through(Checkpoint(context.checkpoints, label, mark, clock))
    finally:
        _widest(module)
        module.to(home).eval()


@final
class _Run:
    """The loop's moving parts: weights, optimiser, journal, and where it is."""

    def __init__(
        self,
        module: nn.Module,
        objective: Objective,
        taps: Taps,
        state: State,
        course: Course,
        context: Context,
        paths: PathSampler | None,
    ) -> None:
        self.module, self.objective, self.taps = module, objective, taps
        self.data, self.course, self.context, self.paths = state.data, course, context, paths
        self.settings, self.label = course.settings, course.label
        self.modules = nn.ModuleDict({"network": module, "adapters": objective.adapters})
        self.optimiser = Optimiser(self.modules, self.settings, context.precision)
        self.journal = Journal(course, objective.names)
        patience = self.settings.patience
        self.stopping = Stopping(module, state.data.validation, context, patience)
        self.updates = 0

    def through(self, checkpoint: Checkpoint) -> FitResult:
        """Go on from the checkpoint, if there is one, to the end."""
        self._resume(checkpoint.load())
        with self.context.task_progress(self.label, self.course.total) as progress:
            if self.updates:
                progress.advance(self.updates, "resumed")
            while self.updates < self.course.total and not self.stopping.over:
                self._epoch(checkpoint, progress)
                checkpoint.save(self._snapshot())
        self.stopping.finish()
        return FitResult(self.updates, tuple(self.journal.lines))

    def _epoch(self, checkpoint: Checkpoint, progress: Progress) -> None:
        epoch, done = divmod(self.updates, self.course.per_epoch)
        left = min(self.course.per_epoch, self.course.total - self.updates + done)
        self.module.train()
        for batch in islice(self._batches(epoch), done, left):
            if checkpoint.due(SAVE_EVERY_S):
                self.journal.read(progress)
                checkpoint.save(self._snapshot())
            elif self.journal.unread == _READ_EVERY:
                self.journal.read(progress)
            self.journal.add(self._update(batch))
            self.updates += 1
        self.journal.read(progress)
        _widest(self.module)
        self.journal.close(self.stopping.look())

    def _batches(self, epoch: int) -> Iterator[Batch]:
        size = self.settings.batch_size * self.settings.gradient_accumulation
        return self.data.train.batches(size, self.context.seed(self.label, "order", epoch))

    def _update(self, batch: Batch) -> Tensor:
        """One optimiser step; the losses (names,), means over subnets and samples."""
        _reseed(self.context, self.label, "dropout", self.updates)
        batch = self._view(batch)
        configurations = self._draw()
        losses = [
            self._gradients(part, configurations, len(part.targets) / len(batch.targets))
            for part in _parts(batch, self.settings.batch_size)
        ]
        self.optimiser.step(self.course.rate(self.updates))
        return torch.stack(losses).sum(0)

    def _view(self, batch: Batch) -> Batch:
        seed = self.context.seed(self.label, "augment", self.updates)
        view = self.context.task.augment(batch.inputs, torch.Generator().manual_seed(seed))
        return replace(batch, inputs=view).to(self.context.device)

    def _draw(self) -> Sequence[Configuration | None]:
        if self.paths is None:
            return [None]
        seed = self.context.seed(self.label, "paths", self.updates)
        return self.paths.draw(self.updates, np.random.default_rng(seed))

    def _gradients(
        self, batch: Batch, configurations: Sequence[Configuration | None], share: float
    ) -> Tensor:
        teachers = self.objective.targets(batch.inputs)
        share /= len(configurations)
        losses, largest = [], None
        for configuration in configurations:
            seen = self.objective.see(batch.inputs, self.taps, configuration)
            values = self.objective.losses(seen, teachers, batch, largest)
            self.optimiser.backward(share * values[0])
            losses.append(share * values.detach())
            if self.settings.inplace != "none" and largest is None:
                largest = seen.logits.detach()
        return torch.stack(losses).sum(0)

    def _snapshot(self) -> Snapshot:
        weights = {f"weights/{k}": v for k, v in self.modules.state_dict().items()}
        moments = {f"moments/{k}": v for k, v in self.optimiser.tensors().items()}
        best = {f"best/{k}": v for k, v in self.stopping.best.items()}
        counters = {
            "journal": self.journal.counters(),
            "stopping": self.stopping.counters(),
            "scaler": self.optimiser.scaling(),
        }
        return Snapshot({**weights, **moments, **best}, counters)

    def _resume(self, snapshot: Snapshot | None) -> None:
        if snapshot is None:
            return
        tensors, counters = snapshot.tensors, snapshot.counters
        self.modules.load_state_dict(_under("weights/", tensors))
        self.optimiser.restore(_under("moments/", tensors), counters["scaler"])
        self.stopping.restore(_under("best/", tensors), counters["stopping"])
        self.journal.restore(counters["journal"])
        self.updates = counters["journal"]["updates"]


def _course(label: str, settings: TrainSettings, stop_after: int | None, samples: int) -> Course:
    per_epoch = -(-samples // (settings.batch_size * settings.gradient_accumulation))
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
    return {
        "course": asdict(course),
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


def _widest(module: nn.Module) -> None:
    if isinstance(module, ElasticModule):
        module.set_active(module.full)


def _parts(batch: Batch, size: int) -> Iterator[Batch]:
    for first in range(0, len(batch.targets), size):
        part = slice(first, first + size)
        yield Batch(batch.inputs[part], batch.targets[part], batch.indices[part])


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _own_randomness(context: Context) -> AbstractContextManager[None]:
    """Dropout draws from the global generators, which are given back as they were found."""
    devices = [torch.device(context.device)] if context.device.startswith("cuda") else []
    return torch.random.fork_rng(devices)


def _reseed(context: Context, *labels: object) -> None:
    seed = context.seed(*labels)
    torch.default_generator.manual_seed(seed)
    if context.device.startswith("cuda"):
        torch.cuda.manual_seed(seed)
