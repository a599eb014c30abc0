"""What a training run does: epochs, updates, snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.core.distill.checkpoint import Checkpoint, Snapshot
from stillhouse.core.distill.held import held, take
from stillhouse.core.distill.journal import Course, Journal
from stillhouse.core.distill.objective import Objective
from stillhouse.core.distill.optimiser import Optimiser
from stillhouse.core.distill.paths import Configuration, PathSampler
from stillhouse.core.distill.randomness import reseed
from stillhouse.core.distill.settings import FitResult
from stillhouse.core.distill.stopping import Stopping
from stillhouse.core.distill.taps import Taps
from stillhouse.core.evaluate.context import Context, Progress
from stillhouse.core.evaluate.data import Batch
from stillhouse.core.evaluate.family import ElasticModule
from stillhouse.core.evaluate.state import State
from stillhouse.core.plain_file import room_for

SAVE_EVERY_S: Final = 20.0
_READ_EVERY: Final = 16


@final
class Loop:
    """A training run's moving parts: weights, optimiser, journal, and where it is."""

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
        sparse = state.student is not None and state.student.zeros_stay
        self.optimiser = Optimiser(
            self.modules, self.settings, context.precision, zeros_stay=sparse
        )
        self.journal = Journal(course, objective.names)
        patience = self.settings.patience
        self.stopping = Stopping(module, state.data.validation, context, patience)
        self.updates, self.group = 0, context.group

    def through(self, checkpoint: Checkpoint) -> FitResult:
        """Go on from the checkpoint, if there is one, to the end."""
        self._resume(checkpoint)
        if not self.updates and self.course.total:
            self._begin()
        self.group.wait()
        with self.context.task_progress(self.label, self.course.total) as progress:
            if self.updates:
                progress.advance(self.updates, "resumed")
            while self.updates < self.course.total and not self.stopping.over:
                self._epoch(checkpoint, progress)
                self._keep(checkpoint, progress)
        self.stopping.finish()
        self.group.wait()  # for the checkpoint, before anyone clears it away
        adapters = {k: v.detach().cpu().clone() for k, v in self._adapters().items()}
        return FitResult(self.updates, tuple(self.journal.lines), adapters)

    def _begin(self) -> None:
        """The objective's constants, from the first rows of the first batch as training sees it."""
        reseed(self.context, self.label, "dropout", 0)
        whole = next(self._batches(0))
        rows = slice(0, self.settings.batch_size)
        batch = self._view(whole.rows(rows))
        if self.objective.mask is not None:
            self.objective.mask.begin(len(batch.targets), self.context.seed(self.label, "masks", 0))
            self.objective.mask.rows = slice(0, len(batch.targets))
        self.module.train()
        full = self.module.full if isinstance(self.module, ElasticModule) else None
        self.objective.begin(batch, self.taps, full)

    def _keep(self, checkpoint: Checkpoint, progress: Progress) -> None:
        self.journal.read(progress)
        if self.group.leads:
            checkpoint.save(self._snapshot())

    def _epoch(self, checkpoint: Checkpoint, progress: Progress) -> None:
        epoch, done = divmod(self.updates, self.course.per_epoch)
        left = min(self.course.per_epoch, self.course.total - self.updates + done)
        self.module.train()
        for batch in islice(self._batches(epoch), done, left):
            if checkpoint.due(SAVE_EVERY_S) or self._save_now():
                self._keep(checkpoint, progress)
            elif self.journal.unread == _READ_EVERY:
                self.journal.read(progress)
            self.journal.add(self._update(batch))
            self.updates += 1
        self.journal.read(progress)
        self.group.share(self.modules.buffers())
        widest(self.module)
        self.journal.close(self.stopping.look())

    def _save_now(self) -> bool:
        """Whether `save_every` updates have passed, in a process that has made some."""
        every = self.settings.save_every
        return every is not None and self.updates > 0 and self.updates % every == 0

    def _adapters(self) -> dict[str, Tensor]:
        weights: dict[str, Tensor] = self.objective.adapters.state_dict()
        return weights

    def _batches(self, epoch: int) -> Iterator[Batch]:
        size = self.settings.batch_size * self.settings.gradient_accumulation
        return self.data.train.batches(size, self.context.seed(self.label, "order", epoch))

    def _update(self, batch: Batch) -> Tensor:
        """One optimiser step; the losses (names,), means over subnets and samples."""
        reseed(self.context, self.label, "dropout", self.updates)
        batch = self._view(batch)
        if self.objective.mask is not None:
            seed = self.context.seed(self.label, "masks", self.updates)
            self.objective.mask.begin(len(batch.targets), seed)
        configurations = self._draw()
        losses = torch.stack(
            [
                self._gradients(batch, rows, share, configurations)
                for rows, share in self._parts(len(batch.targets))
            ]
        ).sum(0)
        self.group.add_up([losses])
        self.group.add_up(self.optimiser.gradients())
        self.optimiser.step(self.course.rate(self.updates))
        return losses

    def _parts(self, samples: int) -> Iterator[tuple[slice, float]]:
        """Rows of each forward pass of this process, and their share of the update's samples.

        A process that is left without any runs a sample of share 0, so that all processes have
        gradients of the same parameters.
        """
        own = self.group.rows(samples)
        for first in range(own.start, own.stop, self.settings.batch_size):
            rows = slice(first, min(first + self.settings.batch_size, own.stop))
            yield rows, (rows.stop - rows.start) / samples
        if own.start == own.stop:
            yield slice(0, 1), 0.0

    def _view(self, batch: Batch) -> Batch:
        seed = self.context.seed(self.label, "augment", self.updates)
        generator = torch.Generator().manual_seed(seed)
        return self.context.task.training_view(batch, generator).to(self.context.device)

    def _draw(self) -> Sequence[Configuration | None]:
        if self.paths is None:
            return [None]
        seed = self.context.seed(self.label, "paths", self.updates)
        return self.paths.draw(self.updates, np.random.default_rng(seed))

    def _gradients(
        self,
        whole: Batch,
        rows: slice,
        share: float,
        configurations: Sequence[Configuration | None],
    ) -> Tensor:
        batch = whole.rows(rows)
        if self.objective.mask is not None:
            self.objective.mask.rows = rows
        teachers = self.objective.targets(batch)
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
        weights = {f"weights/{k}": v for k, v in held(self.modules).items()}
        moments = {f"moments/{k}": v for k, v in self.optimiser.tensors().items()}
        best = {f"best/{k}": v for k, v in self.stopping.best.items()}
        counters = {
            "journal": self.journal.counters(),
            "stopping": self.stopping.counters(),
            "scaler": self.optimiser.scaling(),
        }
        return Snapshot({**weights, **moments, **best}, counters)

    def _resume(self, checkpoint: Checkpoint) -> None:
        weights = sum(tensor.nbytes for tensor in held(self.modules).values())
        snapshot = checkpoint.load(room_for(weights))
        if snapshot is None:
            return
        # Tensors and counters may be anything, and what takes them raises nearly anything.
        try:
            self._restore(snapshot.tensors, snapshot.counters)
        except Exception as error:
            raise checkpoint.refusal(repr(error)) from error

    def _restore(self, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
        take(self.modules, _under("weights/", tensors))
        self.optimiser.restore(_under("moments/", tensors), counters["scaler"])
        self.stopping.restore(_under("best/", tensors), counters["stopping"])
        self.journal.restore(counters["journal"])
        self.updates = int(counters["journal"]["updates"])


def widest(module: nn.Module) -> None:
    """Have a supernet use all of its weights."""
    if isinstance(module, ElasticModule):
        module.set_active(module.full)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
